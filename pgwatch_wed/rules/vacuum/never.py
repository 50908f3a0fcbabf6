"""Tables that VACUUM has never visited although there is work for it.

## Why it matters
VACUUM keeps the visibility map: without it index-only scans read the table for every row. And it freezes: a table that is only
inserted into, and never vacuumed, is frozen all at once at the worst moment.

## How sure we are
B: no page is all-visible by the catalog, no vacuum was counted, and more rows came in than the table's own trigger for inserts
allows (before 13 there is none). Counters that were reset are no proof, but the visibility map is.

## Not reported
- Tables of less than `min_rows` rows, and those below their trigger.
- Tables that autovacuum is due for: it comes by itself. Once the counters cover `min_counted` and it still has not been there,
  they are reported.

## Remedy
VACUUM (ANALYZE) once, and give autovacuum back its trigger (`autovacuum_vacuum_insert_threshold`, `autovacuum_enabled`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from pgwatch_wed.facts import Snapshot, Table
from pgwatch_wed.findings import Finding, Grade, Impact, Remedy, Severity, Unknown
from pgwatch_wed.quote import ident
from pgwatch_wed.rules import _indexes as ix
from pgwatch_wed.rules import _vacuum as vac

NEEDS = ("tables", "table_activity", "settings")
PRIMARY_ONLY = True
_SWITCHES = ("autovacuum_enabled", "autovacuum_vacuum_insert_threshold")


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # Smaller tables are read whole, and frozen in an instant.
    min_rows: int = 10_000
    # From this size on freezing it all at once is felt.
    warn_size_bytes: int = 100_000_000
    # Where autovacuum is on, it had its chance in this time.
    min_counted: timedelta = timedelta(days=1)


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each table that has never been vacuumed and should have been."""
    length = snapshot.window.length
    waited = length is not None and length >= limits.min_counted
    due = 0
    for table in vac.vacuumable(snapshot):
        heap = vac.heap_of(snapshot, table)
        inserted = _inserted(snapshot, table)
        if inserted < limits.min_rows or not _is_untouched(snapshot, heap):
            continue
        if not _would_come(snapshot, heap):
            if inserted > _usual_trigger(heap):
                yield _finding(snapshot, heap, limits, comes=False)
        elif waited and _is_due(snapshot, heap):
            yield _finding(snapshot, heap, limits, comes=True)
        else:
            due += _is_due(snapshot, heap)
    if due:
        yield Unknown(
            f"autovacuum is due for {due:,} new tables, and the counters are too young to blame it",
            "run again tomorrow",
        )


def _inserted(snapshot: Snapshot, table: Table) -> int:
    a = snapshot.activity_by_oid.get(table.oid)
    return (a.n_ins_since_vacuum or 0) if a else 0


def _is_untouched(snapshot: Snapshot, heap: vac.Heap) -> bool:
    a = snapshot.activity_by_oid.get(heap.table.oid)
    counted = a is not None and a.vacuum_count + a.autovacuum_count > 0
    seen = heap.last_vacuum is not None or heap.table.all_visible_pages > 0
    return not counted and not seen and not vac.is_being_vacuumed(snapshot, heap)


def _would_come(snapshot: Snapshot, heap: vac.Heap) -> bool:
    """Tell whether autovacuum comes to a table that only grows."""
    return vac.comes(snapshot, heap) and vac.insert_trigger(snapshot, heap) is not None


def _usual_trigger(heap: vac.Heap) -> float:
    """Return PostgreSQL's own default: what somebody who switched it off gave up."""
    return 1000 + 0.2 * max(heap.rows, 0.0)


def _is_due(snapshot: Snapshot, heap: vac.Heap) -> bool:
    trigger = vac.insert_trigger(snapshot, heap)
    return trigger is not None and _inserted(snapshot, heap.table) > trigger


def _finding(snapshot: Snapshot, heap: vac.Heap, limits: Limits, *, comes: bool) -> Finding:
    table = heap.table
    size = vac.size_bytes(snapshot, heap)
    inserted = _inserted(snapshot, table)
    return Finding(
        object=ix.table_object(snapshot, table),
        severity=Severity.WARNING if size >= limits.warn_size_bytes else Severity.INFO,
        grade=Grade.B,
        title=f"{table.qualified} took {inserted:,} rows and was never vacuumed",
        detail="Autovacuum is on and due, and has not been there since the counters began."
        if comes
        else "Autovacuum does not come for inserts here: it is switched off.",
        evidence={
            "inserted_rows": inserted,
            "all_visible_pages": table.all_visible_pages,
            "pages": table.pages,
            "size_bytes": size,
            "autovacuum_comes": comes,
            "storage_parameters": list(table.options),
        },
        impact=Impact(risk="no index-only scans, and all of it has to be frozen at once one day"),
        remedy=(vac.vacuum(table), *_give_back(table)),
    )


def _give_back(table: Table) -> tuple[Remedy, ...]:
    own = [name for name in _SWITCHES if table.option(name) is not None]
    if not own:
        return ()
    name = ident(table.schema, table.name)
    before = ", ".join(f"{o} = {table.option(o)}" for o in own)
    return (
        Remedy(
            sql=f"ALTER TABLE {name} RESET ({', '.join(own)});",
            lock=vac.SHARE_UPDATE,
            undo=f"ALTER TABLE {name} SET ({before});",
        ),
    )
