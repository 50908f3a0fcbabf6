"""Sorts and hashes spill to temporary files.

## Why it matters
What does not fit into work_mem is written to disk and read again, on the volume that the data lives on.

## How sure we are
B for the volume: the server counts it. Whether more work_mem pays depends on the statements, which
are named where pg_stat_statements knows them; it does not count statements that failed.

## Not reported
Little volume; windows too short for a rate, unless the volume is large.

## Remedy
work_mem for the role or the statement that spills, not for the whole server: it is taken per sort and per connection.
`cache-work-mem` bounds it by memory.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed import workload
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Severity, Unknown
from pgwatch_wed.rules import _queries as q

NEEDS = ("databases", "settings")


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # Less than this is an occasional report.
    min_bytes: int = 100_000_000
    # At this pace it is a warning: a gigabyte an hour.
    warn_bytes_per_hour: float = 1_000_000_000
    # The pace is told only from windows of this length on.
    min_window_seconds: float = 3_600.0


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield one finding for the database where temporary files are many."""
    database = snapshot.database
    if database is None or database.temp_bytes is None:
        yield Unknown(
            "the counters of this database cannot be read", "GRANT pg_monitor TO the role"
        )
        return
    if database.temp_bytes < limits.min_bytes:
        return
    length = snapshot.window.length
    seconds = length.total_seconds() if length else 0.0
    pace = database.temp_bytes / seconds * 3600 if seconds >= limits.min_window_seconds else None
    files = database.temp_files or 0
    spilling = sorted(
        (s for s in workload.statements(snapshot) if s.temp_blks_written),
        key=lambda s: (-s.temp_blks_written, s.query_id),
    )[:5]
    yield Finding(
        object=Object("database", database.name, database=database.name),
        severity=Severity.WARNING if (pace or 0) >= limits.warn_bytes_per_hour else Severity.INFO,
        grade=Grade.B,
        title=f"{files:,} temporary files of {database.temp_bytes / 1e6:,.0f} MB in {database.name}",
        detail="Sorts and hashes did not fit into work_mem."
        + (f" Most by: {q.short(spilling[0])}" if spilling else ""),
        evidence={
            "temp_files": files,
            "temp_bytes": database.temp_bytes,
            "temp_bytes_per_hour": None if pace is None else round(pace),
            "mean_file_bytes": round(database.temp_bytes / max(files, 1)),
            "work_mem_bytes": snapshot.setting_number("work_mem"),
            "query_ids": [s.query_id for s in spilling],
            "queries": [s.text for s in spilling if s.text],
        },
        impact=Impact(risk="statements write and read again what memory could hold"),
        caveats=()
        if spilling
        else ("No statement that is still counted spilled; the log tells with log_temp_files.",),
    )
