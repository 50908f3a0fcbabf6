"""Autovacuum is switched off: for the server, a table, or its TOAST table.

## Why it matters
Dead rows are not removed, the planner's statistics are not refreshed, and the visibility map, which index-only scans depend
on, is not maintained. Autovacuum still runs to prevent wraparound, at the worst possible time.

## How sure we are
B: it follows from the server's settings and the table's storage parameters. With `track_counts` off, autovacuum does nothing
either, since it knows of no changes.

## Not reported
- Everything that is off is reported, but only tables of at least `warn_size_bytes` with changes are warnings. Tiny tables,
  unlogged (staging) tables, tables without changes and archives that need no more vacuuming are info.
- A TOAST table, if autovacuum is off for its table: the setting applies to both, and one finding covers them.
- Autovacuum switched off for inserts only (`autovacuum_vacuum_insert_threshold = -1`): see `vacuum-never`.

## Remedy
Reset the storage parameter. If autovacuum was switched off because it disturbed the workload, use a higher
`autovacuum_vacuum_cost_delay` or a scheduled VACUUM at a quiet hour instead.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pgwatch_wed.facts import RoleSetting, Setting, Snapshot, Table
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Remedy, Severity, Unknown
from pgwatch_wed.postgres import autovacuum as vac
from pgwatch_wed.postgres import horizon
from pgwatch_wed.postgres import indexes as ix
from pgwatch_wed.quote import ident, literal
from pgwatch_wed.remedies import locks as held
from pgwatch_wed.remedies import settings
from pgwatch_wed.units import count

NEEDS = ("tables", "table_activity", "settings")
PRIMARY_ONLY = True


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # A table of at least this size that has changes is a warning.
    warn_size_bytes: int = 1_000_000


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for the server's settings, and for each table that autovacuum is off for."""
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
    waiting = len(horizon.overdue(snapshot))
    past = "1 table is past its" if waiting == 1 else f"{waiting:,} tables are past their"
    what = "Autovacuum is off" if setting.name == "autovacuum" else "Changes are not counted"
    return Finding(
        object=Object("setting", setting.name),
        severity=Severity.CRITICAL if waiting else Severity.WARNING,
        grade=Grade.B,
        title=f"{what} for the whole server ({setting.name} = off)",
        detail=f"In {snapshot.server.database}, {past} autovacuum trigger."
        if waiting
        else "Dead rows are not removed and statistics are not refreshed unless VACUUM and ANALYZE are run manually.",
        evidence={
            "setting": setting.setting,
            "source": setting.source,
            "overdue_tables": waiting,
            "sourcefile": setting.sourcefile,
        },
        impact=Impact(risk="tables grow without limit, and plans get worse as statistics age"),
        remedy=(settings.alter_system(snapshot, setting.name, "on"),),
        caveats=("It was set on the server's command line, which ALTER SYSTEM does not override.",)
        if setting.source == "command line"
        else (),
    )


def _blind_roles(snapshot: Snapshot) -> Iterator[Finding]:
    """Yield roles and databases whose changes are not counted, so that autovacuum ignores them."""
    for each in snapshot.role_settings:
        if each.name != "track_counts" or not vac.is_false(each.value):
            continue
        subject = f"role {each.role}" if each.role else f"database {each.database}"
        yield Finding(
            object=Object("setting", f"track_counts of {subject}"),
            severity=Severity.WARNING,
            grade=Grade.B,
            title=f"Changes by {subject} are not counted, so autovacuum ignores them",
            detail="track_counts was set to off by ALTER ROLE or ALTER DATABASE.",
            evidence={"role": each.role, "database": each.database, "setting": "off"},
            impact=Impact(risk="the changed tables are neither vacuumed nor analyzed"),
            remedy=(_count_again(each),),
        )


def _count_again(own: RoleSetting) -> Remedy:
    if own.role is None:
        who = f"DATABASE {ident(own.database or '')}"
    else:
        within = f" IN DATABASE {ident(own.database)}" if own.database else ""
        who = f"ROLE {ident(own.role)}{within}"
    return Remedy(
        sql=f"ALTER {who} RESET track_counts;",
        lock="none; takes effect in new sessions",
        undo=f"ALTER {who} SET track_counts = {literal(own.value)};",
    )


def _table(snapshot: Snapshot, table: Table, limits: Limits) -> Iterator[Finding]:
    off = vac.is_false(table.option("autovacuum_enabled"))
    toast_off = vac.is_false(table.toast_option("autovacuum_enabled"))
    if not off and not toast_off:
        return
    judged = [h for h in vac.heaps(snapshot, table) if vac.is_disabled(h)]
    own = (("", off, table.option), ("toast.", toast_off, table.toast_option))
    options = {
        f"{prefix}autovacuum_enabled": option("autovacuum_enabled") or ""
        for prefix, is_off, option in own
        if is_off
    }
    dead = sum(h.dead for h in judged)
    vacuums = [h.last_vacuum.isoformat() for h in judged if h.last_vacuum]
    yield Finding(
        object=ix.table_object(snapshot, table),
        severity=_severity(snapshot, table, judged, limits),
        grade=Grade.B,
        title=f"Autovacuum is off for {'' if off else 'the TOAST table of '}{table.qualified}",
        detail=f"It contains {count(dead, 'dead row')} and is vacuumed only to prevent wraparound.",
        evidence={
            "storage_parameters": list(options),
            "size_bytes": sum(vac.size_bytes(snapshot, h) for h in judged),
            "dead_rows": dead,
            "is_unlogged": table.persistence == "u",
            "last_vacuum": max(vacuums, default=None),
        },
        # the space of dead rows counts once, in vacuum-dead-tuples
        impact=Impact(risk="dead rows accumulate, and statistics become stale"),
        remedy=(_take_back(table, options),),
        caveats=(
            "If a scheduled job vacuums it, ignore this finding and state that as the reason.",
        ),
    )


def _take_back(table: Table, options: Mapping[str, str]) -> Remedy:
    name = ident(table.schema, table.name)
    before = ", ".join(f"{option} = {literal(value)}" for option, value in options.items())
    return Remedy(
        sql=f"ALTER TABLE {name} RESET ({', '.join(options)});",
        lock=held.SHARE_UPDATE,
        undo=f"ALTER TABLE {name} SET ({before});",
    )


def _severity(snapshot: Snapshot, table: Table, judged: list[vac.Heap], limits: Limits) -> Severity:
    size = sum(vac.size_bytes(snapshot, h) for h in judged)
    if table.persistence == "u" or size < limits.warn_size_bytes:
        return Severity.INFO
    return Severity.WARNING if _changes(snapshot, table) else Severity.INFO


def _changes(snapshot: Snapshot, table: Table) -> bool:
    """Tell whether it has changed since it was last vacuumed, or VACUUM has work left."""
    a = snapshot.activity_by_oid.get(table.oid)
    if a is None:
        return True
    waits = a.n_dead_tup + (a.toast_n_dead_tup or 0) + (a.n_ins_since_vacuum or 0)
    return waits + a.n_mod_since_analyze > 0
