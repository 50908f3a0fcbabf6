"""What each statement did between two snapshots.

pg_stat_statements evicts, and forgets single statements on request: before 1.11 only the counters
themselves tell that an entry has begun a new life.
"""

import math
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from pgwatch_wed.facts.counting import COUNTERS, RowKey
from pgwatch_wed.facts.rows import DeltaCoverage, Statement, StatementsInfo
from pgwatch_wed.facts.snapshot import Missing, Snapshot

_COUNTERS = COUNTERS["statements"]
# What rounding may take from a sum of squares.
_ROUNDING = 1e-6


@dataclass(frozen=True, slots=True)
class StatementDelta:
    """The statements that were called in between, and how much of the load that is."""

    rows: tuple[Statement, ...]
    info: tuple[StatementsInfo, ...]
    coverage: DeltaCoverage
    missing: Missing | None = None


def statement_delta(
    old: Snapshot, new: Snapshot, emptied: datetime | None = None
) -> StatementDelta:
    """Subtract the counters of statements, each within its own life.

    ``emptied`` is when all of them were certainly lost, for versions that do not tell.
    """
    reset = _reset(old, new) or emptied
    before = _COUNTERS.by_key(old.statements)
    is_whole = not {"statements", "statements:left-out"} & old.missing.keys()
    found: list[Statement] = []
    total = known = 0
    for row in new.statements:
        was = before.pop(_COUNTERS.key_of(row), None)
        if was is None and reset is None and not (is_whole or _is_younger(row, old.now)):
            total += 1
            continue
        since = None if reset is not None else was
        difference = _difference(since, row, old.now)
        total += 1
        known += 1
        if difference.calls or difference.plans:
            found.append(difference)
    lost = 0 if reset is not None and not before else len(_called(before))
    begins = max(reset, old.now) if reset is not None else old.now
    reason = "pg_stat_statements was reset in between" if reset is not None else ""
    return StatementDelta(
        tuple(sorted(found, key=lambda s: (-s.total_exec_ms, s.query_id, s.user_oid))),
        tuple(_info(old, info, found, reset) for info in new.statements_info),
        DeltaCoverage("statements", total, known, lost, begins, reason),
    )


def _called(rows: dict[RowKey, Any]) -> list[Statement]:
    return [row for row in rows.values() if row.calls]


def _reset(old: Snapshot, new: Snapshot) -> datetime | None:
    """Return when all statements were forgotten, by a reset or a crash; None if they were not."""
    before = old.statements_info[0].stats_reset if old.statements_info else None
    after = new.statements_info[0].stats_reset if new.statements_info else None
    return after if after is not None and after != before and after > old.now else None


def _is_younger(row: Statement, moment: datetime) -> bool:
    return row.stats_since is not None and row.stats_since > moment


def _difference(was: Statement | None, row: Statement, begins: datetime) -> Statement:
    """Return what was counted since the first snapshot, or since the entry was made anew."""
    if was is None or _is_another_life(was, row):
        return row
    counted: Statement = _COUNTERS.subtract(was, row)
    mean, stddev = _spread(was, row, counted)
    least, most = _extremes(was, row, counted, begins)
    return replace(
        counted,
        text=row.text if row.text is not None else was.text,
        mean_exec_ms=mean,
        stddev_exec_ms=stddev,
        min_exec_ms=least,
        max_exec_ms=most,
        stats_since=begins if row.stats_since is not None else None,
    )


def _is_another_life(was: Statement, row: Statement) -> bool:
    """Tell whether an entry was removed and made anew.

    Without ``stats_since``: a counter, the maximum or the sum of squares fell, or the minimum rose.
    """
    if was.stats_since is not None and row.stats_since is not None:
        return was.stats_since != row.stats_since
    if _COUNTERS.fell(was, row):
        return True
    if not was.calls:
        return False
    rose = _less(was.min_exec_ms, row.min_exec_ms)
    fell = _less(row.max_exec_ms, was.max_exec_ms)
    return rose or fell or _squares(row) < _squares(was) * (1 - _ROUNDING)


def _less(a: float | None, b: float | None) -> bool:
    return a is not None and b is not None and a < b


def _squares(s: Statement) -> float:
    return s.calls * (s.stddev_exec_ms**2 + s.mean_exec_ms**2)


def _spread(was: Statement, row: Statement, counted: Statement) -> tuple[float, float]:
    """Return mean and (population) standard deviation of the calls in between."""
    if not counted.calls:
        return 0.0, 0.0
    mean = counted.total_exec_ms / counted.calls
    squares = (_squares(row) - _squares(was)) / counted.calls - mean**2
    return mean, math.sqrt(max(squares, 0.0))


def _extremes(
    was: Statement, row: Statement, counted: Statement, begins: datetime
) -> tuple[float | None, float | None]:
    """Return the shortest and longest call in between, each None where it may have been before."""
    if counted.calls == 1:
        return counted.total_exec_ms, counted.total_exec_ms
    if row.minmax_stats_since is not None and row.minmax_stats_since >= begins:
        return row.min_exec_ms, row.max_exec_ms
    return (
        row.min_exec_ms if _less(row.min_exec_ms, was.min_exec_ms) else None,
        row.max_exec_ms if _less(was.max_exec_ms, row.max_exec_ms) else None,
    )


def _info(
    old: Snapshot, info: StatementsInfo, found: list[Statement], reset: datetime | None
) -> StatementsInfo:
    """Return the totals of the time in between: of this database, those of its statements."""
    top = [s for s in found if s.is_toplevel]
    ours = sum(s.total_exec_ms for s in top)
    was = old.statements_info[0] if old.statements_info and reset is None else None
    others = info.total_exec_ms - info.total_exec_ms_database
    if was is not None:
        others -= was.total_exec_ms - was.total_exec_ms_database
    evicted = info.dealloc
    if was is not None and was.dealloc is not None and info.dealloc is not None:
        evicted = max(info.dealloc - was.dealloc, 0)
    return replace(
        info,
        dealloc=evicted,
        total_exec_ms=ours + max(others, 0.0),
        total_exec_ms_database=ours,
        calls_database=sum(s.calls for s in top),
    )
