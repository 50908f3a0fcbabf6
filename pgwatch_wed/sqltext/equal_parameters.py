"""Parameters that columns are compared with for equality: which column, and how."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pglast import ast
from pglast.enums import A_Expr_Kind

from pgwatch_wed.sqltext import trees
from pgwatch_wed.sqltext.levels import Name

_KINDS = frozenset(
    {A_Expr_Kind.AEXPR_OP, A_Expr_Kind.AEXPR_IN, A_Expr_Kind.AEXPR_OP_ANY}  # =, IN, = ANY
)


@dataclass(frozen=True, slots=True)
class EqualParameter:
    """A parameter and its column; ``is_array``: it is the array of ANY. Of a list, it is the first."""

    number: int
    column: Name
    is_array: bool = False


def equal_parameters(text: str) -> tuple[EqualParameter, ...]:
    """Return the parameters of a statement that columns are compared with for equality, in order."""
    try:
        (statement,) = trees.parse(text)
    except ValueError:
        return ()
    return tuple(dict.fromkeys(_found(statement)))


def _found(statement: Any) -> Iterator[EqualParameter]:
    for each in trees.walk(statement):
        node: Any = each
        if not isinstance(each, ast.A_Expr) or node.kind not in _KINDS:
            continue
        if trees.names(node.name)[-1] != "=":
            continue
        is_any = node.kind == A_Expr_Kind.AEXPR_OP_ANY
        sides = [(node.lexpr, node.rexpr)]
        if not is_any:  # of $1 = ANY (column), the value is an element of the column's
            sides.append((node.rexpr, node.lexpr))
        for side, other in sides:
            if isinstance(side, ast.ColumnRef) and (names := trees.names(side.fields)):
                name = Name(names[-2] if len(names) > 1 else None, names[-1])
                yield from _of(name, trees.without_casts(other), is_any=is_any)


def _of(column: Name, value: Any, *, is_any: bool) -> Iterator[EqualParameter]:
    if isinstance(value, ast.A_ArrayExpr):
        value, is_any = value.elements or (), False
    if isinstance(value, tuple):
        value = trees.without_casts(value[0]) if value else None
    if isinstance(value, ast.ParamRef):
        yield EqualParameter(int(value.number or 0), column, is_any)
