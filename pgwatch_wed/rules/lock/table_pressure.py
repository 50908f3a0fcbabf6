"""The shared lock table is nearly full.

## Why it matters
When it is full, any statement that needs one more lock fails with "out of shared memory", whoever runs it. Queries on tables with
many partitions and indexes fill it.

## How sure we are
B: locks are counted, and the size follows from three settings. It is a moment's count; the peak may be higher.

## Not reported
A table less than half full; locks on the fast path, which take no room in it.

## Remedy
A larger max_locks_per_transaction (needs a restart), and queries that prune partitions.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Remedy, Severity, Unknown

NEEDS = ("lock_table",)
SCOPE = "cluster"


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # Half full at a random moment is often full at the peak.
    min_fill_share: float = 0.5
    # Then the next large query may fail.
    warn_fill_share: float = 0.75


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield one finding where the table is fuller than the limit."""
    for table in snapshot.lock_table:
        room = table.max_locks_per_transaction * (
            table.max_connections + table.max_prepared_transactions
        )
        fill = table.entries / room if room > 0 else 0.0
        if fill < limits.min_fill_share:
            continue
        wanted = table.max_locks_per_transaction * 2
        yield Finding(
            object=Object("setting", "max_locks_per_transaction"),
            severity=Severity.WARNING if fill >= limits.warn_fill_share else Severity.INFO,
            grade=Grade.B,
            title=f"The lock table is {fill:.0%} full",
            detail=f"{table.entries:,} locks of about {room:,} that it is made for.",
            evidence={
                "locks": table.entries,
                "fastpath_locks": table.fastpath_entries,
                "room": room,
                "fill_share": round(fill, 4),
            },
            impact=Impact(risk="statements fail with 'out of shared memory'"),
            remedy=(
                Remedy(
                    sql=f"ALTER SYSTEM SET max_locks_per_transaction = {wanted};",
                    lock="none; it takes effect after a restart, standbys first",
                    in_transaction=False,
                    undo="ALTER SYSTEM RESET max_locks_per_transaction;",
                ),
            ),
        )
