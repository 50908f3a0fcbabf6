"""Settings that risk the data, or cripple the planner, for the whole server.

## Why it matters
fsync or full_page_writes off: a crash of the machine destroys the cluster. enable_* off: the planner chooses bad plans for
everybody.

## How sure we are
B: pg_settings says so. What the role that looks has of its own hides the server's value; then the verdict on it is unknown.

## Not reported
Values set by a role or for a session alone (`config-role-override`); autovacuum (`vacuum-disabled`); kinds of plans that are off by
default; settings that are merely unusual.

## Remedy
ALTER SYSTEM SET to the safe value, and a reload.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed.facts import Setting, Snapshot
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Severity, Unknown
from pgwatch_wed.remedies import settings

NEEDS = ("settings",)
SCOPE = "cluster"


@dataclass(frozen=True, slots=True)
class _Danger:
    """A setting with its safe value, and what the others do."""

    name: str
    safe: str
    severity: Severity
    risk: str
    caveat: str = ""
    bad: tuple[str, ...] = ()  # empty: all but the safe one
    can_set: bool = True


_DANGERS = (
    _Danger("fsync", "on", Severity.CRITICAL, "a crash of the machine destroys the cluster"),
    _Danger(
        *("full_page_writes", "on", Severity.CRITICAL),
        "a crash in the middle of a write corrupts pages",
        caveat="Only a file system that never writes a part of a page, such as ZFS, makes it safe.",
    ),
    _Danger("zero_damaged_pages", "off", Severity.CRITICAL, "damaged pages are silently emptied"),
    _Danger("ignore_checksum_failure", "off", Severity.CRITICAL, "corruption goes unnoticed"),
    _Danger(
        *("ignore_invalid_pages", "off", Severity.CRITICAL),
        "recovery hides corruption and goes on without the pages",
    ),
    _Danger(
        *("session_replication_role", "origin", Severity.CRITICAL),
        "triggers and foreign keys do not fire for anybody",
        bad=("replica",),
    ),
    _Danger(
        *("data_sync_retry", "off", Severity.WARNING),
        "after a failed fsync the operating system may have dropped what was to be written",
    ),
    _Danger(
        *("ignore_system_indexes", "off", Severity.WARNING),
        "every look-up in the catalogs reads them whole",
    ),
    _Danger(
        *("allow_system_table_mods", "off", Severity.WARNING),
        "one wrong statement destroys the catalogs",
    ),
    _Danger(
        *("synchronous_commit", "on", Severity.INFO),
        "the last commits before a crash may be lost",
        bad=("off",),
    ),
    _Danger(
        *("data_checksums", "on", Severity.INFO),
        "corruption of blocks goes unnoticed",
        caveat="pg_checksums turns them on while the server is stopped; 18 makes them the default of initdb.",
        bad=("off",),
        can_set=False,
    ),
    *(
        _Danger(name, safe, Severity.INFO, "a developer's setting, which costs time")
        for name, safe in (
            ("allow_in_place_tablespaces", "off"),
            ("debug_discard_caches", "0"),
            ("debug_parallel_query", "off"),
            ("force_parallel_mode", "off"),
            ("jit_debugging_support", "off"),
        )
    ),
)
_METHODS = "Query Tuning / Planner Method Configuration"


@dataclass(frozen=True, slots=True)
class Limits:
    """No thresholds: a setting is safe, or it is not."""


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:  # noqa: ARG001 - none
    """Yield a finding for each dangerous setting."""
    for danger in (*_DANGERS, *_crippled(snapshot)):
        setting = snapshot.setting_by_name.get(danger.name)
        if setting is None or setting.setting is None:
            continue
        hidden = settings.hidden(snapshot, danger.name)
        if hidden is not None:
            yield hidden
        elif setting.setting != danger.safe and setting.setting in (
            danger.bad or (setting.setting,)
        ):
            yield _finding(snapshot, setting, danger)


def _crippled(snapshot: Snapshot) -> Iterator[_Danger]:
    """Yield the planner's methods that PostgreSQL has on by default."""
    risk = "the planner must do without this kind of plan, for everybody"
    for s in snapshot.settings:
        if s.name.startswith("enable_") and s.category == _METHODS and s.boot_val == "on":
            yield _Danger(s.name, "on", Severity.WARNING, risk)


def _finding(snapshot: Snapshot, setting: Setting, danger: _Danger) -> Finding:
    risk = danger.risk
    remedy = settings.alter_system(snapshot, setting.name, danger.safe)
    return Finding(
        object=Object("setting", setting.name),
        severity=danger.severity,
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
        remedy=(remedy,) if danger.can_set else (),
        caveats=(*((danger.caveat,) if danger.caveat else ()), *settings.caveats(setting)),
    )
