"""How large a B-tree would be if it were built now: an estimate with bounds.

The bounds allow for what the statistics do not show: how often the keys of several columns repeat together,
how the widths of a variable-length column are distributed, whether rows with the same value are in a
partial index together, and how many rare values ANALYZE has missed.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, reduce

from pgwatch_wed.facts import Column, ColumnStatistics, Index, Snapshot, Table
from pgwatch_wed.postgres import btree, key_groups
from pgwatch_wed.postgres.btree import Width
from pgwatch_wed.postgres.key_groups import Cells, Spread
from pgwatch_wed.postgres.packing import KeyGroup, TreePage

_SAMPLE = 30_000  # rows that ANALYZE samples at the default statistics target
_OFTEN = 10  # times that a rare value must appear in the sample to be counted correctly
_DEFAULT_TARGET = 100
_MARGIN_BELOW, _MARGIN_ABOVE = 0.05, 0.03
# Types whose equal values have the same bytes, so that their keys can be deduplicated; others may be.
_MERGEABLE = frozenset(
    (
        *(
            "bool",
            "int2",
            "int4",
            "int8",
            "oid",
            "text",
            "varchar",
            "bpchar",
            "uuid",
            "date",
            "time",
        ),
        *("timestamp", "timestamptz", "bytea", "char", "macaddr", "macaddr8"),
    )
)
_NEVER_MERGED = frozenset(("numeric", "float4", "float8", "jsonb", "interval"))


@dataclass(frozen=True, slots=True)
class _KeyColumn:
    """A key or INCLUDE column: its width, its values, and whether equal ones share an entry.

    ``is_counted``: the number of its values found by ANALYZE is certain.
    """

    width: Width
    spread: Spread
    is_clustered: bool
    is_counted: bool
    merges: bool | None


@dataclass(frozen=True)
class FreshTree:
    """The pages of a freshly built index: at least, likely and at most.

    It contains the share ``part`` of a table's ``rows``. ``merges``: equal keys share entries; None if
    that is not known.
    """

    rows: float
    part: float
    page: TreePage
    keys: tuple[_KeyColumn, ...]
    included: tuple[_KeyColumn, ...]
    is_unique: bool
    merges: bool | None

    @cached_property
    def least(self) -> float:
        """Only as many keys as the column with the most values has, and no padding."""
        groups = self._of(self._most_various, together=1.0)
        pages = self._pages(groups, _narrow(self._widths), merges=self.merges is not False)
        return pages * (1 - _MARGIN_BELOW)

    @cached_property
    def likely(self) -> float:
        """Independent columns."""
        first = self.keys[0]
        if len(self.keys) == 1:
            groups = self._of(first, together=0.5 if first.is_clustered else 0.0)
        else:
            crossed = reduce(key_groups.crossed, (key_groups.cells(k.spread) for k in self.keys))
            together = [KeyGroup(c.number, c.share * self._entries) for c in crossed]
            groups = key_groups.fuller(together, self._of(self._most_various))
        tuples = btree.tuple_sizes(self._widths)
        return self._pages(groups, tuples, merges=self.merges is not False)

    @cached_property
    def most(self) -> float:
        """As many keys as the columns together can have; uncounted values are all distinct."""
        first = self.keys[0]
        if len(self.keys) > 1:
            values = math.prod(max(k.spread.values, 1.0) for k in self.keys)
            many = Spread((), 0.0, min(values, self.rows))
        else:
            is_sure = first.is_counted
            many = first.spread if is_sure else replace(first.spread, values=self.rows)
        groups = key_groups.of_column(many, self.rows, self.part)
        pages = self._pages(groups, _wide(self._widths), merges=self.merges is True)
        return pages * (1 + _MARGIN_ABOVE) + 2

    @property
    def _entries(self) -> float:
        return self.rows * self.part

    @property
    def _most_various(self) -> _KeyColumn:
        return max(self.keys, key=lambda k: k.spread.values)

    @property
    def _widths(self) -> list[Width]:
        return [k.width for k in (*self.keys, *self.included)]

    def _of(self, column: _KeyColumn, together: float = 0.0) -> list[KeyGroup]:
        if self.is_unique:
            return [KeyGroup(self._entries, 1.0, is_exact=True)]
        return key_groups.of_column(column.spread, self.rows, self.part, together=together)

    def _pages(
        self, groups: Sequence[KeyGroup], tuples: Mapping[int, float], *, merges: bool
    ) -> float:
        pivot = btree.tuple_bytes([k.width for k in self.keys])
        size = btree.of_tuples(
            self._entries, groups, tuples, pivot, deduplicates=merges, page=self.page
        )
        return float(size.blocks)


def expected(snapshot: Snapshot, index: Index, table: Table) -> FreshTree | None:
    """Return the size of a freshly built B-tree; None if statistics or types do not allow an estimate."""
    rows, entries = table.rows, index.rows if index.predicate is not None else table.rows
    if rows < 0 or entries < 0:
        return None
    rows = max(rows, entries)
    columns = [_column(snapshot, index, table, place) for place in range(len(index.columns))]
    known = tuple(c for c in columns if c is not None)
    if len(known) < len(columns) or not known:
        return None
    keys = known[: index.key_count]
    return FreshTree(
        rows,
        entries / rows if rows else 1.0,
        TreePage(max(snapshot.server.block_size, 1024), _whole(index.option("fillfactor"), 90)),
        keys,
        known[index.key_count :],
        index.is_unique,
        _merges(index, keys),
    )


def _column(snapshot: Snapshot, index: Index, table: Table, place: int) -> _KeyColumn | None:
    attnum = index.columns[place]
    if attnum == 0:
        statistics = snapshot.statistics_by_key.get((index.oid, place + 1))
        return _of(snapshot, table, None, statistics) if statistics else None
    column = snapshot.column_by_key.get((index.table_oid, attnum))
    statistics = snapshot.statistics_by_key.get((index.table_oid, attnum))
    if column is None or statistics is None or column.base_type == "name":
        return None
    return _of(snapshot, table, column, statistics)


def _of(
    snapshot: Snapshot, table: Table, column: Column | None, statistics: ColumnStatistics
) -> _KeyColumn:
    nulls = min(max(statistics.null_fraction, 0.0), 1.0)
    spread = _spread(snapshot, table, column, statistics, nulls)
    width = Width(
        column.length if column is not None else -1,
        column.type_align if column is not None else "i",
        float(max(statistics.avg_width, 0)),
        nulls,
    )
    return _KeyColumn(
        width,
        spread,
        key_groups.is_clustered(statistics.correlation),
        _is_counted(spread, table.rows),
        _merging(column),
    )


def _spread(
    snapshot: Snapshot,
    table: Table,
    column: Column | None,
    statistics: ColumnStatistics,
    nulls: float,
) -> Spread:
    rows, share = max(table.rows, 1.0), statistics.n_distinct
    common = min(max(statistics.mcv_fraction or 0.0, 0.0), 1 - nulls)
    target = column.statistics_target if column is not None else None
    if target is None or target < 0:
        target = round(snapshot.setting_number("default_statistics_target") or _DEFAULT_TARGET)
    values = key_groups.values(
        max(1.0, min(-share * rows if share < 0 else share, rows)),
        rows,
        table.pages,
        statistics.correlation,
        target if statistics.has_histogram else None,
    )
    return Spread(tuple(_common(statistics, common)), nulls, values)


def _common(statistics: ColumnStatistics, share: float) -> Iterator[Cells]:
    """Yield the common values: the most common one, and the others as if they were equally common."""
    count, top = statistics.mcv_count, min(max(statistics.mcv_top_fraction or 0.0, 0.0), share)
    if count > 0 and top > 0:
        yield Cells(1.0, top)
    if count > 1 and share > top:
        yield Cells(count - 1.0, (share - top) / (count - 1))


def _is_counted(spread: Spread, rows: float) -> bool:
    """Tell whether ANALYZE saw each value often; most rare values are not in its sample."""
    if rows <= _SAMPLE or not spread.rest_values:
        return True
    return _SAMPLE * spread.rest_share >= _OFTEN * spread.rest_values


def _merging(column: Column | None) -> bool | None:
    if column is None:
        return None
    if column.base_type in _NEVER_MERGED or column.type_category in "AR":
        return False
    return True if column.base_type in _MERGEABLE else None


def _merges(index: Index, keys: Sequence[_KeyColumn]) -> bool | None:
    off = index.option("deduplicate_items") in ("off", "false", "no", "0")
    if off or index.included or index.is_unique:
        return False
    if any(k.merges is False for k in keys):
        return False
    return True if all(k.merges for k in keys) else None


def _narrow(widths: Sequence[Width]) -> Mapping[int, float]:
    """Return the average sizes of tuples without padding at the end."""
    if all(w.type_length > 0 for w in widths):
        return btree.tuple_sizes(widths)
    end = btree.unpadded_bytes(widths)
    below = math.floor(end / 8) * 8
    part = (end - below) / 8
    return {below: 1 - part, below + 8: part} if part else {below: 1.0}


def _wide(widths: Sequence[Width]) -> Mapping[int, float]:
    """Return the sizes of tuples with at least half of the maximum padding."""
    if all(w.type_length > 0 for w in widths):
        return btree.tuple_sizes(widths)
    return {math.ceil((btree.unpadded_bytes(widths) + 4) / 8) * 8: 1.0}


def _whole(text: str | None, default: int) -> int:
    try:
        return min(max(int(text), 10), 100) if text is not None else default
    except ValueError:
        return default
