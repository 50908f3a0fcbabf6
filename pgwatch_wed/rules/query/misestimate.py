"""Statements that return far more or fewer rows than the planner expects.

## Why it matters
A plan made for ten rows and met by ten thousand nests loops that never end; the reverse sorts and hashes for nothing.

## How sure we are
C: rows a call, as pg_stat_statements counts them, against the rows of the generic plan, made without executing anything. Parameters of
one kind can make both right.

## Not reported
Ratios under the limit; statements with LIMIT; writes, whose plan has no rows; few calls or little time.

## Remedy
CREATE STATISTICS on the columns that the statement compares together, a larger statistics target for skewed ones, then ANALYZE.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed import workload
from pgwatch_wed.facts import Snapshot, Statement, Table
from pgwatch_wed.findings import Finding, Grade, Impact, Remedy, Severity, Unknown
from pgwatch_wed.quote import ident
from pgwatch_wed.rules import _parsed
from pgwatch_wed.rules import _queries as q

NEEDS = ("statements", "statement_plans", "tables", "columns", "extended_statistics")


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # Times too many or too few.
    min_ratio: float = 10.0
    # The difference must be this many rows at least.
    min_difference: float = 100.0
    # Fewer calls have no mean to speak of.
    min_calls: int = 10
    # A smaller part of the load is not worth it.
    min_load_share: float = 0.01
    # The dearest few are what people act on.
    max_statements: int = 10


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each statement whose rows the planner gets wrong."""
    plans = {p.query_id: p for p in snapshot.statement_plans}
    found = 0
    for s in sorted(workload.statements(snapshot), key=lambda s: (-s.total_exec_ms, s.query_id)):
        plan = plans.get(s.query_id)
        parsed = _parsed.parse(s.text) if s.text else None
        if plan is None or parsed is None or parsed.kind != "select" or parsed.has_limit:
            continue
        if s.calls < limits.min_calls or q.share(snapshot, s) < limits.min_load_share:
            continue
        real, expected = max(s.rows / s.calls, 1.0), max(plan.plan_rows, 1.0)
        wrong = max(real / expected, expected / real)
        if wrong >= limits.min_ratio and abs(real - expected) >= limits.min_difference:
            found += 1
            if found <= limits.max_statements:
                yield _finding(snapshot, s, parsed, real, expected)


def _finding(
    snapshot: Snapshot, s: Statement, parsed: _parsed.Parsed, real: float, expected: float
) -> Finding:
    pair = _correlated(snapshot, parsed)
    more = real > expected
    return Finding(
        object=q.object_of(snapshot, s),
        severity=Severity.INFO,
        grade=Grade.C,
        title=f"{max(real / expected, expected / real):,.0f} times {'more' if more else 'fewer'} rows than planned: {q.short(s)}",
        detail=f"The planner expects {expected:,.0f} rows, a call returns {real:,.0f}.",
        evidence={
            "planned_rows": round(expected, 1),
            "rows_per_call": round(real, 1),
            **q.evidence(snapshot, s),
        },
        impact=Impact(risk="plans are made for another number of rows"),
        remedy=(_create(*pair),) if pair else (),
        caveats=(
            "The generic plan knows no parameter values; a custom plan may expect other rows.",
        ),
    )


def _correlated(snapshot: Snapshot, parsed: _parsed.Parsed) -> tuple[Table, tuple[str, ...]] | None:
    """Return columns of one table that are compared by equality together and have no statistics."""
    by_table: dict[int, tuple[Table, list[str]]] = {}
    for condition in parsed.conditions:
        if condition.column is None or condition.operator != "=":
            continue
        table = _parsed.table_of(snapshot, parsed, condition.column)
        if table is not None:
            by_table.setdefault(table.oid, (table, []))[1].append(condition.column.column)
    for table, names in by_table.values():
        columns = tuple(dict.fromkeys(names))
        if len(columns) >= 2 and not _has_statistics(snapshot, table, columns):
            return table, columns[:8]
    return None


def _has_statistics(snapshot: Snapshot, table: Table, columns: tuple[str, ...]) -> bool:
    return any(
        set(columns) <= set(snapshot.column_names(table.oid, e.columns))
        for e in snapshot.extended_statistics
        if e.table_oid == table.oid
    )


def _create(table: Table, columns: tuple[str, ...]) -> Remedy:
    name = f"{table.name}_{'_'.join(columns)}_stat"
    name = name.encode()[:63].decode("utf-8", "ignore")
    listed = ", ".join(ident(c) for c in columns)
    where = ident(table.schema, table.name)
    return Remedy(
        sql=f"CREATE STATISTICS {ident(table.schema, name)} (dependencies, ndistinct, mcv) ON {listed} FROM {where};\n"
        f"ANALYZE {where};",
        lock="SHARE UPDATE EXCLUSIVE on the table: reads and writes go on",
        undo=f"DROP STATISTICS {ident(table.schema, name)};",
    )
