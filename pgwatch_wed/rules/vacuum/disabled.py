"""Autovacuum is switched off: for the server, for a table, or for its TOAST table.

## Why it matters
Without autovacuum dead rows stay, statistics grow old, and the table's age runs towards the point at which the server
vacuums it anyway, at the worst moment.

## How sure we are
B: settings and storage parameters say so.

## Not reported
Tables that hold nothing; unlogged tables and small ones, which are often emptied by design, are for information.

## Remedy
ALTER TABLE … RESET (autovacuum_enabled); for the server ALTER SYSTEM SET autovacuum = on and a reload.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed.facts import Snapshot, Table
from pgwatch_wed.findings import (
    Finding,
    Grade,
    Impact,
    Object,
    Remedy,
    Severity,
    Unknown,
)
from pgwatch_wed.quote import ident
from pgwatch_wed.rules import _indexes as ix
from pgwatch_wed.rules import _vacuum as av

NEEDS = ("tables", "table_activity", "settings")
PRIMARY_ONLY = True


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # Smaller tables are for information only.
    warn_rows: int = 10_000


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for the server, and one for each table left alone."""
    for name in ("autovacuum", "track_counts"):
        if snapshot.setting_on(name) is False:
            yield _server(snapshot, name)
    for table in snapshot.tables:
        if table.kind == "p" or not _holds_anything(snapshot, table):
            continue
        if av.is_off(table.option("autovacuum_enabled")):
            yield _table(snapshot, table, limits, toast=False)
        elif table.toast_oid and av.is_off(table.toast_option("autovacuum_enabled")):
            yield _table(snapshot, table, limits, toast=True)


def _holds_anything(snapshot: Snapshot, table: Table) -> bool:
    a = snapshot.activity_by_oid.get(table.oid)
    return table.pages > 0 or (a is not None and a.n_live_tup + a.n_dead_tup + a.n_tup_ins > 0)


def _server(snapshot: Snapshot, name: str) -> Finding:
    setting = snapshot.setting_by_name[name]
    what = "Autovacuum is off" if name == "autovacuum" else "track_counts is off"
    return Finding(
        object=Object("setting", name),
        severity=Severity.CRITICAL,
        grade=Grade.B,
        title=f"{what} for the whole server",
        detail="No table is vacuumed or analysed by itself, except to prevent wraparound.",
        evidence={
            "setting": name,
            "value": setting.setting,
            "source": setting.source,
            "sourcefile": setting.sourcefile,
        },
        impact=Impact(risk="bloat, old statistics, forced vacuums at the freeze age"),
        remedy=(
            Remedy(
                sql=f"ALTER SYSTEM SET {ident(name)} = on;\nSELECT pg_reload_conf();",
                lock="none",
                in_transaction=False,
                undo=f"ALTER SYSTEM RESET {ident(name)};",
            ),
        ),
    )


def _table(snapshot: Snapshot, table: Table, limits: Limits, *, toast: bool) -> Finding:
    rows = ix.rows(snapshot, table)
    small = rows < limits.warn_rows or table.persistence == "u"
    option = "toast.autovacuum_enabled" if toast else "autovacuum_enabled"
    name = ident(table.schema, table.name)
    a = snapshot.activity_by_oid.get(table.oid)
    return Finding(
        object=ix.table_object(snapshot, table),
        severity=Severity.INFO if small else Severity.WARNING,
        grade=Grade.B,
        title=f"Autovacuum is off for {table.qualified}{' (TOAST)' if toast else ''}",
        detail=f"The storage parameter {option} says so. It holds about {rows:,.0f} rows.",
        evidence={
            "rows": round(rows),
            "size_bytes": ix.table_bytes(snapshot, table),
            "dead_rows": a.n_dead_tup if a else None,
            "writes": a.n_tup_ins + a.n_tup_upd + a.n_tup_del if a else None,
            "options": list(table.toast_options if toast else table.options),
        },
        impact=Impact(risk="dead rows stay and statistics grow old"),
        remedy=(
            Remedy(
                sql=f"ALTER TABLE {name} RESET ({option});",
                lock=av.SUX,
                undo=f"ALTER TABLE {name} SET ({option} = off);",
            ),
        ),
        caveats=("A job of your own may vacuum it; then raise its trigger instead.",),
    )
