"""When a limit will be reached, with an interval that holds in four of five cases, or why that cannot be told.

docs/forecasts.md states how often the intervals held, on series that the method was not made from.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import fmean, pstdev

from pgwatch_wed import units
from pgwatch_wed.history import days as dy
from pgwatch_wed.history import walks as wk
from pgwatch_wed.history.pace_steps import Steps, pace_begins, steps

LEAST_DAYS = 30
"""With fewer days, intervals hold too rarely: 14 days held in 39 to 55% instead of 80%."""

_MOST_SPACING_DAYS = 8

HORIZON_DAYS = 1_095
"""Later than in three years is not told apart from never."""

_DAY = timedelta(days=1)
_QUANTILES = (0.1, 0.5, 0.9)
# The share of the walks in which a step that may have been the only one comes back. With less than half, the
# interval holds about as often whichever is true.
_DOUBTFUL = 0.4


@dataclass(frozen=True, slots=True)
class Outlook:
    """The pace of a series, and when it reaches its limit: three quantiles each, 10%, 50% and 90%.

    ``ahead`` are those of the largest value within the numbers of weeks that were asked for. A day is None if it is beyond the horizon. ``is_growing``: the pace is above zero even at its lower end.
    """

    value: float
    pace: tuple[float, float, float]
    reached: tuple[datetime | None, datetime | None, datetime | None]
    begins: datetime
    ends: datetime
    points: int
    notes: tuple[str, ...] = ()
    ahead: tuple[tuple[float, float, float], ...] = ()

    @property
    def is_growing(self) -> bool:
        """Whether the growth cannot be explained by chance."""
        return self.pace[0] > 0


@dataclass(frozen=True, slots=True)
class Untold:
    """Why there is no forecast, and from when on there may be one."""

    reason: str
    points: int
    told_at: datetime | None = None


def forecast(
    points: Iterable[dy.DatedValue],
    now: datetime,
    limit: float | None,
    *,
    is_counter: bool = False,
    weeks_ahead: Sequence[int] = (),
) -> Outlook | Untold:
    """Forecast a size or a position from the days since the last change of its pace.

    ``is_counter``: it never falls, except if it begins anew.
    """
    return of_days(dy.daily(points, now, is_counter=is_counter), now, limit, weeks_ahead)


def of_days(
    found: dy.Days | None, now: datetime, limit: float | None, weeks_ahead: Sequence[int] = ()
) -> Outlook | Untold:
    """Forecast from a value for each day."""
    if found is None or found.counted < LEAST_DAYS:
        return _too_few(found, now)
    if found.spacing_days > _MOST_SPACING_DAYS:
        reason = f"runs are {found.spacing_days:.0f} days apart; a forecast requires one a week"
        return Untold(reason, found.counted)
    increments = [b - a for a, b in pairwise(found.values)]
    split = steps(increments)
    if split.days_of_new_pace:
        return _changing(found, split.days_of_new_pace)
    begin = pace_begins(split.usual, found.spacing_days)
    walker = _walker(increments, split, begin)
    made = _outlook(found, increments, split, walker, limit)
    return replace(made, ahead=_ahead(walker, made.value, weeks_ahead)) if weeks_ahead else made


def _too_few(found: dy.Days | None, now: datetime) -> Untold:
    have = found.counted if found is not None else 0
    spacing = max(found.spacing_days, 1.0) if found is not None else 1.0
    wait = (LEAST_DAYS - have) * spacing
    reason = f"{have} of the {LEAST_DAYS} days with a run that a forecast requires"
    return Untold(reason, have, now + wait * _DAY)


def _changing(found: dy.Days, recent: int) -> Untold:
    since = found.ends - recent * _DAY
    told = since + wk.BLOCK_DAYS * 2 * _DAY
    return Untold(f"the pace changed on {since:%Y-%m-%d}", found.counted, told)


def _walker(increments: Sequence[float], split: Steps, begin: int) -> wk.Walker:
    recurring = tuple(
        each for at in (split.up, split.down) for each in _recurring(increments, split, at, begin)
    )
    return wk.Walker(split.usual[begin:], recurring)


def _outlook(
    found: dy.Days,
    increments: Sequence[float],
    split: Steps,
    walker: wk.Walker,
    limit: float | None,
) -> Outlook:
    value, length = found.values[-1], len(walker.increments)
    begin = len(increments) - length
    regular = sum(_a_day(increments, split, at, begin) for at in (split.up, split.down))
    paces = [pace + regular for pace in walker.paces()]
    return Outlook(
        value,
        _quantiles(paces),
        _reached(found, walker, limit, can_change=any(increments[begin:])),
        found.ends - length * _DAY,
        found.ends,
        min(found.counted, round(length / max(found.spacing_days, 1.0)) + 1),
        tuple(_notes(found, increments, split, begin)),
    )


def _reached(
    found: dy.Days, walker: wk.Walker, limit: float | None, *, can_change: bool
) -> tuple[datetime | None, datetime | None, datetime | None]:
    if limit is None:
        return None, None, None
    room = limit - found.values[-1]
    if room <= 0:
        return found.ends, found.ends, found.ends
    if not can_change:
        return None, None, None
    low, middle, high = _quantiles(walker.days(room, HORIZON_DAYS))
    return _moment(found.ends, low), _moment(found.ends, middle), _moment(found.ends, high)


def _ahead(
    walker: wk.Walker, value: float, weeks: Sequence[int]
) -> tuple[tuple[float, float, float], ...]:
    quantiles = (_quantiles(levels) for levels in walker.highest(weeks))
    return tuple((value + low, value + middle, value + high) for low, middle, high in quantiles)


def _recurring(
    increments: Sequence[float], split: Steps, at: Sequence[int], begin: int
) -> Iterator[wk.Recurring]:
    """Tell how steps come back. One step up does not; one step down, or two up, may."""
    days = [day for day in at if day >= begin]
    if not days:
        return
    sizes = tuple(increments[day] - split.usual[day] for day in days)
    share = _recurs(len(days), is_up=sizes[0] > 0)
    since = len(increments) - 1 - days[-1]
    gaps = tuple(b - a for a, b in pairwise(days))
    if share and len(days) > 2 and sizes[0] < 0:
        yield _purges(increments, split.usual, days, gaps, sizes, since)
    elif share:
        # a single one did not come back within the time before it, nor since
        length = len(increments) - begin
        shortest = max(days[0] - begin, since) + 1
        yield wk.Recurring(gaps or tuple(range(shortest, length + 1)), sizes, since, share)


def _a_day(increments: Sequence[float], split: Steps, at: Sequence[int], begin: int) -> float:
    """Return what recurring steps add to the pace."""
    days = [day for day in at if day >= begin]
    if len(days) < 2 or _recurs(len(days), is_up=increments[days[0]] > 0) < 1:
        return 0.0
    size = fmean(increments[day] - split.usual[day] for day in days)
    return size * (len(days) - 1) / (days[-1] - days[0])


def _recurs(count: int, *, is_up: bool) -> float:
    """Return in which share of the walks steps come back."""
    if count > 2 or (count == 2 and not is_up):
        return 1.0
    return 0.0 if count == 1 and is_up else _DOUBTFUL


def _purges(
    increments: Sequence[float],
    usual: Sequence[float],
    days: Sequence[int],
    gaps: tuple[int, ...],
    sizes: tuple[float, ...],
    since: int,
) -> wk.Recurring:
    """Whole cycles: a purge removes a share of what came since the one before, unless sizes vary less."""
    gains = [sum(increments[a + 1 : b]) + usual[b] for a, b in pairwise(days)]
    shares = tuple(size / gain for size, gain in zip(sizes[1:], gains, strict=True) if gain > 0)
    if len(shares) < len(gains) or _variation(shares) > _variation(sizes):
        return wk.Recurring(gaps, sizes, since)
    gained = sum(increments[days[-1] + 1 :])
    return wk.Recurring(gaps, shares, since, are_shares=True, gained=gained)


def _variation(values: Sequence[float]) -> float:
    return pstdev(values) / abs(fmean(values))


def _notes(found: dy.Days, increments: Sequence[float], split: Steps, begin: int) -> Iterator[str]:
    first = found.ends - len(increments) * _DAY
    if begin:
        yield f"the pace changed on {first + begin * _DAY:%Y-%m-%d}; days before do not count"
    for name, at in (("up", split.up), ("down", split.down)):
        days = [day for day in at if day >= begin]
        if len(days) == 1:
            moment = first + (days[0] + 1) * _DAY
            yield f"the step {name} on {moment:%Y-%m-%d} is not part of the pace"
        elif days:
            apart = (days[-1] - days[0]) / (len(days) - 1)
            often = f"{units.count(round(apart), 'day')} apart on average"
            yield f"{len(days)} steps {name}, {often}, are taken to recur"


def _quantiles(ordered: Sequence[float]) -> tuple[float, float, float]:
    low, middle, high = (ordered[min(int(q * len(ordered)), len(ordered) - 1)] for q in _QUANTILES)
    return low, middle, high


def _moment(ends: datetime, days: float) -> datetime | None:
    return ends + days * _DAY if math.isfinite(days) else None
