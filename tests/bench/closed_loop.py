"""How often the closed loop is right, on simulated changes: ``python -m tests.bench.closed_loop [trials [first seed]]``.

Each statement has its own noise, drift and heavy tail, a daily rhythm that all share, and now and then the
whole server is slower. The truth is known, so that each verdict can be counted.
"""

import math
import random
import sys
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pgwatch_wed.history.effects import ChangeTimes, Effect, ObservedWork, Work, measure

START = datetime(2026, 3, 2, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class World:
    """A change, and what else happens."""

    name: str
    truth: str
    treated: float = 1.0  # blocks and time of the treated statements, after / before
    time_only: float = 1.0
    writes: float = 1.0
    other: float = 1.0
    slowdown: float = 1.0  # of the whole server, at the same time
    growth: float = 0.0  # of the table, a day
    noise: float = 0.15
    rhythm: float = 0.4
    hours: float = 24.0
    before: int = 14
    after: int = 5
    weight_ms: float = 400_000  # of the treated statements, a day


WORLDS = (
    World("good index, ÷10", "helped", treated=0.1),
    World("good index, ÷10, hourly, noisy", "helped", treated=0.1, hours=2, noise=0.3, before=36, after=12),
    World("good index, ÷1.5", "helped", treated=0.67),
    World("good index, ÷10, server slower ×2", "helped", treated=0.1, slowdown=2.0),
    World("good index, ÷3, 6 + 4 intervals", "helped", treated=0.33, before=6, after=4),
    World("CPU only, ÷2", "helped", time_only=0.5),
    World("useless index", "no effect"),
    World("useless index, noisy", "no effect", noise=0.3),
    World("useless index, server slower ×1.5", "no effect", slowdown=1.5),
    World("useless index, server faster ÷1.5", "no effect", slowdown=0.67),
    World("useless index, table grows 2 % a day", "no effect", growth=0.02),
    World("useless index, hourly", "no effect", hours=2, before=36, after=12),
    World("useless index, 6 + 4 intervals", "no effect", before=6, after=4),
    World("useless index, writes ×1.5", "harmed", writes=1.5),
    World("planner chooses badly, ×4", "harmed", treated=4.0),
    World("another statement ×3", "harmed", other=3.0),
    World("another statement ×3, server slower ×1.5", "harmed", other=3.0, slowdown=1.5),
    World("good index, ÷10, writes ×1.3", "helped", treated=0.1, writes=1.3),
)  # fmt: skip


class _Statement:
    def __init__(self, rng: random.Random, world: World, calls_per_day: float, ms: float) -> None:
        self.rng, self.world = rng, world
        self.calls, self.ms = calls_per_day, ms
        self.blocks = rng.uniform(5, 5_000)
        self.level = 0.0

    def work(self, days: float, rate: float, common: float, blocks: float, time: float) -> Work:
        world, rng = self.world, self.rng
        calls = max(round(self.calls * world.hours / 24 * rate * math.exp(rng.gauss(0, 0.1))), 1)
        self.level = 0.8 * self.level + rng.gauss(0, world.noise / 3)  # it drifts
        own = math.exp(rng.gauss(0, world.noise / 2) + self.level)
        tail = 1 + (rng.paretovariate(2.0) - 1) * 0.1
        grown = (1 + world.growth) ** days
        return Work(
            calls,
            calls * self.blocks * blocks * grown * math.exp(rng.gauss(0, 0.01)),
            calls * self.ms * time * common * own * tail * grown,
        )


def trial(world: World, seed: int) -> Effect:
    """Run one simulated change."""
    rng = random.Random(seed)
    count = world.before + world.after + 2
    length = timedelta(hours=world.hours)
    spans = [(START + n * length, START + (n + 1) * length) for n in range(count)]
    each = world.weight_ms / 3
    groups = {
        "treated": [_Statement(rng, world, 2_000, each / 2_000) for _ in range(3)],
        "controls": [_Statement(rng, world, 5_000, 1.0) for _ in range(12)],
        "others": [_Statement(rng, world, 3_000, 10.0) for _ in range(4)],
        "writers": [_Statement(rng, world, 40_000, 1.5) for _ in range(2)],
    }
    found: dict[str, dict[int, dict[int, Work]]] = {g: {} for g in groups}
    number = 0
    shared = 0.0
    for name, statements in groups.items():
        for place, _ in enumerate(statements):
            found[name][number + place] = {}
        number += len(statements)
    for n, (began, _) in enumerate(spans):
        is_after = n > world.before
        hour = 2 * math.pi * (began.hour + began.minute / 60) / 24
        shared = 0.7 * shared + rng.gauss(0, 0.05)
        load = 1 + world.rhythm * math.sin(hour)
        common = math.exp(shared) * (1 + 0.3 * world.rhythm * math.sin(hour))
        common *= world.slowdown if is_after else 1.0
        number = 0
        for name, statements in groups.items():
            for place, s in enumerate(statements):
                blocks = time = 1.0
                if is_after and name == "treated":
                    blocks, time = world.treated, world.treated * world.time_only
                elif is_after and name == "writers":
                    blocks, time = world.writes, world.writes
                elif is_after and name == "others" and place == 0:
                    blocks, time = world.other, world.other
                days = (began - START) / timedelta(days=1) if name != "controls" else 0.0
                found[name][number + place][n] = s.work(days, load, common, blocks, time)
            number += len(statements)
    times = ChangeTimes(spans, spans[world.before][0], spans[world.before][1])
    return measure(times, ObservedWork(**found))


def main(trials: int, first: int) -> None:
    """Print a table."""
    sys.stdout.write(f"| change ({trials} trials each) | truth | verdicts |\n|---|---|---|\n")
    for world in WORLDS:
        effects = [trial(world, first + n) for n in range(trials)]
        said = Counter(e.outcome.value for e in effects)
        told = ", ".join(f"{o} {n / trials:.0%}" for o, n in said.most_common())
        sys.stdout.write(f"| {world.name} | {world.truth} | {told} |\n")


if __name__ == "__main__":
    given = [int(word) for word in sys.argv[1:]]
    main(*given, *(200, 0)[len(given) :])
