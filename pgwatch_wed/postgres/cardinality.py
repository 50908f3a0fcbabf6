"""How many rows a column's values have, as far as ANALYZE knows: on average, and at most."""

from collections.abc import Mapping
from dataclasses import dataclass

from pgwatch_wed.facts import Column, ColumnStatistics, Snapshot, Table
from pgwatch_wed.facts.derived import derived
from pgwatch_wed.postgres import indexes as ix
from pgwatch_wed.postgres import key_groups
from pgwatch_wed.postgres.key_groups import BLOCKS_A_TARGET

# A value that the sample contains fewer than three times: at most this many were to be expected (97%).
_UNSEEN = 7.0
# So many rows of a sample with the same value may be chance, if there are tens of thousands of values.
_CHANCE = 3.0
_DEFAULT_TARGET = 100
# PostgreSQL stores the number of values as a fraction of the rows from here on.
_GROWING = 0.1


@dataclass(frozen=True, slots=True)
class ValueShares:
    """The values of one column of a table: as shares of its rows.

    ``average`` is what a generic plan assumes for an unknown value. No value has a larger share than
    ``highest``: the most common one, or one that the sample may have missed. ``is_even`` tells whether no value is
    known to be much more or less common than the others, ``is_clustered`` whether rows with the same value are close together, and ``is_listed`` whether
    all values are known.
    """

    table: Table
    column: Column
    rows: float
    distinct: float
    null_fraction: float
    average: float
    highest: float
    is_even: bool
    is_clustered: bool
    is_listed: bool

    @property
    def headroom(self) -> float:
        """How many times more rows than the average a value may have."""
        return max(self.highest / self.average, 1.0) if self.average > 0 else 1.0


def spread(snapshot: Snapshot, table: Table, column: Column, skew: float) -> ValueShares | None:
    """Return the distribution of a column; None if nothing is known about it.

    ``skew``: how many times more common than the average a value may be if the column is even.
    """
    rows = counted_rows(snapshot, table)
    known = _known(snapshot, table, column)
    if rows < 1 or known is None or not known.n_distinct:
        return None
    distinct = known.n_distinct if known.n_distinct > 0 else -known.n_distinct * rows
    distinct = min(max(distinct, 1.0), rows)
    filled = 1 - known.null_fraction
    if filled <= 0:
        return None
    average = filled / distinct
    top = known.mcv_top_fraction or 0.0
    chance = 0.0 if reads_all(snapshot, table) else _CHANCE / sample_rows(snapshot, table)
    missed = min(_UNSEEN / sample_rows(snapshot, table), filled)
    if is_unique(snapshot, table, column):
        highest = average
    elif known.mcv_count >= distinct:
        highest = max(top, average)
    else:
        highest = max(top, average, missed)
    return ValueShares(
        table=table,
        column=column,
        rows=rows,
        distinct=distinct,
        null_fraction=known.null_fraction,
        average=average,
        highest=highest,
        is_even=top <= skew * average + chance and _others(known, distinct) >= average / skew,
        is_listed=known.mcv_count >= distinct,
        is_clustered=key_groups.is_clustered(known.correlation),
    )


def _others(known: ColumnStatistics, distinct: float) -> float:
    """Return the mean share of the values other than the most common one, or of those that are not listed."""
    filled = 1 - known.null_fraction
    means = [
        (filled - (share or 0.0)) / (distinct - number)
        for share, number in ((known.mcv_top_fraction, 1), (known.mcv_fraction, known.mcv_count))
        if distinct > number
    ]
    return min(means, default=filled)


def _known(snapshot: Snapshot, table: Table, column: Column) -> ColumnStatistics | None:
    found = _statistics(snapshot)
    with_children = table.kind == "p"
    each = (table.oid, column.attnum)
    return found.get((*each, with_children)) or found.get((*each, not with_children))


@derived
def _statistics(snapshot: Snapshot) -> Mapping[tuple[int, int, bool], ColumnStatistics]:
    return {(s.table_oid, s.attnum, s.is_inherited): s for s in snapshot.column_statistics}


def counted_rows(snapshot: Snapshot, table: Table) -> float:
    """Return a table's rows when its statistics were collected; partitions together."""
    parts = (snapshot.table_by_oid.get(oid) for oid in ix.partitions(snapshot, table.oid))
    return sum(max(t.rows, 0.0) for t in parts if t is not None and t.kind != "p")


def is_unique(snapshot: Snapshot, table: Table, column: Column) -> bool:
    """Tell whether a unique index on just this column exists."""
    return any(
        i.is_unique
        and i.is_usable
        and not i.predicate
        and tuple(i.columns[: i.key_count]) == (column.attnum,)
        for i in snapshot.indexes_of[table.oid]
    )


def target(snapshot: Snapshot, table: Table) -> int:
    """Return the highest statistics target of a table's columns: it determines the size of the sample."""
    default = int(snapshot.setting_number("default_statistics_target") or _DEFAULT_TARGET)
    each = [c.statistics_target for c in snapshot.columns_of[table.oid]]
    return max((default if t is None else t for t in each), default=default)


def sample_rows(snapshot: Snapshot, table: Table) -> float:
    """Return how many rows ANALYZE reads."""
    most = BLOCKS_A_TARGET * max(target(snapshot, table), 1)
    return max(min(float(most), counted_rows(snapshot, table)), 1.0)


def reads_all(snapshot: Snapshot, table: Table) -> bool:
    """Tell whether ANALYZE reads every row, so that the number of values is exact."""
    return sample_rows(snapshot, table) >= counted_rows(snapshot, table)


def corrected(snapshot: Snapshot, found: ValueShares) -> float:
    """Return how many values a column probably has; more than stated if equal values are stored together."""
    known = _known(snapshot, found.table, found.column)
    correlation = known.correlation if known else None
    pages = ix.table_bytes(snapshot, found.table) / snapshot.server.block_size
    return key_groups.values(
        found.distinct, found.rows, pages, correlation, target(snapshot, found.table)
    )


def stored(distinct: float, rows: float) -> str:
    """Return the option n_distinct for a number of values: a negative fraction of the rows if it grows with them."""
    share = distinct / max(rows, 1.0)
    if share >= 1:
        return "-1"
    return f"-{share:.6f}" if share > _GROWING else f"{max(round(distinct), 1)}"
