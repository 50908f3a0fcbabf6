"""Quantiles of classic histograms: cumulative buckets by the label ``le``."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator

from pgwatch_wed.serve.alerts.promql.arithmetic import INF, NAN, divided
from pgwatch_wed.serve.alerts.promql.vectors import Vector, unnamed
from pgwatch_wed.serve.state import Labels

# Differences of this share come from rounding: buckets of a rate need not grow exactly.
_ROUNDING = 1e-12


def quantiles(q: float, buckets: Vector) -> Iterator[tuple[Labels, float]]:
    """Return the quantile of each histogram of a vector of buckets."""
    by_labels: dict[Labels, list[tuple[float, float]]] = defaultdict(list)
    for labels, count in buckets.items():
        bound = _bound(labels)
        if bound is not None:
            by_labels[tuple(p for p in labels if p[0] != "le")].append((bound, count))
    for labels, of in by_labels.items():
        yield unnamed(labels), _quantile(q, of)


def _bound(labels: Labels) -> float | None:
    for label, value in labels:
        if label == "le":
            try:
                return float(value)
            except ValueError:
                return None
    return None


def _quantile(q: float, buckets: list[tuple[float, float]]) -> float:
    if q != q:
        return NAN
    if q < 0 or q > 1:
        return -INF if q < 0 else INF
    bounds, counts = _cumulative(buckets)
    if bounds[-1] != INF or len(bounds) < 2 or counts[-1] == 0 or counts[-1] != counts[-1]:
        return NAN
    rank = q * counts[-1]
    b = bisect_left(counts, rank, hi=len(counts) - 1)
    if b == len(bounds) - 1:
        return bounds[-2]
    if b == 0 and bounds[0] <= 0:
        return bounds[0]
    start, below = (bounds[b - 1], counts[b - 1]) if b else (0.0, 0.0)
    return start + (bounds[b] - start) * divided(rank - below, counts[b] - below)


def _cumulative(buckets: list[tuple[float, float]]) -> tuple[list[float], list[float]]:
    """Return bounds and counts: equal bounds as one, and no count below the one before."""
    merged: dict[float, float] = {}
    for bound, count in sorted(buckets, key=lambda b: b[0]):
        merged[bound] = merged.get(bound, 0.0) + count
    bounds, counts = list(merged), list(merged.values())
    for i in range(1, len(counts)):
        if counts[i] < counts[i - 1] or _alike(counts[i], counts[i - 1]):
            counts[i] = counts[i - 1]
    return bounds, counts


def _alike(a: float, b: float) -> bool:
    return a != b and abs(a - b) < _ROUNDING * (abs(a) + abs(b))
