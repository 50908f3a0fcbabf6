"""Settings bound to a role or a database override the server's.

## Why it matters
What the configuration file says is then not what the role's sessions run with, and nobody looks there first.

## How sure we are
B: pg_db_role_setting lists them.

## Not reported
Overrides that are ordinary ways to work: search_path, timeouts, work_mem, logging, and what drivers and hosts set.

## Remedy
ALTER ROLE … RESET, where the override is not wanted.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed.facts import RoleSetting, Snapshot
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Remedy, Severity, Unknown
from pgwatch_wed.quote import ident

NEEDS = ("role_settings",)
SCOPE = "cluster"

# name: (values that are suspicious; empty: any), what it does to the role's sessions
_SUSPICIOUS: dict[str, tuple[tuple[str, ...], str]] = {
    "synchronous_commit": (("off",), "its last commits before a crash may be lost"),
    "zero_damaged_pages": (("on", "true", "1"), "damaged pages are silently emptied"),
    "ignore_checksum_failure": (("on", "true", "1"), "corruption goes unnoticed"),
    "session_replication_role": (("replica",), "triggers and foreign keys do not fire"),
    "row_security": (("off",), "queries fail where row security applies"),
    "constraint_exclusion": (("off",), "old-style partitions are not pruned"),
    "plan_cache_mode": (("force_generic_plan",), "plans ignore the parameters"),
    "default_transaction_isolation": (("serializable",), "transactions fail and must be retried"),
}
_OFF = ("off", "false", "0", "no")


@dataclass(frozen=True, slots=True)
class Limits:
    """No thresholds: an override is on the list, or it is not."""


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:  # noqa: ARG001 - none
    """Yield a finding for each override that surprises."""
    for override in snapshot.role_settings:
        values, effect = _SUSPICIOUS.get(override.name, ((), ""))
        if override.name.startswith("enable_") and override.value in _OFF:
            yield _finding(override, "the planner must do without this kind of plan")
        elif effect and override.value in values:
            yield _finding(override, effect)


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
        undo=f"ALTER {scope} SET {name} = {override.value};",
    )
