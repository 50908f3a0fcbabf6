"""Which amounts per day rose: rows that tables write and read, WAL, connections. The statistics are those of statements."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from pgwatch_wed.history.hours import comparable
from pgwatch_wed.history.regressions import Proof, SeriesKey
from pgwatch_wed.history.robust import MeasuredShift, TwoSamples, discoveries
from pgwatch_wed.postgres.pace import DAY_S


@dataclass(frozen=True, slots=True)
class RateInterval:
    """An amount in an interval, as a rate per day, or a number at its end."""

    begins: datetime
    ends: datetime
    value: float


@dataclass(frozen=True, slots=True)
class LevelSides:
    """The intervals before and now. A level, or a rise, below ``least`` does not matter."""

    base: Sequence[RateInterval]
    current: Sequence[RateInterval]
    least: float


@dataclass(frozen=True, slots=True)
class RisenLevel:
    """A series that rose; ``before`` and ``after`` are its means."""

    key: SeriesKey
    ratio: float
    p_value: float
    before: float
    after: float
    base_units: int
    current_units: int
    base_begins: datetime
    current_begins: datetime


def risen(
    series: Mapping[SeriesKey, LevelSides], proof: Proof, min_ratio: float
) -> tuple[RisenLevel, ...]:
    """Return the series that rose by at least a factor, and more than they do anyway."""
    samples = {key: s for key, sides in series.items() if (s := _sample(sides, proof)) is not None}
    measured = {key: MeasuredShift.of(s) for key, s in samples.items()}
    # amounts have nothing in common: how much each one varies, it must show itself
    p_values = {key: m.p_value(None) for key, m in measured.items()}
    held = discoveries(p_values, proof.false_alarms)
    found = (
        _risen(key, series[key], samples[key], p_values[key]) for key in p_values if key in held
    )
    return tuple(
        r
        for r in found
        if r.ratio >= min_ratio
        and r.after - r.before >= series[r.key].least
        and measured[r.key].is_unseen
        and samples[r.key].is_consistent
    )


def _sample(sides: LevelSides, proof: Proof) -> TwoSamples | None:
    base = comparable(sides.base, sides.current)
    if len(base) < proof.min_base or len(sides.current) < proof.min_current:
        return None
    # so that from nothing to little is no rise
    some = sides.least / 10
    return TwoSamples(
        [math.log(max(i.value, 0) + some) for i in base],
        [math.log(max(i.value, 0) + some) for i in sides.current],
    )


def _risen(key: SeriesKey, sides: LevelSides, sample: TwoSamples, p_value: float) -> RisenLevel:
    return RisenLevel(
        key,
        math.exp(sample.shift),
        p_value,
        _mean(comparable(sides.base, sides.current)),
        _mean(sides.current),
        len(sample.base),
        len(sample.current),
        sides.base[0].begins,
        sides.current[0].begins,
    )


def _mean(levels: Sequence[RateInterval]) -> float:
    return sum(i.value for i in levels) / len(levels)


def per_day(amount: float, begins: datetime, ends: datetime) -> float:
    """Return an amount of an interval per day."""
    return amount * DAY_S / max((ends - begins).total_seconds(), 1e-3)
