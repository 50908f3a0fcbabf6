"""Settings bound to a role or a database override the server's.

## Why it matters
What the configuration file says is then not what the role's sessions run with, and nobody looks there first.

## How sure we are
B: pg_db_role_setting lists them.

## Not reported
Overrides that are ordinary ways to work: search_path, timeouts, work_mem, logging, isolation levels, and what drivers and hosts set;
track_counts (`vacuum-disabled`).

## Remedy
ALTER ROLE … RESET, where the override is not wanted.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed.facts import RoleSetting, Snapshot
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Remedy, Severity, Unknown
from pgwatch_wed.quote import ident, literal

NEEDS = ("role_settings", "settings")
SCOPE = "cluster"

# name: (the value that is suspicious, what it does to the role's sessions)
_SUSPICIOUS = {
    "synchronous_commit": ("off", "its last commits before a crash may be lost"),
    "zero_damaged_pages": ("on", "damaged pages are silently emptied"),
    "ignore_checksum_failure": ("on", "corruption goes unnoticed"),
    "ignore_system_indexes": ("on", "every look-up in the catalogs reads them whole"),
    "allow_system_table_mods": ("on", "one wrong statement destroys the catalogs"),
    "session_replication_role": ("replica", "triggers and foreign keys do not fire"),
    "row_security": ("off", "queries fail where row security applies"),
    "constraint_exclusion": ("off", "old-style partitions are not pruned"),
    "plan_cache_mode": ("force_generic_plan", "plans ignore the parameters"),
}
_METHODS = "Query Tuning / Planner Method Configuration"
_ON = ("on", "true", "yes", "1")
_OFF = ("off", "false", "no", "0")


@dataclass(frozen=True, slots=True)
class Limits:
    """No thresholds: an override is on the list, or it is not."""


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:  # noqa: ARG001 - none
    """Yield a finding for each override that surprises."""
    for override in snapshot.role_settings:
        value, effect = _SUSPICIOUS.get(override.name, ("", ""))
        if _is_method(snapshot, override.name):
            value, effect = "off", "the planner must do without this kind of plan"
        if effect and _says(override.value, value):
            yield _finding(override, effect)


def _is_method(snapshot: Snapshot, name: str) -> bool:
    """Tell whether it is a method of the planner's that PostgreSQL has on by default."""
    setting = snapshot.setting_by_name.get(name)
    return (
        setting is not None
        and name.startswith("enable_")
        and setting.category == _METHODS
        and setting.boot_val == "on"
    )


def _says(value: str, wanted: str) -> bool:
    """Tell whether a value, kept as somebody typed it, means what is wanted."""
    word = value.strip().lower()
    if wanted == "on":
        return bool(word) and word != "o" and any(w.startswith(word) for w in _ON)
    if wanted == "off":
        return bool(word) and word != "o" and any(w.startswith(word) for w in _OFF)
    return word == wanted


def _finding(override: RoleSetting, effect: str) -> Finding:
    where = " in ".join(
        part
        for part in (
            f"role {override.role}" if override.role else "",
            f"database {override.database}" if override.database else "",
        )
        if part
    )
    return Finding(
        object=Object("setting", f"{override.name} of {where or 'all roles'}"),
        severity=Severity.INFO,
        grade=Grade.B,
        title=f"{override.name} = {override.value} for {where or 'all roles'}",
        detail=f"In its sessions {effect}.",
        evidence={
            "setting": override.name,
            "value": override.value,
            "role": override.role,
            "database": override.database,
        },
        impact=Impact(risk=effect),
        remedy=(_remedy(override),),
        caveats=("It may be meant so; then ignore the finding with the reason.",),
    )


def _remedy(override: RoleSetting) -> Remedy:
    name = ident(*override.name.split("."))
    if override.role:
        scope = f"ROLE {ident(override.role)}"
        scope += f" IN DATABASE {ident(override.database)}" if override.database else ""
    else:
        scope = f"DATABASE {ident(override.database)}" if override.database else "ROLE ALL"
    return Remedy(
        sql=f"ALTER {scope} RESET {name};",
        lock="none; new sessions take it up",
        undo=f"ALTER {scope} SET {name} = {literal(override.value)};",
    )
