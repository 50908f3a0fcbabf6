"""What production called in a window: the difference of two snapshots, never counters since a reset."""

import time
from dataclasses import dataclass
from pathlib import Path

from pgwatch_wed.errors import CollectError, DeltaError, UsageError
from pgwatch_wed.facts import Server, Snapshot, Statement, file
from pgwatch_wed.facts.delta import delta
from pgwatch_wed.postgres import statements
from pgwatch_wed.progress import Progress, silent
from pgwatch_wed.target import collect, connect

_FACTS = ("statements", "statements_info", "tables", "databases")
LEAST_S = 1.0


@dataclass(frozen=True, slots=True)
class ReplayWindow:
    """The statements that were called in a window of so many seconds, and where."""

    label: str
    seconds: float
    statements: tuple[Statement, ...]
    origin: Server
    notes: tuple[str, ...] = ()

    @property
    def total_ms(self) -> float:
        """The time of all of them."""
        return sum(s.total_exec_ms for s in self.statements)

    @property
    def calls(self) -> int:
        """The calls of all of them."""
        return sum(s.calls for s in self.statements)


def of_files(old: Path, new: Path) -> ReplayWindow:
    """Return the window between two snapshot files; raises :class:`Error` kinds."""
    first, second = (file.load(path) for path in (old, new))
    return between(first, second, f"{old.name} to {new.name}")


def of_target(conninfo: str, seconds: float, progress: Progress = silent) -> ReplayWindow:
    """Read a target twice, so many seconds apart."""
    if seconds < LEAST_S:
        raise UsageError("a window of less than a second tells nothing", "--window 60s")
    old = collect.collect(conninfo, only=_FACTS)
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        progress("waiting for the window to replay to pass", 1 - left / seconds)
        time.sleep(min(left, 1.0))
    new = collect.collect(conninfo, only=_FACTS)
    return between(old, new, connect.label(conninfo))


def between(old: Snapshot, new: Snapshot, label: str) -> ReplayWindow:
    """Return what was called between two snapshots.

    Raises :class:`DeltaError` if they are of different databases or in the wrong order, :class:`CollectError` if
    statements were not read or none was called.
    """
    for snapshot in (old, new):
        if "statements" in snapshot.missing:
            lacking = snapshot.missing["statements"]
            raise CollectError(f"the statements were not read: {lacking.reason}", lacking.mend)
    if old.now >= new.now:
        raise DeltaError("the snapshots of a window must be given older first", "--replay OLD,NEW")
    counted = delta(old, new)
    called = statements.of_users(counted)
    if not called:
        raise CollectError(
            "no statement of users was called between the two snapshots", "use a longer window"
        )
    return ReplayWindow(
        label, (new.now - old.now).total_seconds(), called, new.server, tuple(_notes(counted))
    )


def _notes(counted: Snapshot) -> list[str]:
    found = []
    for share in counted.delta_coverage:
        if share.fact == "statements" and share.reason:
            found.append(
                f"{share.reason}, so the window is shorter: only what was counted since is replayed"
            )
        if share.fact == "statements" and share.lost:
            found.append(
                f"{share.lost} statements were evicted from pg_stat_statements in the window"
            )
    return found
