"""Settings that are pending a restart, and errors in the configuration files.

## Why it matters
The server does not run with what the files say. The next restart, which may be unplanned, changes its behavior or fails.

## How sure we are
B: the server itself shows it. For a valid value that needs a restart, the server reports an error until the files are reloaded; it
is a pending restart, too. Errors in files are visible only to superusers: for other roles the verdict on the files is unknown.

## Not reported
Settings whose value in the files is in effect; entries that are overridden by a later one.

## Remedy
Restart at a convenient time, or revert the change. Fix erroneous entries before the next restart: some of them prevent it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pgwatch_wed import units
from pgwatch_wed.facts import FileSetting, Setting, Snapshot
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Severity, Unknown
from pgwatch_wed.postgres import parameters

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
    waiting = {(e.name or "").lower(): e for e in snapshot.file_settings if _waits(snapshot, e)}
    for setting in snapshot.settings:
        if setting.pending_restart or setting.name.lower() in waiting:
            yield _pending(snapshot, setting, waiting.get(setting.name.lower()))
    for entry in _errors(snapshot, waiting):
        yield _error(entry)


def _waits(snapshot: Snapshot, entry: FileSetting) -> bool:
    """Tell whether an entry is valid and only needs a restart, even if the files were not reloaded yet.

    The server reports such an entry as one that it could not apply, like one with a wrong value.
    """
    named = (entry.name or "").lower()
    setting = next((s for s in snapshot.settings if s.name.lower() == named), None)
    if setting is None or setting.context != "postmaster":
        return False
    return parameters.accepts(setting, entry.setting or "")


def _errors(snapshot: Snapshot, waiting: Mapping[str, FileSetting]) -> Iterator[FileSetting]:
    """Yield the errors, without the removal of settings whose pending restart is reported."""
    removed = sum(s.pending_restart and s.name.lower() not in waiting for s in snapshot.settings)
    for entry in snapshot.file_settings:
        if entry.name is None and entry.sourcefile is None and removed > 0:
            removed -= 1
        elif (entry.name or "").lower() not in waiting:
            yield entry


def _pending(snapshot: Snapshot, setting: Setting, entry: FileSetting | None) -> Finding:
    return Finding(
        object=Object("setting", setting.name),
        severity=Severity.INFO,
        grade=Grade.B,
        title=f"{setting.name} was changed, and a restart is pending",
        detail=f"The server is still running with {_value(snapshot, setting)}.",
        evidence={
            "setting": setting.name,
            "running_value": setting.setting,
            "file_value": entry.setting if entry else None,
            "sourcefile": (entry or setting).sourcefile,
            "sourceline": (entry or setting).sourceline,
        },
        impact=Impact(risk="the next restart changes the server's behavior"),
    )


def _error(entry: FileSetting) -> Finding:
    if entry.name is None and entry.sourcefile is None:
        return _removed(entry)
    return Finding(
        object=Object("setting", entry.name or entry.sourcefile or "configuration file"),
        severity=Severity.WARNING,
        grade=Grade.B,
        title="The configuration file has an error" + (f" in {entry.name}" if entry.name else ""),
        detail=f"The server reports: {entry.error or 'no details'}.",
        evidence={
            "sourcefile": entry.sourcefile,
            "sourceline": entry.sourceline,
            "error": entry.error,
        },
        impact=Impact(risk="the entry is ignored, and the next restart may fail"),
    )


def _removed(entry: FileSetting) -> Finding:
    """Report what has neither a name nor a place in the files: a setting that was taken out of them."""
    return Finding(
        object=Object("setting", "configuration file"),
        severity=Severity.INFO,
        grade=Grade.B,
        title="A setting was removed from the configuration files, and a restart is pending",
        detail=f"The server reports: {entry.error or 'no details'}.",
        evidence={"error": entry.error},
        impact=Impact(risk="the next restart changes the server's behavior"),
    )


def _value(snapshot: Snapshot, setting: Setting) -> str:
    """Return the running value with its unit; a unit such as 8kB counts blocks."""
    number = snapshot.setting_number(setting.name)
    if number is not None and (setting.unit or "").endswith("B"):
        return units.size(number) if number >= 0 else str(setting.setting)
    return f"{setting.setting or 'none'} {setting.unit or ''}".strip()
