"""Tables that have changed much since ANALYZE saw them.

## Why it matters
The planner believes what the last ANALYZE found. After a table has changed, it expects values that are gone and does not
know those that came: worst for dates and counters, where the newest are asked for most.

## How sure we are
B: the server's own count of changed rows against the table's own trigger (storage parameters before settings).

## Not reported
- Tables below their own trigger.
- Tables up to `min_times_trigger` beyond it while autoanalyze is on: it comes within a minute.
- Tables that were never analysed (`analyze-never`), and changes of less than `min_changes` rows.
- Nothing is called clear while the counters are younger than `window`, since a reset or a crash forgets changes.

## Remedy
ANALYZE; it reads a sample and holds up nobody. If autoanalyze is off for the table, see `vacuum-disabled`; if it comes too seldom,
lower `autovacuum_analyze_scale_factor` for it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from pgwatch_wed.facts import Snapshot, Table
from pgwatch_wed.findings import Finding, Grade, Impact, Severity, Unknown
from pgwatch_wed.rules import _analyze
from pgwatch_wed.rules import _indexes as ix
from pgwatch_wed.rules import _vacuum as vac

NEEDS = ("tables", "table_activity", "settings")
PRIMARY_ONLY = True


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # Autoanalyze is on, and yet so many times its trigger has changed.
    min_times_trigger: float = 2.0
    # By then it cannot have come for a long time.
    warn_times_trigger: float = 10.0
    # Fewer changes do not move a plan.
    min_changes: int = 1000
    # Younger counters may have forgotten changes.
    window: timedelta = timedelta(days=1)


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each table that has outgrown its statistics."""
    statistics = _analyze.Statistics(snapshot)
    clear = []
    for table in vac.vacuumable(snapshot):
        times = _times(snapshot, table, limits)
        if times is None:
            clear.append(table)
        elif statistics.state(table) is not _analyze.State.NEVER:
            yield _finding(snapshot, table, times, limits)
    yield from vac.forgotten(snapshot, limits.window, clear, "changed rows")


def _times(snapshot: Snapshot, table: Table, limits: Limits) -> float | None:
    """Return how many times its trigger a table has changed; None where that is all right."""
    changed = vac.changed_rows(snapshot, table)
    heap = vac.heap_of(snapshot, table)
    trigger = vac.analyze_trigger(snapshot, heap)
    if trigger is None or changed < limits.min_changes:
        return None
    times = changed / max(trigger, 1.0)
    return (
        times if times > (limits.min_times_trigger if vac.comes(snapshot, heap) else 1.0) else None
    )


def _finding(snapshot: Snapshot, table: Table, times: float, limits: Limits) -> Finding:
    a = snapshot.activity_by_oid[table.oid]
    comes = vac.comes(snapshot, vac.heap_of(snapshot, table))
    last = vac.last_analyze(a)
    changed = vac.changed_rows(snapshot, table)
    late = not comes or times >= limits.warn_times_trigger
    return Finding(
        object=ix.table_object(snapshot, table),
        severity=Severity.WARNING if late else Severity.INFO,
        grade=Grade.B,
        title=f"{changed:,} rows of {table.qualified} changed since it was analysed, "
        f"{times:.1f} times its trigger",
        detail=(
            "Autoanalyze is on and due." if comes else "Autoanalyze is off, so nobody will do it."
        )
        + (f" ANALYZE saw it last at {last:%Y-%m-%d %H:%M:%S %Z}." if last else ""),
        evidence={
            "changed_rows": changed,
            "live_rows": a.n_live_tup,
            "times_trigger": round(times, 2),
            "last_analyze": last.isoformat() if last else None,
            "autoanalyze_comes": comes,
        },
        impact=Impact(risk="plans are made for data that is no longer there"),
        remedy=(_analyze.analyze(table),),
    )
