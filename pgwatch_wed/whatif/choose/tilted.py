"""Shares of the parts of a statement, moved no further than what was counted asks for."""

import math
from collections.abc import Sequence

_STEEPEST = 1e6
_HALVINGS = 90  # the interval between the steepest slopes is then as small as floats can tell


def tilted(shares: Sequence[float], numbers: Sequence[float], mean: float) -> list[float]:
    """Return the shares next to those given (of least relative entropy) with which the ``numbers`` of parts, which differ, have a mean.

    Each share is multiplied with an exponential of its number. So likely parts move first, and unlikely ones only if no others can. If
    the mean is beyond all numbers, all is that of the part with the nearest.
    """
    least, most = min(numbers), max(numbers)
    places = [(number - least) / (most - least) for number in numbers]
    place = (mean - least) / (most - least)
    low, high = -_STEEPEST, _STEEPEST
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if mean_of(_along(shares, places, middle), places) < place:
            low = middle
        else:
            high = middle
    found = _along(shares, places, high)
    return [share / sum(found) for share in found]


def mean_of(shares: Sequence[float], numbers: Sequence[float]) -> float:
    """Return the mean of numbers with shares, some of which are not zero and which need not add up to one."""
    return sum(s * n for s, n in zip(shares, numbers, strict=True)) / sum(shares)


def _along(shares: Sequence[float], places: Sequence[float], slope: float) -> list[float]:
    origin = float(slope > 0)  # so that no exponential exceeds one
    return [s * math.exp(slope * (p - origin)) for s, p in zip(shares, places, strict=True)]
