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
_CASES = ("lower", "upper")


@dataclass(frozen=True, slots=True)
class Unequal:
    """A parameter that a column is unequal to, or that its values begin with (``is_start``), perhaps as a pattern of LIKE.

    ``case`` is the function around the column: "lower", "upper" or "".
    """

    column: str
    number: int
    is_start: bool
    is_pattern: bool = False
    case: str = ""


def usual_constants(text: str, type_of: ColumnType, configuration: str) -> dict[int, str]:
    """Return constants for parameters by number; ``configuration`` is that of full text search."""
    try:
        (statement,) = trees.parse(text)
    except ValueError:
        return {}
    return dict(_found(statement, type_of, f"'{configuration}'::regconfig"))


def unequal(text: str) -> tuple[Unequal, ...]:
    """Return the columns of which a statement wants all but one value, or those that begin with one."""
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
            elif node.kind == A_Expr_Kind.AEXPR_LIKE and operator == "~~":
                case = _name(node.lexpr) if isinstance(node.lexpr, ast.FuncCall) else ""
                side = node.lexpr.args[0] if case in _CASES and node.lexpr.args else node.lexpr
                for found in _of_column(side, node.rexpr, is_start=True):
                    yield replace(found, is_pattern=True, case=case)
        elif isinstance(each, ast.FuncCall) and _name(each) == "starts_with":
            yield from _of_column(*node.args[:2], is_start=True)


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


def _nothing(args: Any, type_of: ColumnType) -> str:
    """Return what stands for NULL among values of this type."""
    kinds = {type_of(name) or "" for name in _columns(args)}
    if kinds and all(kind.startswith(_TEXTS) for kind in kinds):
        return "''"
    if kinds and all(kind.startswith(_NUMBERS) for kind in kinds):
        return "0"
    return "false" if kinds == {"boolean"} else ""


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
