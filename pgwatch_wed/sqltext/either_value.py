"""``a = 1 OR a = 2`` in a statement, written so that the planner makes no array of it, which it does since PostgreSQL 18.

As ``a = ANY (ARRAY[1]) OR a = ANY (ARRAY[2])``, it means the same, has the same estimates, and is looked up as before: each value on its own,
for a bitmap.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pglast import ast
from pglast.enums import A_Expr_Kind, BoolExprType
from pglast.parser import ParseError, Token, scan

from pgwatch_wed.sqltext import trees
from pgwatch_wed.sqltext.older_forms import Insertion
from pgwatch_wed.sqltext.plan_trees import PlanNode

_ENDS = frozenset(
    {"OR", "AND", "ASCII_41", "ASCII_44", "ASCII_59", "ORDER", "GROUP_P", "HAVING", "WINDOW"}
    | {"LIMIT", "OFFSET", "FETCH", "FOR", "UNION", "EXCEPT", "INTERSECT", "RETURNING", "ON"}
    | {"JOIN", "LEFT", "RIGHT", "INNER_P", "FULL", "CROSS", "NATURAL", "WHERE", "THEN", "END_P"}
    | {"FROM", "AS", "ELSE", "ASCII_93", "SQL_COMMENT", "C_COMMENT"}
)
_TYPE = r'[\w ."]+(?:\(\d+(?:,\d+)?\))?'
_LITERAL = re.compile(rf""" = ANY \('\{{("?)([^"{{}},\\]*)\1\}}'::({_TYPE})\[\]\)""")
_ELEMENT = re.compile(rf" = ANY \(\(?ARRAY\[([^\[\],]+)\](?:\)?::{_TYPE}\[\])?\)")


@dataclass(frozen=True, slots=True)
class _Value:
    """A value that a column is compared with: the column's name, and where the value begins and ends."""

    column: str
    start: int
    end: int


def has_alternatives(text: str) -> bool:
    """Tell whether a statement compares a column with either of several values, by OR."""
    return bool(_alternatives(text))


def of_one(text: str, types: Mapping[str, str]) -> tuple[Insertion, ...]:
    """Return what makes an array of each value that a column is compared with beside others, by OR; ``types`` are those of columns."""
    return tuple(
        insertion
        for value in _alternatives(text)
        if (kind := types.get(value.column)) is not None and not kind.endswith("]")
        for insertion in (
            Insertion(value.start, "ANY (ARRAY["),
            Insertion(value.end, f"]::{kind}[])"),
        )
    )


def as_compared(tree: PlanNode) -> PlanNode:
    """Return a plan of what :func:`of_one` inserted with conditions that compare with the values themselves."""
    return {name: _as_compared(value) for name, value in tree.items()}


def _as_compared(value: Any) -> Any:
    if isinstance(value, str):
        return _ELEMENT.sub(r" = \1", _LITERAL.sub(r" = '\2'::\3", value))
    if isinstance(value, list):
        return [
            as_compared(each) if isinstance(each, dict) else _as_compared(each) for each in value
        ]
    return value


@lru_cache(maxsize=256)
def _alternatives(text: str) -> tuple[_Value, ...]:
    try:
        tokens = list(scan(text))
        found = [a for node in trees.walk(trees.parse(text)) for a in _same_column(node)]
    except (ParseError, trees.UnreadableError):
        return ()
    values = (_value(tokens, name, place) for name, place in found)
    return tuple(value for value in values if value is not None)


def _same_column(node: Any) -> Iterator[tuple[str, int]]:
    """Yield the columns that arms of an OR compare for equality, and where their operators are."""
    if not (isinstance(node, ast.BoolExpr) and node.boolop == BoolExprType.OR_EXPR):
        return
    arms = [(name, arm) for arm in node.args or () if (name := _compared(arm)) is not None]
    number = Counter(name for name, _ in arms)
    yield from ((name[-1], arm.location) for name, arm in arms if number[name] > 1)


def _compared(arm: Any) -> tuple[str, ...] | None:
    """Return the name of the column that an arm compares with a value or another column."""
    is_equality = (
        isinstance(arm, ast.A_Expr)
        and arm.kind == A_Expr_Kind.AEXPR_OP
        and trees.names(arm.name)[-1:] == ("=",)
        and isinstance(arm.lexpr, ast.ColumnRef)
        and _is_plain(arm.rexpr)
    )
    return tuple(trees.names(arm.lexpr.fields)) if is_equality else None


def _is_plain(value: Any) -> bool:
    if isinstance(value, ast.TypeCast):
        return _is_plain(value.arg)
    return isinstance(value, ast.A_Const | ast.ParamRef | ast.ColumnRef)


def _value(tokens: Sequence[Token], column: str, operator: int) -> _Value | None:
    """Return the value behind an operator, which ends before what ends an arm of OR."""
    first = next((n for n, t in enumerate(tokens) if t.start > operator), None)
    if first is None:
        return None
    depth, last = 0, first
    for number in range(first, len(tokens)):
        if depth == 0 and tokens[number].name in _ENDS:
            break
        depth += (tokens[number].name == "ASCII_40") - (tokens[number].name == "ASCII_41")
        last = number
    return _Value(column, tokens[first].start, tokens[last].end + 1)
