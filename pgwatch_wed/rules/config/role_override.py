"""Settings of a role or a database that override the server's.

## Why it matters
The role's sessions then do not run with what the configuration file says, and few people look there first.

## How sure we are
B: pg_db_role_setting lists them.

## Not reported
Overrides that are common practice: search_path, timeouts, work_mem, logging, isolation levels, and what drivers and hosting
providers set; track_counts (`vacuum-disabled`).

## Remedy
ALTER ROLE … RESET, if the override is not intended.
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
    "synchronous_commit": ("off", "the last transactions committed before a crash may be lost"),
    "zero_damaged_pages": ("on", "damaged pages are silently zeroed"),
    "ignore_checksum_failure": ("on", "corruption goes unnoticed"),
    "ignore_system_indexes": ("on", "every lookup in a system catalog scans the whole catalog"),
    "allow_system_table_mods": ("on", "a single wrong statement can destroy the system catalogs"),
    "session_replication_role": (
        "replica",
        "triggers do not fire and foreign keys are not checked",
    ),
    "row_security": ("off", "queries fail if row-level security applies"),
    "constraint_exclusion": ("off", "inheritance children cannot be excluded by their constraints"),
    "plan_cache_mode": ("force_generic_plan", "plans do not depend on parameter values"),
}
_METHODS = "Query Tuning / Planner Method Configuration"
_ON = ("on", "true", "yes", "1")
_OFF = ("off", "false", "no", "0")


@dataclass(frozen=True, slots=True)
class Limits:
    """No thresholds: an override is either on the list or not."""


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:  # noqa: ARG001 - none
    """Yield a finding for each suspicious override."""
    for override in snapshot.role_settings:
        value, effect = _SUSPICIOUS.get(override.name, ("", ""))
        if _is_method(snapshot, override.name):
            value, effect = "off", "the planner avoids this type of plan"
        if effect and _says(override.value, value):
            yield _finding(override, effect)


def _is_method(snapshot: Snapshot, name: str) -> bool:
    """Tell whether it is a planner method that is enabled by default."""
    setting = snapshot.setting_by_name.get(name)
    return (
        setting is not None
        and name.startswith("enable_")
        and setting.category == _METHODS
        and setting.boot_val == "on"
    )


def _says(value: str, wanted: str) -> bool:
    """Tell whether a value, which is stored as it was typed, has a given meaning."""
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
        detail=f"In the sessions concerned, {effect}.",
        evidence={
            "setting": override.name,
            "value": override.value,
            "role": override.role,
            "database": override.database,
        },
        impact=Impact(risk=effect),
        remedy=(_remedy(override),),
        caveats=("If it is intended, ignore this finding and state the reason.",),
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
        lock="none; takes effect in new sessions",
        undo=f"ALTER {scope} SET {name} = {literal(override.value)};",
    )
