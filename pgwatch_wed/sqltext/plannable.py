"""A text of pg_stat_statements → one that means what was run, as far as the text itself tells.

Its parameters stand where literals were, but not everywhere: of equal expressions, as in ``GROUP BY date_trunc('day', x)``
and the same in the list of results, only one loses its literals. A server that sees ``date_trunc($1, x)`` and
``date_trunc('day', x)`` takes them for two expressions.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pglast import ast
from pglast.enums import A_Expr_Kind, BoolExprType
from pglast.parser import ParseError, scan
from pglast.stream import RawStream

from pgwatch_wed.sqltext import trees
from pgwatch_wed.sqltext.repairs import with_values
from pgwatch_wed.sqltext.text import SQUASHED

_ELEMENTS = 10

Written = dict[int | None, str]
"""What replaces parameters, by the positions where these begin."""


def plannable(text: str) -> str:
    """Return the text with equal expressions made equal, and literals where they are conditions.

    Returns it unchanged if it cannot be parsed.
    """
    if "$" not in text:
        return text
    try:
        (statement,) = trees.parse(text)
        values: Written = {}
        for node in trees.walk(statement):
            if isinstance(node, ast.SelectStmt):
                values |= _made_equal(node)
            for condition in _conditions(node):
                values |= _settled(condition)
        return with_values(text, lambda _number, start: values.get(start))
    except (ValueError, ParseError):
        return text


def with_lists(text: str) -> str:
    """Repeat the first element of a squashed list, so that it has as many as the planner assumes in an unknown one."""
    if SQUASHED not in text:
        return text
    pieces, end, last = [], 0, ""
    for token in scan(text):
        word = text[token.start : token.end + 1]
        if word == SQUASHED and last:
            pieces += [text[end : token.start].rstrip(), f", {last}" * (_ELEMENTS - 1)]
            end = token.end + 1
        last = word if token.name == "PARAM" else ""
    return "".join([*pieces, text[end:]])


# Equal expressions

_BARE = "?"


@dataclass(frozen=True, slots=True)
class _Expression:
    """An expression's form, in which any literal matches any parameter, and its literals and parameters in order.

    A list of them is one of the ``leaves``, since it may be squashed in one place and not in another.
    """

    form: Any
    leaves: tuple[Any, ...]


def _made_equal(select: ast.SelectStmt) -> Written:
    targets = tuple(t.val for t in select.targetList or ())
    sorts = tuple(s.node for s in select.sortClause or ())
    found: Written = {}
    if select.distinctClause:
        first = [d for d in select.distinctClause if d is not None]
        found |= _aligned(first or targets, sorts)
    if select.groupClause:
        groups = list(_grouped(select.groupClause))
        others = (targets, select.havingClause, sorts, select.windowClause)
        found |= _aligned(groups, others)
    return found


def _grouped(clause: Sequence[Any]) -> Iterator[Any]:
    for node in clause:
        if isinstance(node, ast.GroupingSet):
            yield from _grouped(node.content or ())
        elif isinstance(node, ast.RowExpr):
            yield from _grouped(node.args or ())
        else:
            yield node


def _aligned(anchors: Sequence[Any], others: Any) -> Written:
    """Return what makes expressions within ``others`` equal to the anchors that they are instances of."""
    known: dict[Any, list[_Expression]] = {}
    for anchor in map(_expression, anchors):
        if anchor.leaves and anchor.form != _BARE:  # the 1 of GROUP BY 1 is a place, not a value
            known.setdefault(anchor.form, []).append(anchor)
    found: Written = {}
    seen: dict[Any, int] = {}
    for form, expression in _instances(others, known):
        fitting = [a for a in known[form] if _agree(a, expression)]
        if fitting:
            turn = seen.get(form, 0)
            seen[form] = turn + 1
            found |= _replaced(fitting[turn % len(fitting)], expression)
    return found


def _instances(node: Any, known: dict[Any, list[_Expression]]) -> Iterator[tuple[Any, _Expression]]:
    if isinstance(node, tuple):
        for each in node:
            yield from _instances(each, known)
    elif isinstance(node, ast.Node):
        expression = _expression(node)
        if expression.form in known:
            yield expression.form, expression
            return
        for name in node:
            yield from _instances(getattr(node, name), known)


def _expression(node: Any) -> _Expression:
    leaves: list[Any] = []
    return _Expression(_form(node, leaves), tuple(leaves))


def _form(node: Any, leaves: list[Any]) -> Any:
    match node:
        case ast.ParamRef() | ast.A_Const():
            leaves.append(node)
            return _BARE
        case ast.ColumnRef():
            return ("column", trees.names(node.fields)[-1:])
        case ast.A_ArrayExpr() if _is_plain(node.elements):
            leaves.append(node.elements)
            return "[?]"
        case ast.A_Expr(kind=A_Expr_Kind.AEXPR_IN) if _is_plain(node.rexpr):
            form = ("in", trees.names(node.name), _form(node.lexpr, leaves))
            leaves.append(node.rexpr)
            return form
        case tuple():
            return tuple(_form(each, leaves) for each in node)
        case ast.Node():
            parts = ((n, getattr(node, n)) for n in node if n not in _PLACES)
            return (type(node).__name__, *((n, _form(v, leaves)) for n, v in parts))
    return node


_PLACES = frozenset(("location", "list_start", "list_end", "rexpr_list_start", "rexpr_list_end"))


def _is_plain(elements: Any) -> bool:
    return isinstance(elements, tuple) and all(
        isinstance(e, ast.ParamRef | ast.A_Const) for e in elements
    )


def _agree(one: _Expression, other: _Expression) -> bool:
    """Tell whether the literals that both have are the same."""
    return all(_may_be_equal(a, b) for a, b in zip(one.leaves, other.leaves, strict=True))


def _may_be_equal(one: Any, other: Any) -> bool:
    if isinstance(one, tuple):
        is_squashed = any(isinstance(x[0], ast.ParamRef) for x in (one, other) if len(x) == 1)
        return is_squashed or (len(one) == len(other) and all(map(_may_be_equal, one, other)))
    are_literals = isinstance(one, ast.A_Const) and isinstance(other, ast.A_Const)
    return not are_literals or _written(one) == _written(other)


def _replaced(anchor: _Expression, other: _Expression) -> Written:
    found: Written = {}
    for a, b in zip(anchor.leaves, other.leaves, strict=True):
        found |= _replacement(a, b)
    return found


def _replacement(one: Any, other: Any) -> Written:
    if isinstance(one, tuple) and len(one) == len(other):
        return {
            k: v for a, b in zip(one, other, strict=True) for k, v in _replacement(a, b).items()
        }
    if isinstance(one, tuple):
        short, long = sorted((one, other), key=len)
        return {short[0].location: ", ".join(map(_written, long))}
    if isinstance(other, ast.ParamRef):
        return {other.location: _written(one)}
    return {one.location: _written(other)} if isinstance(one, ast.ParamRef) else {}


def _written(leaf: Any) -> str:
    return f"${leaf.number}" if isinstance(leaf, ast.ParamRef) else str(RawStream()(leaf))


# Literals that are conditions


def _conditions(node: Any) -> Iterator[Any]:
    for name in ("whereClause", "havingClause", "quals"):
        condition = getattr(node, name, None)
        if isinstance(condition, ast.Node) and not isinstance(node, ast.OnConflictClause):
            yield from _conjuncts(condition)


def _conjuncts(condition: Any) -> Iterator[Any]:
    if isinstance(condition, ast.BoolExpr) and condition.boolop == BoolExprType.AND_EXPR:
        for each in condition.args or ():
            yield from _conjuncts(each)
    else:
        yield condition


def _settled(condition: Any) -> Written:
    """Return what makes ``WHERE $1`` and ``$1 = $2`` true, as they are with the literals that people write."""
    bare = trees.without_casts(condition)
    if isinstance(bare, ast.ParamRef):
        return {bare.location: "true"}
    if (
        isinstance(condition, ast.A_Expr)
        and condition.kind == A_Expr_Kind.AEXPR_OP
        and trees.names(condition.name) == ("=",)
        and isinstance(condition.lexpr, ast.ParamRef)
        and isinstance(condition.rexpr, ast.ParamRef)
    ):
        return {condition.lexpr.location: "1", condition.rexpr.location: "1"}
    return {}
