"""What the blocks of a trial are compared by: one time, chosen before the trial, and the work of a transaction beside it."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from pgwatch_wed.load.load_model import Block, BlockWork, LoadObjective

_TPS = "tps"
_PERCENTS = {"p99": 99.0, "p95": 95.0, "p50": 50.0}
_BEYOND = 20  # twice what a percentile needs: no block of the trial may fall below
# Next to nothing: counters of a transaction without this work are 0, which has no logarithm.
_TRACE = {"blocks": 0.01, "temp bytes": 1.0, "WAL records": 0.01, "full-page images": 0.001}


@dataclass(frozen=True, slots=True)
class TrialMetric:
    """A time of blocks: a percentile of latency in ms, its mean, or transactions a second."""

    name: str

    @property
    def is_throughput(self) -> bool:
        """Whether more is better."""
        return self.name == _TPS

    def of(self, block: Block) -> float | None:
        """Return a block's value; None if it has none that has a logarithm."""
        if self.is_throughput:
            value: float | None = block.tps
        elif (percent := _PERCENTS.get(self.name)) is not None:
            value = block.spent.latency.percentile(percent)
        else:
            value = block.spent.latency.mean()
        return value if value and value > 0 else None


def metric_for(pilot: Block, objectives: Iterable[LoadObjective]) -> TrialMetric:
    """Choose the metric from a block that is not part of the trial.

    Latency counts at the offered rate, as the percentile of an objective if there is one with enough transactions beyond
    it; throughput, if nothing is offered or the server is over its capacity.
    """
    if not pilot.order.is_open or is_over_capacity(pilot):
        return TrialMetric(_TPS)
    wanted = sorted((o.name for o in objectives if o.name in _PERCENTS), reverse=True)
    for name in (*wanted, "p95", "p50"):
        if pilot.spent.latency.count * (100 - _PERCENTS[name]) / 100 >= _BEYOND:
            return TrialMetric(name)
    return TrialMetric("mean")


def is_over_capacity(block: Block) -> bool:
    """Whether more was offered than the server could do, so that latency is only the length of the run."""
    return any(s.check == "over-capacity" for s in block.spoilt)


def _touched(work: BlockWork) -> float | None:
    return None if work.blocks_hit is None else work.blocks_hit + (work.blocks_read or 0)


WORK: dict[str, Callable[[BlockWork], float | None]] = {
    "blocks": _touched,
    "temp bytes": lambda work: work.temp_bytes,
    "WAL records": lambda work: work.wal_records,
}
"""What the server did for a transaction, whose counters a busy machine hardly changes."""

PAGE_IMAGES = "full-page images"
_COUNTED: dict[str, Callable[[BlockWork], float | None]] = {
    **WORK,
    # how many there are depends on the time since the last checkpoint, so it is compared only where that is the same
    PAGE_IMAGES: lambda work: work.wal_full_page_images,
}


def work_of(block: Block, name: str) -> float | None:
    """Return the work of a transaction; None if it was not counted."""
    if block.work is None or block.work.transactions <= 0:
        return None
    amount = _COUNTED[name](block.work)
    return None if amount is None else amount / block.work.transactions + _TRACE[name]


def log_ratios(before: Sequence[float], after: Sequence[float]) -> list[float]:
    """Return the logarithm of after / before of each pair."""
    return [math.log(b / a) for a, b in zip(before, after, strict=True)]
