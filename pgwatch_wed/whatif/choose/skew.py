"""Statements with parameters for columns whose values are of very different frequency, as several queries.

For ``tenant = $1``, a generic plan assumes the rows of an average tenant. If a third of the rows belongs to one tenant, the calls
for this one cost most, and PostgreSQL, which knows the value, plans them otherwise. So such a statement is planned with the most common value
and without, each weighted by how often it is likely to be called: as if values were drawn from the rows of the table.

The value is data. It is in no index, since candidates are made from the statement as it is, and in no text that anybody reads.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from pgwatch_wed.quote import literal
from pgwatch_wed.sqltext.equal_parameters import EqualParameter, equal_parameters
from pgwatch_wed.sqltext.levels import Name, Relation
from pgwatch_wed.sqltext.reading import read
from pgwatch_wed.sqltext.repairs import with_values
from pgwatch_wed.whatif.catalog import CatalogColumn, CatalogTable
from pgwatch_wed.whatif.oracle import Oracle

_SKEWED = 4.0  # times as many rows as the planner assumes, or as few
_LEAST_ROWS = 100.0
_FEW = 20
_MOST_COLUMNS = 2  # each doubles the variants
_MOST_SHARE = 0.99


@dataclass(frozen=True, slots=True)
class Variant:
    """A statement with values in place of some parameters, and the share of the calls that it stands for."""

    sql: str
    share: float


@dataclass(frozen=True, slots=True)
class _Skew:
    """A column's most common value and, if the column has few values, one of the others. ``share`` is that of the calls with the former."""

    column: str
    common: str
    other: str | None
    share: float
    factor: float


def variants(oracle: Oracle, text: str) -> tuple[Variant, ...]:
    """Return the variants of a statement with parameters; none if no column that it compares with them is skewed."""
    found = equal_parameters(text)
    by_column: dict[str, list[EqualParameter]] = {}
    for each in found:
        by_column.setdefault(each.column.column, []).append(each)
    skews = [s for each in by_column.values() if (s := _skew(oracle, text, each)) is not None]
    skews.sort(key=lambda s: (-s.factor, s.column))
    return tuple(_variants(text, skews[:_MOST_COLUMNS], by_column)) if skews else ()


def _variants(
    text: str, skews: Sequence[_Skew], parameters: Mapping[str, Sequence[EqualParameter]]
) -> Iterator[Variant]:
    for is_common in product((True, False), repeat=len(skews)):
        share, values = 1.0, dict[int, str]()
        for skew, common in zip(skews, is_common, strict=True):
            share *= skew.share if common else 1 - skew.share
            value = skew.common if common else skew.other
            if value is not None:
                values |= {p.number: _written(value, p) for p in parameters[skew.column]}
        yield Variant(with_values(text, lambda n, _, given=values: given.get(n)), share)  # type: ignore[misc]


def _written(value: str, parameter: EqualParameter) -> str:
    if not parameter.is_array:
        return literal(value)
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return literal(f'{{"{escaped}"}}')


def _skew(oracle: Oracle, text: str, parameters: Sequence[EqualParameter]) -> _Skew | None:
    """Return how the columns of one name are skewed: in the largest table, for parts of a statement usually have the same value."""
    columns = {c for p in parameters for c in _columns(oracle, text, p.column)}
    found = [
        (oracle.catalog.rows(table), skew)
        for table, column in sorted(columns, key=lambda each: (each[0].oid, each[1].name))
        if (skew := _of_column(oracle, table, column, parameters[0].column.column)) is not None
    ]
    return max(found, key=lambda each: each[0])[1] if found else None


def _columns(oracle: Oracle, text: str, name: Name) -> Iterator[tuple[CatalogTable, CatalogColumn]]:
    """Yield the table column that a name means, and those that must be equal to it."""
    reading = read(text)
    sources = reading.sources
    same = [name]
    for level in reading.levels:
        for one, other in level.equated:
            same += [b for a, b in ((one, other), (other, one)) if a == name]
    for each in same:
        meant = [
            (table, column)
            for source in sources
            if each.alias in (None, source.alias)
            for table in _tables(oracle, source)
            if (column := table.columns.get(each.column)) is not None
        ]
        if len(dict.fromkeys(table.oid for table, _ in meant)) == 1:
            yield meant[0]


def _tables(oracle: Oracle, source: Relation) -> Iterator[CatalogTable]:
    for table in oracle.catalog.tables.values():
        if table.name == source.name and source.schema in (None, table.schema):
            yield table


def _of_column(
    oracle: Oracle, table: CatalogTable, column: CatalogColumn, name: str
) -> _Skew | None:
    rows, filled = oracle.catalog.rows(table), 1 - column.null_fraction
    if rows < _LEAST_ROWS or filled <= 0:
        return None
    common = [(v, share) for v, share in oracle.usual_values(table, column.name) if share > 0]
    common.sort(key=lambda each: (-each[1], each[0]))
    if not common or common[0][1] * rows < _LEAST_ROWS:
        return None
    (value, most), average = common[0], filled / max(1.0, min(column.distinct, rows))
    # as many of the calls as make the rows that they find those of values drawn from all rows
    share = min(_MOST_SHARE, sum(s * s for _, s in common) / most / filled)
    others = common[1:]
    is_whole = len(common) >= column.distinct - 0.5 and column.distinct <= _FEW
    other, rare = others[len(others) // 2] if is_whole and others else (None, average)
    factor = max(most / average, average / rare)
    return _Skew(name, value, other, share, factor) if factor >= _SKEWED else None
