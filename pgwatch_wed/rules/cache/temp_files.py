"""Sorts and hashes spill to temporary files.

## Why it matters
What does not fit into work_mem is written to disk and read back, on the volume that also holds the data.

## How sure we are
B for the volume, which the server counts. Whether a higher work_mem helps depends on the statements, which are listed with the
roles that run them and their shares, if pg_stat_statements has counted them; it does not count statements that failed, and
forgets the rarest ones. If those that it has counted wrote the smaller part, none is named in the summary.

## Not reported
Little volume per day; what CREATE INDEX and other maintenance wrote, which use maintenance_work_mem, as far as
pg_stat_statements has counted it.

## Remedy
work_mem for the role or the statement that spills, not for the whole server: it applies per sort and per connection
(`query-temp-spill` suggests a value). `cache-work-mem` checks it against the server's memory. No SQL to run here.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pgwatch_wed import units
from pgwatch_wed.facts import Database, Snapshot, Statement
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Severity, Unknown
from pgwatch_wed.postgres import pace, privileges, statements
from pgwatch_wed.rules import _queries as q
from pgwatch_wed.rules.cache import _maintenance as maintenance

NEEDS = ("databases", "settings")

_MOST = 0.5  # below this, what is not known may be more than what is


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
            privileges.grant_stats(snapshot.server),
        )
        return
    by_utility = min(_by_maintenance(snapshot, database), database.temp_bytes)
    daily = pace.least_per_day(database.temp_bytes - by_utility, pace.window_seconds(snapshot))
    if daily >= max(limits.min_bytes_per_day, 1):
        yield _finding(snapshot, database, by_utility, limits)


def _by_maintenance(snapshot: Snapshot, database: Database) -> int:
    blocks = sum(s.temp_blks_written for s in maintenance.statements(snapshot, database))
    return blocks * snapshot.server.block_size


@dataclass(frozen=True, slots=True)
class _Writers:
    """The statements that wrote temporary files, by role, those that wrote most first.

    ``written`` is what all statements wrote. ``is_part`` unless the counters of statements began earlier, so
    that they may include more.
    """

    rows: tuple[Statement, ...]
    block_size: int
    written: int
    is_part: bool

    @property
    def bytes(self) -> int:
        return sum(s.temp_blks_written for s in self.rows) * self.block_size

    @property
    def whole(self) -> int:
        """What shares are of: blocks that are written twice make the sum larger than the files."""
        return max(self.written if self.is_part else 0, self.bytes, 1)

    def share(self, statement: Statement) -> float:
        return statement.temp_blks_written * self.block_size / self.whole

    def evidence(self) -> list[dict[str, Any]]:
        return [
            {
                "query_id": s.query_id,
                "user": s.user,
                "temp_bytes": s.temp_blks_written * self.block_size,
                "written_share": round(self.share(s), 4),
            }
            for s in self.rows[:5]
        ]


def _writers(snapshot: Snapshot, database: Database, written: int) -> _Writers:
    by_role = statements.by_role(snapshot)
    ids = [s.query_id for s in q.Load.of(snapshot).statements if _spills(s)]
    rows = [s for i in ids for s in by_role[i] if s.temp_blks_written]
    rows.sort(key=lambda s: (-s.temp_blks_written, s.query_id, s.user_oid))
    is_part = maintenance.counted_within(snapshot, database)
    return _Writers(tuple(rows), snapshot.server.block_size, written, is_part)


def _who(writers: _Writers) -> str:
    """Name who wrote most, unless too little of it is known."""
    if not writers.rows:
        return (
            "No statement that is still counted spilled; set log_temp_files to log those that do."
        )
    known, worst = writers.bytes / max(writers.written, 1), writers.rows[0]
    if known < _MOST:
        return (
            f"Who wrote most of it is not known: the statements that are still counted wrote only {known:.0%}. Set "
            "log_temp_files to log them."
        )
    role = f" {worst.user} with" if worst.user else ""
    of_what = "it" if writers.is_part else "what the counted statements wrote"
    return f"{writers.share(worst):.0%} of {of_what} was written by{role}: {q.short(worst)}"


def _finding(snapshot: Snapshot, database: Database, by_utility: int, limits: Limits) -> Finding:
    written, files = (database.temp_bytes or 0) - by_utility, database.temp_files or 0
    seconds = pace.window_seconds(snapshot)
    daily = pace.least_per_day(written, seconds) if seconds is not None else 0.0
    rate = pace.per_day(written, seconds)
    writers = _writers(snapshot, database, written)
    named = list(dict.fromkeys(s.query_id for s in writers.rows))[:5]
    texts = {s.query_id: s.text for s in writers.rows if s.text}
    return Finding(
        object=Object("database", database.name, database=database.name),
        severity=Severity.WARNING if daily >= limits.warn_bytes_per_day else Severity.INFO,
        grade=Grade.B,
        title=f"{units.size(written)} of temporary files were written in {database.name}",
        detail="Sorts, hashes or intermediate results did not fit into work_mem. " + _who(writers),
        evidence={
            "temp_files": files,
            "temp_bytes": written,
            "temp_bytes_of_utilities": by_utility,
            "temp_bytes_of_statements": writers.bytes,
            "temp_bytes_per_day": None if rate is None else round(rate),
            "window_seconds": None if seconds is None else round(seconds, 1),
            "mean_file_bytes": round((database.temp_bytes or 0) / max(files, 1)),
            "work_mem_bytes": snapshot.setting_number("work_mem"),
            "writers": writers.evidence(),
            "query_ids": named,
            "queries": [texts[i] for i in named if i in texts],
        },
        impact=Impact(risk="statements write data to disk and read it back"),
        caveats=()
        if _are_all_counted(snapshot)
        else (
            "Queries wrote that much at most: a part of it may be from CREATE INDEX and other maintenance.",
        ),
    )


def _are_all_counted(snapshot: Snapshot) -> bool:
    """Tell whether statements have been counted for as long as the files."""
    statements_begin, files_begin = snapshot.statements_window.begins, snapshot.window.begins
    if statements_begin is None or files_begin is None:
        return False
    return statements_begin <= files_begin


def _spills(statement: Statement) -> bool:
    return bool(statement.temp_blks_written) and not maintenance.is_maintenance(statement)
