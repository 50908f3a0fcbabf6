"""Indexes that the workload lacks, as confirmed by the planner.

## Why it matters
A query that reads a whole table to return a few rows does so on every call, and evicts other data from the cache.

## How sure we are
A: given the table's own statistics and the index as it would be built, the planner chose the index and the estimated cost
of the listed statements dropped. An estimated cost is not a time: where pg_stat_statements allows, the gain is scaled by
the time that each statement actually took. `db-analyze indexes --verify` measures it on a copy. B if the server may plan
otherwise than the lab, because it has something that the lab lacks; the reasons are listed.

## Not reported
Indexes that an existing one covers, indexes on tiny tables, indexes whose write cost exceeds their gain, and indexes whose
plan relies on many random probes into a large table (a common way for index advice to make queries slower).

## Remedy
CREATE INDEX CONCURRENTLY, one index at a time: build it, watch the listed statements, and keep or drop it. On a partitioned
table, a script that builds the index on each partition and attaches it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed.facts import MissingIndex, Snapshot
from pgwatch_wed.findings import (
    Finding,
    Grade,
    Impact,
    Object,
    Severity,
    Unknown,
)
from pgwatch_wed.remedies.indexes import AdvisedIndex, IndexBuilder
from pgwatch_wed.units import count

NEEDS = ("missing_indexes",)


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # An index that saves a smaller fraction of the workload's cost is not worth it.
    min_gain_share: float = 0.01
    # Saving at least this fraction, or the time below, is a warning.
    warn_gain_share: float = 0.1
    # Saving at least this much time per day is a warning.
    warn_ms_per_day: float = 60_000


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each suggested index that is worth it."""
    for advised in IndexBuilder(snapshot).advised:
        if _gain(advised.advice) >= limits.min_gain_share:
            yield _finding(snapshot, advised, limits)


def _gain(advice: MissingIndex) -> float:
    return 1 - advice.cost_after / advice.cost_before if advice.cost_before > 0 else 0.0


def _finding(snapshot: Snapshot, advised: AdvisedIndex, limits: Limits) -> Finding:
    advice = advised.advice
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
        grade=Grade.B if advice.doubts else Grade.A,
        title=f"An index on {advice.schema}.{advice.table} ({columns}) would serve "
        f"{count(len(advice.query_ids) or len(advice.queries), 'statement')}",
        detail="The planner would use it, which lowers the estimated cost of the whole workload by "
        f"{_gain(advice):.0%}.",
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
        remedy=(advised.script.remedy,),
        caveats=(*advice.caveats, *advice.doubts),
    )
