"""What a run is to read, and how much time it has."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pgwatch_wed.facts import Snapshot
from pgwatch_wed.target import collect as collecting

Since = Callable[[tuple[Snapshot, ...]], tuple[Snapshot, ...]]
"""Given what was read, returns the earlier snapshots with which to compare it, or none."""


def nothing(_read: tuple[Snapshot, ...]) -> tuple[Snapshot, ...]:
    """Compare with nothing."""
    return ()


@dataclass(frozen=True, slots=True)
class Wanted:
    """How much to read."""

    standbys: tuple[str, ...] = ()
    all_databases: bool = False
    budget_s: float | None = 300
    exact_bloat: int | None = None
    advise: bool = True
    since: Since = nothing
    limits: collecting.CollectLimits = field(default_factory=collecting.CollectLimits)

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> "Wanted":
        """Return what the command line requests."""
        return cls(
            standbys=tuple(options.get("standbys", ())),
            all_databases=bool(options.get("all_databases")),
            budget_s=options.get("budget_s"),
            exact_bloat=options.get("exact_bloat"),
            advise=bool(options.get("advise", True)),
        )


class Budget:
    """The time that a run has left."""

    def __init__(self, seconds: float | None) -> None:
        self._deadline = None if seconds is None else time.monotonic() + seconds

    def left(self, share: float = 1.0) -> float | None:
        """Return a share of the seconds that are left, or None without a budget."""
        if self._deadline is None:
            return None
        return max(0.0, (self._deadline - time.monotonic()) * share)
