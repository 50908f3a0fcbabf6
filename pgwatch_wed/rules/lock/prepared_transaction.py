"""Transactions prepared for two-phase commit that are neither committed nor rolled back.

## Why it matters
A prepared transaction does not belong to a session. It keeps its locks and holds back the horizon for as long as it exists, even
across restarts, and no timeout ends it. A transaction manager that has lost track of it will never finish it.

## How sure we are
B: it exists, and PostgreSQL shows since when. Normally a transaction stays prepared for milliseconds.

## Not reported
- Those younger than `min_age`, unless another session waits for them.

## Remedy
Check with the transaction manager; if it does not know the transaction, ROLLBACK PREPARED in its own database, as its owner or
a superuser. If nothing uses two-phase commit, set `max_prepared_transactions = 0`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from pgwatch_wed import units
from pgwatch_wed.facts import PreparedTransaction, Snapshot
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Severity, Unknown
from pgwatch_wed.postgres import waits as locks
from pgwatch_wed.remedies import sessions as release

NEEDS = ("prepared_transactions", "lock_waits")
SCOPE = "cluster"
PRIMARY_ONLY = True


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # A working transaction manager needs milliseconds between the two phases.
    min_age: timedelta = timedelta(seconds=5)
    # By now it has been forgotten.
    warn_age: timedelta = timedelta(minutes=5)
    # It is a warning at once if another session has been waiting for it for this long.
    min_wait: timedelta = timedelta(milliseconds=500)


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each prepared transaction that should have ended."""
    waits = locks.Waits(snapshot)
    for prepared in sorted(snapshot.prepared_transactions, key=lambda p: p.gid):
        age = locks.since(prepared.prepared_at, snapshot) or timedelta()
        blocks = waits.longest(prepared.gid) >= limits.min_wait
        if blocks or age >= limits.warn_age:
            yield _finding(waits, prepared, Severity.WARNING)
        elif age >= limits.min_age:
            yield _finding(waits, prepared, Severity.INFO)


def _finding(waits: locks.Waits, prepared: PreparedTransaction, severity: Severity) -> Finding:
    age = locks.since(prepared.prepared_at, waits.snapshot)
    behind = waits.depths(prepared.gid)
    blocks = f" and blocks {units.count(len(behind), 'session')}" if behind else ""
    return Finding(
        object=Object("prepared_transaction", prepared.gid),
        severity=severity,
        grade=Grade.B,
        title=f"Prepared transaction {prepared.gid} has been open for {units.words(age)}{blocks}",
        detail=f"It was prepared by {prepared.owner} in database {prepared.database}, and has been neither "
        "committed nor rolled back.",
        evidence={
            "gid": prepared.gid,
            "owner": prepared.owner,
            "database": prepared.database,
            "prepared_at": prepared.prepared_at.isoformat(),
            "age_seconds": locks.seconds(age),
            "xid_age_xids": prepared.xid_age_xids,
            "blocked_pids": sorted(behind),
        },
        impact=Impact(
            risk="its locks are kept forever, and VACUUM cannot remove rows that died since"
        ),
        remedy=(release.rollback_prepared(prepared.gid),),
        caveats=("Check with its transaction manager first: it may still intend to commit it.",),
        related=tuple(locks.relations(waits, behind)),
    )
