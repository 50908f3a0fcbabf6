"""Unchanged workloads written after the rule was fixed for good, to judge it once: other calls, other kinds of noise, blocks.

Up to 200 calls of an interval are drawn; an interval of more is as noisy as if it had 200. Blocks per call follow the time of
calls in part, as they do where parameters decide how much is read.
"""

import math
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate

from pgwatch_wed.history.interval_units import Observed
from tests.bench.regressions.simulate import DETAILED, STATEMENTS, Curve, Family
from tests.bench.regressions.trials import BEGINS, Workload

DRAWS = 200

Draw = Callable[[], float]


def nightly(chance: random.Random, length: int, day: int) -> Curve:
    """Return jobs that slow down one to three hours of a day, and each statement differently."""
    begins, hours = chance.randrange(24), chance.randint(1, 3)
    size = chance.uniform(0, 0.7)
    return [
        (size if (n * 24 // day - begins) % 24 < hours else 0) + chance.gauss(0, 0.04)
        for n in range(length)
    ]


def growth(chance: random.Random, length: int, _: int) -> Curve:
    """Return a table that grows, by up to half a percent in an interval, and is vacuumed now and then."""
    pace, dead, often = chance.uniform(0, 0.005), chance.uniform(0, 0.02), chance.uniform(0.05, 0.3)
    found, state = [], 0.0
    for n in range(length):
        state = 0.0 if chance.random() < often else state + dead
        found.append(pace * n + min(state, 0.3) + chance.gauss(0, 0.04))
    return found


def waits(chance: random.Random, length: int, _: int) -> Curve:
    """Return intervals in which calls wait for locks: how long has an exponential distribution, squared."""
    often, size = chance.uniform(0, 0.3), chance.uniform(0, 0.3)
    return [
        math.log1p(size * chance.expovariate(1) ** 2 if chance.random() < often else 0)
        + chance.gauss(0, 0.05)
        for _ in range(length)
    ]


def memory(chance: random.Random, length: int, _: int) -> Curve:
    """Return noise with a long memory: the sum of three that forget at different speeds."""
    found = [0.0] * length
    for keeps in (0.3, 0.8, 0.97):
        size = chance.uniform(0.01, 0.08) * math.sqrt(1 - keeps * keeps)
        steps = (size * chance.gauss(0, 1) for _ in range(length))
        found = [a + b for a, b in zip(found, _remembered(steps, keeps), strict=True)]
    return found


def _remembered(steps: Iterable[float], keeps: float) -> Curve:
    return list(accumulate(steps, lambda old, new: keeps * old + new))


def neighbors(chance: random.Random, length: int, day: int) -> Curve:
    """Return a machine that is shared: busy for some hours, with jitter that grows along."""
    phase, size = chance.random(), chance.uniform(0, 0.25)
    busy = [max(math.sin(2 * math.pi * (n / day + phase)), 0.0) for n in range(length)]
    return [size * b + chance.gauss(0, 0.03 + 0.1 * b * size) for b in busy]


JUDGING: Mapping[str, Family] = {
    "nightly": nightly,
    "growth": growth,
    "waits": waits,
    "memory": memory,
    "neighbors": neighbors,
}


def simulate(name: str, length: int, seed: int, minutes: int) -> Workload:
    """Return the intervals, of so many minutes, of all statements that matter."""
    chance = random.Random(f"judging {name} {seed}")
    in_day = 24 * 60 // minutes
    server = [0.4 * x for x in memory(chance, length, in_day)]
    total = sum(1 / n for n in range(1, STATEMENTS + 1))
    busy_ms = 60_000 * minutes * chance.uniform(0.2, 4)
    return {
        rank: _statement(
            chance, busy_ms / rank / total, JUDGING[name](chance, length, in_day), server, minutes
        )
        for rank in range(1, DETAILED + 1)
    }


def _statement(
    chance: random.Random, load_ms: float, own: Curve, server: Curve, minutes: int
) -> list[Observed]:
    mean_ms = math.exp(chance.gauss(1.0, 1.8))
    made = _Drawn(_calls(chance), chance.uniform(0, 1), mean_ms, 10 ** chance.uniform(0.5, 4))
    response, burst = chance.uniform(0.6, 1.4), chance.uniform(0, 0.6)
    length, found = timedelta(minutes=minutes), []
    for n, log_own in enumerate(own):
        expected = load_ms / mean_ms * math.exp(chance.gauss(0, burst))
        calls = max(round(chance.gauss(expected, math.sqrt(expected))), 0)
        begins = BEGINS + n * length
        factor = math.exp(log_own + response * server[n])
        found.append(made.observed(chance, calls, factor, begins, begins + length))
    return found


@dataclass(frozen=True)
class _Drawn:
    """How calls of a statement are: their distribution, and how much of it is blocks."""

    draw: Draw
    by_blocks: float
    mean_ms: float
    mean_blocks: float

    def observed(
        self, chance: random.Random, calls: int, factor: float, begins: datetime, ends: datetime
    ) -> Observed:
        times = [self.draw() for _ in range(min(calls, DRAWS))]
        mean = sum(times) / len(times) if times else 0.0
        squares = sum((x - mean) ** 2 for x in times) / len(times) if times else 0.0
        ms = self.mean_ms * factor
        read = (1 - self.by_blocks) + self.by_blocks * mean
        return Observed(
            begins,
            ends,
            calls,
            calls * mean * ms,
            rows=float(calls),
            blocks=calls * self.mean_blocks * read * chance.lognormvariate(0, 0.02),
            deviation_ms=math.sqrt(squares) * ms if times else None,
        )


def _calls(chance: random.Random) -> Draw:
    """Return the distribution of calls, with a mean of about one."""
    kind = chance.random()
    if kind < 0.25:
        shape = chance.uniform(0.4, 1.0)
        mean = math.gamma(1 + 1 / shape)
        return lambda: chance.weibullvariate(1 / mean, shape)
    if kind < 0.5:
        alpha = chance.uniform(1.3, 3)
        return lambda: min(chance.paretovariate(alpha), 3_000) * (alpha - 1) / alpha
    if kind < 0.75:
        share, times = chance.uniform(0.01, 0.2), chance.uniform(3, 60)
        mean = 1 + share * (times - 1)
        return lambda: (
            (times if chance.random() < share else 1) * chance.gammavariate(9, 1 / 9) / mean
        )
    shape = chance.uniform(0.3, 8)
    return lambda: chance.gammavariate(shape, 1 / shape)
