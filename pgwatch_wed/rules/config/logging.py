"""Lock waits, temporary files or slow vacuums are not logged.

## Why it matters
Afterwards, only the log shows which session waited for which, which statement spilled, and why a vacuum took an hour.

## How sure we are
B for the settings; how much to log is the owner's choice, so it is a single info finding.

## Not reported
Settings that are already on. Logging of statement durations (log_min_duration_statement) is not suggested: pg_stat_statements
shows more, and statement texts in a log contain values.

## Remedy
ALTER SYSTEM SET, and reload.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Severity, Unknown
from pgwatch_wed.remedies import settings

NEEDS = ("settings",)
SCOPE = "cluster"

# name: (the value that logs nothing, the value to set, what it shows)
_WANTED = {
    "log_lock_waits": ("off", "on", "which sessions waited for which locks"),
    "log_checkpoints": ("off", "on", "why checkpoints occurred and what they wrote"),
    "log_temp_files": ("-1", "'10MB'", "which statements wrote temporary files"),
    "log_autovacuum_min_duration": ("-1", "'1min'", "which vacuums took long, and why"),
}


@dataclass(frozen=True, slots=True)
class Limits:
    """No thresholds: logging is either on or off."""


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:  # noqa: ARG001 - none
    """Yield one finding that lists all settings that log nothing."""
    hidden = settings.hidden(snapshot, *_WANTED)
    if hidden is not None:
        yield hidden
    seen = [n for n in _WANTED if settings.hidden(snapshot, n) is None]
    silent = [n for n in seen if snapshot.setting(n) == _WANTED[n][0]]
    if not silent:
        return
    yield Finding(
        object=Object("server", "logging"),
        severity=Severity.INFO,
        grade=Grade.B,
        title=f"The log does not show {_WANTED[silent[0]][2]}"
        + (f" (and {len(silent) - 1} more)" if len(silent) > 1 else ""),
        detail=" ".join(f"{n} would log {_WANTED[n][2]}." for n in silent),
        evidence={n: snapshot.setting(n) for n in silent},
        impact=Impact(risk="the cause of a problem cannot be found afterwards"),
        remedy=tuple(settings.alter_system(snapshot, n, _WANTED[n][1]) for n in silent),
        caveats=tuple(
            dict.fromkeys(c for n in silent for c in settings.caveats(snapshot.setting_by_name[n]))
        ),
    )
