"""Statements of pg_stat_statements with the constants that an index needs, where these are not in doubt or can be inferred."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from ipaddress import ip_interface
from itertools import islice

from pgwatch_wed.quote import literal
from pgwatch_wed.sqltext import statement
from pgwatch_wed.sqltext.repairs import with_values
from pgwatch_wed.sqltext.statement import UnsupportedError
from pgwatch_wed.sqltext.usual_constants import RANGE, Unequal, unequal, usual_constants
from pgwatch_wed.whatif.catalog import CatalogColumn, CatalogTable
from pgwatch_wed.whatif.choose import indexable
from pgwatch_wed.whatif.choose.late import has_limit, may_be_limit
from pgwatch_wed.whatif.choose.rows_found import rows_found
from pgwatch_wed.whatif.model import PlanError, Query
from pgwatch_wed.whatif.oracle import Oracle

_MOST = 0.5
_ADDRESSES = ("inet", "cidr")
_SITES = {4: (24, 32, 28, 16, 8), 6: (64, 128, 56, 48, 32)}
_CODE = re.compile(r"[\w./ -]+")
_PARTS = (0.66, 1.0, 0.33, 0.2)


def completed(oracle: Oracle, query: Query) -> Query:
    """Return a query with constants in place of parameters; ``assumed`` tells which. The same query if there are none."""
    if not query.has_parameters:
        return query
    try:
        relations = statement.parse(query.sql).relations
    except UnsupportedError:
        return query
    tables = [
        t
        for t in oracle.catalog.tables.values()
        if any(r.name == t.name and r.schema in (None, t.schema) for r in relations)
    ]
    types = oracle.catalog.types_in(relations)
    found = usual_constants(query.sql, types.get, oracle.text_search)
    hidden: dict[int, str] = {}
    values: dict[int, Sequence[str]] = {number: (value,) for number, value in found.items()}
    for each in unequal(query.sql):
        some = _values(oracle, tables, each)
        if some:
            values[each.number] = some
            hidden |= _what(each)
    if not values:
        return query
    number = _fitting(oracle, query, values)
    given = _chosen(values, number)
    # a part of a value is data, which nobody shall read in advice
    told = ", ".join(f"${n} is {value}" for n, value in sorted((given | hidden).items()))
    return replace(query, sql=_with(query.sql, given), assumed=f"it is assumed that {told}")


def _with(text: str, given: Mapping[int, str]) -> str:
    return with_values(text, lambda number, _: given.get(number))


def _chosen(values: Mapping[int, Sequence[str]], number: int) -> dict[int, str]:
    """Return the first value of each parameter, or another one of those that have several."""
    return {n: some[min(number, len(some) - 1)] for n, some in values.items()}


def _fitting(oracle: Oracle, query: Query, values: Mapping[int, Sequence[str]]) -> int:
    """Return with which values the statement is planned to find as many rows as were counted; the first ones if that tells nothing."""
    found: list[tuple[float, int]] = []
    for number in range(max(map(len, values.values())) if query.rows is not None else 0):
        try:
            plan = oracle.plan(replace(query, sql=_with(query.sql, _chosen(values, number))))
        except PlanError:
            return 0
        rows = rows_found(plan.tree)
        if (
            rows is None
            or query.rows is None
            or (has_limit(plan.tree) and may_be_limit(query.rows))
        ):
            return 0
        found.append((abs(math.log((rows + 0.5) / (query.rows + 0.5))), number))
    return min(found, default=(0.0, 0))[1]


def _what(found: Unequal) -> dict[int, str]:
    if found.is_outer:
        return {found.number: "what a usual value is in"}
    if found.is_inner:
        return {found.number: "a usual value"}
    part = "end" if found.is_end else "beginning"
    return {found.number: f"the {part} of a usual value"} if found.is_start else {}


def _values(oracle: Oracle, tables: list[CatalogTable], found: Unequal) -> Sequence[str]:
    """Return the state that most rows have, what usual values are nested in, or beginnings or ends of one; the best first."""
    of = [(t, c) for t in tables if (c := t.columns.get(found.column)) is not None]
    if len(of) != 1:
        return ()
    table, column = of[0]
    if found.is_bound and column.category != "E":
        return ()  # where it is no state in an order, the bound is a value of one call
    if found.is_outer:
        return (*_networks(oracle, table, column), *_ancestors(oracle, table, column))
    if found.is_inner:
        return tuple(map(literal, _inner(oracle, table, column, found.around)))
    if not found.is_start:
        return tuple(filter(None, (_most_common(oracle, table, column),)))
    is_backward = found.is_end or found.around == "reverse"
    is_surely_start = is_backward or not found.is_pattern or not _serves_patterns(oracle)
    # with trigrams, whether it begins with % does not matter; but nobody looks for a number by its middle
    if not is_surely_start and not (found.is_bare and _are_codes(oracle, table, column)):
        return ()
    parts = _parts(oracle, table, column, is_backward=is_backward)
    return tuple(literal(_pattern(found, part)) for part in parts)


def _pattern(found: Unequal, part: str) -> str:
    percent = "%" * found.is_pattern
    if found.is_end:
        return percent + part[::-1]
    cased = {"lower": part.lower, "upper": part.upper}
    return (cased[found.around]() if found.around in cased else part) + percent


def _networks(oracle: Oracle, table: CatalogTable, column: CatalogColumn) -> Iterator[str]:
    """Yield networks of the size that one site usually has, then smaller and larger ones."""
    if column.base_type not in _ADDRESSES:
        return
    for value in _in_the_middle(oracle, table, column):
        with suppress(ValueError):
            address = ip_interface(value)
            widths = (w for w in _SITES[address.version] if w <= address.network.prefixlen)
            for width in dict.fromkeys((*widths, address.network.prefixlen)):
                yield literal(str(address.network.supernet(new_prefix=width)))
            return


def _are_codes(oracle: Oracle, table: CatalogTable, column: CatalogColumn) -> bool:
    """Tell whether usual values are such as ``978-004711-1``: mostly digits, without words."""
    values = [value for value, _ in oracle.usual_values(table, column.name)]
    return bool(values) and all(_CODE.fullmatch(v) and _has_digits(v) for v in values)


def _has_digits(value: str) -> bool:
    """Tell whether most letters of a value are digits."""
    return 2 * sum(map(str.isdigit, value)) > sum(map(str.isalnum, value))


def _serves_patterns(oracle: Oracle) -> bool:
    """Tell whether there are indexes of trigrams."""
    return any("~~" in each.operators for each in oracle.catalog.operator_classes)


def _ancestors(oracle: Oracle, table: CatalogTable, column: CatalogColumn) -> Iterator[str]:
    """Yield the ancestors of a usual value in a tree: its parent, itself, then those farther above."""
    if column.base_type == "ltree":
        for labels in (v.split(".") for v in islice(_in_the_middle(oracle, table, column), 1)):
            depths = (len(labels) - 1, *range(len(labels), 0, -1))
            yield from (literal(".".join(labels[:d])) for d in dict.fromkeys(depths) if d > 0)


def _parts(
    oracle: Oracle, table: CatalogTable, column: CatalogColumn, *, is_backward: bool
) -> tuple[str, ...]:
    """Return beginnings of a usual value, or of one read backward, without what means something in a pattern."""
    middle = next(_in_the_middle(oracle, table, column), "")[:: -1 if is_backward else 1]
    lengths = (max(3, round(len(middle) * part)) for part in _PARTS)
    found = (re.split(r"[%_\\]", middle[:length])[0] for length in lengths)
    return tuple(filter(None, dict.fromkeys(found)))


def _in_the_middle(oracle: Oracle, table: CatalogTable, column: CatalogColumn) -> Iterator[str]:
    values = sorted(value for value, _ in oracle.usual_values(table, column.name))
    yield from values[len(values) // 2 :]


def _inner(
    oracle: Oracle, table: CatalogTable, column: CatalogColumn, around: str
) -> Iterator[str]:
    """Yield a value that usual values are in: one of a tree, or a bound of ranges between two columns."""
    if column.base_type == "ltree" or around == RANGE:
        yield from islice(_in_the_middle(oracle, table, column), 1)


def _most_common(oracle: Oracle, table: CatalogTable, column: CatalogColumn) -> str | None:
    if not indexable.has_states(oracle.catalog, table, column):
        return None
    shares = {v: share for v, share in oracle.usual_values(table, column.name) if share}
    value = max(shares, key=lambda v: shares[v], default="")
    return literal(value) if shares and shares[value] > _MOST and indexable.is_name(value) else None
