"""Arithmetic as Go does it: a division by zero is infinite, NaN goes on."""

import functools
import math
import operator
from collections.abc import Callable, Iterable

NAN, INF = math.nan, math.inf


def divided(a: float, b: float) -> float:
    """Return a / b."""
    try:
        return a / b
    except ZeroDivisionError:
        if a == 0 or math.isnan(a):
            return NAN
        return math.copysign(INF, a) * math.copysign(1, b)


def remainder(a: float, b: float) -> float:
    """Return a % b with the sign of a."""
    if math.isinf(a) or b == 0 or math.isnan(a) or math.isnan(b):
        return NAN
    return math.fmod(a, b)


def power(a: float, b: float) -> float:
    """Return a ^ b."""
    try:
        return math.pow(a, b)
    except OverflowError:
        return -INF if a < 0 and math.fmod(b, 2) != 0 else INF
    except ValueError:  # a negative number to a fraction, or zero to a negative number
        if a != 0:
            return NAN
        is_odd = math.fmod(b, 2) != 0 and b == math.floor(b)
        return math.copysign(INF, a) if is_odd else INF


def smaller(a: float, b: float) -> float:
    """Return the smaller; NaN if one is."""
    return NAN if math.isnan(a) or math.isnan(b) else min(a, b)


def larger(a: float, b: float) -> float:
    """Return the larger; NaN if one is."""
    return NAN if math.isnan(a) or math.isnan(b) else max(a, b)


def total(values: Iterable[float]) -> float:
    """Return the sum, with what rounding loses added again (Kahan, Neumaier)."""
    result = lost = 0.0
    for value in values:
        new = result + value
        if math.isinf(new):
            lost = 0.0
        elif abs(result) >= abs(value):
            lost += (result - new) + value
        else:
            lost += (value - new) + result
        result = new
    return result if math.isinf(result) else result + lost


def plain_total(values: Iterable[float]) -> float:
    """Return the sum, with what rounding loses left out."""
    return functools.reduce(operator.add, values, 0.0)  # sum() of Python 3.12 is more exact


def mean(values: list[float]) -> float:
    """Return the mean; infinite values that disagree have none."""
    whole = total(values)
    if math.isinf(whole) and not any(math.isinf(v) for v in values):
        return total(v / len(values) for v in values)  # the sum is beyond what a number can hold
    return whole / len(values)


def running_mean(values: Iterable[float], *, is_exact: bool) -> float:
    """Return the mean as Prometheus 2 computes it, value by value; ``is_exact``: as over time."""
    middle = lost = 0.0
    for count, value in enumerate(values, 1):
        is_against = math.isinf(value) and (middle > 0) != (value > 0)
        if math.isinf(middle) and not math.isnan(value) and not is_against:
            continue
        step = value / count - middle / count
        new = middle + step
        if is_exact and not math.isinf(new):
            lost += (middle - new) + step if abs(middle) >= abs(step) else (step - new) + middle
        middle = new
    return middle if math.isinf(middle) else middle + lost


def variance(values: list[float]) -> float:
    """Return the variance of all (not of a sample), step by step (Welford)."""
    middle = whole = 0.0
    for count, value in enumerate(values, 1):
        away = value - middle
        middle += away / count
        whole += away * (value - middle)
    return whole / len(values)


def quantile(q: float, values: list[float]) -> float:
    """Return the quantile, between two values by weight; NaN is the smallest value."""
    if not values or math.isnan(q):
        return NAN
    if q < 0 or q > 1:
        return -INF if q < 0 else INF
    ordered = sorted(values, key=lambda v: -INF if math.isnan(v) else v)
    ordered = [v for v in ordered if math.isnan(v)] + [v for v in ordered if not math.isnan(v)]
    rank = q * (len(ordered) - 1)
    lower = math.floor(rank)
    upper = min(len(ordered) - 1, lower + 1)
    weight = rank - lower
    return ordered[lower] * (1 - weight) + ordered[upper] * weight


OPERATORS: dict[str, Callable[[float, float], float]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": divided,
    "%": remainder,
    "^": power,
}
TESTS: dict[str, Callable[[float, float], bool]] = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    ">": lambda a, b: a > b,
    "<": lambda a, b: a < b,
    ">=": lambda a, b: a >= b,
    "<=": lambda a, b: a <= b,
}
