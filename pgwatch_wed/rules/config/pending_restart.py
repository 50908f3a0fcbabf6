"""Settings that are pending a restart, and errors in the configuration files.

## Why it matters
The server does not run with what the files say. The next restart, which may be unplanned, changes its behavior or fails.

## How sure we are
B: the server itself shows it. Errors in files are visible only to superusers: for other roles the verdict on the files is unknown.

## Not reported
Settings whose value in the files is in effect; entries that are overridden by a later one.

## Remedy
Restart at a convenient time, or revert the change. Fix erroneous entries before the next restart: some of them prevent it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed import units
from pgwatch_wed.facts import Setting, Snapshot
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Severity, Unknown

NEEDS = ("settings",)
SCOPE = "cluster"


@dataclass(frozen=True, slots=True)
class Limits:
    """No thresholds: a restart is either pending or not."""


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:  # noqa: ARG001 - none
    """Yield a finding for each pending setting and each error in the files."""
    lacking = snapshot.missing.get("file_settings")
    if lacking is not None:
        yield Unknown(f"errors in the configuration files: {lacking.reason}", lacking.mend)
    wanted = {(e.name or "").lower(): e for e in snapshot.file_settings}
    pending = {s.name.lower() for s in snapshot.settings if s.pending_restart}
    for setting in snapshot.settings:
        if setting.pending_restart:
            yield Finding(
                object=Object("setting", setting.name),
                severity=Severity.INFO,
                grade=Grade.B,
                title=f"{setting.name} was changed, and a restart is pending",
                detail=f"The server is still running with {_value(snapshot, setting)}.",
                evidence={
                    "setting": setting.name,
                    "running_value": setting.setting,
                    "file_value": entry.setting
                    if (entry := wanted.get(setting.name.lower()))
                    else None,
                    "sourcefile": setting.sourcefile,
                    "sourceline": setting.sourceline,
                },
                impact=Impact(risk="the next restart changes the server's behavior"),
            )
    for entry in snapshot.file_settings:
        if (entry.name or "").lower() in pending:
            continue  # it could not be applied because the restart is pending
        yield Finding(
            object=Object("setting", entry.name or entry.sourcefile or "configuration file"),
            severity=Severity.WARNING,
            grade=Grade.B,
            title="The configuration file has an error"
            + (f" in {entry.name}" if entry.name else ""),
            detail=f"The server reports: {entry.error or 'no details'}.",
            evidence={
                "sourcefile": entry.sourcefile,
                "sourceline": entry.sourceline,
                "error": entry.error,
            },
            impact=Impact(risk="the entry is ignored, and the next restart may fail"),
        )


def _value(snapshot: Snapshot, setting: Setting) -> str:
    """Return the running value with its unit; a unit such as 8kB counts blocks."""
    number = snapshot.setting_number(setting.name)
    if number is not None and (setting.unit or "").endswith("B"):
        return units.size(number) if number >= 0 else str(setting.setting)
    return f"{setting.setting or 'none'} {setting.unit or ''}".strip()
