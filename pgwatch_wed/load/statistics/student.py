"""Quantiles of Student's t."""

from functools import lru_cache
from statistics import NormalDist

from pgwatch_wed.history.robust import tail

_LARGE = 60


@lru_cache(maxsize=1024)
def t_quantile(p: float, freedom: int) -> float:
    """Return the value below which Student's t is with probability ``p``, from 0.5 up to less than 1."""
    if freedom > _LARGE:
        return _of_many(NormalDist().inv_cdf(p), freedom)
    low, high = 0.0, 1.0
    while tail(high, freedom) > 1 - p:
        high *= 2
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if tail(middle, freedom) > 1 - p else (low, middle)
    return (low + high) / 2


def _of_many(z: float, freedom: int) -> float:
    """Return the quantile by the normal one, with Cornish and Fisher's first terms."""
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / freedom + second / freedom**2 + third / freedom**3
