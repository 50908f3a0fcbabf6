"""Sessions that wait for another session's lock: the root of the queue, and how to make it release the lock.

## Why it matters
A session that waits for a lock does nothing, but holds its own locks and blocks others in turn. All of them wait for the root
of the tree, and ending that one transaction releases them all.

## How sure we are
A: PostgreSQL itself shows which session waits for which (`pg_blocking_pids`), at that moment. From 14 on it also shows since
when; before, the start of the statement is used, which is the longest that the wait can have lasted; of statements that the
role may not see, it is unknown.

## Not reported
- Waits shorter than `min_wait`, which come and go under load.
- Waits for advisory locks, and those of CREATE INDEX CONCURRENTLY for old transactions, are info: they wait on purpose.
- Waits inside the server (LWLocks, I/O), which do not last long.

## Remedy
If the root is idle, in transaction or with an advisory lock, terminate it: there is nothing to cancel. The same applies if it
waits for its client, as in COPY. If it runs any other statement, cancel that. If a waiting DDL statement blocks others, cancel
the DDL first: nothing is lost. Roll back or commit a prepared transaction. The lasting solution is short transactions: see
`lock-idle-in-transaction` and `lock-no-timeouts`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from pgwatch_wed import units
from pgwatch_wed.facts import Session, Snapshot
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Remedy, Severity, Unknown
from pgwatch_wed.postgres import waits as locks
from pgwatch_wed.remedies import sessions as release
from pgwatch_wed.rules.connection import usage

NEEDS = ("lock_waits", "sessions")
SCOPE = "cluster"


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # Shorter waits come and go under any load.
    min_wait: timedelta = timedelta(milliseconds=500)
    # Users notice; PostgreSQL itself checks for deadlocks after one second.
    warn_wait: timedelta = timedelta(seconds=5)
    # With this many sessions waiting for this long, the application is down.
    critical_wait: timedelta = timedelta(seconds=60)
    critical_sessions: int = 10
    # If the sessions behind it take up this fraction of the connections, new ones will soon be refused.
    critical_room_share: float = 0.5


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each root that other sessions wait for."""
    waits = locks.Waits(snapshot)
    roots = [r for r in waits.roots if waits.longest(r) >= limits.min_wait]
    names = locks.node_objects(snapshot, roots)
    for root in roots:
        yield _finding(waits, root, names[root], limits)
    yield from waits.unseen()


def _finding(waits: locks.Waits, root: locks.Participant, name: Object, limits: Limits) -> Finding:
    snapshot = waits.snapshot
    depths = waits.depths(root)
    longest = waits.longest(root)
    queue = [_waiting(waits, pid, depth) for pid, depth in sorted(depths.items(), key=_deep_last)]
    session = snapshot.session_by_pid.get(root) if isinstance(root, int) else None
    return Finding(
        object=name,
        severity=_severity(waits, root, limits),
        grade=Grade.A,
        title=f"{locks.subject(snapshot, root)} has been blocking {units.count(len(depths), 'session')} "
        f"for up to {units.words(longest)}",
        detail=f"It {locks.doing(snapshot, root)}.",
        evidence={
            "root": root,
            "root_state": locks.doing(snapshot, root),
            **(locks.evidence(snapshot, session) if session else {}),
            "holds": locks.held(snapshot, root),
            "waiting": queue,
            "waiting_sessions": len(depths),
            "longest_wait_seconds": locks.seconds(longest),
        },
        impact=Impact(risk="the sessions behind it make no progress, and more will queue up"),
        remedy=tuple(_remedies(waits, root, session)),
        caveats=tuple(_caveats(session, is_stopped=not _ddl_to_cancel(waits, root))),
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


def _severity(waits: locks.Waits, root: locks.Participant, limits: Limits) -> Severity:
    behind = waits.depths(root)
    longest = waits.longest(root)
    meant = all(waits.by_pid[pid].locktype in ("advisory", "virtualxid") for pid in behind)
    if meant or longest < limits.warn_wait:
        return Severity.INFO
    room = usage.available(waits.snapshot)
    fills = room is not None and len(behind) >= limits.critical_room_share * room
    if len(behind) >= limits.critical_sessions and (fills or longest >= limits.critical_wait):
        return Severity.CRITICAL
    return Severity.WARNING


def _remedies(
    waits: locks.Waits, root: locks.Participant, session: Session | None
) -> Iterator[Remedy]:
    """Cancel waiting DDL that blocks others; otherwise stop the root."""
    if queued := _ddl_to_cancel(waits, root):
        for queue in queued:
            waiting = waits.snapshot.session_by_pid.get(queue.pid)
            if waiting is not None:
                yield release.cancel(waiting)
    elif isinstance(root, str):
        yield release.rollback_prepared(root)
    elif session is not None and locks.is_client(session):
        yield release.stop(session)


def _ddl_to_cancel(waits: locks.Waits, root: locks.Participant) -> list[locks.Queue]:
    """Return the DDL directly behind the root, if only such waits there, and others wait behind each."""
    behind = waits.behind.get(root, ())
    queued = [q for q in locks.ddl_queues(waits) if q.pid in behind]
    return queued if len(queued) == len(behind) else []


def _caveats(session: Session | None, *, is_stopped: bool) -> Iterator[str]:
    if session is not None and session.backend_type == "autovacuum worker":
        yield (
            "An autovacuum worker is canceled automatically after deadlock_timeout, unless it is preventing "
            "wraparound: then let it finish."
        )
    if is_stopped and session is not None and session.xid_age_xids is not None:
        yield "Its transaction has written data, which is rolled back if it is stopped."
