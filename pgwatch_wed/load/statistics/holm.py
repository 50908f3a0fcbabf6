"""Several tests at once."""

from collections.abc import Hashable, Mapping
from typing import TypeVar

K = TypeVar("K", bound=Hashable)


def holm(p_values: Mapping[K, float]) -> dict[K, float]:
    """Return p values that may each be compared with 5%, although there are several (Holm)."""
    corrected: dict[K, float] = {}
    largest = 0.0
    for n, key in enumerate(sorted(p_values, key=lambda k: p_values[k])):
        largest = max(largest, min(1.0, p_values[key] * (len(p_values) - n)))
        corrected[key] = largest
    return corrected
