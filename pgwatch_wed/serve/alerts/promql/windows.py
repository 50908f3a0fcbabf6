"""Functions of the samples of one series in a window, as in Prometheus' promql/functions.go."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from pgwatch_wed.serve.alerts.promql import arithmetic
from pgwatch_wed.serve.alerts.promql.arithmetic import NAN
from pgwatch_wed.serve.alerts.promql.vectors import Semantics


@dataclass(frozen=True, slots=True)
class SampleWindow:
    """The samples of a series in a window that ends at ``end_ms``; ``now_ms`` is the evaluation's moment."""

    times: Sequence[int]
    values: Sequence[float]
    end_ms: int
    range_ms: int
    now_ms: int
    semantics: Semantics


def _change(window: SampleWindow, is_counter: bool) -> float:
    values = window.values
    change = values[-1] - values[0]
    if is_counter:
        before = values[0]
        for value in values[1:]:
            if value < before:
                change += before
            before = value
    return change


def _extrapolated(window: SampleWindow, *, is_counter: bool, is_rate: bool) -> float | None:
    times = window.times
    if len(times) < 2:
        return None
    change = _change(window, is_counter)
    sampled_s = (times[-1] - times[0]) / 1000
    between_s = sampled_s / (len(times) - 1)
    threshold_s = between_s * 1.1
    to_end_s = (window.end_ms - times[-1]) / 1000
    to_start_s = _to_start(window, sampled_s, between_s, change if is_counter else 0)
    if to_end_s >= threshold_s:
        to_end_s = between_s / 2
    factor = (sampled_s + to_start_s + to_end_s) / sampled_s
    if is_rate:
        factor /= window.range_ms / 1000
    return change * factor


def _to_start(window: SampleWindow, sampled_s: float, between_s: float, growth: float) -> float:
    """Return how far before the first sample the series is taken to begin."""
    to_start_s = (window.times[0] - (window.end_ms - window.range_ms)) / 1000
    to_zero_s = math.inf
    # A counter cannot be negative: it began where the line reaches zero.
    if growth > 0 and window.values[0] >= 0:
        to_zero_s = sampled_s * (window.values[0] / growth)
    if not window.semantics.is_left_open:  # up to 2.x, the distance to zero is limited too
        to_start_s = min(to_start_s, to_zero_s)
    if to_start_s >= between_s * 1.1:
        to_start_s = between_s / 2
    return min(to_start_s, to_zero_s) if window.semantics.is_left_open else to_start_s


def _instant_change(window: SampleWindow, is_rate: bool) -> float | None:
    if len(window.times) < 2:
        return None
    last, before = window.values[-1], window.values[-2]
    change = last if is_rate and last < before else last - before
    if not is_rate:
        return change
    return change / ((window.times[-1] - window.times[-2]) / 1000)


def _changes(window: SampleWindow) -> float:
    values = window.values
    pairs = pairwise(values)
    return float(sum(a != b and not (math.isnan(a) and math.isnan(b)) for a, b in pairs))


def _resets(window: SampleWindow) -> float:
    values = window.values
    return float(sum(b < a for a, b in pairwise(values)))


def line(window: SampleWindow, at_ms: int) -> tuple[float, float] | None:
    """Return the slope a second and the value at a moment of the line through the samples."""
    values = window.values
    if len(values) < 2:
        return None
    if all(v == values[0] for v in values):
        return (NAN, NAN) if math.isinf(values[0]) else (0.0, values[0])
    xs = [(t - at_ms) / 1000 for t in window.times]
    n, x, y = len(xs), arithmetic.total(xs), arithmetic.total(values)
    xy = arithmetic.total(a * b for a, b in zip(xs, values, strict=True)) - x * y / n
    xx = arithmetic.total(a * a for a in xs) - x * x / n
    slope = arithmetic.divided(xy, xx)
    return slope, y / n - slope * x / n


def _slope(window: SampleWindow) -> float | None:
    found = line(window, window.times[0]) if window.times else None
    return None if found is None else found[0]


def predicted(window: SampleWindow, ahead_s: float) -> float | None:
    """Return the value so many seconds from now, if it goes on like this."""
    found = line(window, window.now_ms)
    return None if found is None else found[0] * ahead_s + found[1]


def _extreme(values: Sequence[float], is_better: Callable[[float, float], bool]) -> float:
    found = values[0]
    for value in values[1:]:
        if is_better(value, found) or math.isnan(found):
            found = value
    return found


def least(values: Sequence[float]) -> float:
    """Return the smallest that is a number."""
    return _extreme(values, lambda new, old: new < old)


def greatest(values: Sequence[float]) -> float:
    """Return the largest that is a number."""
    return _extreme(values, lambda new, old: new > old)


def _mean(window: SampleWindow) -> float:
    if window.semantics.is_left_open:
        return arithmetic.mean(list(window.values))
    return arithmetic.running_mean(window.values, is_exact=True)


SIMPLE: dict[str, Callable[[SampleWindow], float | None]] = {
    "rate": lambda w: _extrapolated(w, is_counter=True, is_rate=True),
    "increase": lambda w: _extrapolated(w, is_counter=True, is_rate=False),
    "delta": lambda w: _extrapolated(w, is_counter=False, is_rate=False),
    "irate": lambda w: _instant_change(w, True),
    "idelta": lambda w: _instant_change(w, False),
    "changes": _changes,
    "resets": _resets,
    "deriv": _slope,
    "avg_over_time": _mean,
    "sum_over_time": lambda w: arithmetic.total(w.values),
    "min_over_time": lambda w: least(w.values),
    "max_over_time": lambda w: greatest(w.values),
    "count_over_time": lambda w: float(len(w.values)),
    "last_over_time": lambda w: w.values[-1],
    "present_over_time": lambda w: 1.0,  # noqa: ARG005
    "stddev_over_time": lambda w: math.sqrt(arithmetic.variance(list(w.values))),
    "stdvar_over_time": lambda w: arithmetic.variance(list(w.values)),
}
