"""Transactions prepared for two-phase commit that nobody commits or rolls back.

## Why it matters
A prepared transaction belongs to no session. It keeps its locks and the horizon for as long as it exists, through restarts, and no
timeout ends it. A transaction manager that lost it will not come back for it.

## How sure we are
B: it exists, and PostgreSQL says since when. Between the two phases it lives for milliseconds when all is well.

## Not reported
- Those younger than `min_age`, unless somebody waits for them.

## Remedy
Ask the transaction manager; if it does not know it, ROLLBACK PREPARED in its own database, as its owner or a superuser. If nothing
uses two-phase commit, set `max_prepared_transactions = 0`.
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

    # A healthy manager needs milliseconds between the two phases.
    min_age: timedelta = timedelta(seconds=5)
    # By now it is forgotten.
    warn_age: timedelta = timedelta(minutes=5)
    # It is a warning at once when somebody has waited for it this long.
    min_wait: timedelta = timedelta(milliseconds=500)


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each prepared transaction that should be over."""
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
        title=f"The prepared transaction {prepared.gid} is open for {units.words(age)}{blocks}",
        detail=f"{prepared.owner} prepared it in database {prepared.database}, and neither committed "
        "nor rolled it back.",
        evidence={
            "gid": prepared.gid,
            "owner": prepared.owner,
            "database": prepared.database,
            "prepared_at": prepared.prepared_at.isoformat(),
            "age_seconds": locks.seconds(age),
            "xid_age_xids": prepared.xid_age_xids,
            "blocked_pids": sorted(behind),
        },
        impact=Impact(risk="its locks stay for ever, and VACUUM removes nothing that died since"),
        remedy=(release.rollback_prepared(prepared.gid),),
        caveats=("Its transaction manager may still want to commit it: ask there first.",),
        related=tuple(locks.relations(waits, behind)),
    )
