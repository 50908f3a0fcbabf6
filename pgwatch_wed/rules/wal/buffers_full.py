"""Sessions write WAL because the WAL buffers are full.

## Why it matters
A session that finds the buffers full writes them out itself, in the middle of its statement.

## How sure we are
B for the count (14 and later); whether it hurts depends on its pace.

## Not reported
A few, such as loads cause; a slow pace.

## Remedy
A larger wal_buffers, which needs a restart.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Remedy, Severity, Unknown

NEEDS = ("wal", "settings")
SCOPE = "cluster"
PRIMARY_ONLY = True


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # Fewer are a load's.
    min_full: int = 10_000
    # Times a second, over the whole window.
    min_per_second: float = 1.0


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield one finding where the buffers are full often."""
    for w in snapshot.wal:
        if w.buffers_full is None or w.stats_reset is None:
            yield Unknown("full WAL buffers are counted from PostgreSQL 14 on", "upgrade")
            return
        seconds = max((snapshot.now - w.stats_reset).total_seconds(), 1.0)
        pace = w.buffers_full / seconds
        if w.buffers_full < limits.min_full or pace < limits.min_per_second:
            continue
        current = snapshot.setting_number("wal_buffers") or 16 * 1024 * 1024
        wanted = max(int(current * 4 / 1048576), 16)
        yield Finding(
            object=Object("setting", "wal_buffers"),
            severity=Severity.INFO,
            grade=Grade.B,
            title=f"The WAL buffers were full {pace:.1f} times a second",
            detail=f"{w.buffers_full:,} times a session had to write WAL in the middle of its work.",
            evidence={
                "buffers_full": w.buffers_full,
                "per_second": round(pace, 2),
                "wal_buffers_bytes": round(current),
            },
            impact=Impact(risk="writing statements wait for WAL"),
            remedy=(
                Remedy(
                    sql=f"ALTER SYSTEM SET wal_buffers = '{wanted}MB';",
                    lock="none; it takes effect after a restart",
                    in_transaction=False,
                    undo="ALTER SYSTEM RESET wal_buffers;",
                ),
            ),
        )
