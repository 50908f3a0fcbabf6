"""Simulated workloads of 1,000 statements that never change: heavy tails, rhythm, drift, slow hours of the server.

Load is distributed by Zipf's law. Those far below the floor are too small to be judged; only some of them are simulated, as
witnesses of what the whole server does.
"""

import math
import random
from collections.abc import Callable
from datetime import timedelta
from statistics import fmean

from pgwatch_wed.history.interval_units import Observed
from tests.bench.regressions.trials import BEGINS, Workload

STATEMENTS = 1_000
DETAILED = 90
DRAWS = 40

Curve = list[float]
"""A logarithm for each interval."""
Family = Callable[[random.Random, int, int], Curve]
"""A kind of curve: how many intervals, and how many of them are a day."""


def tails(chance: random.Random, length: int, _: int) -> Curve:
    """Return nothing but short noise: the tails are those of the calls."""
    return [chance.gauss(0, 0.03) for _ in range(length)]


def rhythm(chance: random.Random, length: int, day: int) -> Curve:
    """Return a daily rhythm, by up to a third, with an hour of its own."""
    size, phase = chance.uniform(0, 0.3), chance.random()
    return [
        size * math.sin(2 * math.pi * (n / day + phase)) + chance.gauss(0, 0.05)
        for n in range(length)
    ]


def drift(chance: random.Random, length: int, _: int) -> Curve:
    """Return a slow change, and noise with a memory."""
    slope, rho, size = chance.gauss(0, 0.003), chance.uniform(0, 0.8), chance.uniform(0.02, 0.12)
    found, state = [], 0.0
    for n in range(length):
        state = rho * state + chance.gauss(0, size * math.sqrt(1 - rho * rho))
        found.append(slope * n + state)
    return found


FAMILIES: dict[str, Family] = {"tails": tails, "rhythm": rhythm, "drift": drift}


def simulate(name: str, family: Family, length: int, seed: int, minutes: int = 60) -> Workload:
    """Return the intervals, of so many minutes, of all statements that matter."""
    chance = random.Random(f"{name} {seed}")
    in_day = 24 * 60 // minutes
    server = [0.5 * x for x in drift(chance, length, in_day)]
    day = [0.6 + 0.4 * math.sin(2 * math.pi * n / in_day) for n in range(length)]
    total = sum(1 / n for n in range(1, STATEMENTS + 1))
    busy_ms = 60_000 * minutes * chance.uniform(0.1, 2)
    return {
        rank: _statement(
            chance, busy_ms / rank / total, family(chance, length, in_day), server, day, minutes
        )
        for rank in range(1, DETAILED + 1)
    }


def _statement(
    chance: random.Random, load_ms: float, own: Curve, server: Curve, day: Curve, minutes: int
) -> list[Observed]:
    mean_ms = math.exp(chance.gauss(1.0, 1.8))
    draw = _calls(chance)
    response, width = chance.uniform(0.7, 1.3), chance.uniform(0, 1)
    length = timedelta(minutes=minutes)
    found = []
    for n, log_own in enumerate(own):
        expected = load_ms / mean_ms * (1 - width + width * day[n])
        calls = max(round(chance.gauss(expected, math.sqrt(expected))), 0)
        drawn = min(calls, DRAWS)
        times = [draw() for _ in range(drawn)]
        mean = fmean(times) if times else 0.0
        begins = BEGINS + n * length
        scale = mean_ms * math.exp(log_own + response * server[n])
        deviation = _deviation(times, mean) * scale if times else None
        found.append(
            Observed(begins, begins + length, calls, calls * mean * scale, deviation_ms=deviation)
        )
    return found


def _deviation(times: list[float], mean: float) -> float:
    return math.sqrt(sum((x - mean) ** 2 for x in times) / len(times))


def _calls(chance: random.Random) -> Callable[[], float]:
    """Return the distribution of calls, with a mean of about one."""
    if chance.random() < 0.3:
        alpha = chance.uniform(1.4, 2.5)
        return lambda: chance.paretovariate(alpha) * (alpha - 1) / alpha
    sigma = chance.uniform(0.2, 1.5)
    return lambda: chance.lognormvariate(-sigma * sigma / 2, sigma)
