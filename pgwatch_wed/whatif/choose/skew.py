"""Statements with parameters for columns whose values are of very different frequency, as several queries.

For ``tenant = $1``, a generic plan assumes the rows of an average tenant. If a third of the rows belongs to one tenant, the calls
for this one cost most, and PostgreSQL, which knows the value, plans them otherwise. So such a statement is planned with the most common value
and without, each weighted by how often it is likely to be called: as if values were drawn from the rows of the table.

The value is data. It is in no index, since candidates are made from the statement as it is, and in no text that anybody reads.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

from pgwatch_wed.quote import ident, literal
from pgwatch_wed.sqltext.equal_parameters import EqualParameter, equal_parameters
from pgwatch_wed.sqltext.levels import Name, Relation
from pgwatch_wed.sqltext.reading import read
from pgwatch_wed.sqltext.repairs import with_values
from pgwatch_wed.sqltext.text import SQUASHED
from pgwatch_wed.whatif.catalog import CatalogColumn, CatalogTable
from pgwatch_wed.whatif.choose.dependent import SKEWED
from pgwatch_wed.whatif.oracle import Oracle

_LEAST_ROWS = 100.0
_FEW = 20
_MOST_COLUMNS = 2  # each doubles the variants
_MOST_SHARE = 0.99
_IN_LIST = re.compile(r"\$\d+\s*" + re.escape(SQUASHED))


@dataclass(frozen=True, slots=True)
class Variant:
    """A statement with values in place of some parameters, and the share of the calls that it stands for.

    ``others`` is the same with another frequent value, and the part of these calls that it stands for: see :func:`_next`.
    """

    sql: str
    share: float
    others: "Variant | None" = None


@dataclass(frozen=True, slots=True)
class _Skew:
    """A column's most common value, None if it cannot be read, and one of the others if all are known.

    ``second`` is the most common one of the others, if the column has few values. ``share`` is that of the calls with the most common one, ``factor`` how far off an average value is.
    ``next`` is the most common one of the others if it is frequent, too, and ``next_share`` the part of the calls with such values that have another than the most common one.
    """

    column: str
    common: str | None
    other: str | None
    second: str | None
    share: float
    factor: float
    next: str | None = None
    next_share: float = 0.0


def variants(oracle: Oracle, text: str) -> tuple[Variant, ...]:
    """Return the variants of a statement with parameters; none if no column that it compares with them is skewed."""
    by_column = _by_column(text)
    skews = [_of_claim(s, text) for s in _skews(oracle, text, by_column) if s.common is not None]
    skews.sort(key=lambda s: (-s.factor, s.column))
    return tuple(_variants(text, skews[:_MOST_COLUMNS], by_column)) if skews else ()


def doubts(oracle: Oracle, text: str) -> Iterator[str]:
    """Yield that values of skewed columns could not be read, so that those of parameters are average ones."""
    skews = _skews(oracle, text, _by_column(text))
    columns = sorted({s.column for s in skews if s.common is None})
    if columns:
        yield (
            f"{', '.join(map(ident, columns))}: some values have many times as many rows as others; which they are could"
            " not be read, so parameters are assumed to be average values"
        )


def _by_column(text: str) -> dict[str, list[EqualParameter]]:
    found: dict[str, list[EqualParameter]] = {}
    for each in equal_parameters(text):
        found.setdefault(each.column.column, []).append(each)
    return found


def _skews(
    oracle: Oracle, text: str, by_column: Mapping[str, Sequence[EqualParameter]]
) -> list[_Skew]:
    return [s for each in by_column.values() if (s := _skew(oracle, text, each)) is not None]


def _variants(
    text: str, skews: Sequence[_Skew], parameters: Mapping[str, Sequence[EqualParameter]]
) -> Iterator[Variant]:
    for is_common in product((True, False), repeat=len(skews)):
        share, values, others = 1.0, dict[int, str](), dict[int, str]()
        chosen = [s for s, common in zip(skews, is_common, strict=True) if common]
        for skew, common in zip(skews, is_common, strict=True):
            share *= skew.share if common else 1 - skew.share
            value = skew.common if common else skew.other
            if value is not None:
                values |= {p.number: _written(value, p) for p in parameters[skew.column]}
                if skew.second not in (value, None):
                    others |= dict.fromkeys(
                        (p.number for p in parameters[skew.column]), literal(skew.second)
                    )
        if share > 0:
            yield Variant(
                _with(text, values, others), share, _next(text, values, chosen, parameters)
            )


def _next(
    text: str,
    values: Mapping[int, str],
    common: Sequence[_Skew],
    parameters: Mapping[str, Sequence[EqualParameter]],
) -> Variant | None:
    """Return a variant with the value that comes next after the most common one, of a column beside which another is compared; None if there is no join.

    If the two columns depend on each other, the planner expects too few rows of any frequent value. Whether it takes them for few enough to
    look each up in another table, which is slow then, depends on which one it is.
    """
    if len(read(text).sources) < 2:
        return None
    names = {p.column for some in parameters.values() for p in some}
    for skew in common:
        some = parameters[skew.column]
        beside = any(n.alias == p.column.alias and n != p.column for p in some for n in names)
        if skew.next is not None and beside:
            found = {p.number: _written(skew.next, p) for p in some}
            return Variant(_with(text, {**values, **found}, {}), skew.next_share)
    return None


def _with(text: str, values: Mapping[int, str], others: Mapping[int, str]) -> str:
    """Return a text with values for its parameters, and others in a list that was squashed, which has two elements at least."""

    def value_of(number: int, start: int) -> str | None:
        value, other = values.get(number), others.get(number, f"${number}")
        if value is None:
            return None
        if text[:start].endswith(f"${number}, "):
            return other
        return f"{value}, {other}" if _IN_LIST.match(text, start) else value

    return with_values(text, value_of)


def _of_claim(skew: _Skew, text: str) -> _Skew:
    """Return how a state is skewed for a statement that takes rows out of it: not out of the one where most of them end."""
    reading = read(text)
    is_set = any(skew.column in target.columns for target in reading.targets)
    is_locked = reading.kind == "SelectStmt" and reading.locks_rows
    is_claim = skew.second is not None and (is_set or is_locked)
    return replace(skew, share=0.0, other=skew.second) if is_claim else skew


def _written(value: str, parameter: EqualParameter) -> str:
    if not parameter.is_array:
        return literal(value)
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return literal(f'{{"{escaped}"}}')


def _skew(oracle: Oracle, text: str, parameters: Sequence[EqualParameter]) -> _Skew | None:
    """Return how the columns of one name are skewed: in the largest table, for parts of a statement usually have the same value."""
    columns = {c for p in parameters for c in compared_columns(oracle, text, p.column)}
    found = [
        (oracle.catalog.rows(table), skew)
        for table, column in sorted(columns, key=lambda each: (each[0].oid, each[1].name))
        if (skew := _of_column(oracle, table, column, parameters[0].column.column)) is not None
    ]
    return max(found, key=lambda each: each[0])[1] if found else None


def compared_columns(
    oracle: Oracle, text: str, name: Name
) -> Iterator[tuple[CatalogTable, CatalogColumn]]:
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
    common = _common(oracle, table, column)
    if not common or common[0][1] * rows < _LEAST_ROWS:
        return None
    (value, most), average = common[0], filled / max(1.0, min(column.distinct, rows))
    # as many of the calls as make the rows that they find those of values drawn from all rows
    share = min(_MOST_SHARE, sum(s * s for _, s in common) / most / filled)
    others = common[1:]
    is_whole = len(common) >= column.distinct - 0.5
    is_state = is_whole and column.distinct <= _FEW
    other, rare = others[len(others) // 2] if is_whole and others else (None, average)
    factor = max(most / average, average / rare if is_state else 1.0)
    second = others[0][0] if is_state and others else None
    following, next_share = _following(common, SKEWED * average)
    if factor < SKEWED:
        return None
    return _Skew(name, value, other, second, share, factor, following, next_share)


def _following(
    common: Sequence[tuple[str | None, float]], least: float
) -> tuple[str | None, float]:
    """Return the value after the most common one, if it has a least share of the rows, and the part of the calls for such values without the first."""
    frequent = [(value, share) for value, share in common if share >= least]
    calls = [share * share for _, share in frequent]
    return (frequent[1][0], sum(calls[1:]) / sum(calls)) if len(frequent) > 1 else (None, 0.0)


def _common(
    oracle: Oracle, table: CatalogTable, column: CatalogColumn
) -> list[tuple[str | None, float]]:
    """Return the most common values with their shares; None for values that cannot be read."""
    values = [(v, share) for v, share in oracle.usual_values(table, column.name) if share > 0]
    if values:
        return [*sorted(values, key=lambda each: (-each[1], each[0]))]
    shares = oracle.catalog.common(table, column)
    return [(None, share) for share in sorted(shares, reverse=True) if share > 0]
