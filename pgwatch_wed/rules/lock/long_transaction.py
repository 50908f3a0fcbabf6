"""Transactions that have been working for a long time.

## Why it matters
Dead rows of every table stay until the transaction ends, and so do its locks.

## How sure we are
B for the time, D for whether it is wrong: a nightly batch may be meant to run for hours.

## Not reported
Sessions that are idle in transaction (`lock-idle-in-transaction`), background processes, walsenders, and sessions that build
an index or vacuum.

## Remedy
None by reflex: find its owner. pg_cancel_backend stops the statement.
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

    # An OLTP transaction takes milliseconds; a report minutes.
    min_age: timedelta = timedelta(minutes=10)
    # From here on, or when somebody waits for it, it is a warning.
    warn_age: timedelta = timedelta(hours=1)


PROFILES = {"analytics": {"min_age": timedelta(hours=2), "warn_age": timedelta(hours=12)}}


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each transaction that is older than the limit."""
    busy = {b.pid for b in snapshot.index_builds} | {v.pid for v in snapshot.vacuums}
    for session in ss.clients(snapshot):
        age = ss.seconds_since(snapshot, session.xact_start)
        if age is None or ss.is_idle_in_transaction(session) or session.pid in busy:
            continue
        if session.leader_pid is None and age >= limits.min_age.total_seconds():
            yield _finding(snapshot, session, age, limits)


def _finding(snapshot: Snapshot, session: Session, age: float, limits: Limits) -> Finding:
    waiting = ss.blocked_by(snapshot, session.pid)
    warns = bool(waiting) or age >= limits.warn_age.total_seconds()
    dump = (session.application_name or "").startswith("pg_dump")
    return Finding(
        object=ss.object_of(session),
        severity=Severity.WARNING if warns and not dump else Severity.INFO,
        grade=Grade.D,
        title=f"{ss.object_of(session).name} has had a transaction open for {age / 60:.0f} min",
        detail="A backup reads one snapshot from start to end." if dump else "It is still working.",
        evidence={
            "age_seconds": round(age, 1),
            "waiters": len(waiting),
            **ss.evidence(snapshot, session),
        },
        impact=Impact(risk="dead rows of every table of its database stay until it ends"),
        remedy=() if dump else (ss.end(session),),
        caveats=("It may be meant to run this long; ask its owner.",),
    )
