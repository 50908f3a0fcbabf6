"""Constants that pg_stat_statements took out of expressions over columns, as far as they are nearly always the same.

``to_tsvector($1, body)`` was written with a configuration, ``coalesce(title, $2)`` with an empty text, and a text search
over two columns put a space between them. An index needs them; what is assumed here must be told with it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from pglast import ast
from pglast.enums import A_Expr_Kind

from pgwatch_wed.sqltext import trees
from pgwatch_wed.sqltext.typed_parameters import ColumnType

_CONFIGURED = frozenset(
    {"to_tsvector", "to_tsquery", "plainto_tsquery", "phraseto_tsquery", "websearch_to_tsquery"}
)
_TEXTS = ("text", "character varying", "character", "citext")
_NUMBERS = ("smallint", "integer", "bigint", "numeric", "real", "double precision")
_WEIGHTS = "ABCD"
_AROUND = ("lower", "upper", "reverse")
RANGE = "range"
_RANGES = frozenset({"int4range", "int8range", "numrange", "tsrange", "tstzrange", "daterange"})
_INSIDE = {"<<": ">>", "<<=": ">>=", "<@": "@>"}


@dataclass(frozen=True, slots=True)
class Unequal:
    """A parameter that a column is unequal to, or that its values begin with (``is_start``), perhaps as a pattern of LIKE.

    ``around`` is the function around the column that is not around the parameter: "lower", "upper", "reverse", ``RANGE`` if the column is the lower bound of one, or "". ``is_bare``:
    there is none around either. With ``is_end``, values end with it, and both are reversed. With ``is_outer``, it is a network that the values
    are in, or an ancestor of theirs in a tree; with ``is_inner``, something in them. With ``is_bound``, they are less or greater than it.
    """

    column: str
    number: int
    is_start: bool
    is_pattern: bool = False
    around: str = ""
    is_bare: bool = False
    is_end: bool = False
    is_outer: bool = False
    is_inner: bool = False
    is_bound: bool = False


def usual_constants(text: str, type_of: ColumnType, configuration: str) -> dict[int, str]:
    """Return constants for parameters by number; ``configuration`` is that of full text search."""
    try:
        (statement,) = trees.parse(text)
    except ValueError:
        return {}
    return dict(_found(statement, type_of, f"'{configuration}'::regconfig"))


def unequal(text: str) -> tuple[Unequal, ...]:
    """Return the columns of which a statement wants all but one value, those before or after one, those that begin or end with one, or what is nested in one."""
    try:
        (statement,) = trees.parse(text)
    except ValueError:
        return ()
    return tuple(_unequal(statement))


def _unequal(statement: Any) -> Iterator[Unequal]:
    for each in trees.walk(statement):
        node: Any = each
        if isinstance(each, ast.A_Expr) and isinstance(node.name, tuple):
            operator = str(node.name[-1].sval)
            if operator in ("<>", "^@"):
                yield from _of_column(node.lexpr, node.rexpr, is_start=operator == "^@")
            elif operator in ("<", ">"):
                yield from _bounded(node.lexpr, node.rexpr)
            elif operator in _INSIDE:
                yield from _nested(node.lexpr, node.rexpr)
            elif operator in _INSIDE.values():
                yield from _nested(node.rexpr, node.lexpr)
            elif _is_like(node) and operator == "~~":
                yield from _like(node.lexpr, node.rexpr)
        elif isinstance(each, ast.FuncCall) and _name(each) == "starts_with":
            yield from _of_column(*node.args[:2], is_start=True)


def _nested(inner: Any, outer: Any) -> Iterator[Unequal]:
    for found in _of_column(inner, outer, is_start=False):
        yield replace(found, is_outer=True)
    for found in _of_column(outer, inner, is_start=False):
        yield replace(found, is_inner=True)
    bare = trees.without_casts(outer)
    if isinstance(bare, ast.FuncCall) and _name(bare) in _RANGES and bare.args:
        for found in _of_column(bare.args[0], inner, is_start=False):
            yield replace(found, is_inner=True, around=RANGE)


def _bounded(one: Any, other: Any) -> Iterator[Unequal]:
    for found in (*_of_column(one, other, is_start=False), *_of_column(other, one, is_start=False)):
        yield replace(found, is_bound=True)


def _like(side: Any, other: Any) -> Iterator[Unequal]:
    column, around = _inside(side)
    value, inside = _inside(_before_percent(other))
    for found in _of_column(column, value, is_start=True):
        is_end = around == inside == "reverse"
        if inside in ("", around):
            yield replace(
                found,
                is_pattern=value is _inside(other)[0],
                around="" if inside else around,
                is_bare=not around,
                is_end=is_end,
            )


def _inside(node: Any) -> tuple[Any, str]:
    """Return the argument of a known function, and its name."""
    bare = trees.without_casts(node)
    name = _name(bare) if isinstance(bare, ast.FuncCall) else ""
    return (bare.args[0], name) if name in _AROUND and bare.args else (node, "")


def _before_percent(node: Any) -> Any:
    """Return ``$1`` of ``$1 || $2``: constants are counted after the parameters of a statement, so that ``$2`` is a percent sign."""
    if not _is_concatenation(node):
        return node
    first = next(_numbers((_inside(node.lexpr)[0],)), None)
    last = next(_numbers((node.rexpr,)), None)
    return node.lexpr if first is not None and last is not None and first < last else node


def _of_column(side: Any, other: Any, *, is_start: bool) -> Iterator[Unequal]:
    column, parameter = trees.without_casts(side), trees.without_casts(other)
    if isinstance(column, ast.ColumnRef) and isinstance(parameter, ast.ParamRef):
        yield Unequal(trees.names(column.fields)[-1], int(parameter.number or 0), is_start)


def _found(statement: Any, type_of: ColumnType, configuration: str) -> Iterator[tuple[int, str]]:
    weights = iter(_WEIGHTS)
    for each in trees.walk(statement):
        node: Any = each
        if isinstance(each, ast.CoalesceExpr):
            nothing = _nothing(node.args, type_of)
            yield from ((n, nothing) for n in _numbers(node.args[-1:]) if nothing)
        elif isinstance(each, ast.FuncCall) and _name(each) in _CONFIGURED:
            if len(node.args or ()) > 1:
                yield from ((n, configuration) for n in _numbers(node.args[:1]))
        elif isinstance(each, ast.FuncCall) and _name(each) == "setweight":
            for number in _numbers(node.args[1:]):
                yield number, f"'{next(weights, 'D')}'"
        elif _is_concatenation(node):
            yield from _between(node, type_of)
        elif _is_like(node) and _before_percent(node.rexpr) is not node.rexpr:
            yield from ((n, "'%'") for n in _numbers((node.rexpr.rexpr,)))


def _nothing(args: Any, type_of: ColumnType) -> str:
    """Return what stands for NULL among values of this type."""
    kinds = {type_of(name) or "" for name in _columns(args)}
    if kinds and all(kind.startswith(_TEXTS) for kind in kinds):
        return "''"
    if kinds and all(kind.startswith(_NUMBERS) for kind in kinds):
        return "0"
    return "false" if kinds == {"boolean"} else ""


def _is_like(node: Any) -> bool:
    return isinstance(node, ast.A_Expr) and node.kind == A_Expr_Kind.AEXPR_LIKE


def _is_concatenation(node: Any) -> bool:
    return isinstance(node, ast.A_Expr) and str((node.name or ())[-1].sval) == "||"


def _between(node: Any, type_of: ColumnType) -> Iterator[tuple[int, str]]:
    """Yield the parameter of ``(first || $1) || last``: a space."""
    inner: Any = node.lexpr
    if not _is_concatenation(inner):
        return
    kinds = {type_of(name) or "" for name in (*_columns(inner), *_columns(node.rexpr))}
    if all(kind.startswith(_TEXTS) for kind in kinds):
        has_both = any(_columns(inner)) and any(_columns(node.rexpr))
        yield from ((n, "' '") for n in _numbers((inner.rexpr,)) if has_both)


def _numbers(nodes: Any) -> Iterator[int]:
    for node in nodes or ():
        bare = trees.without_casts(node)
        if isinstance(bare, ast.ParamRef):
            yield int(bare.number or 0)


def _columns(node: Any) -> tuple[str, ...]:
    references = [n for n in trees.walk(node) if isinstance(n, ast.ColumnRef)]
    named = [trees.names(n.fields) for n in references]
    return tuple(names[-1] for names in named if names)


def _name(call: Any) -> str:
    return trees.names(call.funcname)[-1]
