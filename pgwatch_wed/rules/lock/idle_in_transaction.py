"""Sessions that sit idle inside an open transaction.

## Why it matters
Their locks stay, VACUUM may not remove rows they could see, and a pool has one connection less.

## How sure we are
B: state and times are the server's.

## Not reported
Short pauses between two statements of a transaction, unless somebody waits for it; our own session.

## Remedy
pg_terminate_backend (there is no statement to cancel), then the application that forgot to commit;
idle_in_transaction_session_timeout makes the server do it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from pgwatch_wed.facts import Session, Snapshot
from pgwatch_wed.findings import Finding, Grade, Impact, Severity, Unknown
from pgwatch_wed.rules import _sessions as ss

NEEDS = ("sessions", "lock_waits")
SCOPE = "cluster"


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # Applications pause between statements, but not for this long.
    min_idle: timedelta = timedelta(seconds=30)
    # From here on it is a warning even if nobody waits.
    warn_idle: timedelta = timedelta(minutes=5)


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each session that is idle too long or holds somebody up."""
    hidden = 0
    for session in ss.clients(snapshot):
        if session.state is None:
            hidden += 1
        if not ss.is_idle_in_transaction(session):
            continue
        idle = ss.seconds_since(snapshot, session.state_change) or 0.0
        waiting = ss.blocked_by(snapshot, session.pid)
        if waiting or idle >= limits.min_idle.total_seconds():
            yield _finding(snapshot, session, idle, waiting, limits)
    if hidden:
        yield Unknown(
            f"the state of {hidden} sessions is hidden from {snapshot.server.role}",
            "GRANT pg_monitor TO the role",
        )


def _finding(
    snapshot: Snapshot, session: Session, idle: float, waiting: tuple[int, ...], limits: Limits
) -> Finding:
    warns = bool(waiting) or idle >= limits.warn_idle.total_seconds()
    holds = [
        k
        for k, v in (
            ("a snapshot", session.xmin_age_xids),
            ("a transaction id", session.xid_age_xids),
        )
        if v is not None
    ]
    return Finding(
        object=ss.object_of(session),
        severity=Severity.WARNING if warns else Severity.INFO,
        grade=Grade.B,
        title=f"{ss.object_of(session).name} has been idle in a transaction for {idle:.0f} s",
        detail=(f"{len(waiting)} sessions wait for it. " if waiting else "")
        + (
            f"It holds {' and '.join(holds)}." if holds else "It keeps the locks of its statements."
        ),
        evidence={
            "idle_seconds": round(idle, 1),
            "waiters": len(waiting),
            "waiter_pids": list(waiting),
            "holds": holds,
            **ss.evidence(snapshot, session),
        },
        impact=Impact(risk="locks stay and dead rows cannot be removed"),
        remedy=(ss.end(session),),
        caveats=(
            "Its transaction is rolled back; the application must cope with the lost connection.",
        ),
    )
