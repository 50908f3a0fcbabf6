"""What a run is to read, and how much time it has."""

import time
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field
from typing import Any

from pgwatch_wed.facts import Snapshot
from pgwatch_wed.facts.snapshot import FROM_HISTORY
from pgwatch_wed.target import collect as collecting

Since = Callable[[tuple[Snapshot, ...]], tuple[Snapshot, ...]]
"""Given what was read, returns the earlier snapshots with which to compare it, or none."""


def nothing(_read: tuple[Snapshot, ...]) -> tuple[Snapshot, ...]:
    """Compare with nothing."""
    return ()


# What tells of the server's past, and what the identity of a server in the history is compared by.
_ALWAYS = frozenset({"settings", "databases", "checkpoints", "wal", "archiver", "slru"})
# What the lab adds needs the tables and statements that are read for it; what the history tells is compared with this
# run, which is kept for that. Levels are those of earlier runs.
_FROM_LAB = frozenset({"missing_indexes", "index_drop_trials", "statement_plans"})
_FROM_KEPT_RUNS = FROM_HISTORY - {"level_shifts"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """How much to read.

    ``databases`` are further ones of the same server, with the conninfo of each. ``looked_at`` tells for a few rules what they look at, in view of what has been read; None for everything.
    """

    standbys: tuple[str, ...] = ()
    all_databases: bool = False
    databases: tuple[tuple[str, str], ...] = ()
    budget_s: float | None = 300
    exact_bloat: int | None = None
    advise: bool = True
    since: Since = nothing
    looked_at: collecting.Demand | None = None
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


def demand(wanted: Wanted) -> collecting.Demand | None:
    """Return what decides which facts are read; None for all of them."""
    looked_at = wanted.looked_at
    is_more = wanted.standbys or wanted.exact_bloat or wanted.since is not nothing
    if looked_at is None or is_more:
        return None
    complete = _FROM_KEPT_RUNS | (_FROM_LAB if wanted.advise else frozenset())

    def demanded(snapshot: Snapshot) -> Set[str]:
        if not snapshot.is_partial:
            return _EVERYTHING
        names = _ALWAYS | looked_at(snapshot)
        return names if names.isdisjoint(complete) else _EVERYTHING

    return demanded


_EVERYTHING = frozenset((*collecting.ORDER, *collecting.DERIVED, *FROM_HISTORY))


class Budget:
    """The time that a run has left."""

    def __init__(self, seconds: float | None) -> None:
        self._deadline = None if seconds is None else time.monotonic() + seconds

    def left(self, share: float = 1.0) -> float | None:
        """Return a share of the seconds that are left, or None without a budget."""
        if self._deadline is None:
            return None
        return max(0.0, (self._deadline - time.monotonic()) * share)
