"""Possible futures of a series: walks made of blocks of its past, and the days on which they reach a limit.

Growth is a random walk, so the confidence interval of a slope says nothing about the day. A walk is made in
two levels: a past is drawn from the blocks of the series, then a future from the blocks of that past. The
first is the uncertainty of the pace, the second that of the days to come. Blocks are whole weeks that end with
the series, so that a weekly rhythm goes on in step.
"""

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import merge
from itertools import accumulate, islice, pairwise
from statistics import fmean

BLOCK_DAYS = 7

_SEED = 80
_NORMAL_90 = 1.2816
# Student's t at 90% for 1, 2, … degrees of freedom; beyond, a series of Cornish and Fisher is exact enough.
_STUDENT_90 = (3.078, 1.886, 1.638, 1.533)
# Few days of a skewed distribution usually lack its largest values: the pace may be higher, not lower.
_SKEW = 3.0
_MOST_PERSISTENT = 0.8


@dataclass(frozen=True, slots=True)
class Recurring:
    """Steps that come back: how many days after the one before, and how large.

    ``since`` are the days that have passed since the last one. Only in ``share`` of the walks do they come back.
    ``are_shares``: sizes are shares of what was added since the step before, which now is ``gained``.
    """

    gaps: tuple[int, ...]
    sizes: tuple[float, ...]
    since: int
    share: float = 1.0
    are_shares: bool = False
    gained: float = 0.0


@dataclass(frozen=True, slots=True)
class _Block:
    """A week: the level after each day, relative to the beginning."""

    levels: tuple[float, ...]

    @property
    def total(self) -> float:
        return self.levels[-1]


@dataclass(frozen=True, slots=True)
class Walker:
    """What walks are made of: the increments of a series since its last change of pace, and its steps.

    The same series always gives the same walks. At least two whole blocks are required.
    """

    increments: Sequence[float]
    recurring: Sequence[Recurring] = ()
    count: int = 400

    def paces(self) -> tuple[float, ...]:
        """Return the pace of each walk a day, without steps, in order."""
        return tuple(sorted(pace for pace, _ in self._walks(0)))

    def days(self, room: float, horizon_days: int) -> tuple[float, ...]:
        """Return the day on which each walk uses up ``room``, in order; infinite if not within the horizon."""
        found = (_crossing(weeks, room, horizon_days) for _, weeks in self._walks(horizon_days))
        return tuple(sorted(found))

    def highest(self, weeks_ahead: Sequence[int]) -> tuple[tuple[float, ...], ...]:
        """Return for each number of weeks the highest level of each walk until then, in order."""
        horizon = max(weeks_ahead) * BLOCK_DAYS
        found = [_highest(weeks, weeks_ahead) for _, weeks in self._walks(horizon)]
        return tuple(tuple(sorted(levels)) for levels in zip(*found, strict=True))

    def _walks(self, horizon_days: int) -> Iterator[tuple[float, Iterator[list[float]]]]:
        chance = random.Random(_SEED)  # noqa: S311 - no secret: it must be repeatable
        blocks, lack = _blocks(self.increments), _lack(self.increments)
        for number in range(self.count):
            past = chance.choices(blocks, k=len(blocks))
            drift = lack * max(0.0, chance.gauss(0, 1))
            pace = fmean(b.total for b in past) / BLOCK_DAYS + drift
            place = (number + 0.5) / self.count
            coming = [_drawn(chance, r) for r in self.recurring if place < r.share]
            events = merge(*(_events(chance, each, horizon_days) for each in coming))
            gained = next((r.gained for r in coming if r.are_shares), 0.0)
            yield pace, _weeks(chance, past, drift, events, gained)


