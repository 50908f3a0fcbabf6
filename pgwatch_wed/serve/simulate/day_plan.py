"""The truth of a day: what happens when, from a seed."""

import random
from dataclasses import dataclass

from pgwatch_wed.serve.simulate.day_kinds import CRITICAL, LESSER, TRAPS, DayKind

DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class DayEvent:
    """One incident or trap, in seconds of the day, with the levels that it sets."""

    kind: DayKind
    begins: float
    ends: float
    levels: dict[str, float]

    @property
    def is_incident(self) -> bool:
        """Tell whether somebody should hear of it."""
        return self.kind not in TRAPS


def planned(seed: int, seconds: float = DAY_S) -> list[DayEvent]:
    """Return the events of a day one after another: each critical incident, most lesser ones, each trap."""
    chance = random.Random(seed)  # noqa: S311 - nothing secret
    kinds = [*CRITICAL, *chance.sample(LESSER, 12), *TRAPS]
    chance.shuffle(kinds)
    events: list[DayEvent] = []
    at = 900.0 + chance.random() * 60
    for kind in kinds:
        length = chance.uniform(*kind.minutes) * 60
        if at + length > seconds - 900:
            break
        events.append(DayEvent(kind, at, at + length, _levels(kind, chance)))
        at += length + chance.uniform(13, 18) * 60
    return events


def _levels(kind: DayKind, chance: random.Random) -> dict[str, float]:
    return {name: chance.uniform(*bounds) for name, bounds in kind.sets.items()}
