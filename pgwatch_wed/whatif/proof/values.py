"""Values in place of ``$1``: typical ones, from the statistics of the column it is compared with."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import psycopg

from pgwatch_wed.quote import ident, literal
from pgwatch_wed.sqltext.plan_trees import PlanNode
from pgwatch_wed.sqltext.repairs import parameters, with_values
from pgwatch_wed.sqltext.terms import Conjunction, Kind, Term
from pgwatch_wed.target import queries
from pgwatch_wed.whatif import usage
from pgwatch_wed.whatif.catalog import Catalog, CatalogTable

_PARAMETER = re.compile(r"\$(\d+)")
_FIRST_PLACEHOLDER = 98  # higher numbers represent what only EXPLAIN prints


class NoValueError(Exception):
    """No typical value of a parameter is known; the text says which."""


@dataclass(frozen=True, slots=True)
class _Compared:
    """Where a parameter is used: the column and the condition."""

    table: CatalogTable
    column: str
    term: Term


def filled(text: str, tree: PlanNode, catalog: Catalog, connection: psycopg.Connection[Any]) -> str:
    """Return a statement with typical values instead of its parameters.

    ``tree`` is its plan without indexes, which would hide conditions. Raises :class:`NoValueError`.
    """
    places = dict(_places(tree, catalog))
    pairs = _pairs(places.values())
    values: dict[int, str] = {}
    for number in sorted(parameters(text)):
        place = places.get(number)
        value = None if place is None else _value(connection, place, is_pair=_key(place) in pairs)
        if value is None:
            raise NoValueError(f"no typical value is known for ${number}")
        values[number] = literal(value)
    return with_values(text, lambda number, _start: values[number])


def _places(tree: PlanNode, catalog: Catalog) -> Iterator[tuple[int, _Compared]]:
    for use in usage.uses(tree, catalog):
        for term in (t for group in use.groups for t in _terms(group)):
            numbers = {int(n) for n in _PARAMETER.findall(term.text)}
            columns = term.operand.columns
            if term.operand.alias != use.alias or len(columns) != 1 or len(numbers) != 1:
                continue
            (number,), (column,) = numbers, columns
            if number < _FIRST_PLACEHOLDER and _is_alike(term, number):
                yield number, _Compared(use.table, column, term)


def _is_alike(term: Term, number: int) -> bool:
    """Tell whether a parameter is compared with the column itself, or with the same expression of it."""
    (name,) = term.operand.columns
    if term.operand.column is not None:
        return True
    return term.operand.text.replace(ident(name), f"${number}") in term.text


def _terms(group: Conjunction) -> Iterator[Term]:
    yield from group.terms
    for arm in group.arms:
        yield from _terms(arm)


def _key(place: _Compared) -> tuple[int, str]:
    return place.table.oid, place.column


def _pairs(places: Iterable[_Compared]) -> set[tuple[int, str]]:
    """Return the columns that are compared with both ends of a range."""
    ends: dict[tuple[int, str], set[str]] = {}
    for place in places:
        if place.term.kind is Kind.RANGE:
            ends.setdefault(_key(place), set()).add(place.term.operator[0])
    return {key for key, each in ends.items() if len(each) > 1}


def _value(connection: psycopg.Connection[Any], place: _Compared, *, is_pair: bool) -> str | None:
    table = place.table
    wanted = {"schema": table.schema, "table": table.name, "column": place.column}
    try:
        row = connection.execute(queries.composed("copy", "usual_values"), wanted).fetchone()
    except psycopg.Error:
        return None
    common: list[str] = list(row[0] or ()) if row is not None else []
    bounds: list[str] = list(row[1] or ()) if row is not None else []
    is_spread = bool(bounds) and (not common or (row is not None and row[2] < 0.5))
    usual = bounds if is_spread else common
    if not usual:
        return None
    spread = bounds or sorted(usual, key=lambda v: (len(v), v))
    match place.term.kind:
        case Kind.EQUAL:
            return usual[len(usual) // 2 if is_spread else 0]
        case Kind.IN:
            return array(dict.fromkeys(usual[:: max(1, len(usual) // 3)][:3]))
        case Kind.RANGE:
            return spread[int(_quantile(place.term.operator, is_pair=is_pair) * (len(spread) - 1))]
        case Kind.CONTAINS:
            return usual[len(usual) // 2]
        case Kind.PATTERN:
            return part(usual[len(usual) // 2])
        case _:
            return None


def _quantile(operator: str, *, is_pair: bool) -> float:
    """Return the quantile of a bound in a column's values, so that a tenth of the rows is selected."""
    if is_pair:
        return 0.45 if operator[0] == ">" else 0.55
    return 0.9 if operator[0] == ">" else 0.1


def part(value: str) -> str:
    """Return a pattern that matches part of a value in its middle."""
    start = max(0, len(value) // 2 - 3)
    return f"%{value[start : start + 6]}%"


def array(values: Iterable[str]) -> str:
    """Return values as the text of an array."""
    quoted = ('"' + v.replace("\\", "\\\\").replace('"', '\\"') + '"' for v in values)
    return "{" + ",".join(quoted) + "}"
