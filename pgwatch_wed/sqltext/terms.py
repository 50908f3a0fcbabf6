"""Conditions as EXPLAIN (VERBOSE) prints them → which columns they compare, and how.

By then, the server has resolved everything: unqualified names, aliases, views, CTEs, partitions.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from itertools import pairwise
from typing import Any

from pglast import ast
from pglast.enums import A_Expr_Kind, BoolExprType, NullTestType, SortByDir, SortByNulls
from pglast.parser import ParseError, scan
from pglast.stream import RawStream

from pgwatch_wed.sqltext import trees

_ONCE = re.compile(r"\b(?:InitPlan|CTE) \w+(?: \(returns [^()]*\))?")
_EACH_ROW = re.compile(
    r"(?:alternatives: )?(?:hashed )?\bSubPlan \d+(?: or (?:hashed )?SubPlan \d+)*"
)
_ROW_PARAMETER = 98
_SUBPLAN_COLUMN = re.compile(r"\(\$(\d+)\)\.col\d+")
_QUANTIFIED = re.compile(r"\((?:ANY|ALL) \(")
_EXISTS = re.compile(r"\bEXISTS\(\$\d+\)")
_RANGES = frozenset({"<", "<=", ">", ">="})
_CONTAINS = frozenset({"@>", "<@", "&&", "?", "?|", "?&", "@?", "-|-", "<<", ">>"})
_PATTERNS = frozenset({"~~", "~~*", "~", "~*"})
_MATCHES = frozenset({"@@"})
_FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "=", "@>": "<@", "<@": "@>"}
_TEXT_CASTS = frozenset({"text"})
_KEYS = frozenset({"->", "->>"})


class Kind(Enum):
    """How an index can serve a condition."""

    EQUAL = "equal"
    IN = "in"
    RANGE = "range"
    PREFIX = "prefix"
    PATTERN = "pattern"
    IS_NULL = "is null"
    NOT_NULL = "is not null"
    CONTAINS = "contains"
    MATCH = "match"
    BOOLEAN = "boolean"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Operand:
    """A column, or an expression over columns of one alias; ``text`` contains no alias."""

    alias: str
    text: str
    column: str | None
    columns: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Term:
    """One condition on an operand. ``other`` is the operand of another alias to which it is joined."""

    operand: Operand
    kind: Kind
    operator: str
    is_constant: bool
    text: str
    other: Operand | None = None


@dataclass(frozen=True, slots=True)
class OpenOperand:
    """A compared expression that contains parameters, so that there can be no index on it.

    ``key`` is the parameter if it is the only one, and the key of a document in the column ``document``.
    """

    alias: str
    text: str
    document: str = ""
    key: int | None = None


@dataclass(frozen=True, slots=True)
class Conjunction:
    """Conditions that all hold; each arm of an OR is a separate group."""

    terms: tuple[Term, ...]
    arms: tuple["Conjunction", ...] = ()


@dataclass(frozen=True, slots=True)
class SortKey:
    """An operand with its direction, as in CREATE INDEX."""

    operand: Operand
    order: str


@lru_cache(maxsize=20_000)
def conditions(text: str) -> Conjunction:
    """Return the conditions of a Filter, Index Cond, Hash Cond or Join Filter."""
    node = _parse(text)
    return Conjunction(()) if node is None else _group(node)


@lru_cache(maxsize=20_000)
def references(text: str) -> frozenset[tuple[str, str]]:
    """Return every (alias, column) that an expression reads; the alias is empty if it has none."""
    node = _parse(text)
    if node is None:
        return frozenset(_scanned(text))
    return frozenset(_columns(node))


def columns(text: str) -> frozenset[str]:
    """Return the columns that an expression of a candidate reads; it has no aliases."""
    return frozenset(column for _, column in references(text))


@lru_cache(maxsize=20_000)
def sort_key(text: str) -> SortKey | None:
    """Return a key of a Sort or Group node, or None if it is not over one alias."""
    text = _readable(text)
    try:
        order = trees.parse(f"select order by {text}")[0].sortClause[0]
    except ValueError:
        return None
    operand = _operand(order.node)
    return None if operand is None else SortKey(operand, _direction(order))


@lru_cache(maxsize=20_000)
def extremes(text: str) -> tuple[Operand, ...]:
    """Return the operands of min() and max() in an output expression."""
    node = _parse(text)
    calls: list[Any] = [n for n in trees.walk(node) if isinstance(n, ast.FuncCall)]
    found = [
        _operand(call.args[0])
        for call in calls
        if call.args and len(call.args) == 1 and call.funcname[-1].sval in ("min", "max")
    ]
    return tuple(operand for operand in found if operand is not None)


@lru_cache(maxsize=20_000)
def open_operands(text: str) -> tuple[OpenOperand, ...]:
    """Return the expressions in a condition that contain both columns of one alias and parameters of the statement."""
    found = {}
    for node in trees.walk(_parse(text)):
        if isinstance(node, ast.A_Expr) and node.lexpr is not None and _compares(node):
            for side, other in ((node.lexpr, node.rexpr), (node.rexpr, node.lexpr)):
                operand = _open_operand(side)
                if operand is not None and operand.alias not in {a for a, _ in _columns(other)}:
                    found[operand.text] = operand
    return tuple(found.values())


def _compares(node: Any) -> bool:
    operator = node.name[-1].sval
    return operator in _FLIPPED or operator in _PATTERNS | _CONTAINS | _MATCHES


def _open_operand(node: Any) -> OpenOperand | None:
    each = list(trees.walk(node))
    numbers = {int(n.number or 0) for n in each if isinstance(n, ast.ParamRef)}
    aliases = {alias for alias, _ in _columns(node)}
    if len(aliases) != 1 or not numbers or max(numbers) >= _ROW_PARAMETER:
        return None
    (alias,) = aliases
    keys = [k for n in each if (k := _document_key(n)) is not None]
    if len(keys) == len(numbers) == 1:
        return OpenOperand(alias, _print(node), *keys[0])
    return OpenOperand(alias, _print(node))


def document_keys(text: str, column: str) -> tuple[str, ...]:
    """Return the keys that an expression reads from documents in a column: ``kind`` of ``(payload ->> 'kind')``."""
    found = []
    for node in trees.walk(_parse(text)):
        if isinstance(node, ast.A_Expr) and trees.names(node.name)[-1] in _KEYS:
            document = trees.without_casts(node.lexpr)
            is_its = isinstance(document, ast.ColumnRef) and trees.names(document.fields)[-1:] == (
                column,
            )
            if is_its and (key := _constant(node.rexpr)) is not None:
                found.append(key)
    return tuple(found)


def _document_key(node: Any) -> tuple[str, int] | None:
    """Return the column and the parameter of ``column ->> $1``."""
    if not isinstance(node, ast.A_Expr) or trees.names(node.name)[-1] not in _KEYS:
        return None
    column, key = (trees.without_casts(side) for side in (node.lexpr, node.rexpr))
    if isinstance(column, ast.ColumnRef) and isinstance(key, ast.ParamRef):
        return trees.names(column.fields)[-1], int(key.number or 0)
    return None


def _direction(order: Any) -> str:
    is_descending = order.sortby_dir == SortByDir.SORTBY_DESC
    words = ["DESC"] if is_descending else []
    if order.sortby_nulls == SortByNulls.SORTBY_NULLS_FIRST and not is_descending:
        words.append("NULLS FIRST")
    if order.sortby_nulls == SortByNulls.SORTBY_NULLS_LAST and is_descending:
        words.append("NULLS LAST")
    return " ".join(words)


def _readable(text: str) -> str:
    """Turn what only EXPLAIN prints into SQL: references to subplans become parameters."""
    text = _EACH_ROW.sub(f"${_ROW_PARAMETER}", _ONCE.sub("$99", text))
    text = _SUBPLAN_COLUMN.sub(r"$\1", text)
    return _EXISTS.sub("true", _QUANTIFIED.sub("((", text))


def _parse(text: str) -> Any:
    try:
        (statement,) = trees.parse(f"select {_readable(text)}")
        return statement.targetList[0].val
    except (ValueError, IndexError, TypeError):
        return None


def _scanned(text: str) -> Iterator[tuple[str, str]]:
    """Find ``alias.column`` in a text that cannot be parsed."""
    try:
        tokens = [t for t in scan(text) if "COMMENT" not in t.name]
    except ParseError:
        return
    for left, dot, right in zip(tokens, tokens[1:], tokens[2:], strict=False):
        if dot.name == "ASCII_46":
            alias, column = (_unquoted(text[t.start : t.end + 1]) for t in (left, right))
            yield alias, column


def _group(node: Any) -> Conjunction:
    terms: list[Term] = []
    arms: list[Conjunction] = []
    for part in _conjuncts(node):
        if isinstance(part, ast.BoolExpr) and part.boolop == BoolExprType.OR_EXPR:
            arms += [_group(arm) for arm in part.args or ()]
        terms += _terms(part)
    return Conjunction(tuple(terms), tuple(arms))


def _conjuncts(node: Any) -> Iterator[Any]:
    if isinstance(node, ast.BoolExpr) and node.boolop == BoolExprType.AND_EXPR:
        for part in node.args or ():
            yield from _conjuncts(part)
    else:
        yield node


def _terms(node: Any) -> Iterator[Term]:
    match node:
        case ast.NullTest():
            operand = _operand(node.arg)
            is_null = node.nulltesttype == NullTestType.IS_NULL
            kind = Kind.IS_NULL if is_null else Kind.NOT_NULL
            if operand is not None:
                yield Term(operand, kind, "", True, _print(node))
        case ast.A_Expr() if node.lexpr is not None:
            yield from _comparison(node)
        case ast.ColumnRef():
            yield from _boolean(node, _print(node))
        case ast.BoolExpr(args=(ast.ColumnRef() as column,)) if (
            node.boolop == BoolExprType.NOT_EXPR
        ):
            yield from _boolean(column, _print(node))
        case _:
            return


def _boolean(node: Any, text: str) -> Iterator[Term]:
    operand = _operand(node)
    if operand is not None:
        yield Term(operand, Kind.BOOLEAN, "", True, text)


def _comparison(node: Any) -> Iterator[Term]:
    operator = node.name[-1].sval
    left, right = _operand(node.lexpr), _operand(node.rexpr)
    text = _print(node)
    if left is not None:
        yield from _side(left, operator, node, right, node.rexpr, text)
    if right is not None and operator in _FLIPPED:
        yield from _side(right, _FLIPPED[operator], node, left, node.lexpr, text)


def _side(
    operand: Operand, operator: str, node: Any, other: Operand | None, comparand: Any, text: str
) -> Iterator[Term]:
    aliases = {alias for alias, _ in _columns(comparand)}
    if operand.alias in aliases:
        return  # two columns of one table: no index helps
    is_constant = not aliases
    if any(
        isinstance(n, ast.ParamRef) and n.number == _ROW_PARAMETER for n in trees.walk(comparand)
    ):
        return  # a subquery that runs for each row of this very table
    kind = _kind(operator, node, comparand)
    joined = other if other is not None and other.alias != operand.alias else None
    yield Term(operand, kind, operator, is_constant, text, joined)


def _kind(operator: str, node: Any, comparand: Any) -> Kind:
    if node.kind == A_Expr_Kind.AEXPR_OP_ANY and operator == "=":
        return Kind.IN
    if node.kind != A_Expr_Kind.AEXPR_OP:
        return Kind.OTHER
    if operator == "=":
        return Kind.EQUAL
    if operator in _RANGES:
        return Kind.RANGE
    if operator in _PATTERNS:
        return _pattern(operator, comparand)
    if operator in _CONTAINS:
        return Kind.CONTAINS
    return Kind.MATCH if operator in _MATCHES else Kind.OTHER


def _pattern(operator: str, comparand: Any) -> Kind:
    value = _constant(comparand)
    if value is None:
        return Kind.PATTERN
    if operator == "~~":
        return Kind.PATTERN if value[:1] in ("%", "_", "") else Kind.PREFIX
    return Kind.PREFIX if operator == "~" and value[:1] == "^" else Kind.PATTERN


def _constant(node: Any) -> str | None:
    value = getattr(trees.without_casts(node), "val", None)
    return value.sval if isinstance(value, ast.String) else None


def _operand(node: Any) -> Operand | None:
    """Return a column or expression over one alias; a cast to text of a column is transparent."""
    if node is None:
        return None
    columns = set(_columns(node))
    aliases = {alias for alias, _ in columns}
    if len(aliases) != 1 or any(isinstance(n, ast.ParamRef) for n in trees.walk(node)):
        return None
    (alias,) = aliases
    names = frozenset(column for _, column in columns)
    bare: Any = node
    while isinstance(bare, ast.TypeCast) and _type(bare) in _TEXT_CASTS:
        bare = bare.arg
    if isinstance(bare, ast.ColumnRef) and alias:
        (column,) = names
        return Operand(alias, _print(bare), column, names)
    return Operand(alias, _print(node), None, names)


def _type(cast: Any) -> str:
    return str(cast.typeName.names[-1].sval)


def _columns(node: Any) -> Iterator[tuple[str, str]]:
    for each in trees.walk(node):
        if isinstance(each, ast.ColumnRef):
            names = trees.names(each.fields)
            if len(names) == len(each.fields or ()) <= 2:
                yield names[0] if len(names) == 2 else "", names[-1]


def _print(node: Any) -> str:
    """Print a node without the aliases of its columns."""
    text: str = RawStream()(node)
    aliases = {alias for alias, _ in _columns(node)}
    pieces, end = [], 0
    tokens = scan(text)
    for name, dot in pairwise(tokens):
        if dot.name == "ASCII_46" and _unquoted(text[name.start : name.end + 1]) in aliases:
            pieces.append(text[end : name.start])
            end = dot.end + 1
    return "".join([*pieces, text[end:]])


def _unquoted(name: str) -> str:
    return name[1:-1].replace('""', '"') if name[:1] == '"' else name
