"""All autovacuum workers are busy while tables are waiting.

## Why it matters
If all workers are busy, for instance with one large table each, all other tables wait: dead rows accumulate and statistics
become stale everywhere.

## How sure we are
C: it is a single point in time. It is unlikely to be chance if all workers are busy and several tables are far past their
trigger at the same time; if it recurs on several days, it is a pattern.

## Not reported
- Busy workers without a backlog, and a backlog without busy workers (`vacuum-dead-tuples`, `vacuum-horizon`).

## Remedy
First speed up the existing workers with a higher `autovacuum_vacuum_cost_limit`. The limit is shared, so more workers alone
are only slower workers. Then raise `autovacuum_max_workers`, which requires a restart before 18.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Severity, Unknown
from pgwatch_wed.postgres import autovacuum as vac
from pgwatch_wed.postgres import horizon
from pgwatch_wed.postgres import waits as locks
from pgwatch_wed.remedies import settings
from pgwatch_wed.units import count

NEEDS = ("sessions", "tables", "table_activity", "settings", "vacuums")
PRIMARY_ONLY = True
_COST = "autovacuum_vacuum_cost_limit"


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # Past this multiple of its trigger, a table has been waiting and has not just become due.
    min_times_trigger: float = 2.0
    # The least number of waiting tables.
    min_waiting: int = 3


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding if no worker is free and several tables are waiting."""
    most = snapshot.setting_number("autovacuum_max_workers")
    if most is None:
        yield Unknown("the setting autovacuum_max_workers cannot be read")
        return
    workers = [s for s in snapshot.sessions if s.backend_type == "autovacuum worker"]
    waiting = list(_waiting(snapshot, limits))
    if len(workers) >= max(most, 1) and len(waiting) >= limits.min_waiting:
        yield _finding(snapshot, len(workers), waiting)
    yield from locks.hidden(snapshot)


def _waiting(snapshot: Snapshot, limits: Limits) -> Iterator[vac.Heap]:
    for heap in horizon.overdue(snapshot):
        trigger = vac.vacuum_trigger(snapshot, heap) or 0.0
        late = heap.dead > limits.min_times_trigger * trigger
        if late and vac.comes(snapshot, heap) and not vac.is_being_vacuumed(snapshot, heap):
            yield heap


def _finding(snapshot: Snapshot, workers: int, waiting: list[vac.Heap]) -> Finding:
    busy = [v for v in snapshot.vacuums if v.is_autovacuum]
    limit = snapshot.setting_number(_COST)
    if limit is None or limit < 0:
        limit = snapshot.setting_number("vacuum_cost_limit") or 200
    names = sorted(h.label for h in waiting)
    return Finding(
        object=Object("setting", "autovacuum_max_workers"),
        severity=Severity.WARNING,
        grade=Grade.C,
        title=f"{'The only autovacuum worker is' if workers == 1 else f'All {workers} autovacuum workers are'} "
        f"busy while {count(len(waiting), 'table')} {'is' if len(waiting) == 1 else 'are'} waiting",
        detail=f"Being vacuumed: {_names([v.relation or f'OID {v.relation_oid}' for v in busy])}; "
        f"waiting: {_names(names)}.",
        evidence={
            "workers": workers,
            "waiting_tables": names[:50],
            "vacuums": [
                {"relation": v.relation, "phase": v.phase, "is_wraparound": v.is_wraparound}
                for v in busy
            ],
            "cost_limit": limit,
        },
        impact=Impact(
            bytes=sum(vac.dead_bytes(snapshot, h) for h in waiting),
            risk="dead rows accumulate in all waiting tables",
        ),
        remedy=(settings.alter_system(snapshot, _COST, str(int(limit * 5))),),
        caveats=("It means more I/O: raise it step by step and watch the latency.",),
    )


def _names(names: list[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(sorted(names)[:5]) + more if names else "tables of other databases"
