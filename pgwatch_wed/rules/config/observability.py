"""Settings that keep the server from telling what it does.

## Why it matters
Without them nobody can say afterwards what was slow, and rules that need them say unknown.

## How sure we are
B for the settings. That they cost little is PostgreSQL's own documentation's word, except where a caveat says otherwise.

## Not reported
Settings that are on; those whose cost is a matter of taste (track_functions, track_planning).

## Remedy
ALTER SYSTEM SET and a reload.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Remedy, Severity, Unknown
from pgwatch_wed.quote import ident

NEEDS = ("settings",)
SCOPE = "cluster"

_WANTED = {
    "track_io_timing": ("on", "how long statements wait for blocks"),
    "track_activities": ("on", "what sessions are doing"),
    "compute_query_id": ("auto", "which statement a session runs, by its id"),
}


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # Shorter texts of running statements are cut in the middle.
    min_activity_query_bytes: int = 1024


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each setting that hides something."""
    for name, (wanted, what) in _WANTED.items():
        if snapshot.setting(name) == "off":
            yield _finding(snapshot, name, wanted, f"Nobody can tell {what}.")
    size = snapshot.setting_number("track_activity_query_size")
    if size is not None and size < limits.min_activity_query_bytes:
        yield _finding(
            snapshot, "track_activity_query_size", "4096", "Texts of running statements are cut."
        )


def _finding(snapshot: Snapshot, name: str, wanted: str, detail: str) -> Finding:
    setting = snapshot.setting_by_name[name]
    restart = setting.context == "postmaster"
    return Finding(
        object=Object("setting", name),
        severity=Severity.INFO,
        grade=Grade.B,
        title=f"{name} is {setting.setting}",
        detail=detail,
        evidence={"setting": name, "value": setting.setting, "source": setting.source},
        impact=Impact(risk="causes cannot be found afterwards"),
        remedy=(
            Remedy(
                sql=f"ALTER SYSTEM SET {ident(name)} = {wanted};"
                + ("" if restart else "\nSELECT pg_reload_conf();"),
                lock="none; it takes effect after a restart" if restart else "none",
                in_transaction=False,
                undo=f"ALTER SYSTEM RESET {ident(name)};",
            ),
        ),
        caveats=("Measure its cost with pg_test_timing on old hardware.",)
        if name == "track_io_timing"
        else (),
    )
