"""Transactions that have been running for a very long time.

## Why it matters
A long transaction keeps its locks and its snapshot: DDL waits for it and makes other sessions queue up, VACUUM cannot remove
rows that died since, and if it fails, hours of work are lost.

## How sure we are
A for the time. Whether it is too long for what it does is up to you: D as a problem, hence info at first.

## Not reported
- Transactions younger than `min_age`; those that are idle, which `lock-idle-in-transaction` reports; those that wait for a
  lock, since what they wait for is to blame (`lock-blocked`).
- VACUUM, index builds, autovacuum, WAL senders and parallel workers, which naturally take long.

## Remedy
Cancel its statement if it is no longer needed. Split batch jobs into small transactions; run reports on a standby.
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
PROFILES = {
    "oltp": {"min_age": timedelta(minutes=5), "warn_age": timedelta(minutes=30)},
    "analytics": {"min_age": timedelta(hours=2), "warn_age": timedelta(hours=12)},
}


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # Interactive work does not take this long.
    min_age: timedelta = timedelta(minutes=10)
    # Reports and backups do not take this long.
    warn_age: timedelta = timedelta(hours=1)
    # Sessions idle for this long are left to lock-idle-in-transaction.
    min_idle: timedelta = timedelta(seconds=10)


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each old transaction that is not idle."""
    waits = locks.Waits(snapshot)
    working = (s for s in _at_work(snapshot, limits) if s.pid not in waits.by_pid)
    found = [s for s in working if _age(snapshot, s) >= limits.min_age]
    for session, name in zip(found, locks.objects(found), strict=True):
        yield _finding(waits, session, name, limits)
    yield from locks.hidden(snapshot)


def _age(snapshot: Snapshot, session: Session) -> timedelta:
    return locks.since(session.xact_start, snapshot) or timedelta()


def _at_work(snapshot: Snapshot, limits: Limits) -> list[Session]:
    natural = {v.pid for v in snapshot.vacuums} | {b.pid for b in snapshot.index_builds}
    mine = [
        s
        for s in snapshot.sessions
        if locks.is_client(s) and s.leader_pid is None and s.pid not in natural
    ]
    busy = [s for s in mine if not _idles(snapshot, s, limits)]
    return sorted(busy, key=lambda s: (s.xact_start or snapshot.now, s.pid))


def _idles(snapshot: Snapshot, session: Session, limits: Limits) -> bool:
    idle = locks.since(session.state_change, snapshot) or timedelta()
    return locks.is_idle_in_transaction(session) and idle >= limits.min_idle


def _finding(waits: locks.Waits, session: Session, name: Object, limits: Limits) -> Finding:
    snapshot = waits.snapshot
    age = _age(snapshot, session)
    behind = waits.depths(session.pid)
    late = age >= limits.warn_age or bool(behind)
    return Finding(
        object=name,
        severity=Severity.WARNING if late else Severity.INFO,
        grade=Grade.D,
        title=f"Session {session.pid} ({locks.label(session)}) has been in one transaction for "
        f"{units.words(age)}",
        detail=f"It {locks.doing(snapshot, session.pid)}."
        + (f" It blocks {units.count(len(behind), 'session')}." if behind else ""),
        evidence={
            **locks.evidence(snapshot, session),
            "xmin_age_xids": session.xmin_age_xids,
            "holds": locks.held(snapshot, session.pid),
            "blocked_pids": sorted(behind),
            "has_snapshot": locks.holds_back(session),
        },
        impact=Impact(
            risk=f"its locks{' and its snapshot' if locks.holds_back(session) else ''} are kept until it ends"
        ),
        remedy=(release.stop(session),),
        caveats=("A backup or a migration may have to take this long.",),
        related=tuple(locks.relations(waits, behind)),
    )
