"""Whether interleaved blocks show that one side is slower: only beyond a margin, and above what identical blocks differ by."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from pgwatch_wed import units
from pgwatch_wed.load.compare.interleaved import InterleavedPair, identical_neighbors
from pgwatch_wed.load.load_model import Block, Proven
from pgwatch_wed.load.statistics.block_noise import MARGIN, detectable_effect, noise_floor
from pgwatch_wed.load.statistics.pair_verdict import PairVerdict
from pgwatch_wed.load.statistics.signed_rank import least_pairs
from pgwatch_wed.load.stress_report import ComparedAs, ComparedMetric

ALPHA = 0.05
# What others do on the machine meets both sides, and is part of the noise that is measured.
_TOLERATED = frozenset({"cpu-pressure", "steal", "littles-law", "sampler-gaps"})


@dataclass(frozen=True, slots=True)
class TimeMetric:
    """A time of a block, or its throughput, of which more is better."""

    name: str
    of: Callable[[Block], float | None]
    more_is_better: bool = False

    def shown(self, value: float) -> str:
        """Print a value."""
        return f"{units.short(value)}/s" if self.more_is_better else units.duration(value)


OPEN_LOOP = (
    TimeMetric("p50", lambda block: block.spent.latency.percentile(50)),
    TimeMetric("p95", lambda block: block.spent.latency.percentile(95)),
)
CLOSED_LOOP = (TimeMetric("throughput", lambda block: block.tps, more_is_better=True),)


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeShift:
    """What the pairs show of a metric; ``verdict`` is None, and ``doubt`` says why, if it cannot be told."""

    scenario: str
    metric: TimeMetric
    verdict: PairVerdict | None = None
    before: float | None = None
    after: float | None = None
    floor: float = 0.0
    doubt: str = ""


def time_shifts(scenario: str, pairs: Sequence[InterleavedPair]) -> list[TimeShift]:
    """Compare the times of pairs."""
    is_open = all(p.base.order.is_open for p in pairs)
    return [_shift(scenario, metric, pairs) for metric in (OPEN_LOOP if is_open else CLOSED_LOOP)]


def compared_time(shift: TimeShift, p_value: float, tests: int) -> ComparedMetric:
    """Decide on a metric by its p value, corrected for so many tests."""
    verdict = shift.verdict
    result, reason = (
        (ComparedAs.UNKNOWN, shift.doubt)
        if verdict is None
        else _result(shift, verdict, p_value, tests)
    )
    return ComparedMetric(
        scenario=shift.scenario,
        metric=shift.metric.name,
        is_work=False,
        before=shift.before,
        after=shift.after,
        ratio=verdict.effect if verdict else None,
        interval=verdict.interval if verdict else None,
        result=result,
        reason=reason,
        pairs_needed=verdict.needed if verdict and result is ComparedAs.UNKNOWN else None,
    )


def _shift(scenario: str, metric: TimeMetric, pairs: Sequence[InterleavedPair]) -> TimeShift:
    usable = [p for p in pairs if not (_spoilt(p.base) or _spoilt(p.current))]
    values = _values(((p.base, p.current) for p in usable), metric)
    if len(values) < least_pairs():
        doubt = _why_few(metric, pairs, len(usable), len(values))
        return TimeShift(scenario=scenario, metric=metric, doubt=doubt)
    floor = noise_floor(_log_ratios(_values(identical_neighbors(usable), metric)))
    return TimeShift(
        scenario=scenario,
        metric=metric,
        verdict=PairVerdict.of(_log_ratios(values), noise=floor),
        before=median(a for a, _ in values),
        after=median(b for _, b in values),
        floor=floor,
    )


def _spoilt(block: Block) -> str:
    """Return why nothing can be told of a block, "" if it can."""
    if block.ended_early:
        return "ended early"
    return next((s.check for s in block.spoilt if s.check not in _TOLERATED), "")


def _values(pairs: Iterable[tuple[Block, Block]], metric: TimeMetric) -> list[tuple[float, float]]:
    both = ((metric.of(a), metric.of(b)) for a, b in pairs)
    return [(a, b) for a, b in both if a and b]


def _log_ratios(values: Iterable[tuple[float, float]]) -> list[float]:
    return [math.log(b / a) for a, b in values]


def _why_few(metric: TimeMetric, pairs: Sequence[InterleavedPair], usable: int, values: int) -> str:
    needed = f"{least_pairs()} are needed"
    if usable < least_pairs() <= len(pairs):
        checks = Counter(c for p in pairs for b in (p.base, p.current) if (c := _spoilt(b)))
        check = checks.most_common(1)[0][0]
        return (
            f"{usable} of {units.count(len(pairs), 'pair')} can be believed, and {needed}: {check}"
        )
    if values < usable:
        return (
            f"{values} of {units.count(usable, 'pair')} have enough transactions beyond"
            f" {metric.name}, and {needed}; run longer blocks"
        )
    return f"{units.count(len(pairs), 'pair')} ran, and {needed}"


def _result(
    shift: TimeShift, verdict: PairVerdict, p_value: float, tests: int
) -> tuple[ComparedAs, str]:
    if verdict.shows is Proven.REFUTED:
        return ComparedAs.SAME, f"it differs by less than {MARGIN:.0%}"
    if verdict.shows is Proven.NOT_PROVEN:
        return ComparedAs.UNKNOWN, (
            f"identical blocks differ by {math.expm1(max(shift.floor, verdict.noise)):.0%};"
            f" {verdict.what_would_do}"
        )
    least = least_pairs(tests)
    if p_value > ALPHA:
        return ComparedAs.UNKNOWN, (
            f"of {units.count(tests, 'metric')}, one may differ so much by chance;"
            f" {max(least, verdict.pairs + 1)} pairs would do"
        )
    detectable = detectable_effect(shift.floor, verdict.pairs)
    if abs(math.log(verdict.effect)) <= math.log1p(detectable):
        return ComparedAs.UNKNOWN, (
            f"identical blocks differ so much that only changes above {detectable:.0%} can be told"
        )
    is_worse = (verdict.effect < 1) is shift.metric.more_is_better
    assert shift.before is not None
    assert shift.after is not None
    before, after = shift.metric.shown(shift.before), shift.metric.shown(shift.after)
    result = ComparedAs.REGRESSION if is_worse else ComparedAs.IMPROVEMENT
    return result, f"{after} here, and {before} there, in {verdict.pairs} pairs of blocks"