def _blocks(increments: Sequence[float]) -> list[_Block]:
    """Cut whole weeks from the end, and widen their differences: few weeks vary less than many do."""
    size, end = BLOCK_DAYS, len(increments)
    weeks = [increments[end - (k + 1) * size : end - k * size] for k in range(end // size)]
    wider = _wider(len(weeks)) * _persistence(increments)
    mean = fmean(map(sum, weeks))
    found = []
    for week in weeks:
        shift = (wider - 1) * (sum(week) - mean) / size
        level, levels = 0.0, []
        for increment in week:
            level += increment + shift
            levels.append(level)
        found.append(_Block(tuple(levels)))
    return found


def _wider(number: int) -> float:
    """Return by how much to widen differences of ``number`` samples, so that their spread is not understated."""
    return math.sqrt(number / (number - 1)) * _student(number - 1) / _NORMAL_90


def _persistence(increments: Sequence[float]) -> float:
    """Return by how much to widen weeks for bursts that last: one at the end of a week goes on in the next."""
    size = BLOCK_DAYS
    weekday = [fmean(increments[day::size]) for day in range(size)]
    rest = [x - weekday[i % size] for i, x in enumerate(increments)]
    squares = sum(x * x for x in rest)
    if not squares:
        return 1.0
    rho = sum(a * b for a, b in pairwise(rest)) / squares
    rho = min(max(rho, 0.0), _MOST_PERSISTENT)
    week = 1 + 2 * sum((1 - k / size) * rho**k for k in range(1, size))
    return math.sqrt((1 + rho) / (1 - rho) / week)


def _student(freedom: int) -> float:
    if freedom <= len(_STUDENT_90):
        return _STUDENT_90[freedom - 1]
    z, n = _NORMAL_90, freedom
    return z + (z**3 + z) / (4 * n) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * n * n)


def _lack(increments: Sequence[float]) -> float:
    """Return how much higher the pace may be, a day, for the largest increments that have not been seen."""
    count, mean = len(increments), fmean(increments)
    squares = fmean((x - mean) ** 2 for x in increments)
    if not squares:
        return 0.0
    cubes = fmean((x - mean) ** 3 for x in increments)
    return max(_SKEW * cubes / squares / count, 0.0)


def _drawn(chance: random.Random, seen: Recurring) -> Recurring:
    """Draw the steps of a past out of those that were seen."""
    gaps, sizes = _widened(seen.gaps), _widened(seen.sizes)
    return Recurring(
        tuple(max(round(g), 1) for g in chance.choices(gaps, k=len(gaps))),
        tuple(chance.choices(sizes, k=len(sizes))),
        seen.since,
        are_shares=seen.are_shares,
        gained=seen.gained,
    )


def _widened(values: Sequence[float]) -> list[float]:
    if len(values) < 2:
        return list(values)
    mean, wider = fmean(values), _wider(len(values))
    return [mean + wider * (x - mean) for x in values]


def _events(
    chance: random.Random, recurring: Recurring, horizon_days: int
) -> Iterator[tuple[int, float, bool]]:
    """Yield the days on which steps come back, from 1, with their sizes, and whether these are shares."""
    gap = chance.choice(recurring.gaps)
    # one that is overdue may come on any day
    day = gap - recurring.since if gap > recurring.since else chance.randint(1, gap)
    while day <= horizon_days:
        yield day, chance.choice(recurring.sizes), recurring.are_shares
        day += chance.choice(recurring.gaps)


def _weeks(
    chance: random.Random,
    past: Sequence[_Block],
    drift: float,
    events: Iterator[tuple[int, float, bool]],
    gained: float,
) -> Iterator[list[float]]:
    """Yield the levels of each day, week by week; ``gained`` is what was added since the last step down."""
    day, level, emptied = 0, 0.0, -gained
    event = next(events, None)
    while True:
        block, week = chance.choice(past), []
        for number, within in enumerate(block.levels, start=1):
            gain = within + drift * number
            while event is not None and event[0] <= day + number:
                size = event[1] * (level + gain - emptied) if event[2] else event[1]
                level += size
                emptied = level + gain if size < 0 else emptied
                event = next(events, None)
            week.append(level + gain)
        yield week
        level += block.total + drift * BLOCK_DAYS
        day += BLOCK_DAYS


def _crossing(weeks: Iterator[list[float]], room: float, horizon_days: int) -> float:
    """Return the first day on which ``room`` is used up."""
    for number, week in enumerate(islice(weeks, math.ceil(horizon_days / BLOCK_DAYS))):
        if max(week) >= room:
            first = next(i for i, level in enumerate(week, start=1) if level >= room)
            return number * BLOCK_DAYS + first
    return math.inf


def _highest(weeks: Iterator[list[float]], ahead: Sequence[int]) -> list[float]:
    """Return the highest level until the end of each of some numbers of weeks."""
    highest = list(accumulate((max(week) for week in islice(weeks, max(ahead))), max))
    return [highest[number - 1] for number in ahead]
