"""Sessions that wait for another's lock: who stands at the root, and how to make it let go.

## Why it matters
Whoever waits for a lock does nothing, holds its own locks meanwhile and blocks others in turn. Everybody waits for the
root of such a tree, and ending that one transaction frees all.

## How sure we are
A: PostgreSQL itself says who waits for whom (`pg_blocking_pids`), in that moment. Since 14 it also says since when; before, we
take the beginning of the statement, which is the longest that the wait can be.

## Not reported
- Waits shorter than `min_wait`: under load they come and go.
- Waits for advisory locks and of CREATE INDEX CONCURRENTLY for old transactions are info: they are meant to wait.
- Waits inside the server (LWLocks, I/O), which nobody holds for long.

## Remedy
If the root is idle in its transaction, terminate it: there is nothing to cancel. If it runs a statement, cancel that. If a
waiting DDL statement holds up others, cancel the DDL first: that costs nobody anything. A prepared transaction is
rolled back or committed. The cure is short transactions: see `lock-idle-in-transaction` and `lock-no-timeouts`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from pgwatch_wed import units
from pgwatch_wed.facts import Session, Snapshot
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Remedy, Severity, Unknown
from pgwatch_wed.postgres import waits as locks
from pgwatch_wed.remedies import sessions as release

NEEDS = ("lock_waits", "sessions")
SCOPE = "cluster"


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # Shorter waits come and go under any load.
    min_wait: timedelta = timedelta(milliseconds=500)
    # Users notice; PostgreSQL itself looks for deadlocks after one second.
    warn_wait: timedelta = timedelta(seconds=5)
    # So many sessions for so long: the application stands still.
    critical_wait: timedelta = timedelta(seconds=60)
    critical_sessions: int = 10


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each root that others wait for."""
    waits = locks.Waits(snapshot)
    roots = [r for r in waits.roots if waits.longest(r) >= limits.min_wait]
    names = locks.node_objects(snapshot, roots)
    for root in roots:
        yield _finding(waits, root, names[root], limits)


def _finding(waits: locks.Waits, root: locks.Node, name: Object, limits: Limits) -> Finding:
    snapshot = waits.snapshot
    depths = waits.depths(root)
    longest = waits.longest(root)
    queue = [_waiting(waits, pid, depth) for pid, depth in sorted(depths.items(), key=_deep_last)]
    session = snapshot.session_by_pid.get(root) if isinstance(root, int) else None
    return Finding(
        object=name,
        severity=_severity(waits, root, limits),
        grade=Grade.A,
        title=f"{locks.subject(snapshot, root)} blocks {units.count(len(depths), 'session')}, "
        f"for {units.words(longest)} so far",
        detail=f"It {locks.doing(snapshot, root)}.",
        evidence={
            "root": root,
            "root_does": locks.doing(snapshot, root),
            **(locks.evidence(snapshot, session) if session else {}),
            "holds": locks.held(snapshot, root),
            "waiting": queue,
            "waiting_sessions": len(depths),
            "longest_wait_seconds": locks.seconds(longest),
        },
        impact=Impact(risk="everybody behind it stands still, and more will queue up"),
        remedy=tuple(_remedies(waits, root, session)),
        caveats=tuple(_caveats(session)),
        related=tuple(locks.relations(waits, depths)),
    )


def _deep_last(item: tuple[int, int]) -> tuple[int, int]:
    return item[1], item[0]


def _waiting(waits: locks.Waits, pid: int, depth: int) -> dict[str, object]:
    wait = waits.by_pid[pid]
    session = waits.snapshot.session_by_pid.get(pid)
    return {
        "pid": pid,
        "depth": depth,
        "waits_for": list(waits.before[pid]),
        "mode": locks.lock_name(wait.mode),
        "lock_type": wait.locktype,
        "relation": wait.relation,
        "waited_seconds": locks.seconds(waits.waited(pid)),
        "since": wait.wait_start.isoformat() if wait.wait_start else None,
        "user": session.user if session else None,
        "application_name": session.application_name if session else None,
        "query": session.query if session else None,
    }


def _severity(waits: locks.Waits, root: locks.Node, limits: Limits) -> Severity:
    behind = waits.depths(root)
    longest = waits.longest(root)
    meant = all(waits.by_pid[pid].locktype in ("advisory", "virtualxid") for pid in behind)
    if meant or longest < limits.warn_wait:
        return Severity.INFO
    if longest >= limits.critical_wait and len(behind) >= limits.critical_sessions:
        return Severity.CRITICAL
    return Severity.WARNING


def _remedies(waits: locks.Waits, root: locks.Node, session: Session | None) -> Iterator[Remedy]:
    """Cancel DDL that waits and holds up others; else stop the root."""
    queued = [q for q in locks.ddl_queues(waits) if q.pid in waits.behind.get(root, ())]
    behind = waits.behind.get(root, ())
    if queued and len(queued) == len(behind):
        for queue in queued:
            waiting = waits.snapshot.session_by_pid.get(queue.pid)
            if waiting is not None:
                yield release.cancel(waiting)
    elif isinstance(root, str):
        yield release.rollback_prepared(root)
    elif session is not None and locks.is_client(session):
        yield release.stop(session)


def _caveats(session: Session | None) -> Iterator[str]:
    if session is not None and session.backend_type == "autovacuum worker":
        yield (
            "An autovacuum gives way by itself after deadlock_timeout, unless it works against "
            "wraparound: then let it finish."
        )
    if session is not None and session.xid_age_xids is not None:
        yield "It has written something, which is lost when it is stopped."
