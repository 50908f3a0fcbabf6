"""Server-wide settings that endanger the data or cripple the planner.

## Why it matters
With fsync or full_page_writes off, a system crash can destroy the cluster. With an enable_* setting off, the planner chooses bad
plans for all queries. With a freeze age near 2 billion, autovacuum starts to prevent wraparound when it is too late.

## How sure we are
B: pg_settings shows it. If the role that connects has its own value, it hides the server's, and the verdict on it is unknown.

## Not reported
Values set for a role or a session only (`config-role-override`); autovacuum (`vacuum-disabled`); plan types that are off by default;
settings that are merely unusual.

## Remedy
ALTER SYSTEM SET to the safe value, and reload. After fsync, the files have to be synchronized once (`initdb --sync-only`).
"""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace

from pgwatch_wed.facts import Setting, Snapshot
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Severity, Unknown
from pgwatch_wed.remedies import settings
from pgwatch_wed.remedies.script import comment

NEEDS = ("settings",)
SCOPE = "cluster"


@dataclass(frozen=True, slots=True)
class _Danger:
    """A setting with its safe value, and the risk of other values."""

    name: str
    safe: str
    severity: Severity
    risk: str
    caveat: str = ""
    then: str = ""  # what remains to be done after the remedy
    bad: tuple[str, ...] = ()  # empty: all except for the safe one
    can_set: bool = True
    most: float = float("inf")  # a number that is only dangerous above this


_DANGERS = (
    _Danger(
        *("fsync", "on", Severity.CRITICAL, "a system crash can destroy the cluster"),
        # see fsync in the documentation
        caveat="What was written while it was off is safe only after all files have been synchronized: run initdb "
        "--sync-only (or sync) on the server once fsync is on.",
        then="on the server, to make durable what was written while it was off: initdb --sync-only -D {data_directory}",
    ),
    _Danger(
        *("full_page_writes", "on", Severity.CRITICAL),
        "a system crash in the middle of a write corrupts pages",
        caveat="It is safe only on a file system that prevents partial page writes, such as ZFS.",
    ),
    _Danger("zero_damaged_pages", "off", Severity.CRITICAL, "damaged pages are silently zeroed"),
    _Danger("ignore_checksum_failure", "off", Severity.CRITICAL, "corruption goes unnoticed"),
    _Danger(
        *("ignore_invalid_pages", "off", Severity.CRITICAL),
        "recovery ignores missing or corrupted pages and continues without them",
    ),
    _Danger(
        *("session_replication_role", "origin", Severity.CRITICAL),
        "triggers do not fire and foreign keys are not checked, for all sessions",
        bad=("replica",),
    ),
    _Danger(
        *("data_sync_retry", "off", Severity.WARNING),
        "after a failed fsync, the operating system may already have discarded the data",
    ),
    _Danger(
        *("ignore_system_indexes", "off", Severity.WARNING),
        "every lookup in a system catalog scans the whole catalog",
    ),
    _Danger(
        *("allow_system_table_mods", "off", Severity.WARNING),
        "a single wrong statement can destroy the system catalogs",
    ),
    _Danger(
        *("synchronous_commit", "on", Severity.INFO),
        "the last transactions committed before a crash may be lost",
        bad=("off",),
    ),
    _Danger(
        *("data_checksums", "on", Severity.INFO),
        "corruption of data pages goes unnoticed",
        caveat="pg_checksums enables them while the server is stopped; from 18 on, initdb enables them by default.",
        bad=("off",),
        can_set=False,
    ),
    *(
        _Danger(
            *(name, "1000000000", Severity.WARNING),
            "autovacuum starts to prevent wraparound so late that large tables may not be frozen in time",
            caveat="After the restart, autovacuum freezes all tables beyond the new age.",
            most=1_400_000_000,
        )
        for name in ("autovacuum_freeze_max_age", "autovacuum_multixact_freeze_max_age")
    ),
    *(
        _Danger(name, safe, Severity.INFO, "it is a developer option, which costs time")
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
    """No thresholds: a setting is either safe or not."""


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:  # noqa: ARG001 - none
    """Yield a finding for each dangerous setting."""
    for danger in (*_DANGERS, *_crippled(snapshot)):
        setting = snapshot.setting_by_name.get(danger.name)
        if setting is None or setting.setting is None:
            continue
        hidden = settings.hidden(snapshot, danger.name)
        if hidden is not None:
            yield hidden
        elif _is_bad(snapshot, setting.setting, danger):
            yield _finding(snapshot, setting, danger)


def _is_bad(snapshot: Snapshot, value: str, danger: _Danger) -> bool:
    if danger.most < float("inf"):
        return (snapshot.setting_number(danger.name) or 0.0) > danger.most
    return value != danger.safe and value in (danger.bad or (value,))


def _then(snapshot: Snapshot, danger: _Danger) -> str:
    directory = snapshot.setting("data_directory") or "DATA_DIRECTORY"
    return f"Then, {danger.then.format(data_directory=shlex.quote(directory))}"


def _crippled(snapshot: Snapshot) -> Iterator[_Danger]:
    """Yield the planner methods that are enabled by default."""
    risk = "the planner avoids this type of plan for all queries"
    for s in snapshot.settings:
        if s.name.startswith("enable_") and s.category == _METHODS and s.boot_val == "on":
            yield _Danger(s.name, "on", Severity.WARNING, risk)


def _finding(snapshot: Snapshot, setting: Setting, danger: _Danger) -> Finding:
    risk = danger.risk
    remedy = settings.alter_system(snapshot, setting.name, danger.safe)
    if danger.then:
        remedy = replace(remedy, sql=f"{remedy.sql}\n{comment(_then(snapshot, danger))}")
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
