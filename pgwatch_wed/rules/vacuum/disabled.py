"""Autovacuum is switched off: for the server, for a table, or for its TOAST.

## Why it matters
Nobody removes dead rows, nobody refreshes the planner's statistics, nobody keeps the visibility map that
index-only scans live on. Only the vacuum against wraparound still comes, at the worst moment.

## How sure we are
B: it is what the server's settings and the table's storage parameters say. With `track_counts` off autovacuum is on but
blind, so it does nothing either.

## Not reported
- Nothing that is off is kept back, but only tables of `warn_size_bytes` that change are warnings. Tiny tables, unlogged
  (staging) tables, tables that nobody changes and archives that VACUUM has finished with are info.
- A TOAST table whose own table is switched off: it follows, and one finding tells both.
- Inserts alone switched off (`autovacuum_vacuum_insert_threshold = -1`): see `vacuum-never`.

## Remedy
Take the storage parameter back. A table that was taken out because autovacuum disturbed it wants a better
`autovacuum_vacuum_cost_delay` or a vacuum at a quiet hour, not none.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed.facts import Setting, Snapshot, Table
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Remedy, Severity, Unknown
from pgwatch_wed.quote import ident, literal
from pgwatch_wed.rules import _horizon
from pgwatch_wed.rules import _indexes as ix
from pgwatch_wed.rules import _vacuum as vac

NEEDS = ("tables", "table_activity", "settings")
PRIMARY_ONLY = True


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # From this size on a table that changes, and that nobody vacuums, is a warning.
    warn_size_bytes: int = 1_000_000


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for the server's switches, and for each table that is taken out."""
    for name in ("autovacuum", "track_counts"):
        setting = snapshot.setting_by_name.get(name)
        if setting is None:
            yield Unknown(f"the setting {name} cannot be read")
        elif setting.setting == "off":
            yield _global(snapshot, setting)
    if "role_settings" not in snapshot.missing:
        yield from _blind_roles(snapshot)
    for table in vac.vacuumable(snapshot):
        yield from _table(snapshot, table, limits)


def _global(snapshot: Snapshot, setting: Setting) -> Finding:
    waiting = sum(1 for _ in _horizon.overdue(snapshot))
    what = "Autovacuum is off" if setting.name == "autovacuum" else "Changes are not counted"
    return Finding(
        object=Object("setting", setting.name),
        severity=Severity.CRITICAL if waiting else Severity.WARNING,
        grade=Grade.B,
        title=f"{what} for the whole server ({setting.name} = off)",
        detail=f"{waiting:,} tables of {snapshot.server.database} are beyond their trigger and wait for it."
        if waiting
        else "Nothing removes dead rows or refreshes statistics unless somebody runs VACUUM.",
        evidence={
            "setting": setting.setting,
            "source": setting.source,
            "overdue_tables": waiting,
            "sourcefile": setting.sourcefile,
        },
        impact=Impact(risk="tables grow without end, and plans go bad as statistics age"),
        remedy=(vac.alter_system(setting.name, "on", "off"),),
        caveats=("It was given on the command line, which ALTER SYSTEM does not override.",)
        if setting.source == "command line"
        else (),
    )


def _blind_roles(snapshot: Snapshot) -> Iterator[Finding]:
    """Yield roles and databases whose sessions count nothing, so that autovacuum never hears of them."""
    for each in snapshot.role_settings:
        if each.name != "track_counts" or not vac.is_false(each.value):
            continue
        subject = f"role {each.role}" if each.role else f"database {each.database}"
        yield Finding(
            object=Object("setting", f"track_counts of {subject}"),
            severity=Severity.WARNING,
            grade=Grade.B,
            title=f"What {subject} changes is not counted, and autovacuum never hears of it",
            detail="track_counts is off by ALTER ROLE or ALTER DATABASE.",
            evidence={"role": each.role, "database": each.database, "setting": "off"},
            impact=Impact(risk="its tables are neither vacuumed nor analysed"),
            remedy=(_count_again(each.role, each.database),),
        )


def _count_again(role: str | None, database: str | None) -> Remedy:
    if role is None:
        who = f"DATABASE {ident(database or '')}"
    else:
        who = f"ROLE {ident(role)}" + (f" IN DATABASE {ident(database)}" if database else "")
    return Remedy(
        sql=f"ALTER {who} RESET track_counts;",
        lock="none; new sessions follow it",
        undo=f"ALTER {who} SET track_counts = {literal('off')};",
    )


def _table(snapshot: Snapshot, table: Table, limits: Limits) -> Iterator[Finding]:
    off = vac.is_false(table.option("autovacuum_enabled"))
    toast_off = vac.is_false(table.toast_option("autovacuum_enabled"))
    if not off and not toast_off:
        return
    judged = [h for h in vac.heaps(snapshot, table) if vac.is_disabled(h)]
    options = [
        f"{p}autovacuum_enabled" for p, is_off in (("", off), ("toast.", toast_off)) if is_off
    ]
    dead = sum(h.dead for h in judged)
    vacuums = [h.last_vacuum.isoformat() for h in judged if h.last_vacuum]
    yield Finding(
        object=ix.table_object(snapshot, table),
        severity=_severity(snapshot, table, judged, limits),
        grade=Grade.B,
        title=f"Autovacuum is off for {'' if off else 'the TOAST of '}{table.qualified}",
        detail=f"{dead:,} dead rows are in it, and nothing but the vacuum against wraparound comes.",
        evidence={
            "storage_parameters": options,
            "size_bytes": sum(vac.size_bytes(snapshot, h) for h in judged),
            "dead_rows": dead,
            "is_unlogged": table.persistence == "u",
            "last_vacuum": max(vacuums, default=None),
        },
        impact=Impact(
            bytes=sum(vac.dead_bytes(snapshot, h) for h in judged) or None,
            risk="dead rows stay, and statistics age",
        ),
        remedy=(_take_back(table, options),),
        caveats=("A job may vacuum it at a fixed hour; then ignore this with that reason.",),
    )


def _take_back(table: Table, options: list[str]) -> Remedy:
    name = ident(table.schema, table.name)
    return Remedy(
        sql=f"ALTER TABLE {name} RESET ({', '.join(options)});",
        lock=vac.SHARE_UPDATE,
        undo=f"ALTER TABLE {name} SET ({', '.join(f'{o} = off' for o in options)});",
    )


def _severity(snapshot: Snapshot, table: Table, judged: list[vac.Heap], limits: Limits) -> Severity:
    size = sum(vac.size_bytes(snapshot, h) for h in judged)
    if table.persistence == "u" or size < limits.warn_size_bytes:
        return Severity.INFO
    return Severity.WARNING if _changes(snapshot, table) else Severity.INFO


def _changes(snapshot: Snapshot, table: Table) -> bool:
    """Tell whether anything is left to do, or was changed, since it was vacuumed last."""
    a = snapshot.activity_by_oid.get(table.oid)
    if a is None:
        return True
    waits = a.n_dead_tup + (a.toast_n_dead_tup or 0) + (a.n_ins_since_vacuum or 0)
    return waits + a.n_mod_since_analyze > 0
