"""Kinds of unchanged workloads that were written after the rule was fixed, to judge it."""

import math
import random

from tests.bench.regressions.simulate import Curve, Family


def bursts(chance: random.Random, length: int, _: int) -> Curve:
    """Return intervals that now and then are several times as slow, such as by checkpoints or backups."""
    often, size = chance.uniform(0, 0.12), chance.uniform(0.3, 1.5)
    return [
        chance.gauss(0, 0.06) + (chance.expovariate(1 / size) if chance.random() < often else 0)
        for _ in range(length)
    ]


def wandering(chance: random.Random, length: int, _: int) -> Curve:
    """Return a walk that is drawn back, with steps of Student's t with three degrees of freedom."""
    back, size = chance.uniform(0.05, 0.5), chance.uniform(0.01, 0.06)
    found, state = [], 0.0
    for _n in range(length):
        step = chance.gauss(0, 1) / math.sqrt(chance.gammavariate(1.5, 2 / 3))
        state = state * (1 - back) + size * step
        found.append(state + chance.gauss(0, 0.04))
    return found


def office(chance: random.Random, length: int, day: int) -> Curve:
    """Return what is slower in office hours, and different at each statement."""
    size, opens = chance.uniform(-0.1, 0.4), chance.randint(6, 10) / 24
    return [
        (size if opens <= n / day % 1 < opens + 9 / 24 else 0) + chance.gauss(0, 0.05)
        for n in range(length)
    ]


def sawtooth(chance: random.Random, length: int, _: int) -> Curve:
    """Return what becomes slower until the table is vacuumed."""
    period, size, phase = chance.randint(4, 30), chance.uniform(0, 0.3), chance.random()
    return [size * ((n / period + phase) % 1) + chance.gauss(0, 0.05) for n in range(length)]


def caches(chance: random.Random, length: int, _: int) -> Curve:
    """Return two states, cached and not, that last for a while."""
    size, leaves, warms = chance.uniform(0, 0.5), chance.uniform(0, 0.1), chance.uniform(0.2, 0.8)
    found, is_cold = [], False
    for _n in range(length):
        is_cold = chance.random() > warms if is_cold else chance.random() < leaves
        found.append((size if is_cold else 0) + chance.gauss(0, 0.04))
    return found


NEW: dict[str, Family] = {
    "bursts": bursts,
    "wandering": wandering,
    "office": office,
    "sawtooth": sawtooth,
    "caches": caches,
}
