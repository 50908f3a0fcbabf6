"""How rows fall on the keys of an index, by what ANALYZE says of the values of its columns."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pgwatch_wed.postgres.packing import KeyGroup

# ANALYZE reads this many blocks for each unit of the statistics target
BLOCKS_A_TARGET = 300
_CLUSTERED = 0.9
_CELLS_A_FACTOR = 10  # of e
_ALMOST_ONE = 1e-6


@dataclass(frozen=True, slots=True)
class Cells:
    """So many values, each of which has this share of the rows."""

    number: float
    share: float


@dataclass(frozen=True, slots=True)
class Spread:
    """The values of a column: the most common ones, NULL, and how many there are but for NULL."""

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
    """Return how many values a column has; more than ANALYZE says where it misses neighbours.

    ANALYZE takes its rows from a few blocks. Where equal values are neighbours (the lines of an
    order), rows of one block look like rows of the whole table that repeat, and values seem to
    be fewer by as much as blocks were left out. With s the share of blocks read, the mean number of
    rows of a value is s times the one stated, plus 1 - s: Haas and Stokes' estimator, which ANALYZE
    uses, solved for a sample from that share alone. ``bins`` are those of the histogram.
    """
    if bins is None or not is_clustered(correlation) or not pages or not rows:
        return stated
    read = min(1.0, BLOCKS_A_TARGET * bins / pages)
    rows_each = rows / stated
    if rows_each > rows / pages:
        return stated
    return rows / (read * rows_each + 1 - read)


def is_clustered(correlation: float | None) -> bool:
    """Tell whether rows of the same value are neighbours."""
    return abs(correlation or 0.0) >= _CLUSTERED


def of_column(
    spread: Spread, rows: float, part: float = 1.0, *, together: float = 0.0
) -> list[KeyGroup]:
    """Return the keys of one column, of a share ``part`` of a table's rows.

    ``together`` is the share of the values whose rows are in that part, or left out, all at once.
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
    # as many more keys as would have no row, since these are known to have one
    keys = number / -math.expm1(-rate)
    together = together if part < 1 else 0.0
    split = [KeyGroup(keys * (1 - together), rate * part), KeyGroup(keys * part * together, rate)]
    return [*found, *(group for group in split if group.keys)]


def cells(spread: Spread) -> list[Cells]:
    """Return the values of a column by their shares."""
    found = [c for c in spread.common if c.share > 0]
    if spread.null_fraction:
        found.append(Cells(1.0, spread.null_fraction))
    if spread.rest_values >= 1 and spread.rest_share > 0:
        found.append(Cells(spread.rest_values, spread.rest_share / spread.rest_values))
    return _merged(found) or [Cells(1.0, 1.0)]


def crossed(left: Sequence[Cells], right: Sequence[Cells]) -> list[Cells]:
    """Return the pairs of values of two columns that know nothing of each other."""
    return _merged(Cells(a.number * b.number, a.share * b.share) for a in left for b in right)


def _merged(given: Iterable[Cells]) -> list[Cells]:
    """Put cells of about the same share together."""
    found: dict[int, tuple[float, float]] = {}
    for cell in given:
        place = round(math.log(cell.share) * _CELLS_A_FACTOR)
        number, mass = found.get(place, (0.0, 0.0))
        found[place] = (number + cell.number, mass + cell.number * cell.share)
    return [Cells(number, mass / number) for number, mass in found.values()]


def fuller(first: Sequence[KeyGroup], second: Sequence[KeyGroup]) -> list[KeyGroup]:
    """Return those groups that have more keys; the first if they have as many."""
    return list(max(first, second, key=lambda found: sum(g.occupied for g in found)))


def _rate(mean: float) -> float:
    """Return the rate whose Poisson law, given at least one, has this mean."""
    rate = max(mean - 1, 0.0) * 1.5
    for _ in range(50):
        if rate < _ALMOST_ONE:
            return 0.0
        rate = mean * -math.expm1(-rate)
    return rate
