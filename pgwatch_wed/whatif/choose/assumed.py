"""Statements of pg_stat_statements with the constants that an index needs, where these are not in doubt or can be inferred."""

import re
from dataclasses import replace

from pgwatch_wed.quote import literal
from pgwatch_wed.sqltext import statement
from pgwatch_wed.sqltext.repairs import with_values
from pgwatch_wed.sqltext.statement import UnsupportedError
from pgwatch_wed.sqltext.usual_constants import Unequal, unequal, usual_constants
from pgwatch_wed.whatif.catalog import CatalogColumn, CatalogTable
from pgwatch_wed.whatif.choose import indexable
from pgwatch_wed.whatif.model import Query
from pgwatch_wed.whatif.oracle import Oracle

_MOST = 0.5


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
    like: set[int] = set()
    for each in unequal(query.sql):
        value = _value(oracle, tables, each)
        if value is not None:
            found[each.number] = value
            like |= {each.number} if each.is_start else set()
    if not found:
        return query
    text = with_values(query.sql, lambda number, _: found.get(number))
    # the beginning of a value is data, which nobody shall read in advice
    shown = {n: "the beginning of a usual value" if n in like else v for n, v in found.items()}
    told = ", ".join(f"${n} is {value}" for n, value in sorted(shown.items()))
    return replace(query, sql=text, assumed=f"it is assumed that {told}")


def _value(oracle: Oracle, tables: list[CatalogTable], found: Unequal) -> str | None:
    """Return the state that most rows have, or the beginning of a usual value."""
    of = [(t, c) for t in tables if (c := t.columns.get(found.column)) is not None]
    if len(of) != 1:
        return None
    table, column = of[0]
    if not found.is_start:
        return _most_common(oracle, table, column)
    if found.is_pattern and _serves_patterns(oracle):
        return None  # whether it begins with % does not matter
    start = _start(oracle, table, column)
    cased = {"lower": start.lower, "upper": start.upper}
    start = cased[found.case]() if found.case in cased else start
    return literal(start + "%" * found.is_pattern) if start else None


def _serves_patterns(oracle: Oracle) -> bool:
    """Tell whether there are indexes of trigrams."""
    return any("~~" in each.operators for each in oracle.catalog.operator_classes)


def _start(oracle: Oracle, table: CatalogTable, column: CatalogColumn) -> str:
    """Return the beginning of a usual value, without what means something in a pattern; "" if there is none."""
    values = sorted(value for value, _ in oracle.usual_values(table, column.name))
    middle = values[len(values) // 2] if values else ""
    return re.split(r"[%_\\]", middle[: max(3, len(middle) * 2 // 3)])[0]


def _most_common(oracle: Oracle, table: CatalogTable, column: CatalogColumn) -> str | None:
    if not indexable.has_states(oracle.catalog, table, column):
        return None
    shares = {v: share for v, share in oracle.usual_values(table, column.name) if share}
    value = max(shares, key=lambda v: shares[v], default="")
    return literal(value) if shares and shares[value] > _MOST and indexable.is_name(value) else None
