"""Tables that have never been vacuumed although they need it.

## Why it matters
VACUUM maintains the visibility map: without it, index-only scans visit the table for every row. It also freezes rows: an
insert-only table that is never vacuumed is frozen all at once, at the worst possible time.

## How sure we are
B: according to the catalog no page is all-visible, no vacuum has been counted, and more rows have been inserted than the
table's own insert trigger allows (before 13 there is none). Counters may have been reset, but the visibility map is proof.

## Not reported
- Tables with fewer than `min_rows` rows, and those below their trigger.
- Tables that are due for autovacuum, which will process them. Once the counters cover `min_counted` and it still has not run,
  they are reported.

## Remedy
VACUUM (ANALYZE) once, and restore the autovacuum trigger (`autovacuum_vacuum_insert_threshold`, `autovacuum_enabled`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from pgwatch_wed.facts import Snapshot, Table
from pgwatch_wed.findings import Finding, Grade, Impact, Remedy, Severity, Unknown
from pgwatch_wed.postgres import autovacuum as vac
from pgwatch_wed.postgres import indexes as ix
from pgwatch_wed.quote import ident
from pgwatch_wed.remedies import locks as held
from pgwatch_wed.remedies import maintenance
from pgwatch_wed.units import count

NEEDS = ("tables", "table_activity", "settings")
PRIMARY_ONLY = True
_SWITCHES = ("autovacuum_enabled", "autovacuum_vacuum_insert_threshold")


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # Smaller tables are scanned in full anyway, and are frozen in an instant.
    min_rows: int = 10_000
    # Freezing a table of at least this size all at once is noticeable.
    warn_size_bytes: int = 100_000_000
    # If autovacuum is on, it should have run within this time.
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
            f"autovacuum is due for {count(due, 'new table')}, but may not have had time to run yet",
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
    """Tell whether autovacuum processes an insert-only table."""
    return vac.comes(snapshot, heap) and vac.insert_trigger(snapshot, heap) is not None


def _usual_trigger(heap: vac.Heap) -> float:
    """Return the trigger by PostgreSQL's default settings, for a table that autovacuum is off for."""
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
        title=f"{table.qualified} has had {count(inserted, 'insert')} but was never vacuumed",
        detail="Autovacuum is on and due, but has not run on it since the counters began."
        if comes
        else "Autovacuum is off for this table, or for inserts into it.",
        evidence={
            "inserted_rows": inserted,
            "all_visible_pages": table.all_visible_pages,
            "pages": table.pages,
            "size_bytes": size,
            "autovacuum_comes": comes,
            "storage_parameters": list(table.options),
        },
        impact=Impact(
            risk="no true index-only scans, and one day all of it has to be frozen at once"
        ),
        remedy=(maintenance.vacuum(table), *_give_back(table)),
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
            lock=held.SHARE_UPDATE,
            undo=f"ALTER TABLE {name} SET ({before});",
        ),
    )
