"""Statements that return far more or fewer rows than the planner expects.

## Why it matters
A nested loop that was planned for ten rows never ends with ten thousand; in the opposite case, the planner sorts and hashes
for nothing.

## How sure we are
C: the rows per call counted by pg_stat_statements are compared with the rows of the generic plan, which is created without
executing anything. The generic plan does not know parameter values; for equality it assumes an average value.

## Not reported
Statements whose number of rows depends on the parameters: ranges, LIKE, lists, LIMIT; a single equality condition on a skewed
column, for which rare and common values naturally differ and custom plans take that into account; grouping; few calls or
little time; small differences; tables that were never analyzed or have changed a lot since (`analyze-never`,
`analyze-stale`). Statements that could not be planned are reported as unknown.

## Remedy
CREATE STATISTICS on the columns that the statement compares together, or a higher statistics target for a single column; then
ANALYZE.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed.facts import Column, Snapshot, Statement, StatementPlan, Table, TableActivity
from pgwatch_wed.findings import Finding, Grade, Impact, Remedy, Severity, Unknown
from pgwatch_wed.postgres import indexes as ix
from pgwatch_wed.postgres import named
from pgwatch_wed.quote import ident
from pgwatch_wed.rules import _queries as q
from pgwatch_wed.sqltext.levels import Level
from pgwatch_wed.sqltext.reading import query
from pgwatch_wed.units import count

NEEDS = (
    *("statements", "statements_info", "statement_plans", "tables", "columns"),
    *("table_activity", "column_statistics", "extended_statistics"),
)
PRIMARY_ONLY = True

_MAX_STATISTICS_COLUMNS = 8


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # The factor between actual and expected rows, in either direction.
    min_ratio: float = 10.0
    # The difference must be at least this many rows.
    min_difference: float = 100.0
    # With fewer calls the mean is not meaningful.
    min_calls: int = 20
    # A smaller share of the load is not worth the effort.
    min_load_share: float = 0.01
    # The fraction of a table that may have changed since ANALYZE before its statistics are stale.
    max_changed_share: float = 0.3
    # A column is skewed if a value is this many times as frequent as the average.
    max_skew: float = 10.0
    # If statements with this share of the load have no plan, the verdict is unknown.
    max_unplanned_share: float = 0.1
    # Only the costliest statements are reported.
    max_statements: int = 10


@dataclass(frozen=True, slots=True)
class _Compared:
    """A table and those of its columns that a statement compares by equality."""

    table: Table
    columns: tuple[Column, ...]


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each statement whose number of rows the planner misestimates."""
    load = q.Load.of(snapshot)
    yield from load.unknowns()
    plans = {p.query_id: p for p in snapshot.statement_plans}
    found, refused = 0, 0.0
    for s in load.queries:
        if s.calls < limits.min_calls or load.share(s) < limits.min_load_share:
            continue
        plan = plans.get(s.query_id)
        if plan is None or plan.refused:
            refused += load.share(s)
            continue
        compared = _judgeable(snapshot, s, plan, limits)
        if compared and _is_wrong(s, plan, limits) and found < limits.max_statements:
            found += 1
            yield _finding(load, s, plan, compared)
    if refused >= limits.max_unplanned_share:
        yield _unplanned(snapshot, refused)


def _unplanned(snapshot: Snapshot, share: float) -> Unknown:
    reasons = sorted({p.refused for p in snapshot.statement_plans if p.refused})
    why = f" ({'; '.join(reasons[:3])})" if reasons else ""
    return Unknown(f"statements with {share:.0%} of the load could not be planned{why}")


def _judgeable(
    snapshot: Snapshot, s: Statement, plan: StatementPlan, limits: Limits
) -> tuple[_Compared, ...]:
    """Return what the statement compares, if only equality determines the number of rows."""
    parsed = query(s.text)
    if parsed is None or parsed.kind == "InsertStmt" or plan.is_cut or plan.is_grouped:
        return ()
    if parsed.has_limit or parsed.is_grouped or parsed.has_functions_in_from:
        return ()
    if len(parsed.levels) != 1:
        return ()
    level = parsed.levels[0]
    if any(c.operator != "=" or c.column is None or c.is_alternative for c in level.conditions):
        return ()
    tables = [named.relation(snapshot, r) for r in level.relations]
    if any(t is None or not _is_fresh(snapshot, t, limits) for t in tables):
        return ()
    compared = tuple(_compared(snapshot, level))
    if len(tables) == 1 and all(_is_skewed(snapshot, c, limits) for c in compared):
        return ()
    return compared


def _is_fresh(snapshot: Snapshot, table: Table, limits: Limits) -> bool:
    for oid in ix.partitions(snapshot, table.oid):
        activity = snapshot.activity_by_oid.get(oid)
        below = snapshot.table_by_oid.get(oid)
        if activity is None or below is None or below.kind == "p":
            continue
        if below.rows < 0:
            return False
        allowed = limits.max_changed_share * max(below.rows, 1.0)
        if activity.n_mod_since_analyze > allowed and not _saw_all(activity, below, allowed):
            return False
    return True


