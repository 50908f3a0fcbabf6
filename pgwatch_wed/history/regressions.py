"""Which series rose, and whether that is more than they do anyway: statistics over intervals.

The unit of proof is the interval: calls within one are not independent of each other. What a series does by itself,
with its drift, rhythm and bursts, is measured by comparing parts of the base, as long as the current part, with the rest
of it. docs/regressions.md says how often the rule is right.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from statistics import median

from pgwatch_wed.history.hours import comparable
from pgwatch_wed.history.interval_units import CallUnit, Observed, is_other_mix, steadied, units
from pgwatch_wed.history.robust import MeasuredShift, TwoSamples, discoveries

SeriesKey = int | str


@dataclass(frozen=True, slots=True)
class Proof:
    """What is worth a report, and how much proof it takes."""

    min_calls: float = 30
    min_base: int = 8
    min_current: int = 3
    min_ratio: float = 1.25
    min_ms_per_day: float = 10_000
    min_load_share: float = 0.01
    false_alarms: float = 0.05


@dataclass(frozen=True, slots=True)
class Sides:
    """The intervals of one statement, in order of time."""

    base: tuple[Observed, ...]
    current: tuple[Observed, ...]


class Judged(StrEnum):
    """What was found out about a series."""

    REGRESSED = "regressed"
    STEADY = "steady"
    SMALL = "small"
    GROWN = "grown"
    MIXED = "mixed"
    COLD = "cold"
    SERVER = "server"
    BEFORE = "before"
    TOO_LITTLE = "too little"


@dataclass(frozen=True, slots=True)
class Shift:
    """A statement before and after; ``ratio`` is that of its time per call, less what the whole server did."""

    key: SeriesKey
    outcome: Judged
    grade: str = "C"
    ratio: float = 1.0
    p_value: float = 1.0
    ms_before: float = 0.0
    ms_after: float = 0.0
    extra_ms_per_day: float = 0.0
    load_share: float = 0.0
    base_units: int = 0
    current_units: int = 0
    base_calls: float = 0.0
    current_calls: float = 0.0
    blocks_ratio: float | None = None
    rows_ratio: float | None = None
    is_new_plan: bool = False
    temp_before: float = 0.0
    temp_after: float = 0.0


@dataclass(frozen=True, slots=True)
class Judgement:
    """All statements, and by how much the whole server became slower; None if that cannot be told."""

    shifts: tuple[Shift, ...]
    server_ratio: float | None
    is_server_slower: bool = False


SLOWDOWN_DOUBT = 0.3
"""How differently statements may respond to a slow-down of the server, relative to it."""
IN_STEP = 2.0
"""Time and rows per call grow in step if the time per row changed by less, or by little of what the time did."""
LEAST_RISE = 1.1
"""What rose by less is not called slower, even if it did so beyond what a few long calls explain."""
MIN_WITNESSES = 8
"""With fewer statements, nothing is known about the server as a whole."""
WITNESS_P = 0.05
"""How much less surprising the time may be if blocks per call rose as well."""


def judge(series: Mapping[SeriesKey, Sides], limits: Proof) -> Judgement:
    """Judge all statements of one database: together, since they share the server and the risk of a false alarm."""
    common = _Common.of(series)
    load = sum(i.exec_ms for s in series.values() for i in s.current)
    cases = {key: _Case.of(key, s, common, load, limits) for key, s in series.items()}
    tested = {key: case for key, case in cases.items() if case.time is not None}
    usual = median([c.time.own for c in tested.values() if c.time is not None]) if tested else 0.0
    p_values = {key: case.p_value(usual, common.doubt) for key, case in tested.items()}
    held = discoveries(p_values, limits.false_alarms)
    shifts = tuple(
        case.shift(p_values.get(key, 1.0), key in held, common.is_slower, limits)
        for key, case in cases.items()
    )
    return Judgement(shifts, common.ratio, common.is_slower)


@dataclass(frozen=True, slots=True)
class _Common:
    """What all statements did together, by the beginning of the interval: logarithms of slow-downs."""

    by_interval: Mapping[datetime, float]
    measured: MeasuredShift | None

    @classmethod
    def of(cls, series: Mapping[SeriesKey, Sides]) -> "_Common":
        found: dict[datetime, list[float]] = {}
        for s in series.values():
            times = {
                i.begins: math.log(i.exec_ms / i.calls) for i in (*s.base, *s.current) if _counts(i)
            }
            base = [times[i.begins] for i in s.base if i.begins in times]
            if len(base) >= 3:
                middle = median(base)
                for begins, time in times.items():
                    found.setdefault(begins, []).append(time - middle)
        common = {begins: median(v) for begins, v in found.items() if len(v) >= MIN_WITNESSES}
        base_begins = sorted({i.begins for s in series.values() for i in s.base} & common.keys())
        current_begins = sorted(
            {i.begins for s in series.values() for i in s.current} & common.keys()
        )
        if len(base_begins) < 4 or not current_begins:
            return cls({}, None)
        sample = TwoSamples([common[b] for b in base_begins], [common[b] for b in current_begins])
        return cls(common, MeasuredShift.of(sample))

    @property
    def doubt(self) -> float:
        return SLOWDOWN_DOUBT * abs(self.measured.shift) if self.measured else 0.0

    @property
    def ratio(self) -> float | None:
        return math.exp(self.measured.shift) if self.measured else None

    @property
    def is_slower(self) -> bool:
        m = self.measured
        return (
            m is not None
            and m.shift > math.log(1.3)
            and m.is_unseen
            and m.p_value(m.own, 0.0) < 0.01
        )


def _counts(interval: Observed) -> bool:
    return not interval.is_cold and interval.calls >= 5 and interval.exec_ms > 0


@dataclass(frozen=True, slots=True)
class _Case:
    """One statement, measured; ``time`` is None if it is not tested, and ``outcome`` says why.

    ``rise`` is that of the time per call, less what the whole server did; ``time`` is steadied as well.
    """

    key: SeriesKey
    series: Sides
    share: float
    outcome: Judged
    sample: TwoSamples | None = None
    time: MeasuredShift | None = None
    rise: float = 0.0
    raw_shift: float = 0.0
    blocks: MeasuredShift | None = None
    rows_shift: float | None = None
    grown: TwoSamples | None = None
    is_mix: bool = False

    @classmethod
    def of(
        cls, key: SeriesKey, series: Sides, common: _Common, load: float, limits: Proof
    ) -> "_Case":
        spent = sum(i.exec_ms for i in series.current)
        share = spent / load if load > 0 else 0.0
        after = _warm(series.current)
        warm = Sides(comparable(_warm(series.base), after), after)
        if spent / _days(series.current) < limits.min_ms_per_day or share < limits.min_load_share:
            return cls(key, warm, share, Judged.SMALL)
        if not warm.current and series.current:
            return cls(key, warm, share, Judged.COLD)
        timed = _paired(warm, "exec_ms", common.by_interval, limits)
        if timed is None:
            return cls(key, warm, share, Judged.TOO_LITTLE)
        sample = TwoSamples(*steadied(*timed))
        plain = _levels(timed)
        raw, blocks, rows = (
            _levels(_paired(warm, name, {}, limits)) for name in ("exec_ms", "blocks", "rows")
        )
        rise = plain.shift if plain else 0.0
        return cls(
            key,
            warm,
            share,
            Judged.STEADY,
            sample,
            MeasuredShift.of(sample),
            rise,
            raw.shift if raw else 0.0,
            MeasuredShift.of(blocks) if blocks else None,
            rows.shift if rows else None,
            _levels(_paired(_and_calls(warm), "rows", {}, limits)),
            is_other_mix(*timed, rise),
        )

    def p_value(self, usual: float, doubt: float) -> float:
        """Return how probable it is by chance, less if another measure says the same."""
        assert self.time is not None
        p = self.time.p_value(usual, doubt)
        return p * WITNESS_P if self.blocks_rose else p

    @property
    def blocks_rose(self) -> bool:
        """Tell whether blocks per call rose, too, more than they do anyway."""
        b = self.blocks
        return (
            b is not None
            and b.shift > math.log(1.2)
            and b.is_unseen
            and b.p_value(b.own, 0.0) < 0.01
        )

    @property
    def is_new_plan(self) -> bool:
        """Tell whether the generic plan is one that the base never had."""
        before = {i.plan for i in self.series.base} - {None}
        after = {i.plan for i in self.series.current} - {None}
        return bool(before and after) and not before & after

    @property
    def is_growth(self) -> bool:
        """Tell whether it returns or changes more rows per call, in step with the time."""
        # from none to many rows is growth, too
        rows = self.rows_shift or (self.grown.shift if self.grown else None)
        if self.time is None or rows is None:
            return False
        rest = self.rise - rows
        in_step = max(math.log(IN_STEP), 3 * self.time.own, self.rise / 4)
        return rest < self.rise / 2 and rest < in_step

    @property
    def least_rise(self) -> float:
        """By how much it rose at least: the lower of what is told with and without the variation of calls."""
        return min(self.rise, self.time.shift) if self.time else 0.0

    def shift(self, p_value: float, is_held: bool, is_server_slower: bool, limits: Proof) -> Shift:
        """Return the verdict."""
        before, after = self.series.base, self.series.current
        ratio = math.exp(self.least_rise)
        days = _days(after)
        return Shift(
            self.key,
            self._outcome(is_held, is_server_slower, limits),
            self._grade(),
            ratio,
            p_value,
            _per_call(before),
            _per_call(after),
            sum(i.exec_ms for i in after) * (1 - 1 / ratio) / days,
            self.share,
            len(self.sample.base) if self.sample else 0,
            len(self.sample.current) if self.sample else 0,
            sum(i.calls for i in before),
            sum(i.calls for i in after),
            math.exp(self.blocks.shift) if self.blocks else None,
            math.exp(self.rows_shift) if self.rows_shift is not None else None,
            self.is_new_plan,
            _per_call(before, "temp_blocks"),
            _per_call(after, "temp_blocks"),
        )

    def _grade(self) -> str:
        if not self.blocks_rose:
            return "C"
        return "A" if self.is_new_plan else "B"

    def _outcome(self, is_held: bool, is_server_slower: bool, limits: Proof) -> Judged:
        if self.time is None or self.sample is None:
            return self.outcome
        least = math.log(limits.min_ratio)
        is_large = self.time.shift >= least and self.rise >= math.log(LEAST_RISE)
        if not is_held or not is_large or not self.sample.is_consistent:
            return Judged.SERVER if is_server_slower and self.raw_shift >= least else Judged.STEADY
        if not self.time.is_unseen:
            return Judged.BEFORE
        if self.is_growth:
            return Judged.GROWN
        if self.is_mix and not self.is_new_plan:
            return Judged.MIXED
        return Judged.REGRESSED


def _warm(intervals: Iterable[Observed]) -> tuple[Observed, ...]:
    return tuple(i for i in intervals if not i.is_cold and i.calls > 0)


def _days(intervals: Sequence[Observed]) -> float:
    seconds = sum((i.ends - i.begins).total_seconds() for i in intervals)
    return max(seconds, 1.0) / 86_400


def _per_call(intervals: Sequence[Observed], name: str = "exec_ms") -> float:
    calls = sum(i.calls for i in intervals)
    return sum(getattr(i, name) or 0.0 for i in intervals) / calls if calls else 0.0


def _paired(
    series: Sides, name: str, common: Mapping[datetime, float], limits: Proof
) -> tuple[list[CallUnit], list[CallUnit]] | None:
    """Return the units of both sides, if there are enough."""
    least = limits.min_calls / limits.min_current
    base = units(series.base, name, common, least)
    current = units(series.current, name, common, least)
    if len(base) < limits.min_base or len(current) < limits.min_current:
        return None
    return base, current


def _and_calls(series: Sides) -> Sides:
    """Return the intervals with a row more for each call, so that there is a logarithm."""

    def more(side: Sequence[Observed]) -> tuple[Observed, ...]:
        return tuple(i if i.rows is None else replace(i, rows=i.rows + i.calls) for i in side)

    return Sides(more(series.base), more(series.current))


def _levels(pair: tuple[list[CallUnit], list[CallUnit]] | None) -> TwoSamples | None:
    return TwoSamples(*([u.level for u in side] for side in pair)) if pair is not None else None
