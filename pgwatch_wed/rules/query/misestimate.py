"""Statements that return far more or fewer rows than the planner expects.

## Why it matters
A nested loop that was planned for ten rows never ends with ten thousand; in the opposite case, the planner sorts and hashes
for nothing.

## How sure we are
B where the measured rows prove both the fault and its cause: two evenly distributed columns of which one follows from the
other, a grouping that counts the values, NULLs in a join. Otherwise C. The rows per call counted by pg_stat_statements are
compared with the rows of the generic plan, which is created without executing anything. For the values of parameters, the
generic plan assumes an average; so more rows are a fault only if they are more than the planner expects for the most common
values together, and fewer rows only in a statement without parameters, since rare and missing values have few rows.
The rows that the planner will expect after the remedy are computed with PostgreSQL's own formulas.

## Not reported
What values of the parameters explain, such as common values of skewed columns; conditions whose meaning changes with time, as
on now(); few calls or little time; small differences. If enough rows have been deleted, or have changed their state, to explain
the difference between the average of all calls and the present plan, the verdict is unknown.
Statements whose number of rows says nothing about the estimates (LIMIT, aggregates, subqueries, functions in FROM), and
those on tables that were never analyzed or have changed a lot since (`analyze-never`, `analyze-stale`): if they have a
large share of the load, the verdict is unknown, as it is for statements that could not be planned, and where extended
statistics with common combinations exist, which generic plans do not use.

## Remedy
CREATE STATISTICS of the one kind that gives the measured rows: dependencies where one column follows from another, else a
list of common combinations; ndistinct for grouping. A column's n_distinct where more values are proven than ANALYZE
estimates, or a higher statistics target where its sample misses a common value; then ANALYZE.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from pgwatch_wed.facts import Snapshot, Statement, StatementPlan
from pgwatch_wed.findings import Finding, Impact, Severity, Unknown
from pgwatch_wed.postgres import indexes as ix
from pgwatch_wed.rules import _queries as q
from pgwatch_wed.rules._comparison import Comparison, Likeness, Tolerance, compare
from pgwatch_wed.rules.query._causes import Explained, cause
from pgwatch_wed.units import count

NEEDS = (
    *("statements", "statements_info", "statement_plans", "tables", "columns", "indexes"),
    *("table_activity", "column_statistics", "extended_statistics"),
)
PRIMARY_ONLY = True

_MAX_REASONS = 3


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # The factor between actual and expected rows, in either direction: ten, less what sampling adds.
    min_ratio: float = 9.0
    # The difference must be at least this many rows.
    min_difference: float = 100.0
    # With fewer calls the mean is not meaningful.
    min_calls: int = 20
    # A smaller share of the load is not worth the effort.
    min_load_share: float = 0.01
    # The fraction of a table that may have changed since ANALYZE before its statistics are stale.
    max_changed_share: float = 0.3
    # If statements with this share of the load have no plan, or cannot be compared, the verdict is unknown.
    max_unplanned_share: float = 0.1
    # Only the costliest statements are reported.
    max_statements: int = 10


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each statement whose number of rows the planner misestimates."""
    load = q.Load.of(snapshot)
    yield from load.unknowns()
    plans = {p.query_id: p for p in snapshot.statement_plans}
    tolerance = Tolerance(limits.min_ratio, limits.min_difference, limits.max_changed_share)
    unplanned: dict[str, float] = defaultdict(float)
    unseen: dict[str, float] = defaultdict(float)
    advised: dict[str, int] = {}
    found = 0
    for s in load.queries:
        if s.calls < limits.min_calls or load.share(s) < limits.min_load_share:
            continue
        plan = plans.get(s.query_id)
        if plan is None or plan.refused or plan.doubts:
            for reason in _why_unplanned(plan):
                unplanned[reason] += load.share(s)
            continue
        result = compare(snapshot, s, plan, tolerance)
        if result.outcome is Likeness.UNSEEN:
            unseen[result.reason] += load.share(s)
        elif result.outcome is Likeness.UNCLEAR:
            yield Unknown(result.reason, result.mend, load.object_of(s))
        elif result.outcome is Likeness.WRONG and found < limits.max_statements:
            found += 1
            why = _once(cause(snapshot, result), s, advised)
            yield _finding(load, s, plan, result, why)
    yield from _left_out(unplanned, "could not be planned", limits)
    yield from _left_out(
        unseen, "return a number of rows that says nothing about the estimates", limits, _MEND
    )


_MEND = (
    "Use EXPLAIN (ANALYZE), or auto_explain, to compare estimated and actual rows in such plans."
)


def _once(why: Explained, s: Statement, advised: dict[str, int]) -> Explained:
    """Leave out a remedy that another statement already has."""
    # two kinds of statistics on the same columns have one name, and are not both useful
    others = sorted({advised[r.undo] for r in why.remedy if r.undo in advised})
    new = tuple(r for r in why.remedy if r.undo not in advised)
    advised.update((r.undo, s.query_id) for r in new)
    if not others:
        return why
    listed = ", ".join(map(str, others))
    caveat = f"See the remedy of statement {listed}, which concerns the same columns."
    return replace(why, remedy=new, caveats=(caveat, *why.caveats))


def _why_unplanned(plan: StatementPlan | None) -> tuple[str, ...]:
    if plan is None:
        return ("",)
    return (plan.refused,) if plan.refused else plan.doubts[:1]


def _left_out(
    shares: Mapping[str, float], what: str, limits: Limits, mend: str = ""
) -> Iterator[Unknown]:
    """Yield an unknown if the statements that could not be judged have a large share of the load."""
    total = sum(shares.values())
    if total >= limits.max_unplanned_share:
        reasons = sorted(filter(None, shares), key=lambda r: (-shares[r], r))
        why = f" ({'; '.join(reasons[:_MAX_REASONS])})" if reasons else ""
        yield Unknown(f"statements with {total:.0%} of the load {what}{why}", mend)


def _finding(
    load: q.Load, s: Statement, plan: StatementPlan, found: Comparison, why: Explained
) -> Finding:
    ratio = found.factor
    columns: dict[str, list[str]] = defaultdict(list)
    for each in (
        *found.compared,
        *found.groups,
        *(x for p in found.pairs for x in (p.left, p.right)),
    ):
        columns[each.table.qualified].append(each.column.name)
    return Finding(
        object=load.object_of(s),
        related=tuple(ix.table_object(load.snapshot, t) for t in found.tables),
        severity=Severity.INFO,
        grade=why.grade,
        title=f"The planner {'under' if ratio >= 1 else 'over'}estimates its rows by a factor of "
        f"{max(ratio, 1 / ratio):,.0f}: {q.short(s)}",
        detail=f"The planner expects {count(round(found.expected), 'row')}; on average, a call returns {found.real:,.1f}. "
        f"{why.detail}",
        evidence={
            "planned_rows": round(found.expected, 1),
            "rows_per_call": round(found.real, 1),
            "planned_rows_at_most": None if found.limit is None else round(found.limit, 1),
            "planned_rows_afterwards": None if why.predicted is None else round(why.predicted, 1),
            "plan": plan.plan,
            "columns": dict(columns),
            **load.evidence(s),
        },
        impact=Impact(risk="the plan is chosen for the wrong number of rows"),
        remedy=why.remedy,
        caveats=why.caveats,
    )
