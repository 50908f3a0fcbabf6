"""Settings that risk the data, or cripple the planner, for the whole server.

## Why it matters
fsync or full_page_writes off: a crash of the machine destroys the cluster. enable_* off: the planner chooses bad plans for
everybody.

## How sure we are
B: pg_settings says so.

## Not reported
Values set by a role or for a session alone (`config-role-override`); autovacuum (`vacuum-disabled`); settings that are merely unusual.

## Remedy
ALTER SYSTEM RESET, or SET to the safe value, and a reload.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed.facts import Setting, Snapshot
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Remedy, Severity, Unknown
from pgwatch_wed.quote import ident

NEEDS = ("settings",)
SCOPE = "cluster"

_SEVERE = {
    "fsync": ("off", "on", "a crash of the machine destroys the cluster"),
    "full_page_writes": ("off", "on", "a crash in the middle of a write corrupts pages"),
    "zero_damaged_pages": ("on", "off", "damaged pages are silently emptied"),
    "ignore_checksum_failure": ("on", "off", "corruption goes unnoticed"),
    "ignore_system_indexes": ("on", "off", "every look-up in the catalogs reads them whole"),
}
_NOTABLE = {
    "synchronous_commit": ("off", "on", "the last commits before a crash may be lost"),
    "data_checksums": ("off", "", "corruption of blocks goes unnoticed"),
    "allow_in_place_tablespaces": ("on", "off", "a developer's setting"),
    "debug_discard_caches": ("1", "0", "a developer's setting that makes everything slow"),
    "jit_debugging_support": ("on", "off", "a developer's setting"),
}
_PLANNER_KEEPS = frozenset(
    # off by default
    ("enable_partitionwise_join", "enable_partitionwise_aggregate", "enable_self_join_elimination")
)


@dataclass(frozen=True, slots=True)
class Limits:
    """No thresholds: a setting is safe, or it is not."""


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:  # noqa: ARG001 - none
    """Yield a finding for each dangerous setting."""
    for name, (bad, good, risk) in _SEVERE.items():
        setting = snapshot.setting_by_name.get(name)
        if setting is not None and setting.setting == bad:
            yield _finding(setting, good, risk, Severity.CRITICAL)
    for name, (bad, good, risk) in _NOTABLE.items():
        setting = snapshot.setting_by_name.get(name)
        if setting is not None and setting.setting == bad:
            yield _finding(setting, good, risk, Severity.INFO)
    for setting in snapshot.settings:
        if (
            setting.name.startswith("enable_")
            and setting.name not in _PLANNER_KEEPS
            and setting.setting == "off"
            and setting.boot_val == "on"
        ):
            risk = "the planner must do without this kind of plan, for everybody"
            yield _finding(setting, "on", risk, Severity.WARNING)


def _finding(setting: Setting, good: str, risk: str, severity: Severity) -> Finding:
    return Finding(
        object=Object("setting", setting.name),
        severity=severity,
        grade=Grade.B,
        title=f"{setting.name} is {setting.setting}",
        detail=f"{risk[0].upper()}{risk[1:]}.",
        evidence={
            "setting": setting.name,
            "value": setting.setting,
            "source": setting.source,
            "sourcefile": setting.sourcefile,
            "sourceline": setting.sourceline,
        },
        impact=Impact(risk=risk),
        remedy=_remedy(setting, good),
        caveats=()
        if good
        else (
            "pg_checksums turns them on while the server is stopped; 18 makes them the default of initdb.",
        ),
    )


def _remedy(setting: Setting, good: str) -> tuple[Remedy, ...]:
    if not good:
        return ()
    restart = setting.context == "postmaster"
    name = ident(setting.name)
    return (
        Remedy(
            sql=f"ALTER SYSTEM SET {name} = {good};"
            + ("" if restart else "\nSELECT pg_reload_conf();"),
            lock="none; it takes effect after a restart" if restart else "none",
            in_transaction=False,
            undo=f"ALTER SYSTEM RESET {name};",
        ),
    )
