"""Compare unchanged workloads with themselves, and with one statement that was slowed down on purpose."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from statistics import median

from pgwatch_wed.history.interval_units import Observed
from pgwatch_wed.history.regressions import Judged, Proof, SeriesKey, Sides, judge
from tests.bench.regressions.recording import Recording

BEGINS = datetime(2026, 1, 5, tzinfo=UTC)
FACTORS = (1.3, 1.5, 2.0, 3.0)

Workload = Mapping[SeriesKey, Sequence[Observed]]


def workload(recording: Recording, seconds: float | None = None) -> Workload:
    """Return a recording as intervals; ``seconds`` is how long one of them shall have taken, at the same load."""
    length = timedelta(seconds=seconds or recording.seconds)
    stretch = length.total_seconds() / recording.seconds
    return {
        key: [
            Observed(
                BEGINS + n * length,
                BEGINS + (n + 1) * length,
                calls,
                us / 1000 * stretch,
                rows=float(rows),
                blocks=float(blocks),
            )
            for n, (calls, us, rows, blocks) in enumerate(
                zip(s["calls"], s["exec_us"], s["rows"], s["blocks"], strict=True)
            )
        ]
        for key, s in recording.series.items()
    }


def comparisons(w: Workload, base: int, current: int) -> Iterator[dict[SeriesKey, Sides]]:
    """Yield comparisons that share no interval."""
    length = min(map(len, w.values()))
    for n in range(0, length - base - current + 1, base + current):
        yield {
            key: Sides(tuple(s[n : n + base]), tuple(s[n + base : n + base + current]))
            for key, s in w.items()
        }


@dataclass
class Tally:
    """What was counted."""

    comparisons: int = 0
    with_alarm: int = 0
    false: int = 0
    tested: int = 0
    silent: int = 0
    planted: dict[float, int] = field(default_factory=dict)
    found: dict[float, int] = field(default_factory=dict)

    def __str__(self) -> str:
        """Return one line."""
        power = "  ".join(
            f"{f}x {self.found.get(f, 0)}/{n}={self.found.get(f, 0) / max(n, 1):.0%}"
            for f, n in self.planted.items()
        )
        return f"alarms in {self.with_alarm}/{self.comparisons} ({self.false} of {self.tested}, {self.silent} with too few calls)  {power}"


def rule(series: Mapping[SeriesKey, Sides]) -> set[SeriesKey]:
    """Return what the rule reports."""
    return {s.key for s in judge(series, Proof()).shifts if s.outcome is Judged.REGRESSED}


def mean_doubled(series: Mapping[SeriesKey, Sides]) -> set[SeriesKey]:
    """Return what a mean above twice the former one reports."""
    return _risen(series, 2)


def mean_risen(series: Mapping[SeriesKey, Sides]) -> set[SeriesKey]:
    """Return what a mean above 1.25 times the former one reports."""
    return _risen(series, 1.25)


def _risen(series: Mapping[SeriesKey, Sides], times: float) -> set[SeriesKey]:
    means = {k: (_mean(series[k].base), _mean(series[k].current)) for k in above_floor(series)}
    return {k for k, (before, after) in means.items() if after > times * before > 0}


def first_rule(series: Mapping[SeriesKey, Sides]) -> set[SeriesKey]:
    """Return what the rule reports that this one began from: full separation, 1.3 times, 3 MAD."""
    slow = _slow_down(series)
    return {k for k in above_floor(series) if _separates(series[k], slow)}


def is_called(series: Sides) -> bool:
    """Tell whether a statement has enough calls, in enough intervals, for the rule to say anything."""
    seen = ([i.calls for i in s] for s in (series.base, series.current))
    before, after = (sum(min(c, 10) for c in s) for s in seen)
    return before >= 80 and after >= 30


def above_floor(series: Mapping[SeriesKey, Sides]) -> set[SeriesKey]:
    """Return the statements with 1% of the load and 10 seconds a day."""
    spent = {k: sum(i.exec_ms for i in s.current) for k, s in series.items()}
    some = next(iter(series.values())).current
    days = (some[-1].ends - some[0].begins) / timedelta(days=1)
    least = max(0.01 * sum(spent.values()), 10_000 * days)
    return {k for k, ms in spent.items() if ms >= least}


def _slow_down(series: Mapping[SeriesKey, Sides]) -> float:
    ratios = [
        _mean(s.current) / _mean(s.base)
        for s in series.values()
        if _mean(s.base) > 0 and _mean(s.current) > 0
    ]
    return median(ratios)


def _separates(s: Sides, slow: float) -> bool:
    before = [i.exec_ms / i.calls for i in s.base if i.calls]
    after = [i.exec_ms / i.calls / slow for i in s.current if i.calls]
    if (
        len(after) < 3
        or len(before) < 8
        or min(sum(i.calls for i in x) for x in (s.base, s.current)) < 30
    ):
        return False
    middle = median(before)
    mad = max(median(abs(b - middle) for b in before), 0.05 * middle)
    return (
        min(after) > max(before)
        and median(after) > 1.3 * middle
        and median(after) - middle > 3 * mad
    )


def _mean(intervals: Sequence[Observed]) -> float:
    calls = sum(i.calls for i in intervals)
    return sum(i.exec_ms for i in intervals) / calls if calls else 0.0


RULES = {
    "this rule": rule,
    "mean > 2x": mean_doubled,
    "mean > 1.25x": mean_risen,
    "first rule": first_rule,
}


def run(
    compared: Sequence[dict[SeriesKey, Sides]],
    name: str,
    every: int = 1,
    *,
    with_blocks: bool = False,
) -> Tally:
    """Count false alarms, and what is found of statements above the floor that are slowed down one at a time.

    ``with_blocks``: they read as many times the blocks, as after a change of the plan.
    """
    tally = Tally(planted=dict.fromkeys(FACTORS, 0))
    for series in compared:
        alarms, above = RULES[name](series), above_floor(series)
        tally.comparisons += 1
        tally.with_alarm += bool(alarms)
        tally.false += len(alarms)
        tally.tested += len(above)
        enough = {k for k in above if is_called(series[k])}
        tally.silent += len(above - enough)
        for n, key in enumerate(sorted(enough, key=str)):
            if n % every == 0:
                for factor in FACTORS:
                    planted = {
                        **series,
                        key: slowed(series[key], factor, factor if with_blocks else 1),
                    }
                    tally.planted[factor] += 1
                    found = key in RULES[name](planted)
                    tally.found[factor] = tally.found.get(factor, 0) + found
    return tally


def slowed(s: Sides, factor: float, blocks: float = 1) -> Sides:
    """Return a series whose current calls took longer, and read more."""
    return Sides(s.base, tuple(_slowed(i, factor, blocks) for i in s.current))


def _slowed(i: Observed, factor: float, blocks: float) -> Observed:
    return replace(
        i,
        exec_ms=i.exec_ms * factor,
        deviation_ms=None if i.deviation_ms is None else i.deviation_ms * factor,
        blocks=None if i.blocks is None else i.blocks * blocks,
    )
