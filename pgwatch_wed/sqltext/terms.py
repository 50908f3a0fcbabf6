"""Conditions as EXPLAIN (VERBOSE) prints them → which columns they compare, and how.

By then, the server has resolved everything: unqualified names, aliases, views, CTEs, partitions.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum
from functools import lru_cache
from itertools import pairwise
from typing import Any

from pglast import ast
from pglast.enums import A_Expr_Kind, BoolExprType, NullTestType, SortByDir, SortByNulls
from pglast.parser import ParseError, scan
from pglast.stream import RawStream

from pgwatch_wed.sqltext import trees
from pgwatch_wed.sqltext.plan_trees import PlanNode, condition_texts

_ONCE = re.compile(r"\b(?:InitPlan|CTE) \w+(?: \(returns [^()]*\))?")
_EACH_ROW = re.compile(
    r"(?:alternatives: )?(?:hashed )?\bSubPlan \d+(?: or (?:hashed )?SubPlan \d+)*"
)
_ROW_PARAMETER = 98
_SUBPLAN_COLUMN = re.compile(r"\(\$(\d+)\)\.col\d+")
_QUANTIFIED = re.compile(r"\((?:ANY|ALL) \(")
_EXISTS = re.compile(r"\bEXISTS\(\$\d+\)")
_RANGES = frozenset({"<", "<=", ">", ">="})
_PATTERNS = frozenset({"~~", "~~*", "~", "~*"})
_MATCHES = frozenset({"@@"})
_EQUALITY = frozenset({"=", "<>"})
_DIFFERS = frozenset({"<>", "!~~", "!~~*", "!~", "!~*"})
_FLIPPED = {
    "<": ">",
    "<=": ">=",
    ">": "<",
    ">=": "<=",
    "=": "=",
    "<>": "<>",
    "@>": "<@",
    "<@": "@>",
    "&&": "&&",
    "-|-": "-|-",
    "@@": "@@",
    "%": "%",
    "<<": ">>",
    ">>": "<<",
    "<<=": ">>=",
    ">>=": "<<=",
    "<%": "%>",
    "%>": "<%",
    "<<%": "%>>",
    "%>>": "<<%",
    "~": "~",
    "?": "?",
}
_DISTANCES = frozenset({"<->", "<<->", "<->>", "<<<->", "<->>>", "<=>", "<#>", "<+>"})
_COMPUTES = frozenset({"->", "->>", "#>", "#>>", "||", "+", "-", "*", "/", "^", "|", "&", "#"})
# What is computed from these types and a column, or by these functions, concerns one call.
_OF_ONE_CALL = frozenset({"date", "time", "timetz", "timestamp", "timestamptz"})
_SOUGHT = frozenset(
    {"tsquery", "point", "box", "circle", "polygon", "path", "geometry", "geography"}
)
_MEASURES = frozenset(
    {"similarity", "word_similarity", "strict_word_similarity", "levenshtein", "position", "strpos"}
    | {"levenshtein_less_equal", "ts_rank", "ts_rank_cd", "st_distance", "age"}
)
_TEXT_CASTS = frozenset({"text"})
_KEYS = frozenset({"->", "->>"})
_PATHS = frozenset({"#>", "#>>"})
_WORDS = {"!~~*": "NOT ILIKE", "!~~": "NOT LIKE", "~~*": "ILIKE", "~~": "LIKE"}
_CAST_CONSTANT = re.compile(r"CAST\(('(?:[^']|'')*'|-?[\d.]+) AS [\w ]+(?:\[\])?\)")


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
    DIFFERENT = "different"
    BOOLEAN = "boolean"
    OTHER = "other"


EQUAL = frozenset({Kind.EQUAL, Kind.IN, Kind.BOOLEAN, Kind.IS_NULL})
"""The kinds after which an index is in the order of its next key; of IN for each of its values."""
OF_VALUES = EQUAL - {Kind.IS_NULL}


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

    ``keys`` are the parameters if all are keys that lead into a document in the column ``document``; with ``is_path``, it is one
    that is a path. ``operator`` is what compares it, with the parameter ``value`` unless that is 0.
    """

    alias: str
    text: str
    document: str = ""
    keys: tuple[int, ...] = ()
    is_path: bool = False
    operator: str = ""
    value: int = 0


@dataclass(frozen=True, slots=True)
class Conjunction:
    """Conditions that all hold; each arm of an OR is a separate group."""

    terms: tuple[Term, ...]
    arms: tuple["Conjunction", ...] = ()


@dataclass(frozen=True, slots=True)
class SortKey:
    """An operand with its direction, as in CREATE INDEX; ``distance`` is the operator if it is ordered by how far it is from a value."""

    operand: Operand
    order: str
    distance: str = ""


