"""How much identical blocks differ, what can be found in that, and how many pairs it takes."""

import math
from collections.abc import Sequence
from statistics import stdev

from pgwatch_wed.history.robust import spread
from pgwatch_wed.load.statistics.signed_rank import LEAST_PAIRS
from pgwatch_wed.load.statistics.student import t_quantile

MARGIN = 0.05
"""A smaller effect is none."""
MOST_PAIRS = 1000
"""More pairs than that are no advice."""
_NORMAL = 2.8
"""The sum of both quantiles with any number of pairs is more."""


def noise_floor(differences: Sequence[float]) -> float:
    """Return by how much pairs of identical blocks differ: a standard deviation that outliers do not change."""
    if len(differences) < 2:
        return 0.0
    # more than half of them may be equal, as counts are
    return spread(differences) or stdev(differences)


def detectable_effect(floor: float, pairs: int) -> float:
    """Return the smallest effect, as a ratio less one, that so many pairs find in four of five cases."""
    return math.expm1(_both_quantiles(pairs) * floor / math.sqrt(pairs))


def pairs_needed(floor: float, distance: float = math.log1p(MARGIN)) -> int | None:
    """Return how many pairs find a distance between logarithms in four of five cases; None if no number does."""
    if distance <= 0 or floor / distance > math.sqrt(MOST_PAIRS) / _NORMAL:
        return None
    pairs = max(LEAST_PAIRS, math.floor((_NORMAL * floor / distance) ** 2))
    # fewer pairs have fewer degrees of freedom, and so need more
    while pairs < (_both_quantiles(pairs) * floor / distance) ** 2:
        pairs += 1
    return pairs


def _both_quantiles(pairs: int) -> float:
    return t_quantile(0.975, pairs - 1) + t_quantile(0.8, pairs - 1)
