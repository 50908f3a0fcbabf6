"""What a statement did in intervals, as units that can be compared: enough calls each, and steady where that is possible.

A few long calls raise the mean of an interval, and its deviation even more. If all calls become slower by a factor, the
deviation relative to the mean stays as it is. So what goes along with that is not what is looked for, and is taken out.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median

from pgwatch_wed.history.robust import MeasuredShift, TwoSamples

_LEAST_UNITS = 8
"""With fewer, nothing is known about what goes along with the variation of calls."""
_RIDGE = 0.1
_MOST_SLOPE = 1.5
_LEAST_VARIATION = 1e-3
_LEAST_STAY = -0.15
_MOST_STAY = 1 / 3
"""The time-weighted mean stays if it falls by no more, and rises by no more than this share of the mean."""
_SURE = 2.0
_VARIED = 1.0
"""From this deviation on, relative to the mean, there may be two kinds of calls."""


@dataclass(frozen=True, slots=True)
class Observed:
    """What a statement did between two readings; ``deviation_ms`` is that of its calls.

    ``is_cold``: the server, or the entry, began within it.
    """

    begins: datetime
    ends: datetime
    calls: float
    exec_ms: float
    rows: float | None = None
    blocks: float | None = None
    temp_blocks: float | None = None
    wal_bytes: float | None = None
    deviation_ms: float | None = None
    plan: str | None = None
    is_cold: bool = False


@dataclass(frozen=True, slots=True)
class CallUnit:
    """Neighboring intervals with enough calls together: logarithms.

    ``level`` is an amount per call. ``variation`` is how much the times of calls deviate, relative to their mean; None if
    that is not known.
    """

    level: float
    variation: float | None

    @property
    def long_calls(self) -> float | None:
        """The mean time of a call, weighted by the time: more of the long calls hardly change it, slower ones do."""
        if self.variation is None:
            return None
        return self.level + math.log1p(math.exp(2 * self.variation))


def units(
    intervals: Sequence[Observed], name: str, common: Mapping[datetime, float], least_calls: float
) -> list[CallUnit]:
    """Return an amount per call; neighbors with few calls become one unit.

    ``common`` is what all statements did in an interval, which is taken out.
    """
    found: list[CallUnit] = []
    amount = calls = 0.0
    some: list[Observed] = []
    for i in intervals:
        value = getattr(i, name)
        if value is None:
            continue
        amount += value * math.exp(-common.get(i.begins, 0.0))
        calls += i.calls
        some.append(i)
        if calls >= least_calls and amount > 0:
            found.append(CallUnit(math.log(amount / calls), _variation(some)))
            amount = calls = 0.0
            some = []
    return found


def _variation(intervals: Iterable[Observed]) -> float | None:
    calls = spent = squares = 0.0
    for i in intervals:
        if i.deviation_ms is None or i.calls <= 0:
            return None
        calls += i.calls
        spent += i.exec_ms
        squares += i.calls * (i.deviation_ms**2 + (i.exec_ms / i.calls) ** 2)
    if spent <= 0:
        return None
    mean = spent / calls
    relative = squares / calls / mean**2 - 1
    return math.log(relative) / 2 if relative > _LEAST_VARIATION**2 else None


def steadied(
    base: Sequence[CallUnit], current: Sequence[CallUnit]
) -> tuple[list[float], list[float]]:
    """Return the levels, less what in the base goes along with a higher or lower variation of calls."""
    known = [u for u in base if u.variation is not None]
    if len(known) < _LEAST_UNITS:
        return [u.level for u in base], [u.level for u in current]
    usual, slope = median(_varied(known)), _slope(known)

    def less(unit: CallUnit) -> float:
        if unit.variation is None:
            return unit.level
        return unit.level - slope * (unit.variation - usual)

    return [less(u) for u in base], [less(u) for u in current]


def _slope(known: Sequence[CallUnit]) -> float:
    """Return how much the level rises with the variation; as if there were none, if that is hardly known."""
    varied = _varied(known)
    x, y = median(varied), median(u.level for u in known)
    squares = sum((v - x) ** 2 for v in varied)
    products = sum((v - x) * (u.level - y) for v, u in zip(varied, known, strict=True))
    return min(max(products / (squares + _RIDGE), 0.0), _MOST_SLOPE)


def _varied(known: Iterable[CallUnit]) -> list[float]:
    return [u.variation for u in known if u.variation is not None]


def is_other_mix(base: Sequence[CallUnit], current: Sequence[CallUnit], rise: float) -> bool:
    """Tell whether there may only be more of the long calls, with a mean that rose.

    Then those are as long as before: the time-weighted mean stays. If all calls take longer by a factor, it rises as much as
    the mean; if each takes longer by the same time, it falls.
    """
    varied = _varied(base)
    before = [x for u in base if (x := u.long_calls) is not None]
    after = [x for u in current if (x := u.long_calls) is not None]
    if not after or not before or median(varied) < math.log(_VARIED):
        return False
    found = MeasuredShift.of(TwoSamples(before, after))
    # where it varies that much by itself, it does not speak against a factor
    is_other = rise - found.shift > _SURE * found.own
    return is_other and _LEAST_STAY <= found.shift < _MOST_STAY * rise