@lru_cache(maxsize=20_000)
def conditions(text: str) -> Conjunction:
    """Return the conditions of a Filter, Index Cond, Hash Cond or Join Filter."""
    node = _parse(text)
    return Conjunction(()) if node is None else _group(node)


def of_index(node: PlanNode) -> tuple[Term, ...]:
    """Return the conditions that a node of a plan looks up in an index."""
    return conditions(str(node.get("Index Cond") or "")).terms


def of_node(node: PlanNode) -> Iterator[Term]:
    """Yield all conditions that a node of a plan has for the rows of a table."""
    return (term for text in condition_texts(node) for term in conditions(text).terms)


@lru_cache(maxsize=20_000)
def parts(text: str) -> tuple[str, ...]:
    """Return the conditions that must all be true, as SQL with aliases."""
    node = _parse(text)
    return () if node is None else tuple(str(RawStream()(part)) for part in _conjuncts(node))


@lru_cache(maxsize=20_000)
def plain(text: str) -> str:
    """Return an expression as people write it: without aliases and casts of constants, with LIKE for ``~~``."""
    node = _parse(text)
    shown = text if node is None else _print(node)
    for operator, word in _WORDS.items():
        shown = shown.replace(f" {operator} ", f" {word} ")
    return _CAST_CONSTANT.sub(r"\1", shown)


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
    distance = _distance(order.node)
    operand = _operand(order.node) if distance is None else distance[0]
    if operand is None:
        return None
    return SortKey(operand, _direction(order), "" if distance is None else distance[1])


def _distance(node: Any) -> tuple[Operand, str] | None:
    """Return the operand and the operator of a distance from a value that is the same for all rows."""
    given: Any = node
    if not isinstance(node, ast.A_Expr) or str(given.name[-1].sval) not in _DISTANCES:
        return None
    for side, other in ((given.lexpr, given.rexpr), (given.rexpr, given.lexpr)):
        operand = _operand(side)
        if operand is not None and operand.alias not in {alias for alias, _ in _columns(other)}:
            return operand, str(given.name[-1].sval)
    return None


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
                    operator = trees.names(node.name)[-1]
                    value = trees.without_casts(other)
                    number = int(value.number or 0) if isinstance(value, ast.ParamRef) else 0
                    found[operand.text] = replace(operand, operator=operator, value=number)
    return tuple(found.values())


def _compares(node: Any) -> bool:
    operator = node.name[-1].sval
    return operator not in _COMPUTES | _DISTANCES


def _open_operand(node: Any) -> OpenOperand | None:
    each = list(trees.walk(node))
    numbers = {int(n.number or 0) for n in each if isinstance(n, ast.ParamRef)}
    aliases = {alias for alias, _ in _columns(node)}
    if len(aliases) != 1 or not numbers or max(numbers) >= _ROW_PARAMETER:
        return None
    (alias,) = aliases
    for part in each:
        document, keys = _document_keys(part)
        if document and numbers == set(keys):
            is_path = str(part.name[-1].sval) in _PATHS
            return OpenOperand(alias, _print(node), document, keys, is_path)
    return OpenOperand(alias, _print(node))


@lru_cache(maxsize=20_000)
def ordered_keys(text: str) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """Return the document columns and the parameters of ``ORDER BY column -> $1 ->> $2`` in a statement."""
    try:
        statements = trees.parse(text)
    except ValueError:
        return ()
    ordered = [n for n in trees.walk(statements) if isinstance(n, ast.SortBy)]
    found = (_document_keys(n) for n in trees.walk(tuple(ordered)))
    return tuple((column, keys) for column, keys in found if column)


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


@lru_cache(maxsize=20_000)
def texts(text: str) -> tuple[str, ...]:
    """Return the text constants in a condition: those of an array one by one."""
    found = [n for n in _constants(text) if isinstance(n.val, ast.String)]
    return tuple(each for node in found for each in _members(str(node.val.sval)))


@lru_cache(maxsize=20_000)
def constants(text: str) -> frozenset[str]:
    """Return all constants in a condition as text, except for NULL: those of an array one by one."""
    found = (trees.constant(node) for node in _constants(text))
    return frozenset(each for value in found if value is not None for each in _members(value))


def _constants(text: str) -> list[Any]:
    return [node for node in trees.walk(_parse(text)) if isinstance(node, ast.A_Const)]


def _members(value: str) -> list[str]:
    is_array = value[:1] == "{" and value[-1:] == "}"
    return [v.strip('"') for v in value[1:-1].split(",")] if is_array else [value]


@lru_cache(maxsize=20_000)
def holds_value(text: str) -> bool:
    """Tell whether an expression contains a value of one call, with which an index would serve that call only.

    ``date_trunc('day', at)`` and ``payload ->> 'kind'`` do not, ``loc <-> '(1,2)'`` and ``similarity(name, 'x')`` do.
    """
    return any(_has_value(node) for node in trees.walk(_parse(text)))


