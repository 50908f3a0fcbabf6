"""What makes the gain of an advised index less certain: old or missing statistics, wrong estimates, unknown values."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pgwatch_wed.facts import Column, MissingIndex, Snapshot, Statement, Table
from pgwatch_wed.findings import Grade, Unknown
from pgwatch_wed.postgres import cardinality, named, reliability, statements, value_skew
from pgwatch_wed.postgres import indexes as ix
from pgwatch_wed.postgres.statistics import State, Statistics
from pgwatch_wed.remedies import maintenance
from pgwatch_wed.rules._comparison import Comparison, Likeness, Tolerance, compare
from pgwatch_wed.sqltext.reading import query
from pgwatch_wed.units import count

_TOLERANCE = Tolerance(9.0, 100.0, reliability.MOST_CHANGED)
# Fewer rows need no index.
_SMALL = 1_000
# A statement with a smaller part of the time that an index concerns does not decide about it.
_DECIDING = 0.2


@dataclass(frozen=True, slots=True)
class Reservation:
    """A reason why a gain is not proven, the grade that is left, and the table to analyze first."""

    grade: Grade
    text: str
    analyze: Table | None = None


def reservations(snapshot: Snapshot, advice: MissingIndex) -> tuple[Reservation, ...]:
    """Return what makes the gain of an index uncertain."""
    table = named.table(snapshot, advice.schema, advice.table)
    if table is None:
        return ()
    flaws = (
        Reservation(Grade.C, flaw.text, table if flaw.needs_analyze else None)
        for flaw in reliability.flaws(snapshot, table, advice.columns)
    )
    found = [*flaws, *_of_statements(snapshot, advice)]
    return tuple({r.text: r for r in found}.values())


def unseen(snapshot: Snapshot) -> Iterator[Unknown]:
    """Yield the tables that statements read, but that look empty to the planner since they were never analyzed."""
    statistics = Statistics(snapshot)
    readings = (query(s.text) for s in statements.queries(snapshot))
    read = {
        t.oid: t
        for parsed in readings
        if parsed is not None
        for source in parsed.sources
        if (t := named.relation(snapshot, source)) is not None
    }
    for table in read.values():
        if ix.rows(snapshot, table) < _SMALL or cardinality.counted_rows(snapshot, table) > 0:
            continue
        if statistics.state(table, with_children=table.kind == "p") is State.NEVER:
            yield Unknown(
                f"{table.qualified} was never analyzed, so its size is not known to the planner",
                maintenance.analyze(table).sql,
                ix.table_object(snapshot, table),
            )


# Statements


def _of_statements(snapshot: Snapshot, advice: MissingIndex) -> Iterator[Reservation]:
    plans = {p.query_id: p for p in snapshot.statement_plans}
    for s in _deciding(snapshot, advice):
        plan = plans.get(s.query_id)
        if plan is None or plan.refused:
            continue
        result = compare(snapshot, s, plan, _TOLERANCE)
        found = _of_comparison(s, result)
        if found is not None:
            yield found
        elif result.outcome is Likeness.UNSEEN:
            yield from _of_values(snapshot, s, advice)


def _deciding(snapshot: Snapshot, advice: MissingIndex) -> Iterator[Statement]:
    by_id: Mapping[int, Statement] = {
        s.query_id: s for s in statements.of_users(snapshot) if s.query_id in set(advice.query_ids)
    }
    total = sum(s.total_exec_ms for s in by_id.values())
    return (s for s in by_id.values() if s.calls and s.total_exec_ms >= _DECIDING * total)


def _of_comparison(s: Statement, found: Comparison) -> Reservation | None:
    expected = count(round(found.expected), "row")
    numbers = (
        f"The planner expects {expected} of statement {s.query_id}, which returns {found.real:,.0f}"
    )
    match found.outcome:
        case Likeness.WRONG:
            text = (
                f"{numbers}: correct its estimate first (query-misestimate), then run this again."
            )
            return Reservation(Grade.C, text)
        case Likeness.UNCLEAR:
            return Reservation(Grade.C, f"{numbers}, for a reason that is not known.")
        case Likeness.EXPLAINED:
            text = f"{numbers} with the values that are used: the plan and the gain depend on them."
            return Reservation(Grade.B, text)
        case _:
            return None


def _of_values(snapshot: Snapshot, s: Statement, advice: MissingIndex) -> Iterator[Reservation]:
    """Yield a reservation if the index is on skewed columns, and nothing tells which of their values are used."""
    parsed = query(s.text)
    for level in parsed.levels if parsed else ():
        equal: dict[int, tuple[Table, list[Column]]] = {}
        for condition in level.conditions:
            name = condition.column
            table = named.table_of(snapshot, level, name) if name else None
            column = named.column(snapshot, table, name.column) if name and table else None
            if name is None or table is None or column is None:
                continue
            if table.name != advice.table or name.column not in advice.columns:
                continue
            if condition.operator == "any":
                text = f"How many elements the list of {name.column} has is not known; the planner assumes ten."
                yield Reservation(Grade.B, text)
            if condition.operator == "=":
                equal.setdefault(table.oid, (table, []))[1].append(column)
        for table, columns in equal.values():
            if (found := value_skew.skew(snapshot, table, columns)) is not None:
                yield Reservation(found.grade, found.text)
