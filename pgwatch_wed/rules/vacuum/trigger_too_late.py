"""Tables for which autovacuum waits until too many rows are dead.

## Why it matters
A fifth of a small table is nothing; a fifth of a billion rows is two hundred million dead rows, and a vacuum that takes a
day. A trigger that was raised to half of a table lets its file become far larger than it needs to be.

## How sure we are
B for the trigger; C for the size, which is the rows' share of the file.

## Not reported
- Tables with fewer than `min_rows` rows, and those without updates or deletes.
- Triggers up to `max_share` of the rows that amount to less than `max_dead_bytes`.
- Tables that autovacuum is off for (`vacuum-disabled`).

## Remedy
Reset the storage parameter that raised the trigger. For a large table, set a lower scale factor: vacuums become more
frequent, but each has less to do. From 18 on, `autovacuum_vacuum_max_threshold` caps the trigger for all tables.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed.facts import Snapshot, Table
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Remedy, Severity, Unknown
from pgwatch_wed.postgres import autovacuum as vac
from pgwatch_wed.postgres import indexes as ix
from pgwatch_wed.quote import ident
from pgwatch_wed.remedies import locks as held
from pgwatch_wed.remedies import settings
from pgwatch_wed.units import count

NEEDS = ("tables", "table_activity", "settings")
PRIMARY_ONLY = True
_SCALE = "autovacuum_vacuum_scale_factor"
_RAISING = (_SCALE, "autovacuum_vacuum_threshold", "autovacuum_vacuum_max_threshold")


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # In smaller tables the fraction means little, because of the default threshold of 50 rows.
    min_rows: int = 10_000
    # The default is 0.2; a higher fraction was configured.
    max_share: float = 0.3
    # At most this much may be dead before autovacuum runs, whatever the fraction.
    max_dead_bytes: int = 10_000_000_000
    # A server-wide scale factor of at least this is reported.
    max_scale_factor: float = 0.4


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each table whose trigger is too high."""
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
        title=f"Autovacuum waits until {count(round(trigger), 'row')} of {table.qualified} are dead, "
        f"{trigger / max(rows, 1.0):.0%} of its rows",
        detail=f"It has {count(heap.dead, 'dead row')} now."
        + (
            " With PostgreSQL's default settings it would have been vacuumed by now."
            if dirty
            else ""
        ),
        evidence={
            "trigger_rows": round(trigger),
            "live_rows": round(rows),
            "dead_rows": heap.dead,
            "dead_bytes_at_trigger": size,
            "storage_parameters": list(table.options),
        },
        impact=Impact(
            bytes=vac.dead_bytes(snapshot, heap) if dirty else None,
            risk="the file grows by the dead rows, and each vacuum takes longer",
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
            lock=held.SHARE_UPDATE,
            undo=f"ALTER TABLE {name} SET ({before});",
        )
    # Half the limit, so that the table can grow before it is reported again.
    share = 0.5 * limits.max_dead_bytes / max(vac.size_bytes(snapshot, heap), 1)
    before = table.option(_SCALE) or ""
    undo = f"SET ({_SCALE} = {before})" if before else f"RESET ({_SCALE})"
    return Remedy(
        sql=f"ALTER TABLE {name} SET ({_SCALE} = {max(share, 0.0001):.4f});",
        lock=held.SHARE_UPDATE,
        undo=f"ALTER TABLE {name} {undo};",
    )


def _server(snapshot: Snapshot, scale: float) -> Finding:
    return Finding(
        object=Object("setting", _SCALE),
        severity=Severity.INFO,
        grade=Grade.B,
        title=f"Autovacuum waits until {scale:.0%} of a table is dead, for all tables",
        detail="PostgreSQL's default is 20%; large tables need less, not more.",
        evidence={"setting": snapshot.setting(_SCALE)},
        impact=Impact(risk="every table may grow by its dead rows before it is vacuumed"),
        remedy=(settings.alter_system(snapshot, _SCALE, "0.2"),),
    )
