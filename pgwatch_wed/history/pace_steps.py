"""What is no pace: bulk loads, purges, and what was before the last change of pace.

A step is a daily increment that is far outside of what is usual. A single step up is a bulk load, and a
single step down may be VACUUM FULL, a dropped partition or a restore: neither says anything about the days to
come. Steps that recur, such as monthly purges, do.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean, median

# How far outside, in standard deviations of the logarithm: an increase, a decrease, and a decrease of what
# hardly ever decreases. Bursts of a lognormal distribution stay below it.
_UP = 4.0
_DOWN = 4.0
_RARE_DOWN = 3.0
_LEAST_DEVIATION = 0.35
# More frequent than this, they are the rhythm of the series itself.
_MOST_UP = 0.1
_MOST_DOWN = 0.125
# With fewer days on which anything changed, all of them are steps.
_LEAST_CHANGES = 5
# A step up that is taken back within this time was temporary, such as the copy of a table.
_TEMPORARY_DAYS = 14
_TEMPORARY_RATIO = 1.5
# Steps up at the end without a usual day in between: a new pace, not a bulk load.
_NEW_PACE_DAYS = 3

_SEGMENT_DAYS = 14
_SEGMENT_Z = 3.8
"""A rank test at every day: with 60 candidates, 3.8 is exceeded by chance in about 1 of 200 series."""


@dataclass(frozen=True, slots=True)
class Steps:
    """The days of steps, and the increments without them."""

    up: tuple[int, ...]
    down: tuple[int, ...]
    usual: tuple[float, ...]

    @property
    def days_of_new_pace(self) -> int:
        """How many days at the end are all steps up; 0 if they may as well be bulk loads."""
        last, found = len(self.usual) - 1, 0
        while last - found in self.up:
            found += 1
        return found if found >= _NEW_PACE_DAYS else 0


def steps(increments: Sequence[float]) -> Steps:
    """Tell steps from the usual increments; on the days of steps, the usual one is the mean."""
    up, down = _outside(increments)
    temporary = _temporary(increments, up, down)
    up, down = up - temporary, down - temporary
    out = up | down | temporary
    rest = [x for i, x in enumerate(increments) if i not in out]
    mean = fmean(rest) if rest else 0.0
    usual = tuple(mean if i in out else x for i, x in enumerate(increments))
    return Steps(tuple(sorted(up)), tuple(sorted(down)), usual)


def _outside(increments: Sequence[float]) -> tuple[set[int], set[int]]:
    changes = [abs(x) for x in increments if x]
    if len(changes) < _LEAST_CHANGES:
        return _days(increments, lambda x: x > 0), _days(increments, lambda x: x < 0)
    logs = [math.log(x) for x in changes]
    middle = median(logs)
    deviation = max(1.4826 * median([abs(x - middle) for x in logs]), _LEAST_DEVIATION)

    def beyond(deviations: float) -> float:
        return math.exp(min(middle + deviations * deviation, 700))

    count = len(increments)
    is_rare = sum(x < 0 for x in increments) <= _MOST_DOWN * count
    above, below = beyond(_UP), beyond(_RARE_DOWN if is_rare else _DOWN)
    up = _days(increments, lambda x: x > above)
    down = _days(increments, lambda x: -x > below)
    return (
        up if len(up) <= _MOST_UP * count else set(),
        down if len(down) <= _MOST_DOWN * count else set(),
    )


def _days(increments: Sequence[float], holds: Callable[[float], bool]) -> set[int]:
    return {i for i, x in enumerate(increments) if holds(x)}


def _temporary(increments: Sequence[float], up: set[int], down: set[int]) -> set[int]:
    """Find steps up with the steps down that take them back."""
    taken_back: set[int] = set()
    for day in sorted(up):
        for later in sorted(down - taken_back):
            ratio = -increments[later] / increments[day]
            is_near = 0 < later - day <= _TEMPORARY_DAYS
            if is_near and 1 / _TEMPORARY_RATIO <= ratio <= _TEMPORARY_RATIO:
                taken_back |= {day, later}
                break
    return taken_back


def pace_begins(usual: Sequence[float], spacing_days: float = 1.0) -> int:
    """Return the first day of the present pace: 0, or the last day at which increments changed for good.

    If points are ``spacing_days`` apart, that many days are one observation.
    """
    begin = 0
    while (found := _split(usual[begin:], max(spacing_days, 1.0))) is not None:
        begin += found
    return begin


def _split(values: Sequence[float], spacing: float) -> int | None:
    """Find the day from which on ranks differ most; None if that may be chance."""
    count, least = len(values), _SEGMENT_DAYS * spacing
    best, at, total = 0.0, 0, 0.0
    for day, rank in enumerate(_ranks(values), start=1):
        total += rank
        if not least <= day <= count - least:
            continue
        deviation = math.sqrt(day * (count - day) * (count + 1) / 12)
        z = abs(total - day * (count + 1) / 2) / deviation
        if z > best:
            best, at = z, day
    return at if best >= _SEGMENT_Z * math.sqrt(spacing) else None


def _ranks(values: Sequence[float]) -> list[float]:
    """Rank values from 1; equal ones share the mean of their ranks."""
    order = sorted(range(len(values)), key=lambda i: values[i])
    ranks = [0.0] * len(values)
    begin = 0
    while begin < len(order):
        end = begin
        while end < len(order) and values[order[end]] == values[order[begin]]:
            end += 1
        for i in order[begin:end]:
            ranks[i] = (begin + end + 1) / 2
        begin = end
    return ranks
