"""What two samples of blocks tell that are no pairs, as those of two runs: the exact rank-sum interval of their shift."""

from collections.abc import Sequence
from functools import lru_cache
from statistics import median

from pgwatch_wed.load.statistics.signed_rank import CONFIDENCE


def all_differences(base: Sequence[float], current: Sequence[float]) -> list[float]:
    """Return the differences of each of one sample and each of the other, in order."""
    return sorted(c - b for c in current for b in base)


def shift_between(base: Sequence[float], current: Sequence[float]) -> float:
    """Return by how much one sample is above another (Hodges and Lehmann)."""
    return median(all_differences(base, current))


@lru_cache(maxsize=256)
def inversion_counts(some: int, others: int) -> tuple[int, ...]:
    """Return in how many of the orders of two samples 0, 1, 2, … of the pairs are the wrong way around."""
    # the coefficients of the Gaussian binomial, a factor at a time
    counts = [1] + [0] * (some * others)
    for n in range(1, some + 1):
        for at in range(len(counts) - 1, others + n - 1, -1):
            counts[at] -= counts[at - others - n]
        for at in range(n, len(counts)):
            counts[at] += counts[at - n]
    return tuple(counts)


def unpaired_cutoff(some: int, others: int, confidence: float = CONFIDENCE) -> int:
    """Return which difference, counted from either end, bounds the interval; 0 if the samples are too small."""
    counts = inversion_counts(some, others)
    tail, most, cutoff = 0, (1 - confidence) / 2 * sum(counts), 0
    for count in counts:
        tail += count
        if tail > most:
            break
        cutoff += 1
    return cutoff


def unpaired_interval(
    base: Sequence[float], current: Sequence[float], confidence: float = CONFIDENCE
) -> tuple[float, float] | None:
    """Return the interval of the shift; None if the samples are too small for that confidence."""
    cutoff = unpaired_cutoff(len(base), len(current), confidence)
    if not cutoff:
        return None
    differences = all_differences(base, current)
    return differences[cutoff - 1], differences[-cutoff]


def p_shifted_above(base: Sequence[float], current: Sequence[float], limit: float = 0.0) -> float:
    """Return how probable the samples are if the shift is not above a limit. Ties count against it."""
    counts = inversion_counts(len(base), len(current))
    below = sum(d <= limit for d in all_differences(base, current))
    return sum(counts[: below + 1]) / sum(counts)


def p_shifted_beyond(base: Sequence[float], current: Sequence[float], margin: float = 0.0) -> float:
    """Return how probable the samples are if the shift is within a margin of zero; of both sides."""
    sides = p_shifted_above(base, current, margin), p_shifted_above(current, base, margin)
    return min(1.0, 2 * min(sides))
