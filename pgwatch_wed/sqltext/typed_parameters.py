"""Types for parameters whose type nothing in a statement determines, as in ``id = $1 % $2``.

pg_stat_statements writes parameters where literals were, which had types; no server accepts the result. Each parameter
that stands beside others only gets the type of the column that the whole is compared with, or else one that fits.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pglast import ast

from pgwatch_wed.sqltext import trees
from pgwatch_wed.sqltext.repairs import with_values

# In this order: what literals usually are, and what takes part in most operators.
_USUAL = ("integer", "numeric", "text", "interval", "timestamp with time zone", "jsonb")
_ARRAYS = ("integer[]", "text[]", "uuid[]", "bigint[]")
_TAKE_ARRAYS = frozenset({"unnest", "cardinality", "array_length", "array_position", "any"})
_COMPARE = frozenset({"=", "<>", "<", "<=", ">", ">="})

ColumnType = Callable[[str], str | None]
"""Returns the type of a column by its name, if there is only one."""


@dataclass(frozen=True, slots=True)
class TypedStatement:
    """A statement with casts of its parameters. ``guessed`` are those whose type no column tells, with the type."""

    text: str
    guessed: Mapping[int, str]


def typed(text: str, type_of: ColumnType) -> Iterator[TypedStatement]:
    """Yield the statement with types, the most plausible ones first; nothing if no parameter lacks one."""
    try:
        (statement,) = trees.parse(text)
    except ValueError:
        return
    operands, arguments = dict(_operands(statement)), dict(_arguments(statement))
    beside = dict(_compared(statement))
    for loose in (operands, arguments, {**arguments, **operands}):
        kinds = {n: type_of(beside[n]) for n in loose if n in beside}
        known = {n: f"{kind}[]" if loose[n] else kind for n, kind in kinds.items() if kind}
        if known:
            yield from _each(text, loose, known)
        if loose:
            yield from _each(text, loose, {})


def _each(
    text: str, loose: Mapping[int, bool], known: Mapping[int, str]
) -> Iterator[TypedStatement]:
    """Yield the statement with one type for all parameters of which none is known."""
    if loose.keys() <= known.keys():
        yield _cast(text, known, {})
        return
    for plain in _USUAL:
        arrays = _ARRAYS if any(loose.values()) else ("",)
        for array in arrays:
            rest = {
                n: array if is_array else plain for n, is_array in loose.items() if n not in known
            }
            yield _cast(text, {**rest, **known}, rest)


def _cast(text: str, types: Mapping[int, str], guessed: Mapping[int, str]) -> TypedStatement:
    def cast(number: int, _start: int) -> str | None:
        return f"${number}::{types[number]}" if number in types else None

    return TypedStatement(with_values(text, cast), guessed)


def _operands(statement: Any) -> Iterator[tuple[int, bool]]:
    """Yield parameters of operators beside which nothing has a type; none is an array."""
    for node in trees.walk(statement):
        if isinstance(node, ast.A_Expr) and _has_no_type(node.lexpr) and _has_no_type(node.rexpr):
            yield from ((n, False) for n in _bare((node.lexpr, node.rexpr)))


def _arguments(statement: Any) -> Iterator[tuple[int, bool]]:
    """Yield parameters that are arguments, and whether an array is expected there."""
    for node in trees.walk(statement):
        if isinstance(node, ast.FuncCall):
            is_array = trees.names(node.funcname)[-1] in _TAKE_ARRAYS
            yield from ((n, is_array) for n in _bare(node.args or ()))


def _bare(nodes: tuple[Any, ...]) -> Iterator[int]:
    for node in nodes:
        if isinstance(node, ast.ParamRef):
            yield int(node.number or 0)
        elif isinstance(node, tuple):
            yield from _bare(node)


def _has_no_type(node: Any) -> bool:
    if isinstance(node, ast.A_Expr):
        return _has_no_type(node.lexpr) and _has_no_type(node.rexpr)
    if isinstance(node, tuple):
        return all(map(_has_no_type, node))
    return node is None or isinstance(node, ast.ParamRef)


def _compared(statement: Any) -> Iterator[tuple[int, str]]:
    """Yield parameters with the column that the expression around them is compared with."""
    for node in trees.walk(statement):
        if isinstance(node, ast.A_Expr) and trees.names(node.name)[-1] in _COMPARE:
            for side, other in ((node.lexpr, node.rexpr), (node.rexpr, node.lexpr)):
                yield from _with_column(side, other)
        elif isinstance(node, ast.SubLink) and node.testexpr is not None:
            yield from _with_column(node.testexpr, node.subselect)


def _with_column(column: Any, other: Any) -> Iterator[tuple[int, str]]:
    names = [trees.names(c.fields) for c in trees.walk(column) if isinstance(c, ast.ColumnRef)]
    if len(names) == 1 and names[0]:
        for node in trees.walk(other):
            if isinstance(node, ast.ParamRef):
                yield int(node.number or 0), names[0][-1]
