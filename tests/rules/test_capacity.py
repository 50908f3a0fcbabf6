"""capacity-limit-near: severity by the early end, and what is no alarm."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from pgwatch_wed.facts import Forecast, Snapshot
from pgwatch_wed.findings import Finding, Severity, Unknown
from pgwatch_wed.rules.capacity import limit_near
from pgwatch_wed.target.collect import collect
from tests.psql import psql
from tests.servers import Server

GB = 1024**3
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def snapshot(server_pool: Any) -> Snapshot:
    from tests import servers

    with server_pool.get(servers.embedded_spec()).database() as dsn:
        return collect(dsn, only=("settings", "databases"))


def heading(snapshot: Snapshot, low: float, middle: float, high: float | None) -> Forecast:
    """A number of connections that reaches its limit after so many days."""
    now = snapshot.now
    return Forecast(
        kind="connections",
        oid=0,
        unit="connections",
        value=50.0,
        limit=97.0,
        points=60,
        pace_low=0.5,
        pace=1.0,
        pace_high=1.5,
        reached_low=now + low * DAY,
        reached=now + middle * DAY,
        reached_high=now + high * DAY if high is not None else None,
        begins=now - 60 * DAY,
        as_of=now,
    )


def found(snapshot: Snapshot, *given: Forecast, disk: int = 0) -> list[Finding | Unknown]:
    limits = limit_near.Limits(disk_bytes=disk)
    return list(limit_near.check(replace(snapshot, forecasts=given), limits))


@pytest.mark.parametrize(
    ("low", "severity"),
    [
        (0, Severity.CRITICAL),
        (7, Severity.CRITICAL),
        (8, Severity.WARNING),
        (30, Severity.WARNING),
        (31, Severity.INFO),
        (90, Severity.INFO),
        (91, None),
    ],
)
def test_severity_is_that_of_the_early_end(
    snapshot: Snapshot, low: float, severity: Severity | None
) -> None:
    given = found(snapshot, heading(snapshot, low, 200, None))
    assert [f.severity for f in given if isinstance(f, Finding)] == ([severity] if severity else [])


@pytest.mark.parametrize(
    "changes",
    [
        {"pace_low": -0.1},
        {"pace_low": 0.0},
        {"reached_low": None},
        {"value": 90.0},  # connection-usage reports that
        {"kind": "wal", "limit": None},
        {"kind": "sequence"},  # the rules of schemas report it with its column
        {"kind": "table"},
    ],
)
def test_what_is_no_alarm(snapshot: Snapshot, changes: dict[str, Any]) -> None:
    assert found(snapshot, replace(heading(snapshot, 3, 5, 9), **changes)) == []


def test_what_cannot_be_told_is_unknown_with_the_day(snapshot: Snapshot) -> None:
    changing = replace(
        heading(snapshot, 3, 5, 9),
        reason="the pace changed on 2026-04-26",
        told_at=snapshot.now + 10 * DAY,
    )
    (given,) = found(snapshot, changing)
    assert isinstance(given, Unknown)
    assert given.reason == "the pace changed on 2026-04-26"
    assert given.mend == f"from {snapshot.now + 10 * DAY:%Y-%m-%d} on"


def test_the_sizes_ahead_tell_when_the_disk_is_full(snapshot: Snapshot) -> None:
    size = replace(
        heading(snapshot, 0, 0, 0),
        kind="database",
        unit="bytes",
        value=100.0 * GB,
        limit=None,
        weeks_ahead=(1, 2, 4, 8),
        ahead_low=tuple(x * GB for x in (105, 110, 120, 140)),
        ahead=tuple(x * GB for x in (107, 114, 128, 156)),
        ahead_high=tuple(x * GB for x in (110, 120, 140, 180)),
    )
    assert found(snapshot, size) == []
    (given,) = found(snapshot, size, disk=130 * GB)
    assert isinstance(given, Finding)
    assert given.evidence["reached_earliest"] == f"{snapshot.now + 21 * DAY:%Y-%m-%d}"
    assert given.evidence["reached"] == f"{snapshot.now + 30 * DAY:%Y-%m-%d}"
    assert given.evidence["reached_latest"] == f"{snapshot.now + 42 * DAY:%Y-%m-%d}"
    (full,) = found(snapshot, size, disk=90 * GB)
    assert isinstance(full, Finding)
    assert full.severity is Severity.CRITICAL
    assert found(snapshot, size, disk=1000 * GB) == []


def test_numbers_that_do_not_fit_together_are_no_error(snapshot: Snapshot) -> None:
    """From a file that somebody edited."""
    size = replace(
        heading(snapshot, 0, 0, 0),
        kind="database",
        weeks_ahead=(10**12, 1),
        ahead_high=(1e300,),
        ahead=(),
        ahead_low=(-1.0, 5.0, 7.0),
    )
    assert found(snapshot, size, disk=130 * GB) == []


@pytest.mark.parametrize("kind", ["database", "connections", "xids"])
def test_what_shows_the_cause_runs_for_a_monitor(pg: Server, snapshot: Snapshot, kind: str) -> None:
    """As ``capacity-limit-near`` gives it: it only reads, so there is nothing to undo."""
    near = replace(
        heading(snapshot, 5, 9, 12),
        kind=kind,
        weeks_ahead=(1,),
        ahead_low=(99.0,),
        ahead=(99.0,),
        ahead_high=(99.0,),
    )
    (finding,) = found(snapshot, near, disk=98)
    assert isinstance(finding, Finding)
    (remedy,) = finding.remedy
    with pg.role("pg_monitor") as role:
        assert psql(pg.dsn(user=role), remedy.sql).strip()
    assert remedy.undo.startswith("-- nothing to undo")
