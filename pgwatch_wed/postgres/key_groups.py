"""How rows are distributed over the keys of an index, from the statistics on its columns."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pgwatch_wed.postgres.packing import KeyGroup

# ANALYZE reads this many blocks per unit of the statistics target
BLOCKS_A_TARGET = 300
_CLUSTERED = 0.9
_CELLS_A_FACTOR = 10  # of e
_ALMOST_ONE = 1e-6


@dataclass(frozen=True, slots=True)
class Cells:
    """A number of values, each with this share of the rows."""

    number: float
    share: float


@dataclass(frozen=True, slots=True)
class Spread:
    """The values of a column: the most common ones, NULL, and how many there are except for NULL."""

    common: tuple[Cells, ...]
    null_fraction: float
    values: float

    @property
    def rest_share(self) -> float:
        """The share of the rows that have none of the common values."""
        return max(0.0, 1 - self.null_fraction - sum(c.number * c.share for c in self.common))

    @property
    def rest_values(self) -> float:
        """How many values there are besides the common ones."""
        return max(0.0, self.values - sum(c.number for c in self.common))


def values(
    stated: float, rows: float, pages: float, correlation: float | None, bins: int | None
) -> float:
    """Return how many values a column has; more than ANALYZE finds if equal values are clustered.

    ANALYZE samples rows from a few blocks. If equal values are next to each other (such as the lines
    of an order), rows of one block look like repetitions in the whole table, and the number of values
    is underestimated in proportion to the blocks not read. With s the share of blocks read, the mean
    number of rows per value is s times the one stated, plus 1 - s: the estimator of Haas and Stokes,
    which ANALYZE uses, solved for a sample from only that share. ``bins`` are those of the histogram.
    """
    if bins is None or not is_clustered(correlation) or not pages or not rows:
        return stated
    read = min(1.0, BLOCKS_A_TARGET * bins / pages)
    rows_each = rows / stated
    if rows_each > rows / pages:
        return stated
    return rows / (read * rows_each + 1 - read)


def is_clustered(correlation: float | None) -> bool:
    """Tell whether rows with the same value are close together."""
    return abs(correlation or 0.0) >= _CLUSTERED


def of_column(
    spread: Spread, rows: float, part: float = 1.0, *, together: float = 0.0
) -> list[KeyGroup]:
    """Return the keys of one column, for the share ``part`` of a table's rows.

    ``together`` is the share of the values whose rows are either all in that part or all outside it.
    """
    found = [KeyGroup(c.number, rows * c.share * part, is_exact=True) for c in spread.common]
    if spread.null_fraction:
        found.append(KeyGroup(1.0, rows * spread.null_fraction * part, is_exact=True))
    rest, number = spread.rest_share * rows, spread.rest_values
    if number < 1 or rest < 1:
        return found or [KeyGroup(1.0, rows * part, is_exact=True)]
    rate = _rate(rest / number)
    if rate < _ALMOST_ONE:
        return [*found, KeyGroup(rest * part, 1.0, is_exact=True)]
    # as many more keys as would have no rows, since these are known to have one
    keys = number / -math.expm1(-rate)
    together = together if part < 1 else 0.0
    split = [KeyGroup(keys * (1 - together), rate * part), KeyGroup(keys * part * together, rate)]
    return [*found, *(group for group in split if group.keys)]


def cells(spread: Spread) -> list[Cells]:
    """Return the values of a column with their shares."""
    found = [c for c in spread.common if c.share > 0]
    if spread.null_fraction:
        found.append(Cells(1.0, spread.null_fraction))
    if spread.rest_values >= 1 and spread.rest_share > 0:
        found.append(Cells(spread.rest_values, spread.rest_share / spread.rest_values))
    return _merged(found) or [Cells(1.0, 1.0)]


def crossed(left: Sequence[Cells], right: Sequence[Cells]) -> list[Cells]:
    """Return the pairs of values of two independent columns."""
    return _merged(Cells(a.number * b.number, a.share * b.share) for a in left for b in right)


def _merged(given: Iterable[Cells]) -> list[Cells]:
    """Merge cells with about the same share."""
    found: dict[int, tuple[float, float]] = {}
    for cell in given:
        place = round(math.log(cell.share) * _CELLS_A_FACTOR)
        number, mass = found.get(place, (0.0, 0.0))
        found[place] = (number + cell.number, mass + cell.number * cell.share)
    return [Cells(number, mass / number) for number, mass in found.values()]


def fuller(first: Sequence[KeyGroup], second: Sequence[KeyGroup]) -> list[KeyGroup]:
    """Return the groups with more keys; the first if they have equally many."""
    return list(max(first, second, key=lambda found: sum(g.occupied for g in found)))


def _rate(mean: float) -> float:
    """Return the rate of the Poisson distribution that, given at least one, has this mean."""
    rate = max(mean - 1, 0.0) * 1.5
    for _ in range(50):
        if rate < _ALMOST_ONE:
            return 0.0
        rate = mean * -math.expm1(-rate)
    return rate
