"""DDL that waits for its lock while other sessions queue up behind it.

## Why it matters
ALTER TABLE needs an exclusive lock. While it waits for one long query, all new reads and writes of the table wait behind it: a
change that takes a millisecond stops the application for as long as that query runs.

## How sure we are
A: PostgreSQL's own lock queue, at that moment.

## Not reported
- DDL that waits with no session behind it, and waits shorter than `min_wait`.
- DDL that has its lock and is running: that is `lock-blocked`.

## Remedy
Cancel the DDL, not the queries: nothing is lost but its wait. Then run it again with `SET lock_timeout = '2s'` and retries, so
that it gives up before a queue builds up, at a time without long queries.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from pgwatch_wed import units
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Finding, Grade, Impact, Severity, Unknown
from pgwatch_wed.postgres import waits as locks
from pgwatch_wed.remedies import sessions as release

NEEDS = ("lock_waits", "sessions")


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # Shorter waits come and go under any load.
    min_wait: timedelta = timedelta(milliseconds=500)
    # Users notice.
    warn_wait: timedelta = timedelta(seconds=5)
    # At least this many queued sessions are a warning at once.
    warn_sessions: int = 5


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each table with a queue behind waiting DDL."""
    waits = locks.Waits(snapshot)
    seen: set[int] = set()
    for queue in locks.ddl_queues(waits):
        ours = queue.database_oid == snapshot.server.database_oid and queue.relation is not None
        long_enough = waits.waited(queue.pid) >= limits.min_wait
        if ours and long_enough and queue.relation_oid not in seen:
            seen.add(queue.relation_oid)
            yield _finding(waits, queue, limits)
    yield from waits.unseen()


def _finding(waits: locks.Waits, queue: locks.Queue, limits: Limits) -> Finding:
    snapshot = waits.snapshot
    waited = waits.waited(queue.pid)
    session = snapshot.session_by_pid.get(queue.pid)
    ahead = waits.before[queue.pid]
    late = waited >= limits.warn_wait or len(queue.behind) >= limits.warn_sessions
    return Finding(
        object=locks.table_object(snapshot, queue.relation_oid, queue.relation),
        severity=Severity.WARNING if late else Severity.INFO,
        grade=Grade.A,
        title=f"{units.count(len(queue.behind), 'session')} queued on {queue.relation} behind "
        f"a statement that waits for {locks.lock_name(queue.mode)}",
        detail=f"{locks.subject(snapshot, queue.pid)} has been waiting for {units.words(waited)}. "
        + " ".join(f"{locks.subject(snapshot, a)} {locks.doing(snapshot, a)}." for a in ahead),
        evidence={
            **(locks.evidence(snapshot, session) if session else {}),
            "pid": queue.pid,
            "mode": locks.lock_name(queue.mode),
            "relation": queue.relation,
            "waited_seconds": locks.seconds(waited),
            "waits_for": list(ahead),
            "queued": list(queue.behind),
        },
        impact=Impact(risk="new queries cannot access the table until it finishes or gives up"),
        remedy=(release.cancel(session),) if session else (),
        caveats=("Run it again with SET lock_timeout = '2s', and retry if it gives up.",),
    )
