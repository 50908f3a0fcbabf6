"""Tables with more dead rows than their own autovacuum trigger allows.

## Why it matters
Dead rows are read by every scan, keep indexes from shrinking, and grow the table until something reuses their space.

## How sure we are
B: the server's own count of dead rows, against the trigger that the server itself computes for this table.
The count is an estimate between two vacuums.

## Not reported
A flat share of dead rows says nothing: a table below its own trigger is as its owner configured it. Nor are
tables that a vacuum works on now, and tables just past their trigger, which autovacuum visits within its naptime.

## Remedy
VACUUM (ANALYZE), after the cause is gone: `vacuum-disabled`, `vacuum-horizon` and `vacuum-workers-saturated` name causes.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed.facts import Snapshot, Table, TableActivity
from pgwatch_wed.findings import Finding, Grade, Impact, Remedy, Severity, Unknown
from pgwatch_wed.quote import ident
from pgwatch_wed.rules import _indexes as ix
from pgwatch_wed.rules import _vacuum as av

NEEDS = ("tables", "table_activity", "settings")
PRIMARY_ONLY = True


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # Fewer dead rows than these hurt nobody.
    min_dead_rows: int = 1_000
    # Times the trigger; below it autovacuum is merely on its way.
    min_trigger_ratio: float = 1.5
    # From here on autovacuum has evidently not come.
    warn_trigger_ratio: float = 5.0


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each table whose dead rows are beyond its trigger."""
    for table, activity in av.tables_with_activity(snapshot):
        triggers = av.triggers(snapshot, table)
        if triggers is None or av.is_being_vacuumed(snapshot, table):
            continue
        served = av.autovacuum_serves(snapshot, table)
        ratio = activity.n_dead_tup / max(triggers.dead, 1.0)
        wanted = limits.min_trigger_ratio if served else 1.0
        if activity.n_dead_tup >= limits.min_dead_rows and ratio >= wanted:
            yield _finding(snapshot, table, activity, triggers.dead, limits)


def _finding(
    snapshot: Snapshot, table: Table, a: TableActivity, trigger: float, limits: Limits
) -> Finding:
    served = av.autovacuum_serves(snapshot, table)
    ratio = a.n_dead_tup / max(trigger, 1.0)
    share = a.n_dead_tup / max(a.n_dead_tup + a.n_live_tup, 1)
    waste = round(share * table.pages * snapshot.server.block_size)
    last = max((m for m in (a.last_vacuum, a.last_autovacuum) if m), default=None)
    why = "" if served else " Autovacuum does not look after it."
    return Finding(
        object=ix.table_object(snapshot, table),
        severity=Severity.WARNING
        if not served or ratio >= limits.warn_trigger_ratio
        else Severity.INFO,
        grade=Grade.B,
        title=f"{table.qualified} has {a.n_dead_tup:,} dead rows, {ratio:.1f} times its trigger",
        detail=f"Autovacuum comes at {trigger:,.0f} dead rows of this table.{why}",
        evidence={
            "dead_rows": a.n_dead_tup,
            "live_rows": a.n_live_tup,
            "dead_share": round(share, 4),
            "trigger_rows": round(trigger),
            "last_vacuum": last.isoformat() if last else None,
            "autovacuum_count": a.autovacuum_count,
        },
        impact=Impact(bytes=waste, risk="scans read dead rows"),
        remedy=(
            Remedy(
                sql=f"VACUUM (ANALYZE) {ident(table.schema, table.name)};",
                lock=av.SUX,
                in_transaction=False,
                undo="-- nothing to undo: VACUUM removes only what no transaction can see",
            ),
        ),
        caveats=_caveats(snapshot),
    )


def _caveats(snapshot: Snapshot) -> tuple[str, ...]:
    held = any(
        s.xmin_age_xids is not None
        and s.backend_type == "client backend"
        and s.xact_start
        and (snapshot.now - s.xact_start).total_seconds() > 60
        for s in snapshot.sessions
    )
    if held or snapshot.prepared_transactions:
        return ("An old transaction may keep VACUUM from removing them; see vacuum-horizon.",)
    return ()
