"""Settings that wait for a restart, or that the configuration files get wrong.

## Why it matters
What the file says is not what runs. The next restart, perhaps an unplanned one, changes the server's behaviour or fails.

## How sure we are
B: the server says so itself. Errors in files are shown to superusers alone: for others the verdict on the files is unknown.

## Not reported
Settings whose file value is in force; entries that a later one overrides.

## Remedy
Restart when it suits, or take the change back. Mend entries with errors before the next restart: some stop it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Severity, Unknown

NEEDS = ("settings",)
SCOPE = "cluster"


@dataclass(frozen=True, slots=True)
class Limits:
    """No thresholds: a restart is pending, or it is not."""


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
                title=f"{setting.name} was changed and waits for a restart",
                detail=f"The server still runs with {setting.setting or 'none'}{setting.unit or ''}.",
                evidence={
                    "setting": setting.name,
                    "running_value": setting.setting,
                    "file_value": entry.setting
                    if (entry := wanted.get(setting.name.lower()))
                    else None,
                    "sourcefile": setting.sourcefile,
                    "sourceline": setting.sourceline,
                },
                impact=Impact(risk="the next restart changes the server's behaviour"),
            )
    for entry in snapshot.file_settings:
        if (entry.name or "").lower() in pending:
            continue  # that it could not be applied is the pending restart itself
        yield Finding(
            object=Object("setting", entry.name or entry.sourcefile or "configuration file"),
            severity=Severity.WARNING,
            grade=Grade.B,
            title=f"The configuration file has an error at {entry.name or 'a line'}",
            detail=f"{entry.error or 'the server does not say which'}.",
            evidence={
                "sourcefile": entry.sourcefile,
                "sourceline": entry.sourceline,
                "error": entry.error,
            },
            impact=Impact(risk="the entry is ignored, and the next restart may fail"),
        )
