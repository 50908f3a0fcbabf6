"""Sessions that are idle in transaction.

## Why it matters
An open transaction keeps all locks that it has taken and, if it has an ID or a snapshot, keeps VACUUM from removing rows that
died since. It is nearly always a bug: a missing COMMIT, an unhandled exception, a network call or a person's lunch break inside
a transaction.

## How sure we are
A: it is the session's state at that moment, and PostgreSQL shows since when.

## Not reported
- Sessions idle for less than `min_idle`, unless another session waits for them: between two statements of a transaction, every
  session is briefly idle.
- Transactions without an ID or a snapshot that no session waits for, for less than `warn_idle`. They hold back nothing, and
  are info at most.

## Remedy
Terminate it: there is no statement to cancel. Then set `idle_in_transaction_session_timeout` for the application's role, and
change the application to end transactions before doing anything slow.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from pgwatch_wed import units
from pgwatch_wed.facts import Session, Snapshot
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Severity, Unknown
from pgwatch_wed.postgres import waits as locks
from pgwatch_wed.remedies import sessions as release

NEEDS = ("sessions", "lock_waits")
SCOPE = "cluster"


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # An application should not need longer between two statements.
    min_idle: timedelta = timedelta(seconds=10)
    # By now it affects VACUUM and DDL.
    warn_idle: timedelta = timedelta(minutes=5)
    # It is reported at once if another session has been waiting for it for this long.
    min_wait: timedelta = timedelta(milliseconds=500)
    # It is a warning if another session has been waiting for it for this long.
    warn_wait: timedelta = timedelta(seconds=5)


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each session that is idle in transaction."""
    waits = locks.Waits(snapshot)
    found = [s for s in _idle(snapshot) if _severity(waits, s, limits)]
    for session, name in zip(found, locks.objects(found), strict=True):
        yield _finding(waits, session, name, limits)
    yield from locks.hidden(snapshot)


def _idle(snapshot: Snapshot) -> list[Session]:
    mine = [s for s in snapshot.sessions if locks.is_client(s) and locks.is_idle_in_transaction(s)]
    return sorted(mine, key=lambda s: (s.xact_start or snapshot.now, s.pid))


def _severity(waits: locks.Waits, session: Session, limits: Limits) -> Severity | None:
    idle = locks.since(session.state_change, waits.snapshot) or timedelta()
    waited = waits.longest(session.pid)
    holds = locks.holds_back(session)
    if (holds and idle >= limits.warn_idle) or waited >= limits.warn_wait:
        return Severity.WARNING
    if waited >= limits.min_wait or idle >= (limits.min_idle if holds else limits.warn_idle):
        return Severity.INFO
    return None


def _finding(waits: locks.Waits, session: Session, name: Object, limits: Limits) -> Finding:
    snapshot = waits.snapshot
    behind = waits.depths(session.pid)
    idle = locks.since(session.state_change, snapshot)
    blocks = f" and blocks {units.count(len(behind), 'session')}" if behind else ""
    severity = _severity(waits, session, limits)
    assert severity is not None
    return Finding(
        object=name,
        severity=severity,
        grade=Grade.A,
        title=f"Session {session.pid} ({locks.label(session)}) has been idle in transaction for "
        f"{units.words(idle)}{blocks}",
        detail=_detail(snapshot, session),
        evidence={
            **locks.evidence(snapshot, session),
            "idle_seconds": locks.seconds(idle),
            "has_xid": session.xid_age_xids is not None,
            "has_snapshot": session.xmin_age_xids is not None,
            "xid_age_xids": session.xid_age_xids,
            "xmin_age_xids": session.xmin_age_xids,
            "holds": locks.held(snapshot, session.pid),
            "blocked_pids": sorted(behind),
        },
        impact=Impact(
            risk="its locks are kept, and VACUUM cannot remove rows that died since it began"
            if locks.holds_back(session)
            else "the locks on the tables that it has used are kept: DDL has to wait for it"
        ),
        remedy=(release.terminate(session),),
        caveats=("The data that it has written is rolled back.",)
        if session.xid_age_xids is not None
        else (),
        related=tuple(locks.relations(waits, behind)),
    )


def _detail(snapshot: Snapshot, session: Session) -> str:
    age = units.words(locks.since(session.xact_start, snapshot))
    if session.state != "idle in transaction":
        return (
            f"Its transaction began {age} ago and has failed, but the application has not ended it."
        )
    if session.xid_age_xids is not None:
        return f"Its transaction began {age} ago and has written data: its row locks are kept until it ends."
    if session.xmin_age_xids is not None:
        return f"Its transaction began {age} ago and holds a snapshot."
    return f"Its transaction began {age} ago. It has no ID and no snapshot, so it does not hold back VACUUM."
