"""Sorts and hashes spill to temporary files.

## Why it matters
What does not fit into work_mem is written to disk and read again, on the volume that the data lives on.

## How sure we are
B for the volume: the server counts it. Whether more work_mem pays depends on the statements, which
are named where pg_stat_statements knows them; it does not count statements that failed.

## Not reported
Little volume a day; what CREATE INDEX and other maintenance wrote, whose memory is maintenance_work_mem, as far as
pg_stat_statements knows it.

## Remedy
work_mem for the role or the statement that spills, not for the whole server: it is taken per sort and per connection
(`query-temp-spill` gives it). `cache-work-mem` bounds it by memory. Nothing to paste here.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed import units
from pgwatch_wed.facts import Database, Snapshot, Statement
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Severity, Unknown
from pgwatch_wed.postgres import pace
from pgwatch_wed.rules import _queries as q
from pgwatch_wed.rules.cache import _maintenance as maintenance

NEEDS = ("databases", "settings")


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # Less than this a day is an occasional report.
    min_bytes_per_day: int = 50_000_000
    # So much a day is a warning: a gigabyte an hour.
    warn_bytes_per_day: int = 24_000_000_000


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield one finding for the database where temporary files are many."""
    database = snapshot.database
    if database is None or database.temp_bytes is None:
        yield Unknown(
            "the counters of this database cannot be read", "GRANT pg_monitor TO the role"
        )
        return
    by_utility = min(_by_maintenance(snapshot, database), database.temp_bytes)
    daily = pace.per_day(database.temp_bytes - by_utility, pace.window_seconds(snapshot))
    if daily >= max(limits.min_bytes_per_day, 1):
        yield _finding(snapshot, database, by_utility, limits)


def _by_maintenance(snapshot: Snapshot, database: Database) -> int:
    blocks = sum(s.temp_blks_written for s in maintenance.statements(snapshot, database))
    return blocks * snapshot.server.block_size


def _finding(snapshot: Snapshot, database: Database, by_utility: int, limits: Limits) -> Finding:
    load = q.Load.of(snapshot)
    written, files = (database.temp_bytes or 0) - by_utility, database.temp_files or 0
    seconds = pace.window_seconds(snapshot)
    daily = pace.per_day(written, seconds) if seconds is not None else 0.0
    spilling = [s for s in load.statements if _spills(s)]
    spilling.sort(key=lambda s: (-s.temp_blks_written, s.query_id))
    block = snapshot.server.block_size
    return Finding(
        object=Object("database", database.name, database=database.name),
        severity=Severity.WARNING if daily >= limits.warn_bytes_per_day else Severity.INFO,
        grade=Grade.B,
        title=f"Queries wrote {units.size(written)} to temporary files in {database.name}",
        detail="What they sort, hash or keep did not fit into work_mem."
        + (f" Most by: {q.short(spilling[0])}" if spilling else ""),
        evidence={
            "temp_files": files,
            "temp_bytes": written,
            "temp_bytes_of_utilities": by_utility,
            "temp_bytes_of_statements": sum(s.temp_blks_written for s in spilling) * block,
            "temp_bytes_per_day": round(daily) if seconds is not None else None,
            "window_hours": None if seconds is None else round(seconds / 3600, 2),
            "mean_file_bytes": round((database.temp_bytes or 0) / max(files, 1)),
            "work_mem_bytes": snapshot.setting_number("work_mem"),
            "query_ids": [s.query_id for s in spilling[:5]],
            "queries": [s.text for s in spilling[:5] if s.text],
        },
        impact=Impact(risk="statements write and read again what memory could hold"),
        caveats=()
        if spilling
        else ("No statement that is still counted spilled; log_temp_files makes the log tell.",),
    )


def _spills(statement: Statement) -> bool:
    return bool(statement.temp_blks_written) and not maintenance.is_maintenance(statement)
