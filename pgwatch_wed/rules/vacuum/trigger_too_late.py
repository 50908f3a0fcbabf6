"""Tables for which autovacuum was told to wait until very much is dead.

## Why it matters
A fifth of a small table is nothing; a fifth of a billion rows is two hundred million dead rows, and a vacuum that takes a day. And
a trigger that somebody set to half of a table means a file of twice the size.

## How sure we are
B about where the trigger lies; C about the bytes, which are the rows' share of the file.

## Not reported
- Tables of less than `min_rows` rows, and those that nobody updates or deletes from.
- Triggers up to `max_share` of the rows that are worth less than `max_dead_bytes`.
- Tables that autovacuum is off for (`vacuum-disabled`).

## Remedy
Take back the storage parameter that raised the trigger. For a large table set a scale factor of its own: more vacuums, each with less
to do. From 18 on `autovacuum_vacuum_max_threshold` caps all at once.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed.facts import Snapshot, Table
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Remedy, Severity, Unknown
from pgwatch_wed.quote import ident
from pgwatch_wed.rules import _indexes as ix
from pgwatch_wed.rules import _vacuum as vac

NEEDS = ("tables", "table_activity", "settings")
PRIMARY_ONLY = True
_SCALE = "autovacuum_vacuum_scale_factor"
_RAISING = (_SCALE, "autovacuum_vacuum_threshold", "autovacuum_vacuum_max_threshold")


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # Below it shares mean little, and the fixed 50 rows of the default much.
    min_rows: int = 10_000
    # The default is a fifth; a third and more was set by somebody.
    max_share: float = 0.3
    # So much may be dead before autovacuum comes, whatever the share.
    max_dead_bytes: int = 10_000_000_000
    # A server-wide scale factor from here on is reported by itself.
    max_scale_factor: float = 0.4


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each table whose trigger lies too far away."""
    if vac.is_off(snapshot):
        return
    scale = snapshot.setting_number(_SCALE)
    if scale is not None and scale >= limits.max_scale_factor:
        yield _server(snapshot, scale)
    for table in vac.vacuumable(snapshot):
        heap = vac.heap_of(snapshot, table)
        trigger = vac.vacuum_trigger(snapshot, heap)
        if trigger is None or vac.is_disabled(heap) or not _changes(snapshot, table):
            continue
        if _is_late(snapshot, heap, trigger, limits):
            yield _finding(snapshot, heap, trigger, limits)


def _changes(snapshot: Snapshot, table: Table) -> bool:
    a = snapshot.activity_by_oid.get(table.oid)
    return a is not None and a.n_tup_upd + a.n_tup_del > 0


def _rows(heap: vac.Heap) -> float:
    return heap.rows if heap.rows > 0 else float(heap.live)


def _is_late(snapshot: Snapshot, heap: vac.Heap, trigger: float, limits: Limits) -> bool:
    rows = _rows(heap)
    if rows < limits.min_rows:
        return False
    raised = any(heap.table.option(o) is not None for o in _RAISING)
    return (raised and trigger > limits.max_share * rows) or _bytes(
        snapshot, heap, trigger
    ) >= limits.max_dead_bytes


def _bytes(snapshot: Snapshot, heap: vac.Heap, trigger: float) -> int:
    return int(trigger * vac.size_bytes(snapshot, heap) / max(_rows(heap), 1.0))


def _finding(snapshot: Snapshot, heap: vac.Heap, trigger: float, limits: Limits) -> Finding:
    table = heap.table
    rows = _rows(heap)
    size = _bytes(snapshot, heap, trigger)
    dirty = heap.dead > 50 + 0.2 * rows
    return Finding(
        object=ix.table_object(snapshot, table),
        severity=Severity.WARNING if dirty else Severity.INFO,
        grade=Grade.B,
        title=f"Autovacuum comes to {table.qualified} only when {trigger:,.0f} rows are dead, "
        f"{trigger / max(rows, 1.0):.0%} of what it holds",
        detail=f"{heap.dead:,} are dead now."
        + (" By PostgreSQL's own default it would have come already." if dirty else ""),
        evidence={
            "trigger_rows": round(trigger),
            "live_rows": round(rows),
            "dead_rows": heap.dead,
            "dead_bytes_at_trigger": size,
            "storage_parameters": list(table.options),
        },
        impact=Impact(
            bytes=vac.dead_bytes(snapshot, heap) if dirty else None,
            risk="the file grows by what is dead, and each vacuum takes longer",
        ),
        remedy=(_remedy(snapshot, heap, trigger, limits),),
    )


def _remedy(snapshot: Snapshot, heap: vac.Heap, trigger: float, limits: Limits) -> Remedy:
    table = heap.table
    name = ident(table.schema, table.name)
    raised = [o for o in _RAISING if table.option(o) is not None]
    if raised and trigger > limits.max_share * _rows(heap):
        before = ", ".join(f"{o} = {table.option(o)}" for o in raised)
        return Remedy(
            sql=f"ALTER TABLE {name} RESET ({', '.join(raised)});",
            lock=vac.SHARE_UPDATE,
            undo=f"ALTER TABLE {name} SET ({before});",
        )
    # Half the limit, so that the table may grow before this is said again.
    share = 0.5 * limits.max_dead_bytes / max(vac.size_bytes(snapshot, heap), 1)
    before = table.option(_SCALE) or ""
    undo = f"SET ({_SCALE} = {before})" if before else f"RESET ({_SCALE})"
    return Remedy(
        sql=f"ALTER TABLE {name} SET ({_SCALE} = {max(share, 0.0001):.4f});",
        lock=vac.SHARE_UPDATE,
        undo=f"ALTER TABLE {name} {undo};",
    )


def _server(snapshot: Snapshot, scale: float) -> Finding:
    return Finding(
        object=Object("setting", _SCALE),
        severity=Severity.INFO,
        grade=Grade.B,
        title=f"Autovacuum waits everywhere until {scale:.0%} of a table is dead",
        detail="PostgreSQL's default is a fifth; large tables want less, not more.",
        evidence={"setting": snapshot.setting(_SCALE)},
        impact=Impact(risk="every table may grow by what is dead before anything is done"),
        remedy=(vac.alter_system(_SCALE, "0.2", snapshot.setting(_SCALE)),),
    )
