"""The shared lock table fills up, or sessions queue for its partitions.

## Why it matters
The lock table has room for `max_locks_per_transaction` locks times all connections. When it is full, whoever wants one more lock fails
with "out of shared memory", however innocent: usually because somebody else touches thousands of partitions at once. Well
before that, queries over many partitions or indexes leave the fast path and queue at the LockManager.

## How sure we are
B about the fill in that moment, counted by pg_locks. D about the queue at the LockManager, which is one glance.

## Not reported
- A fill below `info_fill`. Locks on the fast path do not count: they take no room here.

## Remedy
Raise `max_locks_per_transaction` (restart); from 18 on it also widens each session's fast path. Better: prune partitions in the query, drop
in smaller transactions, dump in parts.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed.facts import LockTable, Snapshot
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Remedy, Severity, Unknown
from pgwatch_wed.remedies import settings

NEEDS = ("lock_table", "sessions", "settings")
SCOPE = "cluster"
_SETTING = "max_locks_per_transaction"


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # Fill of the shared lock table.
    info_fill: float = 0.5
    warn_fill: float = 0.75
    # So many sessions waiting at the LockManager at one glance.
    min_queueing: int = 3


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding when the lock table is filling up or contended."""
    queueing = [s.pid for s in snapshot.sessions if s.wait_event in ("LockManager", "lock_manager")]
    for table in snapshot.lock_table[:1]:
        room = capacity(snapshot, table)
        fill = table.entries / max(room, 1)
        if fill >= limits.info_fill:
            yield _full(snapshot, table, room, late=fill >= limits.warn_fill)
        elif len(queueing) >= limits.min_queueing:
            yield _contended(snapshot, table, queueing)


def capacity(snapshot: Snapshot, table: LockTable) -> int:
    """Return how many locks there is room for: PostgreSQL counts every process that may lock."""
    workers = "autovacuum_worker_slots", "autovacuum_max_workers"
    others = [next((n for w in workers if (n := snapshot.setting_number(w)) is not None), 3.0)]
    others += [
        snapshot.setting_number(n) or 0.0 for n in ("max_worker_processes", "max_wal_senders")
    ]
    processes = table.max_connections + table.max_prepared_transactions + int(sum(others))
    return table.max_locks_per_transaction * processes


def _full(snapshot: Snapshot, table: LockTable, room: int, *, late: bool) -> Finding:
    return Finding(
        object=Object("setting", _SETTING),
        severity=Severity.WARNING if late else Severity.INFO,
        grade=Grade.B,
        title=f"The shared lock table is {table.entries / max(room, 1):.0%} full",
        detail=f"{table.entries:,} of about {room:,} locks are taken in this moment.",
        evidence={
            "entries": table.entries,
            "capacity": room,
            "fastpath_entries": table.fastpath_entries,
            _SETTING: table.max_locks_per_transaction,
        },
        impact=Impact(risk="when it is full, any session may fail with 'out of shared memory'"),
        remedy=(_raise(snapshot, table),),
        caveats=(
            "Who takes them: SELECT pid, count(*) FROM pg_locks GROUP BY pid ORDER BY 2 DESC;",
        ),
    )


def _contended(snapshot: Snapshot, table: LockTable, queueing: list[int]) -> Finding:
    return Finding(
        object=Object("setting", _SETTING),
        severity=Severity.WARNING,
        grade=Grade.D,
        title=f"{len(queueing)} sessions queue at the lock manager",
        detail="They lock more relations than fit their fast path: many partitions, or many indexes.",
        evidence={"pids": sorted(queueing), _SETTING: table.max_locks_per_transaction},
        impact=Impact(risk="short queries spend their time waiting for each other's bookkeeping"),
        remedy=(_raise(snapshot, table),),
        caveats=(
            "Before 18 the fast path holds 16 locks whatever is set: prune partitions instead.",
        ),
    )


def _raise(snapshot: Snapshot, table: LockTable) -> Remedy:
    now = table.max_locks_per_transaction
    return settings.alter_system(snapshot, _SETTING, str(max(now * 4, 64)))
