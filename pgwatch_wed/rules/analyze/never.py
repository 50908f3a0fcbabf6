"""Tables that have never been analyzed.

## Why it matters
Without statistics the planner guesses: a number of rows from the size of the file, and one row in two hundred for a
condition. Joins may then use nested loops over millions of rows.

## How sure we are
B: `pg_stats` has no row for the table, or (from 14 on) its rows have never been counted. Counters alone are no proof: a
reset clears `last_analyze`. If the role may not see `pg_stats`, the verdict is unknown.

## Not reported
- Tables with fewer than `min_rows` rows, for which a guess does little harm.
- Partitioned tables (`analyze-partition-parent`), foreign and temporary tables.

## Remedy
ANALYZE. If autoanalyze is on, it runs by itself within a minute of loading data, and the finding is info. After a restore or
pg_upgrade no changes have been counted, so autoanalyze does not run: use `vacuumdb --all --analyze-in-stages`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed.facts import Snapshot, Table
from pgwatch_wed.findings import Finding, Grade, Impact, Severity, Unknown
from pgwatch_wed.postgres import autovacuum as vac
from pgwatch_wed.postgres import indexes as ix
from pgwatch_wed.postgres import privileges
from pgwatch_wed.postgres import statistics as stats
from pgwatch_wed.remedies import maintenance
from pgwatch_wed.units import count

NEEDS = ("tables", "table_activity", "settings")
PRIMARY_ONLY = True


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # In smaller tables, a wrong guess costs next to nothing.
    min_rows: int = 1000


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each table without statistics."""
    statistics = stats.Statistics(snapshot)
    hidden = 0
    for table in vac.vacuumable(snapshot):
        if rows(snapshot, table) < limits.min_rows:
            continue
        match statistics.state(table):
            case stats.State.NEVER:
                yield _finding(snapshot, table)
            case stats.State.UNKNOWN:
                hidden += 1
    if hidden:
        role = snapshot.server.role
        yield Unknown(
            f"{role} may not see whether {'1 table has' if hidden == 1 else f'{hidden:,} tables have'} statistics",
            privileges.grant_column_statistics(snapshot.server),
        )


def rows(snapshot: Snapshot, table: Table) -> float:
    """Estimate the rows of a table that may never have been counted: a full scan counts them, too."""
    a = snapshot.activity_by_oid.get(table.oid)
    if a is None:
        return table.rows
    scanned = a.seq_tup_read / a.seq_scan if a.seq_scan else 0.0
    known = max(table.rows, float(a.n_live_tup))
    return known if table.rows >= 0 or a.n_live_tup else max(known, scanned)


def _finding(snapshot: Snapshot, table: Table) -> Finding:
    due = _is_due(snapshot, table)
    found = rows(snapshot, table)
    return Finding(
        object=ix.table_object(snapshot, table),
        severity=Severity.INFO if due else Severity.WARNING,
        grade=Grade.B,
        title=f"{table.qualified} has {count(round(found), 'row')} but was never analyzed",
        detail="Autoanalyze is due and should run within a minute or so."
        if due
        else "Autoanalyze will not run: it is off, or too few changes have been counted.",
        evidence={
            "rows": round(found),
            "reltuples": table.rows,
            "changes_counted": _changes(snapshot, table),
            "autoanalyze_due": due,
        },
        impact=Impact(risk="the planner has to guess, and may choose bad plans"),
        remedy=(maintenance.analyze(table),),
    )


def _changes(snapshot: Snapshot, table: Table) -> int:
    a = snapshot.activity_by_oid.get(table.oid)
    return a.n_mod_since_analyze if a else 0


def _is_due(snapshot: Snapshot, table: Table) -> bool:
    heap = vac.heap_of(snapshot, table)
    trigger = vac.analyze_trigger(snapshot, heap)
    return vac.comes(snapshot, heap) and trigger is not None and _changes(snapshot, table) > trigger
