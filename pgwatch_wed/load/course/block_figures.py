"""Blocks of a phase → figures, and whether their times can be believed. Pure."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import fields
from statistics import mean, stdev
from typing import Any

from pgwatch_wed import units
from pgwatch_wed.load.load_model import Block, BlockWork, FailureKind, Latencies, Spoilt
from pgwatch_wed.load.load_words import TRANSACTION
from pgwatch_wed.load.statistics.block_percentiles import (
    LEAST_BLOCKS,
    block_share_interval,
    percentile_interval,
    pooled,
)
from pgwatch_wed.load.statistics.proportions import share_below, share_interval
from pgwatch_wed.load.statistics.student import t_quantile
from pgwatch_wed.load.stress_report import Bounds, PercentileFigure, PhaseFigures

PERCENTILES = (50.0, 95.0, 99.0)
OVER_CAPACITY = "over-capacity"
# What happens to the generator's machine is no fault of the server: blocks in which it did not happen may be used alone.
# Whatever else spoils a block may be an effect of the load, and leaving it out would hide the worst moments.
_FROM_OUTSIDE = frozenset(
    {"generator-cpu", "generator-lag", "cpu-pressure", "steal", "interrupted"}
)
_MOST_SPOILT = 1 / 3


def believed(blocks: Sequence[Block]) -> list[Block]:
    """Return the blocks that nothing spoilt."""
    return [b for b in blocks if not b.spoilt]


def phase_spoilt(blocks: Sequence[Block]) -> tuple[Spoilt, ...]:
    """Return why the times of a phase cannot be believed; empty if enough blocks can be."""
    bad = [b for b in blocks if b.spoilt]
    is_inherent = any(s.check not in _FROM_OUTSIDE for b in bad for s in b.spoilt)
    if not bad or (len(bad) <= len(blocks) * _MOST_SPOILT and not is_inherent):
        return ()
    counts = Counter(check for b in bad for check in {s.check for s in b.spoilt})
    first = {s.check: s.text for b in reversed(bad) for s in reversed(b.spoilt)}
    return tuple(
        Spoilt(check=check, text=_counted(first[check], counts[check], len(blocks)))
        for check in sorted(counts, key=lambda c: (-counts[c], c))
    )


def _counted(text: str, count: int, blocks: int) -> str:
    if blocks == 1:
        return text
    return f"{text.rstrip('.')} ({count} of {units.count(blocks, 'block')})"


def phase_figures(
    blocks: Sequence[Block], percents: Sequence[float], what: str = TRANSACTION
) -> PhaseFigures | None:
    """Return the figures of a phase; None without blocks. ``what`` they count."""
    if not blocks:
        return None
    good = believed(blocks)
    timed = good or list(blocks)
    order = blocks[-1].order
    failures: Counter[FailureKind] = Counter()
    for block in blocks:
        failures.update(block.failures)
    lags = [b.spent.lag for b in timed if b.spent.lag is not None]
    return PhaseFigures(
        blocks=len(blocks),
        believed=len(good),
        seconds=sum(b.seconds for b in blocks),
        is_open=order.is_open,
        rate=order.rate,
        clients=order.clients,
        transactions=sum(b.transactions for b in blocks),
        failures=dict(failures),
        retries=sum(b.retries for b in blocks),
        tps=throughput(timed),
        error_share=error_share(blocks),
        error_interval=error_interval(blocks),
        latency=percentile_figures([b.spent.latency for b in timed], percents, what),
        lag=percentile_figures(lags, percents, what) if lags else (),
        service=percentile_figures([b.spent.service for b in timed], percents, what),
        work=summed_work(blocks),
        histogram=pooled([b.spent.latency for b in timed]),
    )


def throughput(blocks: Sequence[Block]) -> float:
    """Return the transactions a second that succeeded."""
    seconds = sum(b.seconds for b in blocks)
    return sum(b.transactions for b in blocks) / seconds if seconds > 0 else 0.0


def throughput_interval(blocks: Sequence[Block]) -> Bounds | None:
    """Return the interval of the throughput, by how much blocks differ; None: too few of them."""
    if len(blocks) < LEAST_BLOCKS:
        return None
    rates = [b.tps for b in blocks]
    half = t_quantile(0.975, len(rates) - 1) * stdev(rates) / math.sqrt(len(rates))
    return max(mean(rates) - half, 0.0), mean(rates) + half


def error_share(
    blocks: Sequence[Block], without: frozenset[FailureKind] = frozenset()
) -> float | None:
    """Return the share of transactions that failed; None if none was due."""
    due = sum(b.attempts for b in blocks)
    return sum(_failed(b, without) for b in blocks) / due if due else None


def error_interval(
    blocks: Sequence[Block], without: frozenset[FailureKind] = frozenset()
) -> Bounds | None:
    """Return the interval of that share: Clopper and Pearson's, wider if failures come in clusters; none of n: 3/n."""
    failed = [_failed(b, without) for b in blocks]
    due = [b.attempts for b in blocks]
    if not sum(due):
        return None
    if not sum(failed):
        return 0.0, share_below(0, sum(due))
    return block_share_interval(failed, due) or share_interval(sum(failed), sum(due))


def _failed(block: Block, without: frozenset[FailureKind]) -> int:
    return sum(n for kind, n in block.failures.items() if kind not in without)


def percentile_figures(
    times: Sequence[Latencies], percents: Sequence[float], what: str = TRANSACTION
) -> tuple[PercentileFigure, ...]:
    """Return percentiles of the times of blocks, with intervals."""
    return tuple(_percentile(times, percent, what) for percent in percents)


def _percentile(times: Sequence[Latencies], percent: float, what: str) -> PercentileFigure:
    all_times = pooled(times)
    ms = all_times.percentile(percent)
    if ms is None:
        few = f"fewer than 10 {what}s are beyond it"
        reason = few if all_times.count else "no time can be evaluated"
        return PercentileFigure(percent=percent, ms=None, reason=reason)
    interval = percentile_interval(times, percent)
    reason = "" if interval else f"fewer than {LEAST_BLOCKS} blocks tell no interval"
    return PercentileFigure(percent=percent, ms=ms, interval=interval, reason=reason)


def summed_work(blocks: Sequence[Block]) -> BlockWork | None:
    """Return what the server did in all blocks; a counter that one of them lacks is not known."""
    parts = [b.work for b in blocks if b.work is not None]
    if not parts or len(parts) < len(blocks):
        return None
    names = [f.name for f in fields(BlockWork) if f.name != "plans"]
    sums: dict[str, Any] = {name: _sum([getattr(p, name) for p in parts]) for name in names}
    return BlockWork(**sums, plans=dict(parts[-1].plans))


def _sum(values: list[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return sum(known) if len(known) == len(values) else None
