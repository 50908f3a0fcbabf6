"""Columns whose values have very different numbers of rows, so that it matters which of them are asked for."""

from collections.abc import Iterable
from dataclasses import dataclass

from pgwatch_wed.facts import Column, Snapshot, Table
from pgwatch_wed.findings import Grade
from pgwatch_wed.postgres import cardinality
from pgwatch_wed.postgres.cardinality import ValueShares
from pgwatch_wed.units import share

# A value this many times more common than the average makes the average meaningless.
_SKEW = 10.0
# A value that this part of the rows has matters even if it is only twice as common as the average.
_COMMON = 0.1
_TWICE = 2.0
# An index does not help to find this part of a table.
_MOST = 0.5


@dataclass(frozen=True, slots=True)
class Skew:
    """What is known of unknown values, and the grade that it leaves to a gain."""

    grade: Grade
    text: str


def skew(snapshot: Snapshot, table: Table, columns: Iterable[Column]) -> Skew | None:
    """Return how skewed columns are that are all compared with unknown values; None if they are not.

    No combination of values has more rows than the value of one of them, so the most selective column decides.
    """
    each = (cardinality.spread(snapshot, table, column, _SKEW) for column in columns)
    known = [values for values in each if values is not None]
    if not known:
        return None
    values = min(known, key=lambda v: v.highest)
    if values.is_even and not _is_common(values):
        return None
    return Skew(
        Grade.C if values.highest >= _MOST else Grade.B,
        f"The most common value of {values.column.name} has {share(values.highest)} of the rows, the average "
        f"{share(values.average)}: how much the index saves depends on the values that are used.",
    )


def _is_common(values: ValueShares) -> bool:
    """Tell whether so many rows have one value that an index hardly helps to find them."""
    return values.highest >= _COMMON and values.headroom >= _TWICE
