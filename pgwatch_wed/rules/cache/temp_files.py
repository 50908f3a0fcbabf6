"""Sorts and hashes spill to temporary files.

## Why it matters
What does not fit into work_mem is written to disk and read back, on the volume that also holds the data.

## How sure we are
B for the volume, which the server counts. Whether a higher work_mem helps depends on the statements, which are listed if
pg_stat_statements has counted them; it does not count statements that failed.

## Not reported
Little volume per day; what CREATE INDEX and other maintenance wrote, which use maintenance_work_mem, as far as
pg_stat_statements has counted it.

## Remedy
work_mem for the role or the statement that spills, not for the whole server: it applies per sort and per connection
(`query-temp-spill` suggests a value). `cache-work-mem` checks it against the server's memory. No SQL to run here.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed import units
from pgwatch_wed.facts import Database, Snapshot, Statement
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Severity, Unknown
from pgwatch_wed.postgres import pace
from pgwatch_wed.quote import ident
from pgwatch_wed.rules import _queries as q
from pgwatch_wed.rules.cache import _maintenance as maintenance

NEEDS = ("databases", "settings")


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # Less per day may just be an occasional report.
    min_bytes_per_day: int = 50_000_000
    # At least this much per day (1 GB per hour) is a warning.
    warn_bytes_per_day: int = 24_000_000_000


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield one finding if the database has a large volume of temporary files."""
    database = snapshot.database
    if database is None or database.temp_bytes is None:
        yield Unknown(
            "the counters of this database cannot be read",
            f"GRANT pg_monitor TO {ident(snapshot.server.role)};",
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
        detail="Their sorts, hashes or intermediate results did not fit into work_mem."
        + (f" Most were written by: {q.short(spilling[0])}" if spilling else ""),
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
        impact=Impact(risk="statements write data to disk and read it back"),
        caveats=()
        if spilling
        else (
            "None of the statements that are still counted spilled; set log_temp_files to log them.",
        ),
    )


def _spills(statement: Statement) -> bool:
    return bool(statement.temp_blks_written) and not maintenance.is_maintenance(statement)
