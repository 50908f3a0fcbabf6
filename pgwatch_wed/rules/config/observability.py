"""Settings that hide what the server is doing.

## Why it matters
Without them nobody can find out afterwards what was slow, and rules that need them say unknown.

## How sure we are
B for the settings. According to PostgreSQL's documentation they cost little, except where a caveat says otherwise.

## Not reported
Settings that are on; those whose cost is debatable (track_functions, track_planning).

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

_WANTED = {
    "track_io_timing": ("on", "The time that statements wait for I/O is not measured."),
    "track_activities": ("on", "The activity of sessions is not shown."),
    "compute_query_id": (
        "auto",
        "The query ID of a session's statement is not shown, and pg_stat_statements counts nothing.",
    ),
}
_SIZE = "track_activity_query_size"
_COSTS = {"track_io_timing": ("On old hardware, measure its cost with pg_test_timing.",)}


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # With a lower value, texts of running statements are truncated.
    min_activity_query_bytes: int = 1024


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each setting that hides something."""
    hidden = settings.hidden(snapshot, *_WANTED)
    if hidden is not None:
        yield hidden
    for name, (wanted, what) in _WANTED.items():
        if snapshot.setting(name) == "off" and settings.hidden(snapshot, name) is None:
            yield _finding(snapshot, name, wanted, what)
    size = snapshot.setting_number(_SIZE)
    if size is not None and size < limits.min_activity_query_bytes:
        yield _finding(snapshot, _SIZE, "4096", "Texts of running statements are truncated.")


def _finding(snapshot: Snapshot, name: str, wanted: str, detail: str) -> Finding:
    setting = snapshot.setting_by_name[name]
    return Finding(
        object=Object("setting", name),
        severity=Severity.INFO,
        grade=Grade.B,
        title=f"{name} is {setting.setting}",
        detail=detail,
        evidence={"setting": name, "value": setting.setting, "source": setting.source},
        impact=Impact(risk="the cause of a problem cannot be found afterwards"),
        remedy=(settings.alter_system(snapshot, name, wanted),),
        caveats=(*_COSTS.get(name, ()), *settings.caveats(setting)),
    )
