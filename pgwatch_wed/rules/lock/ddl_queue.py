"""DDL that waits for a lock while others queue up behind it.

## Why it matters
A waiting ALTER TABLE stops everybody: readers who would not be in the way of the present holder wait behind the DDL,
and the table is as good as locked.

## How sure we are
B: the server names who waits for whom.

## Not reported
DDL that waits with nobody behind it, and DDL that has its lock already (`lock-blocked`).

## Remedy
Cancel the DDL, end or wait for what it waits for, and run it again with a lock_timeout and retries.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed.facts import LockWait, Snapshot
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Remedy, Severity, Unknown
from pgwatch_wed.rules import _sessions as ss

NEEDS = ("lock_waits", "sessions")
SCOPE = "cluster"

_STRONG = frozenset({"AccessExclusiveLock", "ExclusiveLock", "ShareRowExclusiveLock", "ShareLock"})


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # From this many sessions behind the DDL on it is a warning.
    warn_queue: int = 1


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each waiting DDL with a queue behind it."""
    for wait in snapshot.lock_waits:
        if wait.locktype != "relation" or wait.mode not in _STRONG:
            continue
        queue = [
            w
            for w in snapshot.lock_waits
            if wait.pid in w.blocked_by and w.relation_oid == wait.relation_oid
        ]
        if queue:
            yield _finding(snapshot, wait, queue, limits)


def _finding(snapshot: Snapshot, wait: LockWait, queue: list[LockWait], limits: Limits) -> Finding:
    session = snapshot.session_by_pid.get(wait.pid)
    table = wait.relation or f"relation {wait.relation_oid}"
    waited = ss.seconds_since(snapshot, wait.wait_start)
    name = ss.object_of(session).name if session else f"pid {wait.pid}"
    holders = [str(p) for p in wait.blocked_by]
    return Finding(
        object=Object("session", name),
        severity=Severity.WARNING if len(queue) >= limits.warn_queue else Severity.INFO,
        grade=Grade.B,
        title=f"DDL on {table} waits, and {len(queue)} sessions queue behind it",
        detail=f"{name} wants {wait.mode} and waits for pid {', '.join(holders)}; everybody who comes "
        "later waits behind it, readers too.",
        evidence={
            "pid": wait.pid,
            "relation": wait.relation,
            "mode": wait.mode,
            "waited_seconds": None if waited is None else round(waited, 1),
            "waits_for_pids": list(wait.blocked_by),
            "queue": len(queue),
            "queue_pids": [w.pid for w in queue],
            "query": session.query if session else None,
        },
        impact=Impact(risk=f"{table} is closed to new readers and writers"),
        remedy=(
            Remedy(
                sql=f"SELECT pg_cancel_backend({wait.pid});",
                lock="none; the DDL is cancelled and its queue goes on at once",
                undo="-- run the DDL again with: SET lock_timeout = '2s'; and retry",
            ),
        ),
    )
