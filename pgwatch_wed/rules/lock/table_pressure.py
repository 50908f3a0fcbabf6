"""The shared lock table is filling up, or sessions wait for its partitions.

## Why it matters
The lock table has space for about `max_locks_per_transaction` locks for each connection. Once it is full, any session that needs
another lock fails with "out of shared memory", whether or not it is to blame: usually another session locks thousands of
partitions at once. Well before that, queries on many partitions or indexes exceed the fast path and wait for the LockManager.

## How sure we are
B for the fill level at that moment, counted from pg_locks. D for waits on the LockManager, which are seen only at one moment.

## Not reported
- A fill level below `info_fill`. Fast-path locks do not count, since they are not in the lock table.

## Remedy
Raise `max_locks_per_transaction` (requires a restart); from 18 on, that also enlarges each session's fast path. Better: make
queries prune partitions, drop objects in smaller transactions, dump in parts.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed.facts import LockTable, Snapshot
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Remedy, Severity, Unknown
from pgwatch_wed.remedies import settings
from pgwatch_wed.units import count

NEEDS = ("lock_table", "sessions", "settings")
SCOPE = "cluster"
_SETTING = "max_locks_per_transaction"


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # The used fraction of the shared lock table.
    info_fill: float = 0.5
    warn_fill: float = 0.75
    # The number of sessions waiting for the LockManager at the same time.
    min_queueing: int = 3


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding if the lock table is filling up or contended."""
    queueing = [s.pid for s in snapshot.sessions if s.wait_event in ("LockManager", "lock_manager")]
    for table in snapshot.lock_table[:1]:
        room = capacity(snapshot, table)
        fill = table.entries / max(room, 1)
        if fill >= limits.info_fill:
            yield _full(snapshot, table, room, late=fill >= limits.warn_fill)
        elif len(queueing) >= limits.min_queueing:
            yield _contended(snapshot, table, queueing)


def capacity(snapshot: Snapshot, table: LockTable) -> int:
    """Return the capacity of the lock table: PostgreSQL counts every process that may take locks."""
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
        detail=f"It contains {count(table.entries, 'lock')}, with space for about {room:,}.",
        evidence={
            "entries": table.entries,
            "capacity": room,
            "fastpath_entries": table.fastpath_entries,
            _SETTING: table.max_locks_per_transaction,
        },
        impact=Impact(risk="once it is full, any session may fail with “out of shared memory”"),
        remedy=(_raise(snapshot, table),),
        caveats=(
            "To see which sessions hold them: SELECT pid, count(*) FROM pg_locks GROUP BY pid ORDER BY 2 DESC;",
        ),
    )


def _contended(snapshot: Snapshot, table: LockTable, queueing: list[int]) -> Finding:
    return Finding(
        object=Object("setting", _SETTING),
        severity=Severity.WARNING,
        grade=Grade.D,
        title=f"Lock manager contention: {count(len(queueing), 'session')} waiting",
        detail="They lock more relations than fit into the fast path: many partitions, or many indexes.",
        evidence={"pids": sorted(queueing), _SETTING: table.max_locks_per_transaction},
        impact=Impact(risk="short queries spend their time waiting for the lock manager"),
        remedy=(_raise(snapshot, table),),
        caveats=(
            "Before 18, the fast path has 16 locks, whatever the setting: prune partitions instead.",
        ),
    )


def _raise(snapshot: Snapshot, table: LockTable) -> Remedy:
    now = table.max_locks_per_transaction
    return settings.alter_system(snapshot, _SETTING, str(max(now * 4, 64)))
