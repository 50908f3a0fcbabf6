"""Sessions write WAL because the WAL buffers are full.

## Why it matters
A session that finds the buffers full has to write them out itself, in the middle of its statement.

## How sure we are
B for the count (14 and later); whether it hurts depends on the rate.

## Not reported
A few per day, such as during data loads.

## Remedy
A larger wal_buffers, which requires a restart; not beyond 256 MB, where slow storage of pg_wal is the cause.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed import units
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Remedy, Severity, Unknown
from pgwatch_wed.postgres import pace
from pgwatch_wed.remedies import settings
from pgwatch_wed.rules.wal import _rate

NEEDS = ("wal", "settings")
SCOPE = "cluster"
PRIMARY_ONLY = True

_MB = 1024 * 1024
_LEAST_MB = 16  # a WAL segment: the server's own choice with 512 MB of shared_buffers
_MOST_MB = 256  # more never helps: then the storage of pg_wal is slow


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # Fewer per day may just be data loads.
    min_full_per_day: int = 50_000


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield one finding if the buffers are often full."""
    for wal in snapshot.wal:
        seconds = _rate.seconds(snapshot, wal)
        if wal.buffers_full is None or seconds is None:
            yield Unknown("full WAL buffers are counted only from PostgreSQL 14 on", "upgrade")
            return
        if pace.least_per_day(wal.buffers_full, seconds) >= max(limits.min_full_per_day, 1):
            yield _finding(snapshot, wal.buffers_full, wal.buffers_full / seconds)


def _finding(snapshot: Snapshot, full: int, pace: float) -> Finding:
    current = snapshot.setting_number("wal_buffers")
    return Finding(
        object=Object("setting", "wal_buffers"),
        severity=Severity.INFO,
        grade=Grade.B,
        title=f"The WAL buffers were full {pace:.1f} times per second",
        detail=f"Sessions had to write WAL during their statements {units.count(full, 'time')}.",
        evidence={
            "buffers_full": full,
            "per_second": round(pace, 2),
            "wal_buffers_bytes": None if current is None else round(current),
        },
        impact=Impact(risk="statements that write have to wait for WAL"),
        remedy=_remedy(snapshot, current),
        caveats=settings.caveats(snapshot.setting_by_name.get("wal_buffers")),
    )


def _remedy(snapshot: Snapshot, current: float | None) -> tuple[Remedy, ...]:
    if current is None:
        return ()
    wanted = min(max(int(current * 4 / _MB), _LEAST_MB), _MOST_MB)
    if wanted * _MB <= current:
        return ()
    return (settings.alter_system(snapshot, "wal_buffers", f"'{wanted}MB'"),)
