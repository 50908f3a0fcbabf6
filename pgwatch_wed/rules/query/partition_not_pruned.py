"""Statements that read every partition of a partitioned table.

## Why it matters
Without a condition on the partition key, every call plans, opens and locks all partitions and their indexes.

## How sure we are
C: the text is parsed by PostgreSQL's own parser; B if the planner's generic plan scans all partitions as well.

## Not reported
Few partitions; few calls that take little time; statements without any condition on the table, which are meant to read all of
it; inserts, which are routed to a partition; keys that are expressions; a join on the key, which allows pruning during
execution; OR and NOT around a condition on the key; tables inside a subquery, a CTE or a view, into which the planner may push
conditions from elsewhere; names that cannot be resolved from the text alone.

## Remedy
A condition on the partition key in the statement, or another key for which the statements have a condition. No SQL to run.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed.facts import Snapshot, Statement, Table
from pgwatch_wed.findings import Finding, Grade, Impact, Severity, Unknown
from pgwatch_wed.postgres import indexes as ix
from pgwatch_wed.postgres import named
from pgwatch_wed.rules import _queries as q
from pgwatch_wed.sqltext import forms
from pgwatch_wed.sqltext.levels import Condition, Level
from pgwatch_wed.sqltext.reading import query

NEEDS = ("statements", "statements_info", "tables", "columns")


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # Fewer partitions cost little to read.
    min_partitions: int = 3
    # Fewer calls are probably a report on the whole table, unless they take min_ms.
    min_calls: int = 20
    # Statements that take at least this long in total are judged even with fewer calls.
    min_ms: float = 60_000.0
    # A smaller share of the load is not worth a change.
    min_load_share: float = 0.01
    # At least this much time per day (half an hour) is a warning.
    warn_ms_per_day: float = 1_800_000.0
    # Only the costliest statements are reported.
    max_statements: int = 10


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each statement without a condition on the key."""
    if not any(t.kind == "p" for t in snapshot.tables):
        return
    load = q.Load.of(snapshot)
    yield from load.unknowns()
    yield from load.texts_unknown()
    found = 0
    for s in load.queries:
        if load.share(s) < limits.min_load_share or found >= limits.max_statements:
            break
        counts = s.calls >= limits.min_calls or s.total_exec_ms >= limits.min_ms
        table = _unpruned(snapshot, s, limits) if counts else None
        if table is not None:
            found += 1
            yield _finding(load, s, table, limits)


def _unpruned(snapshot: Snapshot, s: Statement, limits: Limits) -> Table | None:
    parsed = query(s.text)
    top = next((v for v in parsed.levels if v.is_top), None) if parsed else None
    if parsed is None or top is None or parsed.kind == "InsertStmt":
        return None
    for each in top.relations:
        table = named.relation(snapshot, each)
        if table is None or table.kind != "p" or 0 in table.partition_columns:
            continue
        if len(snapshot.partitions_of[table.oid]) < limits.min_partitions:
            continue
        if _is_restricted(snapshot, top, table) and not _has_key(snapshot, top, table):
            return table
    return None


def _is_restricted(snapshot: Snapshot, level: Level, table: Table) -> bool:
    """Tell whether the statement has a condition on the table."""
    compared = (n for c in level.conditions for n in c.names)
    return any(named.table_of(snapshot, level, n) is table for n in (*compared, *level.joins))


def _has_key(snapshot: Snapshot, level: Level, table: Table) -> bool:
    keys = snapshot.column_names(table.oid, table.partition_columns)
    by_hash = table.partition_strategy == "h"
    pruning = {
        name.column
        for c in level.conditions
        for name in c.names
        if named.may_mean(snapshot, level, name, table)
        and _is_bare(snapshot, table, c)
        and (
            c.operator in ("=", "in", "any")
            or (not by_hash and c.operator not in ("~~", "~~*", "other", "is not null"))
        )
    }
    pruning |= {n.column for n in level.joins if named.may_mean(snapshot, level, n, table)}
    # hash partitioning needs all columns of the key, range and list the first
    return set(keys if by_hash else keys[:1]) <= pruning


def _is_bare(snapshot: Snapshot, table: Table, condition: Condition) -> bool:
    if condition.column is not None:
        return True
    column = named.column(snapshot, table, condition.names[0].column)
    return column is not None and forms.is_noop(condition.node, column)


def _finding(load: q.Load, s: Statement, table: Table, limits: Limits) -> Finding:
    snapshot = load.snapshot
    keys = snapshot.column_names(table.oid, table.partition_columns)
    daily = load.least_per_day(s.total_exec_ms, s)
    count = len(snapshot.partitions_of[table.oid])
    scanned = _scanned(snapshot, s, table)
    return Finding(
        object=load.object_of(s),
        related=(ix.table_object(snapshot, table),),
        severity=Severity.WARNING if daily >= limits.warn_ms_per_day else Severity.INFO,
        grade=Grade.B if scanned is not None and scanned >= count else Grade.C,
        title=f"It reads all {count:,} partitions of {table.qualified}: {q.short(s)}",
        detail=f"It has no condition on the partition key ({', '.join(keys)}).",
        evidence={
            "table": table.qualified,
            "partition_key": list(keys),
            "partitions": count,
            "partitions_in_generic_plan": scanned,
            **load.evidence(s),
        },
        impact=Impact(
            cost=load.time(s.total_exec_ms, s), risk="every call opens and locks all partitions"
        ),
    )


def _scanned(snapshot: Snapshot, s: Statement, table: Table) -> int | None:
    """Return how many of the table's partitions the generic plan scans; None if there is no plan."""
    plan = next((p for p in snapshot.statement_plans if p.query_id == s.query_id), None)
    if plan is None or plan.refused:
        return None
    below = set(ix.partitions(snapshot, table.oid))
    return len(below & set(plan.scanned_partitions))
