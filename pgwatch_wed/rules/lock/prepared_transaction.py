"""Prepared transactions that nobody finishes.

## Why it matters
A prepared transaction keeps its locks and holds back VACUUM without any session to see, and survives restarts.

## How sure we are
B: pg_prepared_xacts lists it. Whether its transaction manager will still come, only that manager knows.

## Not reported
Those younger than the limit: two-phase commit passes through this state in milliseconds.

## Remedy
Ask the transaction manager; else ROLLBACK PREPARED (or COMMIT PREPARED) in the transaction's own database.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from pgwatch_wed.facts import PreparedTransaction, Snapshot
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Remedy, Severity, Unknown
from pgwatch_wed.quote import literal
from pgwatch_wed.rules import _sessions as ss

NEEDS = ("prepared_transactions",)
SCOPE = "cluster"


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # A transaction manager commits within milliseconds.
    min_age: timedelta = timedelta(seconds=2)
    # From here on it is a warning.
    warn_age: timedelta = timedelta(minutes=5)


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each prepared transaction that is older than the limit."""
    for prepared in snapshot.prepared_transactions:
        age = ss.seconds_since(snapshot, prepared.prepared_at) or 0.0
        if age >= limits.min_age.total_seconds():
            yield _finding(prepared, age, limits)


def _finding(prepared: PreparedTransaction, age: float, limits: Limits) -> Finding:
    warns = age >= limits.warn_age.total_seconds()
    return Finding(
        object=Object("prepared transaction", prepared.gid, database=prepared.database),
        severity=Severity.WARNING if warns else Severity.INFO,
        grade=Grade.B,
        title=f"The prepared transaction {prepared.gid} has waited for {age:.0f} s",
        detail=f"{prepared.owner} prepared it in {prepared.database}; nobody committed it or rolled it back.",
        evidence={
            "gid": prepared.gid,
            "owner": prepared.owner,
            "database": prepared.database,
            "age_seconds": round(age, 1),
            "age_xids": prepared.xid_age_xids,
        },
        impact=Impact(risk="its locks stay and VACUUM is held back"),
        remedy=(
            Remedy(
                sql=f"ROLLBACK PREPARED {literal(prepared.gid)};",
                lock=f"none; run it in database {prepared.database} as its owner or a superuser",
                in_transaction=False,
                undo="-- there is none: ask the transaction manager first; COMMIT PREPARED keeps its work",
            ),
        ),
    )
