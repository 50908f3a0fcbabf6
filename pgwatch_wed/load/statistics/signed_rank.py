"""What differences of pairs tell: Hodges and Lehmann's estimate and the exact signed-rank interval around it."""

from collections.abc import Sequence
from functools import lru_cache
from statistics import median

CONFIDENCE = 0.95
LEAST_PAIRS = 6
"""With five pairs, no exact test reaches 5%."""


def walsh_averages(differences: Sequence[float]) -> list[float]:
    """Return the means of all two of them, each with itself too, in order."""
    return sorted((a + b) / 2 for n, a in enumerate(differences) for b in differences[n:])


def hodges_lehmann(differences: Sequence[float]) -> float:
    """Return the middle of differences, which few outliers do not change."""
    return median(walsh_averages(differences))


@lru_cache(maxsize=256)
def rank_sums(pairs: int) -> tuple[int, ...]:
    """Return in how many of the 2**pairs cases the ranks of the negative differences add up to 0, 1, 2 and so on."""
    counts = [1]
    for rank in range(1, pairs + 1):
        longer = counts + [0] * rank
        for n, count in enumerate(counts):
            longer[n + rank] += count
        counts = longer
    return tuple(counts)


def rank_cutoff(pairs: int, confidence: float = CONFIDENCE) -> int:
    """Return which Walsh average, counted from either end, bounds the interval; 0 if there are too few pairs."""
    tail, most, cutoff = 0, (1 - confidence) / 2 * 2**pairs, 0
    for count in rank_sums(pairs):
        tail += count
        if tail > most:
            break
        cutoff += 1
    return cutoff


def shift_interval(
    differences: Sequence[float], confidence: float = CONFIDENCE
) -> tuple[float, float] | None:
    """Return the interval of the middle of differences; None if there are too few for that confidence."""
    cutoff = rank_cutoff(len(differences), confidence)
    if not cutoff:
        return None
    averages = walsh_averages(differences)
    return averages[cutoff - 1], averages[-cutoff]


def p_above(differences: Sequence[float], limit: float = 0.0) -> float:
    """Return how probable such differences are if their middle is not above a limit. Ties count against it."""
    below = sum(average <= limit for average in walsh_averages(differences))
    counts = rank_sums(len(differences))
    return sum(counts[: below + 1]) / sum(counts)


def p_beyond(differences: Sequence[float], margin: float = 0.0) -> float:
    """Return how probable such differences are if their middle is within a margin of zero; of both sides."""
    return min(
        1.0, 2 * min(p_above(differences, margin), p_above([-d for d in differences], margin))
    )


def least_pairs(tests: int = 1, confidence: float = CONFIDENCE) -> int:
    """Return how many pairs the exact test needs at least to find anything, if there are so many tests."""
    pairs = LEAST_PAIRS
    while 2 / 2**pairs > (1 - confidence) / tests:
        pairs += 1
    return pairs
