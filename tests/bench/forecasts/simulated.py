"""Daily increments of simulated series, in variants that the method was not made from.

The method was tried on normal increments (mean 100, deviation 60), lognormal ones (sigma 1.25 and 1.5), a week with
quiet weekends, a purge of 65% every 30 days, and one load of 15 to 60 days' growth. These differ in distribution,
profile, period and size.
"""

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

MEAN = 100.0

Increments = Callable[[random.Random, int, int], list[float]]


@dataclass(frozen=True, slots=True)
class Family:
    """A kind of growth; ``pace`` is what it adds on an average day."""

    name: str
    variant: str
    increments: Increments
    pace: float = MEAN


def _each(draw: Callable[[random.Random], float]) -> Increments:
    return lambda chance, known, ahead: [draw(chance) for _ in range(known + ahead)]


def _weeks(profile: tuple[float, ...], draw: Callable[[random.Random], float]) -> Increments:
    mean = sum(profile) / 7

    def made(chance: random.Random, known: int, ahead: int) -> list[float]:
        first = chance.randrange(7)
        return [MEAN * profile[(first + i) % 7] / mean * draw(chance) for i in range(known + ahead)]

    return made


def _purged(share: float, deviation: float, periods: tuple[int, ...]) -> Increments:
    """Purge a share of what came since the last purge, which was before the series began."""

    def made(chance: random.Random, known: int, ahead: int) -> list[float]:
        passed = chance.randrange(min(periods))
        gained = sum(max(chance.gauss(MEAN, deviation), 0) for _ in range(passed))
        due, found = chance.choice(periods), []
        for _ in range(known + ahead):
            increment = max(chance.gauss(MEAN, deviation), 0)
            gained, passed = gained + increment, passed + 1
            if passed >= due:
                removed = gained * min(max(chance.gauss(share, 0.03), 0), 1)
                increment, gained, passed = increment - removed, 0.0, 0
                due = chance.choice(periods)
            found.append(increment)
        return found

    return made


def _loaded(base: Increments, least: float, most: float) -> Increments:
    def made(chance: random.Random, known: int, ahead: int) -> list[float]:
        found = base(chance, known, ahead)
        found[chance.randrange(1, known - 1)] += MEAN * chance.uniform(least, most)
        return found

    return made


def _lognormal(sigma: float) -> Callable[[random.Random], float]:
    return lambda chance: chance.lognormvariate(math.log(MEAN) - sigma * sigma / 2, sigma)


def _gamma(shape: float, mean: float = MEAN) -> Callable[[random.Random], float]:
    return lambda chance: chance.gammavariate(shape, mean / shape)


def _pareto(alpha: float) -> Callable[[random.Random], float]:
    return lambda chance: MEAN * (alpha - 1) / alpha * chance.paretovariate(alpha)


_OFFICE = (1.0, 1.1, 1.0, 0.9, 0.8, 0.1, 0.1)
_SHOP = (0.7, 0.7, 0.8, 0.9, 1.3, 1.8, 1.5)


def families() -> Iterator[Family]:
    """Yield the kinds that an issue or a reader may ask for."""
    uniform = _each(lambda chance: chance.uniform(0, 2 * MEAN))
    yield Family("random", "uniform 0 to 200", uniform)
    yield Family("random", "gamma, shape 1", _each(_gamma(1)))
    yield Family("random", "normal, deviation 150", _each(lambda c: c.gauss(MEAN, 150)))
    yield Family("bursty", "lognormal, sigma 1.0", _each(_lognormal(1.0)))
    yield Family("bursty", "lognormal, sigma 1.4", _each(_lognormal(1.4)))
    yield Family("bursty", "Pareto, alpha 2.5", _each(_pareto(2.5)))
    yield Family("weekly", "office, gamma noise 35%", _weeks(_OFFICE, _gamma(8, 1)))
    yield Family("weekly", "shop, lognormal noise 50%", _weeks(_SHOP, lambda c: _noise(c, 0.47)))
    yield Family("purged monthly", "50% every 30 days", _purged(0.5, 30, (30,)), 50)
    yield Family("purged monthly", "75% in 28 to 31 days", _purged(0.75, 60, (28, 30, 31)), 25)
    yield Family("one bulk load", "10 to 20 days' growth", _loaded(uniform, 10, 20))
    week = _weeks(_OFFICE, _gamma(8, 1))
    yield Family("one bulk load", "30 to 200 days' growth, weekly", _loaded(week, 30, 200))


def _noise(chance: random.Random, sigma: float) -> float:
    return chance.lognormvariate(-sigma * sigma / 2, sigma)
