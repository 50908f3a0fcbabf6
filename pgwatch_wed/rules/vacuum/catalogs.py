"""System catalogs with more dead rows than autovacuum should leave.

## Why it matters
Every statement looks up its tables and columns in the catalogs. If these are full of dead rows, as after many temporary tables
or much DDL, planning becomes slow for everybody, and connecting, too. A logical slot holds back the catalogs alone: the
tables look clean, and only the catalogs grow.

## How sure we are
B: the server's own count of dead rows compared with the trigger by the server's settings; catalogs have no parameters of their
own. What holds back the catalogs is known exactly: slots, and for catalogs shared by all databases the sessions of any database.

## Not reported
- Catalogs below their trigger, and fewer than `min_dead_rows` dead rows.
- Catalogs that autovacuum has not had `min_naptimes` times `autovacuum_naptime` to process since it last vacuumed them, unless
  it ran in vain.
- Space that is empty already: VACUUM does not return it. The size of catalogs without dead rows is not judged.
- The verdict is never clear while the counters are younger than `window`, since a reset or a crash discards the counts.

## Remedy
If something holds back VACUUM, release it first: drop a slot whose consumer is gone for good, or restart the consumer. Then
VACUUM the catalog. To shrink its file, VACUUM FULL is needed, which locks out everybody.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from pgwatch_wed.facts import Snapshot, SystemTable
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Remedy, Severity, Unknown
from pgwatch_wed.postgres import autovacuum as vac
from pgwatch_wed.postgres import horizon
from pgwatch_wed.quote import ident
from pgwatch_wed.remedies import holders, maintenance
from pgwatch_wed.remedies import locks as held
from pgwatch_wed.units import count

NEEDS = ("system_tables", "settings", "slots")
PRIMARY_ONLY = True


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # Fewer dead rows do not matter.
    min_dead_rows: int = 5000
    # At least this many times as many dead rows as live ones is a warning.
    warn_times_live: float = 1.0
    # If autovacuum is on, it has this many times autovacuum_naptime to process a catalog.
    min_naptimes: float = 5.0
    # A vacuum within this time that left dead rows behind ran in vain, if it is unknown when what holds it back began.
    recently: timedelta = timedelta(minutes=5)
    # Counters that began later may have missed dead rows.
    window: timedelta = timedelta(days=1)


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each system catalog past its trigger."""
    blame = {
        True: horizon.holders_of_all(snapshot),
        False: sorted(horizon.holders(snapshot), key=horizon.catalog_age, reverse=True),
    }
    young = 0
    for table in snapshot.system_tables:
        trigger = _trigger(snapshot, table)
        if table.is_temporary or trigger is None:
            continue
        if table.n_dead_tup <= max(trigger, limits.min_dead_rows):
            young += table.last_vacuum is None and table.pages > 8
            continue
        guilty = _guilty(snapshot, table, blame[table.is_shared], limits)
        if guilty is not None or _had_time(snapshot, table, limits):
            yield _finding(snapshot, table, trigger, guilty, limits)
    yield from _forgotten(snapshot, young, limits)


def _trigger(snapshot: Snapshot, table: SystemTable) -> float | None:
    base = snapshot.setting_number("autovacuum_vacuum_threshold")
    scale = snapshot.setting_number("autovacuum_vacuum_scale_factor")
    return None if base is None or scale is None else base + scale * max(table.rows, 0.0)


def _guilty(
    snapshot: Snapshot, table: SystemTable, found: list[horizon.Holder], limits: Limits
) -> horizon.Holder | None:
    """Return the oldest holder, if a vacuum ran since it began and left the rows."""
    oldest = found[0] if found else None
    if oldest is None or table.last_vacuum is None:
        return None
    since: datetime = oldest.since or snapshot.now - limits.recently
    return oldest if table.last_vacuum > since else None


def _had_time(snapshot: Snapshot, table: SystemTable, limits: Limits) -> bool:
    return vac.is_off(snapshot) or vac.waited(snapshot, table.last_vacuum, limits.min_naptimes)


def _forgotten(snapshot: Snapshot, young: int, limits: Limits) -> Iterator[Unknown]:
    length = snapshot.window.length
    is_young = length is not None and length < limits.window
    if young and limits.window and is_young and not vac.counts_all(snapshot):
        yield Unknown(
            f"dead rows of {count(young, 'system catalog')} have been counted only since "
            f"{snapshot.window.begins:%Y-%m-%d %H:%M}",
            "run VACUUM, or accept the shorter period with --window 0",
        )


def _finding(
    snapshot: Snapshot,
    table: SystemTable,
    trigger: float,
    guilty: horizon.Holder | None,
    limits: Limits,
) -> Finding:
    share = table.n_dead_tup / max(table.n_live_tup + table.n_dead_tup, 1)
    bad = table.n_dead_tup >= limits.warn_times_live * table.n_live_tup
    size = table.pages * snapshot.server.block_size
    return Finding(
        object=Object(
            "table", table.name, snapshot.server.database, schema=table.schema, table=table.name
        ),
        severity=Severity.WARNING if bad else Severity.INFO,
        grade=Grade.B,
        title=f"{count(table.n_dead_tup, 'dead row')} in the system catalog {table.qualified}: {share:.0%} of its rows",
        detail=_detail(snapshot, table, guilty),
        evidence={
            "dead_rows": table.n_dead_tup,
            "live_rows": table.n_live_tup,
            "trigger_rows": round(trigger),
            "size_bytes": size,
            "last_vacuum": table.last_vacuum.isoformat() if table.last_vacuum else None,
            "held_by": horizon.describe(guilty) if guilty else None,
        },
        impact=Impact(
            bytes=int(size * share), risk="planning and connecting become slow for everybody"
        ),
        remedy=(*(holders.release(guilty) if guilty else ()), _vacuum(table)),
    )


def _detail(snapshot: Snapshot, table: SystemTable, guilty: horizon.Holder | None) -> str:
    if guilty is not None:
        who = horizon.describe(guilty)
        return f"A vacuum has run since, but {who} keeps it from removing them: see vacuum-horizon."
    if vac.is_off(snapshot):
        return "Autovacuum is off for the whole server, so nothing will remove them."
    if table.last_vacuum is None:
        return "Autovacuum is on and due, but has not vacuumed it since the counters began."
    return f"It was last vacuumed at {table.last_vacuum:%Y-%m-%d %H:%M:%S %Z}, and is due again."


def _vacuum(table: SystemTable) -> Remedy:
    return Remedy(
        sql=f"VACUUM (ANALYZE) {ident(table.schema, table.name)};",
        lock=f"{held.SHARE_UPDATE}; run it as a superuser or the owner of the database",
        in_transaction=False,
        undo=maintenance.NOTHING_VISIBLE,
    )
