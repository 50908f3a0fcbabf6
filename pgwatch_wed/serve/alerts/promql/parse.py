"""A query's text → its tree; what is not evaluated here is refused with the reason."""

import re
from datetime import timedelta
from functools import cache
from typing import Any

from pgwatch_wed.errors import UsageError
from pgwatch_wed.origin import pip_install
from pgwatch_wed.serve.alerts.promql import nodes
from pgwatch_wed.serve.alerts.promql.signatures import AGGREGATIONS, FUNCTIONS

_MATCHES = {"Equal": "=", "NotEqual": "!=", "Re": "=~", "NotRe": "!~"}
_MANY = {"OneToOne": "", "ManyToOne": "left", "OneToMany": "right", "ManyToMany": "both"}
_OPERATORS = frozenset({"+", "-", "*", "/", "%", "^"}) | nodes.COMPARISONS | nodes.SETS


class QueryError(UsageError):
    """A query that is no PromQL, or a part of it that is not evaluated here."""


@cache
def parsed(query: str) -> nodes.Node:
    """Return the tree of a query."""
    parser = _parser()
    try:
        tree = parser.parse(query)
    except ValueError as error:
        raise QueryError(f"{error}") from None
    return _node(tree)


def _parser() -> Any:
    try:
        import promql_parser
    except ImportError:
        raise UsageError(
            "alert rules need the package promql-parser", pip_install("serve")
        ) from None
    return promql_parser


def _node(tree: Any) -> nodes.Node:
    match type(tree).__name__:
        case "ParenExpr":
            return _node(tree.expr)
        case "NumberLiteral":
            return nodes.NumberNode(tree.val)
        case "StringLiteral":
            return nodes.TextNode(tree.val)
        case "VectorSelector":
            return _instant(tree)
        case "MatrixSelector":
            return nodes.WindowNode(_instant(tree.vector_selector), _ms(tree.range))
        case "SubqueryExpr":
            return _subquery(tree)
        case "UnaryExpr":
            return _negative(_node(tree.expr))
        case "Call":
            return _call(tree)
        case "AggregateExpr":
            return _aggregate(tree)
        case "BinaryExpr":
            return _binary(tree)
        case other:
            raise QueryError(f"{other} is not supported")


def _negative(inner: nodes.Node) -> nodes.Node:
    return (
        nodes.NumberNode(-inner.value)
        if isinstance(inner, nodes.NumberNode)
        else nodes.NegativeNode(inner)
    )


def _instant(tree: Any) -> nodes.InstantNode:
    _refuse_at(tree)
    if tree.matchers.or_matchers:
        raise QueryError("`or` between label matchers is not supported")
    name = tree.name or ""
    matches = []
    for m in tree.matchers.matchers:
        op = _MATCHES[str(m.op).rpartition(".")[2]]
        if m.name == "__name__" and op == "=":
            name = m.value
            continue
        if op in ("=~", "!~"):
            _check_pattern(m.value)
        matches.append(nodes.LabelMatch(m.name, op, m.value))
    return nodes.InstantNode(name, tuple(matches), _ms(tree.offset))


def _subquery(tree: Any) -> nodes.SubqueryNode:
    _refuse_at(tree)
    step = _ms(tree.step) if tree.step is not None else None
    return nodes.SubqueryNode(_node(tree.expr), _ms(tree.range), step, _ms(tree.offset))


def _refuse_at(tree: Any) -> None:
    if tree.at is not None:
        raise QueryError("the @ modifier is not supported")


def _check_pattern(pattern: str) -> None:
    try:
        re.compile(pattern)
    except re.error as error:
        raise QueryError(f"the regular expression {pattern} is not supported: {error}") from None


def _call(tree: Any) -> nodes.CallNode:
    name = tree.func.name
    if name not in FUNCTIONS:
        raise QueryError(f"the function {name} is not supported")
    args = tuple(_node(a) for a in tree.args)
    if name == "label_replace":
        _check_pattern(_text(args[4]))
    return nodes.CallNode(name, args)


def _text(node: nodes.Node) -> str:
    assert isinstance(node, nodes.TextNode)
    return node.value


def _aggregate(tree: Any) -> nodes.AggregateNode:
    op = str(tree.op)
    if op not in AGGREGATIONS:
        raise QueryError(f"the aggregation {op} is not supported")
    modifier = tree.modifier
    return nodes.AggregateNode(
        op,
        _node(tree.expr),
        _node(tree.param) if tree.param is not None else None,
        tuple(modifier.labels) if modifier is not None else (),
        modifier is not None and str(modifier.type).endswith("Without"),
    )


def _binary(tree: Any) -> nodes.BinaryNode:
    op = str(tree.op)
    if op not in _OPERATORS:
        raise QueryError(f"the operator {op} is not supported")
    modifier = tree.modifier
    is_bool = modifier is not None and modifier.return_bool
    return nodes.BinaryNode(op, _node(tree.lhs), _node(tree.rhs), is_bool, _pairing(op, modifier))


def _pairing(op: str, modifier: Any) -> nodes.SideMatching:
    many = "both" if op in nodes.SETS else ""
    if modifier is None:
        return nodes.SideMatching(many=many)
    fill = modifier.fill_values
    if fill is not None and (fill.lhs is not None or fill.rhs is not None):
        raise QueryError("the modifier fill is not supported")
    matching = modifier.matching
    return nodes.SideMatching(
        matching is not None and str(matching.type).endswith("Include"),
        tuple(matching.labels) if matching is not None else (),
        many or _MANY[str(modifier.card).rpartition(".")[2]],
        tuple(modifier.group_labels or ()),
    )


def _ms(span: timedelta | None) -> int:
    return 0 if span is None else round(span.total_seconds() * 1000)
