"""Tables that have changed a lot since they were last analyzed.

## Why it matters
The planner relies on what the last ANALYZE found. After a table has changed, it expects values that are gone and does not
know new ones: this is worst for dates and sequence numbers, where the newest values are queried most.

## How sure we are
B: the server's own count of changed rows compared with the table's own trigger (storage parameters take precedence over
settings).

## Not reported
- Tables below their own trigger.
- Tables up to `min_times_trigger` times the trigger while autoanalyze is on, and those that it has not had `min_naptimes`
  times `autovacuum_naptime` to process since its last visit (one, if all workers are busy).
- Tables that were never analyzed (`analyze-never`), and fewer than `min_changes` changes.
- The verdict is never clear while the counters are younger than `window`, since a reset or a crash discards the counts of
  changed rows.

## Remedy
ANALYZE, which reads a sample and blocks neither reads nor writes. If autoanalyze is off for the table, see `vacuum-disabled`;
if it runs too rarely, lower the table's `autovacuum_analyze_scale_factor`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from pgwatch_wed.facts import Snapshot, Table
from pgwatch_wed.findings import Finding, Grade, Impact, Severity, Unknown
from pgwatch_wed.postgres import autovacuum as vac
from pgwatch_wed.postgres import indexes as ix
from pgwatch_wed.postgres import statistics as stats
from pgwatch_wed.remedies import maintenance
from pgwatch_wed.units import count

NEEDS = ("tables", "table_activity", "settings")
PRIMARY_ONLY = True


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # If autoanalyze is on, a table must be past this multiple of its trigger.
    min_times_trigger: float = 2.0
    # If autoanalyze is on, it has this many times autovacuum_naptime to process a table.
    min_naptimes: float = 5.0
    # At this multiple, autoanalyze has not run for a long time.
    warn_times_trigger: float = 10.0
    # Smaller tables are reported as info at most: any plan for them is fast.
    warn_rows: int = 1000
    # Fewer changes do not affect plans.
    min_changes: int = 1000
    # Counters that began later may have missed changes.
    window: timedelta = timedelta(days=1)


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each table with outdated statistics."""
    statistics = stats.Statistics(snapshot)
    clear, doubtful = [], []
    for table in vac.vacuumable(snapshot):
        times = _times(snapshot, table, limits)
        if times is None:
            clear.append(table)
        elif vac.heap_of(snapshot, table).is_doubtful:
            doubtful.append(table)
        elif statistics.state(table) is not stats.State.NEVER:
            yield _finding(snapshot, table, times, limits)
    yield from vac.unsure(doubtful, "changed rows", "ANALYZE")
    yield from vac.forgotten(snapshot, limits.window, clear, "changed rows")


def _times(snapshot: Snapshot, table: Table, limits: Limits) -> float | None:
    """Return a table's changed rows as a multiple of its trigger; None if that is all right."""
    changed = vac.changed_rows(snapshot, table)
    heap = vac.heap_of(snapshot, table)
    trigger = vac.analyze_trigger(snapshot, heap)
    if trigger is None or changed < limits.min_changes:
        return None
    times = changed / max(trigger, 1.0)
    if times <= (limits.min_times_trigger if vac.comes(snapshot, heap) else 1.0):
        return None
    last = _last_visit(snapshot, table)
    return times if vac.had_time(snapshot, heap, last, limits.min_naptimes) else None


def _last_visit(snapshot: Snapshot, table: Table) -> datetime | None:
    """Return when it was last analyzed, or autovacuum last had reason to look at it."""
    a = snapshot.activity_by_oid[table.oid]
    return max((m for m in (vac.last_analyze(a), a.last_autovacuum) if m), default=None)


def _severity(snapshot: Snapshot, table: Table, times: float, limits: Limits) -> Severity:
    a = snapshot.activity_by_oid[table.oid]
    comes = vac.comes(snapshot, vac.heap_of(snapshot, table))
    seen = _last_visit(snapshot, table) is not None  # otherwise it may just have been created
    late = not comes or (seen and times >= limits.warn_times_trigger)
    large = max(table.rows, a.n_live_tup) >= limits.warn_rows
    return Severity.WARNING if late and large else Severity.INFO


def _finding(snapshot: Snapshot, table: Table, times: float, limits: Limits) -> Finding:
    a = snapshot.activity_by_oid[table.oid]
    comes = vac.comes(snapshot, vac.heap_of(snapshot, table))
    last = vac.last_analyze(a)
    changed = vac.changed_rows(snapshot, table)
    return Finding(
        object=ix.table_object(snapshot, table),
        severity=_severity(snapshot, table, times, limits),
        grade=Grade.B,
        title=f"{count(changed, 'row')} of {table.qualified} changed since it was last analyzed, "
        f"{times:.1f} times its autoanalyze trigger",
        detail=(
            "Autoanalyze is on and due."
            if comes
            else "Autoanalyze is off, so it has to be analyzed manually."
        )
        + (f" It was last analyzed at {last:%Y-%m-%d %H:%M:%S %Z}." if last else ""),
        evidence={
            "changed_rows": changed,
            "live_rows": a.n_live_tup,
            "times_trigger": round(times, 2),
            "last_analyze": last.isoformat() if last else None,
            "autoanalyze_comes": comes,
        },
        impact=Impact(risk="plans are based on outdated data"),
        remedy=(maintenance.analyze(table),),
    )
