"""What a change did to queries: those that it should speed up, against those that do not touch the table.

The unit of proof is the interval between two runs, not the call: calls of one interval are not independent.
Blocks a call come first, because they hardly depend on what else the server does, then time, from which is taken
what queries that do not touch the table became slower or faster in the same interval. The interval in which the
change was made, and the first one after it, when caches are cold, are left out.

docs/closed-loop.md tells how often this is right.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import lru_cache
from statistics import median

from pgwatch_wed.facts.advice_words import AdviceOutcome
from pgwatch_wed.units import count


@dataclass(frozen=True, slots=True)
class Work:
    """What one statement did in one interval."""

    calls: int
    blocks: float
    ms: float


# of a statement, by the number of the interval
Doings = Mapping[int, Work]


@dataclass(frozen=True, slots=True)
class ObservedWork:
    """Statements by what they have to do with the change.

    ``treated`` should become faster; ``others`` read the same table and ``writers`` change its rows;
    ``controls`` do not touch it. All are keyed by the statement.
    """

    treated: Mapping[int, Doings]
    controls: Mapping[int, Doings]
    others: Mapping[int, Doings] = field(default_factory=dict)
    writers: Mapping[int, Doings] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EffectLimits:
    """What is needed to tell, and what counts."""

    least_before: int = 6
    least_after: int = 3
    least_calls: int = 30
    # a ratio nearer to 1 is none
    least_ratio: float = 1.1
    # the probability of such an order of intervals by chance
    chance: float = 0.02
    # the same, of times where blocks are the proof
    chance_beside_blocks: float = 0.1
    # a shift must be this many times the usual deviation of an interval,
    deviations: float = 2.0
    # and this many, with a ratio of at least the second, if only time changed, and not blocks
    deviations_of_time: float = 3.0
    least_ratio_of_time: float = 1.25
    # which is at least this
    least_deviation: float = 0.05
    # time lost by others that is not worth mentioning
    least_lost_ms_per_day: float = 10_000
    most_intervals: int = 60
    least_controls: int = 3


@dataclass(frozen=True, slots=True)
class GroupShift:
    """How a group of statements changed: ``ratio`` is after / before; 1 if nothing can be said of it.

    ``direction`` is 1 if it certainly rose, -1 if it certainly fell, and 0 otherwise. ``is_in_order``: the ranks of the intervals
    say the same, however much they vary, with a probability that is enough beside other proof.
    """

    ratio: float
    direction: int
    is_in_order: bool = False


@dataclass(frozen=True, slots=True)
class Harm:
    """A statement, or all that write the table (None), that became slower."""

    statement: int | None
    ratio: float
    ms_per_day: float


@dataclass(frozen=True, slots=True)
class Effect:
    """What was measured; ratios are after / before, and None if they are not known.

    ``ready_at`` is when it can be told, if it is too early and that can be foreseen.
    """

    outcome: AdviceOutcome
    detail: str = ""
    blocks_ratio: float | None = None
    time_ratio: float | None = None
    saved_ms_per_day: float | None = None
    saved_blocks_per_day: float | None = None
    lost_ms_per_day: float | None = None
    harms: tuple[Harm, ...] = ()
    intervals_before: int = 0
    intervals_after: int = 0
    calls_before: int = 0
    calls_after: int = 0
    controls: int = 0
    ready_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ChangeTimes:
    """The intervals, oldest first, and when the change was made: after ``absent_at``, no later than ``there_at``."""

    intervals: Sequence[tuple[datetime, datetime]]
    absent_at: datetime
    there_at: datetime


def measure(times: ChangeTimes, seen: ObservedWork, limits: EffectLimits | None = None) -> Effect:
    """Return what a change did."""
    return _Trial(times, seen, limits or EffectLimits()).effect()


class _Trial:
    """One change with all that is needed to judge it."""

    def __init__(self, times: ChangeTimes, seen: ObservedWork, limits: EffectLimits) -> None:
        self._times, self._seen, self._limits = times, seen, limits
        numbered = list(enumerate(times.intervals))
        self._before = [n for n, (_, ended) in numbered if ended <= times.absent_at]
        after = [n for n, (began, _) in numbered if began >= times.there_at]
        # the first one has cold caches
        self._after = [n for n in after[1:] if _ran(seen.treated, n)][: limits.most_intervals]
        self._before = [n for n in self._before if _ran(seen.treated, n)]
        self._before = self._comparable()[-limits.most_intervals :]
        self._slowdown = self._common(lambda w: w.ms)

    def _comparable(self) -> list[int]:
        """Return the intervals before the change of the same hours of the day, if there are enough."""
        spans = self._times.intervals
        hours = {_middle(spans[n]).hour for n in self._after}
        if not hours or any(spans[n][1] - spans[n][0] > _HALF_A_DAY for n in self._after):
            return self._before
        same = [
            n for n in self._before if any(_apart(_middle(spans[n]).hour, h) <= 2 for h in hours)
        ]
        return same if len(same) >= self._limits.least_before else self._before

    # What is said

    def effect(self) -> Effect:
        """Return the outcome."""
        calls = [
            sum(_calls(self._seen.treated, n) for n in ns) for ns in (self._before, self._after)
        ]
        known = Effect(
            AdviceOutcome.UNCLEAR,
            intervals_before=len(self._before),
            intervals_after=len(self._after),
            calls_before=calls[0],
            calls_after=calls[1],
            controls=len(self._controls()),
        )
        lacking = self._lacking(*calls)
        if lacking is not None:
            outcome, detail, ready = lacking
            return replace(known, outcome=outcome, detail=detail, ready_at=ready)
        return self._judged(known)

    def _judged(self, known: Effect) -> Effect:
        blocks, time = self._shifts(self._seen.treated)
        saved = self._saved(lambda w: w.ms, self._slowdown)
        harms = self._harms()
        lost = sum(h.ms_per_day for h in harms)
        outcome, detail = self._outcome(blocks, time, saved, lost)
        if outcome is AdviceOutcome.HELPED and lost + self._may_lose() >= saved:
            outcome, detail = AdviceOutcome.UNCLEAR, _WRITES_UNTOLD
        return replace(
            known,
            outcome=outcome,
            detail=detail,
            blocks_ratio=round(blocks.ratio, 4),
            time_ratio=round(time.ratio, 4),
            saved_ms_per_day=round(saved, 1),
            saved_blocks_per_day=round(self._saved(lambda w: w.blocks, None), 1),
            lost_ms_per_day=round(lost, 1) if harms else 0.0,
            harms=harms,
        )

    def _outcome(
        self, blocks: GroupShift, time: GroupShift, saved: float, lost: float
    ) -> tuple[AdviceOutcome, str]:
        has_controls = len(self._controls()) >= self._limits.least_controls
        if lost and lost >= saved:
            return AdviceOutcome.HARMED, "other statements on the table lost more than these gained"
        is_loss = -saved >= self._limits.least_lost_ms_per_day
        if is_loss and (time.direction > 0 and (has_controls or blocks.direction > 0)):
            return AdviceOutcome.HARMED, "the statements themselves became slower"
        if blocks.direction < 0 and saved > 0:
            return AdviceOutcome.HELPED, ""
        if time.direction < 0 and has_controls and blocks.direction <= 0:
            return AdviceOutcome.HELPED, "" if blocks.direction else "in time, not in blocks"
        if not has_controls and not blocks.direction:
            return (
                (
                    AdviceOutcome.UNCLEAR,
                    "too few statements that do not touch the table ran, so that time proves nothing",
                )
                if abs(math.log(time.ratio)) > math.log(self._limits.least_ratio)
                else _NONE
            )
        if abs(math.log(blocks.ratio)) < math.log(self._limits.least_ratio) and not time.direction:
            return _NONE
        return AdviceOutcome.UNCLEAR, "the intervals differ too much from each other"

    def _lacking(
        self, calls_before: int, calls_after: int
    ) -> tuple[AdviceOutcome, str, datetime | None] | None:
        limits = self._limits
        if len(self._before) < limits.least_before or calls_before < limits.least_calls:
            return (
                AdviceOutcome.UNCLEAR,
                _few(len(self._before), calls_before, limits),
                None,
            )
        if self._has_stopped():
            return (
                AdviceOutcome.UNCLEAR,
                "the statements have not run since it was applied",
                None,
            )
        if len(self._after) < limits.least_after or calls_after < limits.least_calls:
            ready = self._ready_at(calls_after)
            return AdviceOutcome.TOO_EARLY, "", ready
        return None

    def _has_stopped(self) -> bool:
        """Tell whether enough time has passed, and they did not run at all."""
        after = [
            n for n, span in enumerate(self._times.intervals) if span[0] >= self._times.there_at
        ]
        is_late = len(after) > self._limits.least_after
        return is_late and not any(_ran(self._seen.treated, n) for n in after)

    def _ready_at(self, calls_after: int) -> datetime | None:
        """Return when enough intervals and calls will be known if all goes on as before."""
        spans = self._times.intervals
        if not spans:
            return None
        length = timedelta(seconds=median((e - b).total_seconds() for b, e in spans))
        since = [n for n, (began, _) in enumerate(spans) if began >= self._times.there_at]
        skipped = 0 if since else 1
        needed = self._limits.least_after - len(self._after) + skipped
        rates = [_calls(self._seen.treated, n) for n in (self._after or self._before)]
        rate = sum(rates) / len(rates) if rates else 0.0
        if rate <= 0:
            return None
        by_calls = math.ceil((self._limits.least_calls - calls_after) / rate) + skipped
        return spans[-1][1] + length * max(needed, by_calls, 1)

    # How it is found

    def _shifts(self, group: Mapping[int, Doings]) -> tuple[GroupShift, GroupShift]:
        """Return by how much a group did more for each call, in blocks and in time, compared with its own past.

        Where the table grows, time grows with the blocks. Time alone has to differ more than both do.
        """
        limits = self._limits
        blocks = self._logarithms(group, lambda w: w.blocks, {})
        time = self._logarithms(group, lambda w: w.ms, self._slowdown)
        if not blocks or not time:
            return _STILL, _STILL
        trend = _trend(blocks[0])
        in_blocks = _shifted(*blocks, trend, limits)
        slope = _trend(time[0]) or trend
        in_time = _shifted(*time, slope, limits)
        if in_time.direction and in_time.direction != in_blocks.direction:
            deviations, ratio = limits.deviations_of_time, limits.least_ratio_of_time
            stricter = replace(limits, deviations=deviations, least_ratio=ratio)
            in_time = _shifted(*time, slope, stricter)
        return in_blocks, in_time

    def _logarithms(
        self,
        group: Mapping[int, Doings],
        amount: Callable[[Work], float],
        common: Mapping[int, float],
    ) -> tuple[dict[int, float], dict[int, float]] | None:
        """Return what a group did for each call, before and after, as logarithms; None if it is too little."""
        ratios = self._ratios(group, amount)
        each = {n: math.log(r / common.get(n, 1.0)) for n, r in ratios.items()}
        before = {n: each[n] for n in self._before if n in each}
        after = {n: each[n] for n in self._after if n in each}
        is_enough = (
            len(before) >= self._limits.least_before and len(after) >= self._limits.least_after
        )
        return (before, after) if is_enough else None

    def _ratios(
        self, group: Mapping[int, Doings], amount: Callable[[Work], float]
    ) -> dict[int, float]:
        """Return, by interval, what a group did, relative to what its calls did before the change."""
        usual = self._usual(group, amount)
        found: dict[int, float] = {}
        for n in (*self._before, *self._after):
            here = [(s, works[n]) for s, works in group.items() if n in works and s in usual]
            expected = sum(w.calls * usual[s] for s, w in here)
            actual = sum(amount(w) for _, w in here)
            if expected > 0 and actual > 0:
                found[n] = actual / expected
        return found

    def _usual(
        self, group: Mapping[int, Doings], amount: Callable[[Work], float]
    ) -> dict[int, float]:
        """Return what a call of each statement did before the change."""
        found: dict[int, float] = {}
        for statement, works in group.items():
            each = [amount(works[n]) / works[n].calls for n in self._before if _has(works, n)]
            if len(each) >= self._limits.least_before / 2 and median(each) > 0:
                found[statement] = median(each)
        return found

    def _controls(self) -> dict[int, Doings]:
        """Return the controls that ran in most of the intervals on both sides."""
        return {
            s: works
            for s, works in self._seen.controls.items()
            if all(
                2 * sum(_has(works, n) for n in ns) > len(ns) for ns in (self._before, self._after)
            )
        }

    def _common(self, amount: Callable[[Work], float]) -> dict[int, float]:
        """Return, by interval, how much slower the controls were than usual: the median of them."""
        controls = self._controls()
        usual = self._usual(controls, amount)
        found: dict[int, float] = {}
        for n in (*self._before, *self._after):
            each = [
                amount(works[n]) / works[n].calls / usual[s]
                for s, works in controls.items()
                if s in usual and _has(works, n) and amount(works[n]) > 0
            ]
            found[n] = median(each) if len(each) >= self._limits.least_controls else 1.0
        return found

    def _saved(self, amount: Callable[[Work], float], common: Mapping[int, float] | None) -> float:
        """Return what is saved a day: what the calls would have taken before, less what they took."""
        usual = self._usual(self._seen.treated, amount)
        total = 0.0
        for n in self._after:
            for statement, works in self._seen.treated.items():
                if statement in usual and _has(works, n):
                    factor = common.get(n, 1.0) if common is not None else 1.0
                    total += works[n].calls * usual[statement] * factor - amount(works[n])
        return self._per_day(total)

    def _per_day(self, amount: float) -> float:
        spans = (self._times.intervals[n] for n in self._after)
        seconds = sum((ended - began).total_seconds() for began, ended in spans)
        return amount * _DAY_S / seconds if seconds else 0.0

    # Harm

    def _harms(self) -> tuple[Harm, ...]:
        """Return what became slower: all that write the table together, and others one by one."""
        if len(self._controls()) < self._limits.least_controls:
            return ()
        found = []
        writers = self._harm(None, self._seen.writers)
        if writers is not None:
            found.append(writers)
        each = {s: self._harm(s, {s: works}) for s, works in self._seen.others.items()}
        known = [h for h in each.values() if h is not None]
        # the more statements, the more of them are slower by chance
        least = _least_chance(len(self._before), len(self._after))
        if known and least * len(self._seen.others) <= max(0.05, self._limits.chance) * len(known):
            found.extend(known)
        else:
            together = self._harm(None, self._seen.others)
            found.extend([together] if together is not None else [])
        return tuple(sorted(found, key=lambda h: -h.ms_per_day))

    def _harm(self, statement: int | None, group: Mapping[int, Doings]) -> Harm | None:
        blocks, shift = self._shifts(group)
        # calls that certainly read more do more work: times need not be as steady as elsewhere
        does_more = blocks.direction > 0 and shift.is_in_order
        is_slower = does_more and shift.ratio >= self._limits.least_ratio
        if shift.direction <= 0 and not is_slower:
            return None
        lost = self._lost(group, shift)
        if lost < self._limits.least_lost_ms_per_day:
            return None
        return Harm(statement, round(shift.ratio, 4), round(lost, 1))

    def _may_lose(self) -> float:
        """Return what writes may lose a day: they certainly read more blocks, but their times vary too much to tell."""
        writers = self._seen.writers
        blocks, shift = self._shifts(writers)
        is_untold = blocks.direction > 0 and not shift.is_in_order
        is_longer = shift.ratio >= self._limits.least_ratio
        return self._lost(writers, shift) if is_untold and is_longer else 0.0

    def _lost(self, group: Mapping[int, Doings], shift: GroupShift) -> float:
        spent = sum(works[n].ms for works in group.values() for n in self._after if n in works)
        return self._per_day(spent * (1 - 1 / shift.ratio))


def _few(intervals: int, calls: int, limits: EffectLimits) -> str:
    return (
        f"{count(intervals, 'interval')} with {count(calls, 'call')} of the statements are known from before it was "
        f"applied; {limits.least_before} with {limits.least_calls} calls are needed"
    )


_NONE = (AdviceOutcome.NO_EFFECT, "")
_WRITES_UNTOLD = "calls that write the table read more blocks, but how long they take differs too much between the intervals"
_DAY_S = 86_400
_HALF_A_DAY = timedelta(hours=12)


def _ran(group: Mapping[int, Doings], n: int) -> bool:
    return any(_has(works, n) for works in group.values())


def _has(works: Doings, n: int) -> bool:
    return n in works and works[n].calls > 0


def _calls(group: Mapping[int, Doings], n: int) -> int:
    return sum(works[n].calls for works in group.values() if n in works)


def _middle(span: tuple[datetime, datetime]) -> datetime:
    return span[0] + (span[1] - span[0]) / 2


def _apart(one: int, other: int) -> int:
    return min((one - other) % 24, (other - one) % 24)


# Statistics of a few numbers


_STILL = GroupShift(1.0, 0)


def _shifted(
    before: Mapping[int, float], after: Mapping[int, float], slope: float, limits: EffectLimits
) -> GroupShift:
    """Return the shift between two periods, of logarithms; what only continues a trend is none."""
    plain = median(after.values()) - median(before.values())
    origin = median(v - slope * n for n, v in before.items())
    continued = median(v - (origin + slope * n) for n, v in after.items())
    # the one that claims less
    shift = min((plain, continued), key=abs) if plain * continued > 0 else 0.0
    deviation = max(_spread(before, slope), _spread(after, 0.0), limits.least_deviation)
    is_large = abs(shift) > max(math.log(limits.least_ratio), limits.deviations * deviation)
    ordered = _chance(list(before.values()), list(after.values()), rises=shift > 0)
    is_certain = is_large and ordered <= limits.chance
    direction = (1 if shift > 0 else -1) if is_certain else 0
    return GroupShift(math.exp(shift), direction, ordered <= limits.chance_beside_blocks)


def _trend(values: Mapping[int, float]) -> float:
    """Return the slope of a line through the values: the median of all (Theil and Sen).

    It is 0 unless most pairs agree with it: noise is not continued.
    """
    points = sorted(values.items())
    slopes = [(b - a) / (m - n) for i, (n, a) in enumerate(points) for m, b in points[i + 1 :]]
    slope = median(slopes) if slopes else 0.0
    agreeing = sum(s * slope > 0 for s in slopes)
    return slope if slopes and agreeing >= _AGREE * len(slopes) else 0.0


_AGREE = 0.8


def _spread(values: Mapping[int, float], slope: float) -> float:
    level = [v - slope * n for n, v in values.items()]
    middle = median(level)
    return 1.4826 * median(abs(v - middle) for v in level)


def _chance(before: Sequence[float], after: Sequence[float], *, rises: bool) -> float:
    """Return the probability that so many pairs are in this order by chance (Mann and Whitney)."""
    sign = 1 if rises else -1
    wrong = sum(sign * a <= sign * b for a in after for b in before)
    ways = _ways(len(before), len(after))
    return sum(ways[: wrong + 1]) / sum(ways)


def _least_chance(before: int, after: int) -> float:
    return 1 / math.comb(before + after, after) if before and after else 1.0


@lru_cache(maxsize=256)
def _ways(m: int, n: int) -> tuple[int, ...]:
    """Return how many orders of two samples have 0, 1, 2, … pairs in the wrong order: Gauss's polynomial."""
    counts = [1] + [0] * (m * n)
    for k in range(1, n + 1):
        counts = _times(counts, m + k)
        counts = _divided(counts, k)
    return tuple(counts)


def _times(counts: list[int], step: int) -> list[int]:
    return [c - (counts[i - step] if i >= step else 0) for i, c in enumerate(counts)]


def _divided(counts: list[int], step: int) -> list[int]:
    found = counts[:]
    for i in range(step, len(found)):
        found[i] += found[i - step]
    return found
