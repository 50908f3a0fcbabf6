"""Shares of counted transactions: the exact interval of Clopper and Pearson."""

import math

from pgwatch_wed.load.statistics.signed_rank import CONFIDENCE

_TINY = 1e-300


def share_interval(
    events: float, trials: float, confidence: float = CONFIDENCE
) -> tuple[float, float]:
    """Return the interval of a share of which so many of so many were seen. 0 of n: up to 3.7/n, one-sided 3/n.

    The numbers need not be whole: blocks with much in common count for less than their transactions.
    """
    if trials <= 0:
        return 0.0, 1.0
    half = (1 - confidence) / 2
    rest = trials - events
    low = _beta_quantile(half, events, rest + 1) if events > 0 else 0.0
    high = _beta_quantile(1 - half, events + 1, rest) if rest > 0 else 1.0
    return low, high


def share_below(events: float, trials: float, confidence: float = CONFIDENCE) -> float:
    """Return what the share is below with that confidence, of one side. 0 of n: 3/n."""
    return share_interval(events, trials, 2 * confidence - 1)[1]


def _beta_quantile(p: float, a: float, b: float) -> float:
    low, high = 0.0, 1.0
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if beta_cdf(middle, a, b) < p else (low, middle)
        if high - low <= 1e-12 * high:
            break
    return (low + high) / 2


def beta_cdf(x: float, a: float, b: float) -> float:
    """Return the regularized incomplete beta function."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    front = math.exp(log_front + a * math.log(x) + b * math.log1p(-x))
    if x < (a + 1) / (a + b + 2):
        return front * _continued_fraction(x, a, b) / a
    return 1 - front * _continued_fraction(1 - x, b, a) / b


def _continued_fraction(x: float, a: float, b: float) -> float:
    """Return Lentz's evaluation of the fraction; it converges within some square root of a + b steps."""
    c, d = 1.0, 1 / _not_zero(1 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, 100 + 10 * math.isqrt(int(a + b))):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1 / _not_zero(1 + term * d)
            c = _not_zero(1 + term / c)
            value *= c * d
        if abs(c * d - 1) < 1e-14:
            break
    return value


def _not_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
