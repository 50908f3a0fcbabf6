"""Partitioned tables and inheritance parents without statistics on the whole hierarchy.

## Why it matters
Autovacuum analyzes partitions, but never the partitioned table. Without its statistics, the planner guesses how many distinct
values the whole table has, and misestimates joins and grouping over it, however fresh the statistics of the partitions are.

## How sure we are
B: `pg_stats` has no inherited row for it, or (from 14 on) its rows have never been counted. If the role may not see
`pg_stats`, the verdict is unknown.

## Not reported
- Parents whose partitions have fewer than `min_rows` rows.
- Partitions that are partitioned themselves: ANALYZE of the topmost table includes them.
- Parents that were analyzed long ago, unless the number of rows has more than doubled since.

## Remedy
ANALYZE the parent regularly (after a new partition is filled, or from a scheduler): nothing else does it. It samples every
partition. From 18 on, `ANALYZE ONLY` skips the partitions.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed.facts import Snapshot, Table
from pgwatch_wed.findings import Finding, Grade, Impact, Severity, Unknown
from pgwatch_wed.postgres import indexes as ix
from pgwatch_wed.postgres import privileges
from pgwatch_wed.postgres import statistics as stats
from pgwatch_wed.remedies import maintenance
from pgwatch_wed.rules.analyze.never import rows
from pgwatch_wed.units import count

NEEDS = ("tables", "table_activity")
PRIMARY_ONLY = True

_ONLY_PARTITIONS = (
    "Autovacuum analyzes only its partitions; the parent has to be analyzed manually."
)
_REGULARLY = "Run it regularly: autovacuum will not."


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # In smaller tables, a wrong guess costs next to nothing.
    min_rows: int = 1000
    # At least this many rows are a warning.
    warn_rows: int = 10_000
    # The factor by which the partitions may have grown since the parent was analyzed.
    max_growth: float = 2.0


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each parent without statistics on the whole hierarchy."""
    statistics = stats.Statistics(snapshot)
    hidden = 0
    for table in snapshot.tables:
        total = _total(snapshot, table)
        if not _is_top(snapshot, table) or total < limits.min_rows:
            continue
        match statistics.state(table, with_children=True):
            case stats.State.NEVER:
                yield _finding(snapshot, table, total, limits)
            case stats.State.UNKNOWN:
                hidden += 1
            case _ if table.kind == "p" and 0 < table.rows * limits.max_growth < total:
                yield _outgrown(snapshot, table, total)
    if hidden:
        role = snapshot.server.role
        yield Unknown(
            f"{role} may not see whether {'1 parent table has' if hidden == 1 else f'{hidden:,} parent tables have'} "
            "statistics",
            privileges.grant_column_statistics(snapshot.server),
        )


def _is_top(snapshot: Snapshot, table: Table) -> bool:
    if table.kind == "p":
        return not table.is_partition
    return (
        table.has_children and table.parent_oid is None and bool(snapshot.partitions_of[table.oid])
    )


def _total(snapshot: Snapshot, table: Table, depth: int = 0) -> float:
    """Sum the rows of all children; no hierarchy is a hundred levels deep."""
    own = max(rows(snapshot, table), 0.0) if table.kind != "p" else 0.0
    if depth > 100:
        return own
    return own + sum(_total(snapshot, c, depth + 1) for c in snapshot.partitions_of[table.oid])


def _finding(snapshot: Snapshot, table: Table, total: float, limits: Limits) -> Finding:
    children = len(snapshot.partitions_of[table.oid])
    return Finding(
        object=ix.table_object(snapshot, table),
        severity=Severity.WARNING if total >= limits.warn_rows else Severity.INFO,
        grade=Grade.B,
        title=f"{table.qualified} was never analyzed as a whole: {count(round(total), 'row')} in "
        f"{count(children, 'partition')}",
        detail=_ONLY_PARTITIONS,
        evidence={"rows": round(total), "partitions": children, "reltuples": table.rows},
        impact=Impact(risk="joins and grouping over the whole table are planned by guessing"),
        remedy=(maintenance.analyze(table),),
        caveats=(_REGULARLY,),
    )


def _outgrown(snapshot: Snapshot, table: Table, total: float) -> Finding:
    return Finding(
        object=ix.table_object(snapshot, table),
        severity=Severity.INFO,
        grade=Grade.B,
        title=f"{table.qualified} had {count(round(table.rows), 'row')} when it was last analyzed as a whole, "
        f"and has {total:,.0f} now",
        detail=_ONLY_PARTITIONS,
        evidence={"rows": round(total), "reltuples": table.rows},
        impact=Impact(risk="joins and grouping over the whole table are planned for outdated data"),
        remedy=(maintenance.analyze(table),),
        caveats=(_REGULARLY,),
    )
