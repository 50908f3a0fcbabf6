"""What percentiles and shares of several blocks are, and how well that is known."""

import math
from collections.abc import Sequence
from functools import reduce
from itertools import pairwise

from pgwatch_wed.load.load_model import Latencies
from pgwatch_wed.load.statistics.proportions import share_interval
from pgwatch_wed.load.statistics.signed_rank import CONFIDENCE
from pgwatch_wed.load.statistics.student import t_quantile

LEAST_BLOCKS = 3
"""Fewer blocks do not tell how much blocks differ."""


def autocorrelation(values: Sequence[float]) -> float:
    """Return how much each resembles the one before it, from -1 to 1; 0 if they are all equal."""
    mean = sum(values) / len(values)
    deviations = [v - mean for v in values]
    square = sum(d * d for d in deviations)
    # by rounding, equal values may seem to differ
    if square <= len(values) * (1e-12 * mean) ** 2:
        return 0.0
    return sum(a * b for a, b in pairwise(deviations)) / square


def effective_trials(events: Sequence[int], trials: Sequence[int]) -> float | None:
    """Return how many independent transactions would tell as much as these of several blocks.

    Transactions of a block have much in common, and blocks with the one before. None: too few blocks to tell.
    """
    counted = [(e, n) for e, n in zip(events, trials, strict=True) if n]
    if len(counted) < LEAST_BLOCKS:
        return None
    total = sum(n for _, n in counted)
    share = sum(e for e, _ in counted) / total
    if not 0 < share < 1:
        return float(total)
    shares = [e / n for e, n in counted]
    expected = share * (1 - share)
    between = sum(n * (s - share) ** 2 for s, (_, n) in zip(shares, counted, strict=True))
    alike = max(between / (len(counted) - 1) / expected, 1.0)
    follows = min(max(autocorrelation(shares), 0.0), 0.9)
    small = (t_quantile(0.975, len(counted) - 1) / 1.96) ** 2 if alike > 1 else 1.0
    return max(total / (alike * small * (1 + follows) / (1 - follows)), 1.0)


def block_share_interval(
    events: Sequence[int], trials: Sequence[int], confidence: float = CONFIDENCE
) -> tuple[float, float] | None:
    """Return the interval of a share that was counted in several blocks; None: too few of them."""
    effective = effective_trials(events, trials)
    if effective is None:
        return None
    share = sum(events) / sum(trials)
    return share_interval(share * effective, effective, confidence)


def pooled(blocks: Sequence[Latencies]) -> Latencies:
    """Return the distribution of all blocks."""
    return reduce(lambda some, more: some.added(more), blocks[1:], blocks[0])


def percentile_interval(blocks: Sequence[Latencies], percent: float) -> tuple[float, float] | None:
    """Return the interval of a percentile by order statistics; its end is infinite if too few transactions are beyond.

    None: too few blocks or transactions to tell.
    """
    if not blocks:
        return None
    everything = pooled(blocks)
    value = everything.percentile(percent)
    if value is None:
        return None
    above = [b.above(value) for b in blocks]
    effective = effective_trials(above, [b.count for b in blocks])
    if effective is None:
        return None
    p = percent / 100
    half = t_quantile(0.5 + CONFIDENCE / 2, 1000) * math.sqrt(p * (1 - p) / effective)
    low = everything.percentile(100 * max(p - half, 0.0))
    high = everything.percentile(100 * (p + half)) if p + half < 1 else None
    return 0.0 if low is None else low, math.inf if high is None else high


def ordered_interval(
    values: Sequence[float], percent: float, follows: float = 0.0
) -> tuple[float, float] | None:
    """Return the interval of a percentile of single values, by order statistics; ``follows``: their autocorrelation.

    None: fewer than ten values are beyond the percentile.
    """
    n, p = len(values), percent / 100
    if n * min(p, 1 - p) < 10:
        return None
    effective = n * (1 - follows) / (1 + follows)
    half = 1.96 * math.sqrt(effective * p * (1 - p)) * n / effective
    ranked = sorted(values)
    low, high = math.floor(n * p - half), math.ceil(n * p + half)
    return (
        ranked[low] if low >= 0 else -math.inf,
        ranked[high] if high < n else math.inf,
    )