def _saw_all(activity: TableActivity, table: Table, allowed: float) -> bool:
    """Tell whether ANALYZE saw every row, although changes were counted after it.

    A session reports its changes up to a second late, even after its own ANALYZE.
    """
    present = activity.n_tup_ins - activity.n_tup_del
    return abs(present - table.rows) <= allowed / 3 and activity.n_tup_upd <= allowed


def _compared(snapshot: Snapshot, level: Level) -> Iterator[_Compared]:
    columns: dict[int, dict[int, Column]] = {}
    for condition in level.conditions:
        table = named.table_of(snapshot, level, condition.names[0])
        column = named.column(snapshot, table, condition.names[0].column) if table else None
        if table is not None and column is not None:
            columns.setdefault(table.oid, {})[column.attnum] = column
    for oid, mine in sorted(columns.items()):
        yield _Compared(snapshot.table_by_oid[oid], tuple(mine[n] for n in sorted(mine)))


def _is_skewed(snapshot: Snapshot, compared: _Compared, limits: Limits) -> bool:
    """Tell whether it is a single column with values too unevenly distributed for an average."""
    if len(compared.columns) != 1:
        return False
    column = compared.columns[0]
    known = snapshot.statistics_by_key.get((column.table_oid, column.attnum))
    if known is None or not known.n_distinct:
        return True  # nothing is known about it: do not judge
    rows = max(compared.table.rows, 1.0)
    distinct = known.n_distinct if known.n_distinct > 0 else -known.n_distinct * rows
    return (known.mcv_top_fraction or 0.0) * max(distinct, 1.0) >= limits.max_skew


def _is_wrong(s: Statement, plan: StatementPlan, limits: Limits) -> bool:
    real, expected = s.rows / s.calls, plan.plan_rows
    ratio = max(max(real, 1.0) / max(expected, 1.0), max(expected, 1.0) / max(real, 1.0))
    return ratio >= limits.min_ratio and abs(real - expected) >= limits.min_difference


def _finding(
    load: q.Load, s: Statement, plan: StatementPlan, compared: tuple[_Compared, ...]
) -> Finding:
    real, expected = s.rows / s.calls, plan.plan_rows
    ratio = max(real, 1.0) / max(expected, 1.0)
    remedies = tuple(r for c in compared if (r := _remedy(load.snapshot, c)) is not None)
    return Finding(
        object=load.object_of(s),
        related=tuple(ix.table_object(load.snapshot, c.table) for c in compared),
        severity=Severity.INFO,
        grade=Grade.C,
        title=f"The planner {'under' if ratio >= 1 else 'over'}estimates its rows by a factor of "
        f"{max(ratio, 1 / ratio):,.0f}: {q.short(s)}",
        detail=f"The planner expects {count(round(expected), 'row')}; on average, a call returns {real:,.1f}.",
        evidence={
            "planned_rows": round(expected, 1),
            "rows_per_call": round(real, 1),
            "plan": plan.plan,
            "columns": {c.table.qualified: [n.name for n in c.columns] for c in compared},
            **load.evidence(s),
        },
        impact=Impact(risk="the plan is chosen for the wrong number of rows"),
        remedy=remedies,
        caveats=(
            (
                "The generic plan does not know parameter values: if some are used far more often than others, the "
                "estimate may still be right."
            ),
        ),
    )


def _remedy(snapshot: Snapshot, compared: _Compared) -> Remedy | None:
    if len(compared.columns) == 1:
        return _target(compared.table, compared.columns[0])
    columns = compared.columns[:_MAX_STATISTICS_COLUMNS]
    attnums = {c.attnum for c in columns}
    present = (e for e in snapshot.extended_statistics if e.table_oid == compared.table.oid)
    if any(attnums <= set(e.columns) for e in present):
        return None
    return _create(snapshot, compared.table, columns)


def _create(snapshot: Snapshot, table: Table, columns: tuple[Column, ...]) -> Remedy:
    taken = {e.name for e in snapshot.extended_statistics if e.schema == table.schema}
    base = f"{table.name}_{'_'.join(c.name for c in columns)}"
    ends = ("_stat", *(f"_stat{n}" for n in range(2, 1000)))
    names = (base.encode()[: 63 - len(e)].decode("utf-8", "ignore") + e for e in ends)
    name = next(n for n in names if n not in taken)
    listed = ", ".join(ident(c.name) for c in columns)
    where = ident(table.schema, table.name)
    return Remedy(
        sql=f"CREATE STATISTICS {ident(table.schema, name)} (ndistinct, dependencies, mcv) ON {listed} FROM {where};\n"
        f"ANALYZE {where};",
        lock="SHARE UPDATE EXCLUSIVE on the table: does not block reads or writes",
        undo=f"DROP STATISTICS {ident(table.schema, name)};",
    )


def _target(table: Table, column: Column) -> Remedy:
    where = ident(table.schema, table.name)
    before = column.statistics_target if column.statistics_target is not None else -1
    return Remedy(
        sql=f"ALTER TABLE {where} ALTER COLUMN {ident(column.name)} SET STATISTICS 1000;\nANALYZE {where};",
        lock="SHARE UPDATE EXCLUSIVE on the table: does not block reads or writes",
        undo=f"ALTER TABLE {where} ALTER COLUMN {ident(column.name)} SET STATISTICS {before};",
    )
