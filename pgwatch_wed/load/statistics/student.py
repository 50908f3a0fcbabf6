"""Quantiles of Student's t."""

from functools import lru_cache

from pgwatch_wed.history.robust import tail


@lru_cache(maxsize=1024)
def t_quantile(p: float, freedom: int) -> float:
    """Return the value below which Student's t is with probability ``p``, from 0.5 up to less than 1."""
    low, high = 0.0, 1.0
    while tail(high, freedom) > 1 - p:
        high *= 2
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if tail(middle, freedom) > 1 - p else (low, middle)
    return (low + high) / 2
