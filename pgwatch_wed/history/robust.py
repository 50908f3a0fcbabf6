"""A few robust statistics of series: by how much one part is above another, and how surprising that is.

scipy would be fifty times the size of what is used of it; tests compare the two.
"""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TypeVar

K = TypeVar("K", bound=Hashable)

MOST = 64
"""Of a larger sample, so many quantiles are compared."""
LEAST_SPREAD = 0.04
"""No series is steadier than that (a logarithm: 4%), however steady it was by chance."""
PRIOR_WEIGHT = 6
"""The spread of all other series counts as much as so many parts of the own base."""
CONSISTENT = 0.4
"""Most of the current part must be above this share of the shift."""
OWN_MARGIN = 1.3
"""By how much a shift must exceed the largest within the base."""


def shift_of(base: Sequence[float], current: Sequence[float]) -> float:
    """Return by how much one sample is above another: the median of all differences (Hodges and Lehmann)."""
    some, rest = _thinned(current), _thinned(base)
    return median(c - b for c in some for b in rest)


def _thinned(values: Sequence[float]) -> Sequence[float]:
    """Return so many quantiles of a large sample: all pairs of two large ones take long."""
    if len(values) <= MOST:
        return values
    ranked = sorted(values)
    return [ranked[int((n + 0.5) * len(ranked) / MOST)] for n in range(MOST)]


def own_shifts(base: Sequence[float], length: int) -> list[float]:
    """Return the shifts within a base: those of each part of that length against the rest of it."""
    step = max(length // 2, 1)
    starts = range(0, len(base) - length + 1, step)
    return [
        shift_of([*base[:n], *base[n + length :]], base[n : n + length])
        for n in starts
        if len(base) > length
    ]


def tail(t: float, freedom: int) -> float:
    """Return the probability that Student's t with whole degrees of freedom is above a value."""
    angle = math.atan2(t, math.sqrt(freedom))
    cosine = math.cos(angle) ** 2
    odd = freedom % 2
    term = math.cos(angle) if odd else 1.0
    total = 0.0
    for n in range(freedom // 2):
        total += term
        k = 2 * n + 1 + odd
        term *= cosine * k / (k + 1)
    half = (angle + math.sin(angle) * total) / math.pi if odd else math.sin(angle) * total / 2
    return max(0.5 - half, 0.0)


def discoveries(p_values: Mapping[K, float], rate: float) -> set[K]:
    """Return which of many tests hold if that share of them may be false (Benjamini and Hochberg)."""
    ranked = sorted(p_values, key=lambda k: p_values[k])
    holds = [n for n, k in enumerate(ranked, 1) if p_values[k] <= rate * n / len(ranked)]
    return set(ranked[: max(holds, default=0)])


def spread(values: Sequence[float]) -> float:
    """Return a standard deviation that outliers do not change: the median absolute deviation, scaled."""
    middle = median(values)
    return 1.4826 * median(abs(v - middle) for v in values)


@dataclass(frozen=True, slots=True)
class TwoSamples:
    """A series in units with enough calls each; logarithms."""

    base: list[float]
    current: list[float]

    @property
    def shift(self) -> float:
        """By how much the current one is above the base."""
        return shift_of(self.base, self.current)

    @property
    def is_consistent(self) -> bool:
        """Tell whether most of the current part shifted, rather than an episode of it."""
        least = median(self.base) + CONSISTENT * self.shift
        return sum(v > least for v in self.current) >= 0.8 * len(self.current)

    @property
    def part(self) -> int:
        """The length of a part of the base that is compared with the rest of it."""
        return max(min(len(self.current), len(self.base) // 3), 1)

    @property
    def parts(self) -> float:
        """The number of such parts."""
        return len(self.base) / self.part


@dataclass(frozen=True, slots=True)
class MeasuredShift:
    """By how much a series shifted, and what it does within the base."""

    shift: float
    own: float
    most: float
    parts: float

    @classmethod
    def of(cls, sample: TwoSamples) -> "MeasuredShift":
        """Measure two samples."""
        own = own_shifts(sample.base, sample.part)
        square = sum(s * s for s in own) / len(own)
        independent = spread(sample.base) ** 2 * (1 / len(sample.current) + 1 / len(sample.base))
        return cls(
            sample.shift,
            math.sqrt(max(square, independent * math.pi / 3, LEAST_SPREAD**2)),
            max(own),
            sample.parts,
        )

    def p_value(self, usual: float | None, doubt: float = 0.0) -> float:
        """Return how probable such a shift is by chance; ``usual`` is the spread of all series, if they are alike."""
        weight = PRIOR_WEIGHT if usual is not None else 0
        pooled = (weight * (usual or 0.0) ** 2 + self.parts * self.own**2) / (weight + self.parts)
        # no series is thought steadier than it was
        deviation = math.sqrt(max(pooled, self.own**2) + doubt**2)
        return tail(self.shift / deviation, min(int(weight + self.parts), 60))

    @property
    def is_unseen(self) -> bool:
        """Tell whether no part of the base was nearly as far from the rest."""
        return self.shift > OWN_MARGIN * self.most
