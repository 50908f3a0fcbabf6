"""Indexes that the workload lacks, as proven by the planner.

## Why it matters
A query that reads a whole table to return a few rows pays for it at every call, and pushes other data out of
the cache.

## How sure we are
A: the planner, given the table's own statistics and the index as it would be, chose it and lowered the cost of
the statements named. An estimate of cost is not yet time: where pg_stat_statements allows, the gain is calibrated by
the time that each statement really took. `db-analyze indexes --verify` on a copy measures it.

## Not reported
Indexes that an existing one covers, indexes on tiny tables, indexes whose write cost exceeds their gain, and
indexes whose plan rests on many random probes into a large table (a typical way in which advice makes queries slower).

## Remedy
CREATE INDEX CONCURRENTLY, one at a time; build, watch the named statements, keep or drop.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed.facts import MissingIndex, Snapshot
from pgwatch_wed.findings import (
    Finding,
    Grade,
    Impact,
    Object,
    Remedy,
    Severity,
    Unknown,
)
from pgwatch_wed.quote import ident

NEEDS = ("missing_indexes",)


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # Below this part of the workload's cost an index is not worth a meeting.
    min_gain_share: float = 0.01
    # From this part on, or from the time below, it is a warning.
    warn_gain_share: float = 0.1
    # Time saved a day that makes it a warning: a minute.
    warn_ms_per_day: float = 60_000


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each index of the advice that is worth it."""
    for advice in snapshot.missing_indexes:
        if _gain(advice) >= limits.min_gain_share:
            yield _finding(snapshot, advice, limits)


def _gain(advice: MissingIndex) -> float:
    return 1 - advice.cost_after / advice.cost_before if advice.cost_before > 0 else 0.0


def _finding(snapshot: Snapshot, advice: MissingIndex, limits: Limits) -> Finding:
    columns = ", ".join(advice.columns)
    saved = advice.ms_per_day
    warns = _gain(advice) >= limits.warn_gain_share or (saved or 0) >= limits.warn_ms_per_day
    return Finding(
        object=Object(
            "index",
            advice.name,
            database=snapshot.server.database,
            schema=advice.schema,
            table=advice.table,
        ),
        severity=Severity.WARNING if warns else Severity.INFO,
        grade=Grade.A,
        title=f"An index on {advice.schema}.{advice.table} ({columns}) would serve "
        f"{len(advice.query_ids) or len(advice.queries)} statements",
        detail=f"The planner would use it and lower the cost of these statements by "
        f"{_gain(advice):.0%} of what the whole workload costs.",
        evidence={
            "method": advice.method,
            "columns": list(advice.columns),
            "cost_before": advice.cost_before,
            "cost_after": advice.cost_after,
            "size_bytes": advice.size_bytes,
            "write_ms_per_day": advice.write_ms_per_day,
            "query_ids": list(advice.query_ids),
            "queries": list(advice.queries),
            "engine": advice.engine,
        },
        impact=Impact(ms_per_day=saved, risk=""),
        remedy=(
            Remedy(
                sql=advice.ddl,
                lock="SHARE UPDATE EXCLUSIVE on the table: reads and writes go on; waits for "
                "transactions that are already running",
                in_transaction=False,
                undo=_undo(advice),
            ),
        ),
        caveats=advice.caveats,
    )


def _undo(advice: MissingIndex) -> str:
    return f"DROP INDEX CONCURRENTLY IF EXISTS {ident(advice.schema, advice.name)};"
