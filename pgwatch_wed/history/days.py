"""A value for each day out of the times at which runs happened to read it.

Runs come when somebody starts them: twice a day, not at all, in the wrong order, from a clock that was
wrong. What is left is one value a day, up to the last point, all of the same life of the counter.
"""

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median

DatedValue = tuple[datetime, float | None]

_DAY = timedelta(days=1)
# A clock that runs ahead by less than this is no reason to leave out a point.
_AHEAD = timedelta(minutes=10)
# Without any point for longer than this, nothing is known about the pace in between.
_LONGEST_GAP_DAYS = 14
_LONGEST_GAP_RATIO = 4


@dataclass(frozen=True, slots=True)
class Days:
    """Values a day apart, the last one as of ``ends``.

    ``counted`` are the days that have a point of their own; the others are interpolated. ``spacing_days`` is
    the usual distance between points.
    """

    values: tuple[float, ...]
    ends: datetime
    counted: int
    spacing_days: float

    @property
    def begins(self) -> datetime:
        """The time of the first value."""
        return self.ends - (len(self.values) - 1) * _DAY


def daily(points: Iterable[DatedValue], now: datetime, *, is_counter: bool = False) -> Days | None:
    """Return a value for each day; None if there is no point.

    ``is_counter`` tells that the value never falls, except if it begins anew: what was before is not its past.
    """
    known = _without_gap(_usable(points, now))
    if is_counter:
        known = _newest_life(known)
    if not known:
        return None
    ends = known[-1][0]
    ages = [(ends - moment) / _DAY for moment, _ in known]
    counted = len({round(age) for age in ages})
    spacing = median([a - b for a, b in pairwise(ages)]) if len(known) > 1 else 1
    return Days(_on_grid(known), ends, counted, spacing)


def peaks(points: Iterable[DatedValue], now: datetime) -> Days | None:
    """Return the largest value of each day."""
    known = _usable(points, now)
    if not known:
        return None
    ends = known[-1][0]
    largest: dict[int, tuple[datetime, float]] = {}
    for moment, value in known:
        age = int((ends - moment) / _DAY)
        if age not in largest or value > largest[age][1]:
            largest[age] = (ends - age * _DAY, value)
    return daily(largest.values(), now)


def _usable(points: Iterable[DatedValue], now: datetime) -> list[tuple[datetime, float]]:
    """Sort the points; the last of several at the same time counts."""
    found = {
        moment: float(value)
        for moment, value in points
        if value is not None and math.isfinite(value) and moment <= now + _AHEAD
    }
    return sorted(found.items())


def _without_gap(known: list[tuple[datetime, float]]) -> list[tuple[datetime, float]]:
    """Leave out what is before the last long time without points, such as those of a wrong clock."""
    gaps = [(b[0] - a[0]) / _DAY for a, b in pairwise(known)]
    if not gaps:
        return known
    longest = max(_LONGEST_GAP_DAYS, _LONGEST_GAP_RATIO * median(gaps))
    begin = max((i + 1 for i, gap in enumerate(gaps) if gap > longest), default=0)
    return known[begin:]


def _newest_life(known: list[tuple[datetime, float]]) -> list[tuple[datetime, float]]:
    falls = (i + 1 for i, (a, b) in enumerate(pairwise(known)) if b[1] < a[1])
    return known[max(falls, default=0) :]


def _on_grid(known: Sequence[tuple[datetime, float]]) -> tuple[float, ...]:
    """Interpolate a value for the time of the last point on each day before it."""
    ends = known[-1][0]
    times = [(moment - ends) / _DAY for moment, _ in known]
    values = [value for _, value in known]
    # The first point of a daily job may be some minutes later than a whole number of days ago.
    days = math.floor(-times[0] + _AHEAD / _DAY)
    return tuple(_at(times, values, -float(age)) for age in range(days, -1, -1))


def _at(times: Sequence[float], values: Sequence[float], moment: float) -> float:
    right = bisect_right(times, moment)
    if right == 0:
        return values[0]
    if right == len(times):
        return values[-1]
    before, after = times[right - 1], times[right]
    share = (moment - before) / (after - before)
    return values[right - 1] + share * (values[right] - values[right - 1])
