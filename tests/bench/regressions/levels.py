"""How often amounts that never rise are said to have risen: python -m tests.bench.regressions.levels --repeat 100 --seed 1."""

import argparse
import math
import random
from collections.abc import Mapping
from datetime import timedelta

from pgwatch_wed.history.level_shifts import LevelSides, RateInterval, risen
from pgwatch_wed.history.regressions import Proof, SeriesKey
from tests.bench.regressions.simulate import Curve, Family
from tests.bench.regressions.trials import BEGINS

HOUR = timedelta(hours=1)
SIZES = ((24, 4), (12, 3), (96, 24))
SERIES = 10


def bursts(chance: random.Random, length: int, _: int) -> Curve:
    """Return hours of which many have nothing."""
    often, sigma = chance.uniform(0.05, 1), chance.uniform(0.3, 2)
    return [
        chance.lognormvariate(0, sigma) if chance.random() < often else 0 for _ in range(length)
    ]


def batches(chance: random.Random, length: int, _: int) -> Curve:
    """Return a steady amount, and now and then a batch of many times as much."""
    often, size = chance.uniform(0.02, 0.3), chance.uniform(3, 100)
    return [
        1
        + chance.gauss(0, 0.05)
        + (size * chance.lognormvariate(0, 0.5) if chance.random() < often else 0)
        for _ in range(length)
    ]


def rhythm(chance: random.Random, length: int, day: int) -> Curve:
    """Return days and nights."""
    depth, phase = chance.uniform(0.2, 1), chance.random()
    return [
        max(1 + depth * math.sin(2 * math.pi * (n / day + phase)), 0.01)
        * chance.lognormvariate(0, 0.1)
        for n in range(length)
    ]


def weekends(chance: random.Random, length: int, day: int) -> Curve:
    """Return working days, and weekends with a tenth."""
    return [
        (0.1 if n // day % 7 >= 5 else 1) * chance.lognormvariate(0, 0.2) for n in range(length)
    ]


def sessions(chance: random.Random, length: int, _: int) -> Curve:
    """Return numbers of connections, in units of 100,000."""
    mean, wide = chance.uniform(5, 80), chance.uniform(1, 2)
    return [max(round(chance.gauss(mean, wide * math.sqrt(mean))), 0) / 10 for _ in range(length)]


def moods(chance: random.Random, length: int, _: int) -> Curve:
    """Return what is high for hours, and low for hours, by factors."""
    keeps, state, found = chance.uniform(0.5, 0.97), 0.0, []
    for _n in range(length):
        state = keeps * state + chance.gauss(0, chance.uniform(0.1, 0.4))
        found.append(math.exp(state))
    return found


KINDS: Mapping[str, Family] = {
    f.__name__: f for f in (bursts, batches, rhythm, weekends, sessions, moods)
}


def alarms(name: str, size: tuple[int, int], repeat: int, seed: int, factor: float = 1) -> int:
    """Return in how many comparisons of some series there is an alarm; in the first series, if that one rises."""
    found = 0
    for number in range(repeat):
        chance = random.Random(f"levels {name} {size} {seed} {number}")
        begins = chance.randrange(7 * 24)
        series: dict[SeriesKey, LevelSides] = {
            n: _sides(chance, name, begins, size, factor if n == 0 else 1) for n in range(SERIES)
        }
        told = {r.key for r in risen(series, Proof(), 2.0)}
        found += 0 in told if factor > 1 else bool(told)
    return found


def _sides(
    chance: random.Random, name: str, begins: int, size: tuple[int, int], factor: float
) -> LevelSides:
    base, current = size
    curve = KINDS[name](chance, begins + base + current, 24)[begins:]
    values = [1e6 * v * (factor if n >= base else 1) for n, v in enumerate(curve)]
    each = [
        RateInterval(BEGINS + (begins + n) * HOUR, BEGINS + (begins + n + 1) * HOUR, v)
        for n, v in enumerate(values)
    ]
    return LevelSides(each[:base], each[base:], 1e5)


def main() -> None:
    """Print a line for each kind."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    for size in SIZES:
        for name in KINDS:
            figures = [alarms(name, size, given.repeat, given.seed, f) for f in (1, 3, 10)]
            print(f"{size} {name}: alarms, 3x, 10x: {figures} of {given.repeat}", flush=True)


if __name__ == "__main__":
    main()
