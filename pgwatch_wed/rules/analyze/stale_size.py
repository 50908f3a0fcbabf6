"""Tables that are far larger than the catalog says, and that nothing will count again.

## Why it matters
The size and number of rows in the catalog are those of the last VACUUM, ANALYZE or index build. A crash or a restore of a
backup discards the counters of what has changed since: then autovacuum does not know that the table has grown, and does not
come until as much has changed again. Until then its trigger, and the rules of this tool about sizes and bloat, rest on the old
size; the planner corrects the number of rows by the file's size, but not its statistics.

## How sure we are
A for both sizes: one is in the catalog, the other is that of the file. They are compared only where the counters know of no
VACUUM or ANALYZE.

## Not reported
- Files smaller than `min_size_bytes`, or less than `min_times` the recorded size.
- Tables for which autoanalyze is due: it will count them within a minute or so.

## Remedy
VACUUM (ANALYZE), which counts it and lets autovacuum continue from there.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed import units
from pgwatch_wed.facts import Snapshot, Table
from pgwatch_wed.findings import Finding, Grade, Impact, Severity, Unknown
from pgwatch_wed.postgres import autovacuum as vac
from pgwatch_wed.postgres import indexes as ix
from pgwatch_wed.remedies import maintenance

NEEDS = ("file_sizes", "tables", "table_activity", "settings")
PRIMARY_ONLY = True


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # Whether smaller tables have grown does not matter.
    min_size_bytes: int = 10_000_000
    # From this on, what rests on the recorded size is wrong.
    min_times: float = 2.0
    # A file of at least this size is a warning.
    warn_size_bytes: int = 1_000_000_000


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each table whose recorded size is out of date, and will stay so."""
    for measured in snapshot.file_sizes:
        table = snapshot.table_by_oid.get(measured.table_oid)
        if table is None or measured.size_bytes < limits.min_size_bytes:
            continue
        recorded = table.pages * snapshot.server.block_size
        if measured.size_bytes >= limits.min_times * recorded and not _is_due(snapshot, table):
            yield _finding(snapshot, table, measured.size_bytes, recorded, limits)


def _is_due(snapshot: Snapshot, table: Table) -> bool:
    heap = vac.heap_of(snapshot, table)
    trigger = vac.analyze_trigger(snapshot, heap)
    activity = snapshot.activity_by_oid.get(table.oid)
    changes = activity.n_mod_since_analyze if activity else 0
    return vac.comes(snapshot, heap) and trigger is not None and changes > trigger


def _finding(snapshot: Snapshot, table: Table, size: int, recorded: int, limits: Limits) -> Finding:
    return Finding(
        object=ix.table_object(snapshot, table),
        severity=Severity.WARNING if size >= limits.warn_size_bytes else Severity.INFO,
        grade=Grade.A,
        title=f"{table.qualified} has {units.size(size)}, but the catalog says {units.size(recorded)}",
        detail="The counters know of no VACUUM or ANALYZE, and of too few changes for autovacuum to come: they were lost in a "
        f"crash, a reset or a restore. They began at {snapshot.window.begins:%Y-%m-%d %H:%M}."
        if snapshot.window.begins
        else "The counters know of no VACUUM or ANALYZE, and of too few changes for autovacuum to come.",
        evidence={
            "file_bytes": size,
            "recorded_bytes": recorded,
            "reltuples": table.rows,
        },
        impact=Impact(risk="autovacuum comes too late, and what is judged by its size is wrong"),
        remedy=(maintenance.vacuum(table),),
        caveats=("Rules about its size and bloat have evaluated the recorded size.",),
    )
