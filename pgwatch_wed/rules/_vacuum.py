"""When autovacuum comes to a table, as the server itself computes it.

Source: relation_needs_vacanalyze() in autovacuum.c; documentation, "The Autovacuum Daemon".
"""

from dataclasses import dataclass

from pgwatch_wed.facts import Snapshot, Table, TableActivity

_FALSE = frozenset({"off", "false", "no", "0", "f", "n", "of", "fa", "fal", "fals"})
SUX = "SHARE UPDATE EXCLUSIVE on the table: reads and writes go on"


@dataclass(frozen=True, slots=True)
class Triggers:
    """Row counts at which autovacuum comes; ``inserts`` is None where inserts alone never bring it."""

    dead: float
    inserts: float | None
    analyze: float


def number(snapshot: Snapshot, table: Table, name: str, *, toast: bool = False) -> float | None:
    """Return a table's own storage parameter, or the server's setting."""
    own = table.toast_option(name) if toast else table.option(name)
    if own is not None:
        try:
            return float(own)
        except ValueError:
            return None
    return snapshot.setting_number(name)


def is_off(value: str | None) -> bool:
    """Tell whether a storage parameter says off."""
    return value is not None and value.lower() in _FALSE


def autovacuum_runs(snapshot: Snapshot) -> bool:
    """Tell whether the server runs autovacuum at all."""
    return snapshot.setting_on("autovacuum") is not False and (
        snapshot.setting_on("track_counts") is not False
    )


def autovacuum_serves(snapshot: Snapshot, table: Table) -> bool:
    """Tell whether autovacuum looks after a table."""
    return autovacuum_runs(snapshot) and not is_off(table.option("autovacuum_enabled"))


def triggers(snapshot: Snapshot, table: Table) -> Triggers | None:
    """Compute a table's own triggers; None where a setting is unknown."""
    rows = max(table.rows, 0.0)
    base = number(snapshot, table, "autovacuum_vacuum_threshold")
    scale = number(snapshot, table, "autovacuum_vacuum_scale_factor")
    analyze_base = number(snapshot, table, "autovacuum_analyze_threshold")
    analyze_scale = number(snapshot, table, "autovacuum_analyze_scale_factor")
    if base is None or scale is None or analyze_base is None or analyze_scale is None:
        return None
    dead = base + scale * rows
    cap = number(snapshot, table, "autovacuum_vacuum_max_threshold")  # 18 and later
    if cap is not None and cap >= 0:
        dead = min(dead, cap)
    return Triggers(
        dead, _insert_trigger(snapshot, table, rows), analyze_base + analyze_scale * rows
    )


def _insert_trigger(snapshot: Snapshot, table: Table, rows: float) -> float | None:
    base = number(snapshot, table, "autovacuum_vacuum_insert_threshold")
    scale = number(snapshot, table, "autovacuum_vacuum_insert_scale_factor")
    if base is None or scale is None or base < 0:
        return None
    unfrozen = 1.0
    if table.all_frozen_pages is not None and table.pages > 0:  # 18 and later
        unfrozen = 1 - min(table.all_frozen_pages, table.pages) / table.pages
    return base + scale * rows * unfrozen


def freeze_limit(snapshot: Snapshot, table: Table | None, setting: str) -> float | None:
    """Return the age at which autovacuum freezes a table; a storage parameter can only lower it."""
    limit = snapshot.setting_number(setting)
    own = table.option(setting) if table else None
    if limit is None or own is None:
        return limit
    try:
        return min(limit, float(own))
    except ValueError:
        return limit


def is_being_vacuumed(snapshot: Snapshot, table: Table) -> bool:
    """Tell whether a vacuum works on the table now."""
    database = snapshot.server.database
    return any(
        v.relation_oid == table.oid and v.database in (None, database) for v in snapshot.vacuums
    )


def tables_with_activity(snapshot: Snapshot) -> list[tuple[Table, TableActivity]]:
    """Return the tables that have storage, with their counters."""
    found = ((t, snapshot.activity_by_oid.get(t.oid)) for t in snapshot.tables if t.kind != "p")
    return [(t, a) for t, a in found if a is not None]