@lru_cache(maxsize=20_000)
def compared_values(text: str) -> tuple[tuple[str, str], ...] | None:
    """Return each column that an expression compares for equality with a value, and that value; None if it holds any other one.

    ``CASE WHEN state = 'running' THEN 0 ELSE 1 END`` holds the text of a state, with which an index serves every call.
    """
    found: list[tuple[str, str]] = []
    for node in trees.walk(_parse(text)):
        if _has_value(node):
            compared = _compared_values(node)
            if not compared:
                return None
            found += compared
    return tuple(found)


def _compared_values(given: Any) -> list[tuple[str, str]]:
    node: Any = given
    if not isinstance(given, ast.A_Expr) or trees.names(node.name)[-1] not in _EQUALITY:
        return []
    for side, other in ((node.lexpr, node.rexpr), (node.rexpr, node.lexpr)):
        column, value = trees.without_casts(side), trees.without_casts(other)
        if isinstance(column, ast.ColumnRef) and isinstance(value, ast.A_Const):
            name = trees.names(column.fields)[-1]
            return [(name, each) for each in _members(trees.constant(value) or "")]
    return []


def _has_value(given: Any) -> bool:
    node: Any = given
    if isinstance(given, ast.A_Expr) and node.lexpr is not None:
        sides = [side for side in (node.lexpr, node.rexpr) if _is_constant(side)]
        is_compared = str(node.name[-1].sval) not in _COMPUTES | {"%"}
        kinds = {_type(side) for side in sides if isinstance(side, ast.TypeCast)}
        return bool(sides) and (is_compared or not kinds.isdisjoint(_OF_ONE_CALL))
    if isinstance(given, ast.FuncCall) and trees.names(node.funcname)[-1] in _MEASURES:
        return any(map(_is_constant, node.args or ()))
    return isinstance(given, ast.TypeCast) and _is_constant(node) and _type(node) in _SOUGHT


def _is_constant(node: Any) -> bool:
    return isinstance(trees.without_casts(node), ast.A_Const)


def _document_keys(node: Any) -> tuple[str, tuple[int, ...]]:
    """Return the column and the parameters of ``column -> $1 ->> $2``; no column if it is something else."""
    if not isinstance(node, ast.A_Expr) or trees.names(node.name)[-1] not in _KEYS | _PATHS:
        return "", ()
    document, key = (trees.without_casts(side) for side in (node.lexpr, node.rexpr))
    if not isinstance(key, ast.ParamRef):
        return "", ()
    if isinstance(document, ast.ColumnRef):
        return trees.names(document.fields)[-1], (int(key.number or 0),)
    column, above = _document_keys(document)
    return column, (*above, int(key.number or 0))


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
        case ast.BooleanTest():
            yield from _boolean(node.arg, _print(node))
        case ast.FuncCall(args=(_, _)) if trees.names(node.funcname)[-1] == "starts_with":
            yield from _starts_with(node)
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


def _starts_with(node: Any) -> Iterator[Term]:
    operand, value = _operand(node.args[0]), node.args[1]
    if operand is not None and not any(True for _ in _columns(value)):
        yield Term(operand, Kind.PREFIX, "^@", True, _print(node))


def _comparison(node: Any) -> Iterator[Term]:
    operator = node.name[-1].sval
    left, right = (_operand(_first(side)) for side in (node.lexpr, node.rexpr))
    text = _print(node)
    if left is not None:
        yield from _side(left, operator, node, right, node.rexpr, text)
    if right is not None and operator in _FLIPPED and node.kind == A_Expr_Kind.AEXPR_OP:
        yield from _side(right, _FLIPPED[operator], node, left, node.lexpr, text)


def _first(side: Any) -> Any:
    """Return the first member of a row: ``ROW(a, b) > ROW($1, $2)`` limits an index on a, and on b after it."""
    return side.args[0] if isinstance(side, ast.RowExpr) and side.args else side


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
    is_any = node.kind == A_Expr_Kind.AEXPR_OP_ANY
    if not is_any and node.kind != A_Expr_Kind.AEXPR_OP:
        return Kind.OTHER
    if operator == "=":
        return Kind.IN if is_any else Kind.EQUAL
    if operator in _RANGES:
        return Kind.OTHER if is_any else Kind.RANGE
    if operator in _PATTERNS:
        return Kind.PATTERN if is_any else _pattern(operator, comparand)
    if operator == "^@":
        return Kind.PREFIX
    if operator in _MATCHES:
        return Kind.MATCH
    if operator in _DIFFERS:
        return Kind.DIFFERENT
    return Kind.CONTAINS if operator not in _COMPUTES else Kind.OTHER


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
