"""Statements that read every partition of a partitioned table.

## Why it matters
Without a condition on the partition key each call plans and opens all partitions, and locks them and their indexes.

## How sure we are
C: read from the text by PostgreSQL's own parser; A where the planner's generic plan shows the partitions that it scans.

## Not reported
Few partitions; few calls; inserts, which find their partition by the row; keys that are expressions; joins on the key, which can prune while running;
names that the text alone cannot resolve.

## Remedy
A condition on the partition key in the statement, or another key that the statements do have.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed import workload
from pgwatch_wed.facts import Snapshot, Statement, Table
from pgwatch_wed.findings import Finding, Grade, Impact, Severity, Unknown
from pgwatch_wed.rules import _indexes as ix
from pgwatch_wed.rules import _parsed
from pgwatch_wed.rules import _queries as q

NEEDS = ("statements", "tables", "columns")


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # Fewer partitions cost little to read.
    min_partitions: int = 4
    # Fewer calls are a report over everything.
    min_calls: int = 100
    # A smaller part of the load is not worth a change.
    min_load_share: float = 0.01
    # Part of the load from which on it is a warning.
    warn_load_share: float = 0.2
    # The dearest few are what people act on.
    max_statements: int = 10


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each statement without a condition on the key."""
    if not any(t.kind == "p" for t in snapshot.tables):
        return
    found = 0
    for s in sorted(workload.statements(snapshot), key=lambda s: (-s.total_exec_ms, s.query_id)):
        if s.text is None or s.calls < limits.min_calls or found >= limits.max_statements:
            continue
        if q.share(snapshot, s) < limits.min_load_share:
            break
        table = _unpruned(snapshot, s.text, limits)
        if table is not None:
            found += 1
            yield _finding(snapshot, s, table, limits)


def _unpruned(snapshot: Snapshot, text: str, limits: Limits) -> Table | None:
    parsed = _parsed.parse(text)
    if parsed is None or parsed.kind == "insert":
        return None
    for each in parsed.relations:
        table = _parsed.relation(snapshot, each)
        if table is None or table.kind != "p" or 0 in table.partition_columns:
            continue
        if len(snapshot.partitions_of[table.oid]) < limits.min_partitions:
            continue
        if not _has_key(snapshot, parsed, table):
            return table
    return None


def _has_key(snapshot: Snapshot, parsed: _parsed.Parsed, table: Table) -> bool:
    keys = snapshot.column_names(table.oid, table.partition_columns)
    compared = {
        c.column.column
        for c in parsed.conditions
        if c.column is not None and (table.partition_strategy != "h" or c.operator == "=")
    }
    compared |= {n.column for n in parsed.joins}
    # a hash needs every column of its key, range and list their first
    needed = keys if table.partition_strategy == "h" else keys[:1]
    return set(needed) <= compared


def _finding(snapshot: Snapshot, s: Statement, table: Table, limits: Limits) -> Finding:
    keys = snapshot.column_names(table.oid, table.partition_columns)
    part = q.share(snapshot, s)
    count = len(snapshot.partitions_of[table.oid])
    plan = next((p for p in snapshot.statement_plans if p.query_id == s.query_id), None)
    return Finding(
        object=q.object_of(snapshot, s),
        related=(ix.table_object(snapshot, table),),
        severity=Severity.WARNING if part >= limits.warn_load_share else Severity.INFO,
        grade=Grade.A if plan and plan.scanned_partitions else Grade.C,
        title=f"It reads all {count} partitions of {table.qualified}: {q.short(s)}",
        detail=f"It has no condition on the partition key ({', '.join(keys)}).",
        evidence={
            "table": table.qualified,
            "partition_key": list(keys),
            "partitions": count,
            "load_share": round(part, 4),
            **q.evidence(snapshot, s),
        },
        impact=Impact(ms_per_day=workload.per_day(snapshot, s.total_exec_ms, s)),
    )
