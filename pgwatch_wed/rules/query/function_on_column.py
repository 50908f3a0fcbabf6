"""Statements with conditions on a function or cast of a column.

## Why it matters
An index on the column cannot be used for `lower(email) = $1` or `created_at::date = $1`; the whole table is read.

## How sure we are
B that no index has this expression: the statement and the definitions of the table's expression indexes are parsed by
PostgreSQL's own parser and compared. That the statement reads that much is measured: its blocks per call are a large part of
the table. Casts that the server adds by itself, such as to a parameter's type, do not appear in the text.

## Not reported
Expressions that an index has; casts that make no difference (varchar to text, a type to itself); small tables; statements
that read few blocks per call, because another condition or index narrows them down; conditions inside OR and NOT; access to
parts of a document (`data->>'k'`); names that cannot be resolved from the text alone, such as views; statements that take
little time or ran once.

## Remedy
An index on the expression if it is certainly immutable. Otherwise rewrite the condition so that the column stands alone on its
side: a range instead of a cast to date, arithmetic moved to the other side.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed.facts import Column, Snapshot, Statement, Table
from pgwatch_wed.findings import Finding, Grade, Impact, Remedy, Severity, Unknown
from pgwatch_wed.postgres import indexes as ix
from pgwatch_wed.postgres import named
from pgwatch_wed.remedies import maintenance
from pgwatch_wed.remedies.indexes import IndexBuilder
from pgwatch_wed.rules import _queries as q
from pgwatch_wed.sqltext import forms
from pgwatch_wed.sqltext.levels import Condition, Level
from pgwatch_wed.sqltext.reading import query
from pgwatch_wed.units import count

NEEDS = ("statements", "statements_info", "tables", "columns", "indexes", "index_definitions")
PRIMARY_ONLY = True

_ARITHMETIC = frozenset({"+", "-", "*", "/", "||"})
_DAYS = frozenset({"date", "date_trunc", "date_part", "extract", "to_char", "timezone"})


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # For smaller tables a full scan is as fast.
    min_rows: int = 1_000
    # Blocks read per call, as a fraction of the table: an index would read far fewer.
    min_read_share: float = 0.3
    # A smaller share of the load is not worth rewriting a statement.
    min_load_share: float = 0.01
    # A statement that ran only once is probably ad hoc.
    min_calls: int = 2
    # At least this much time per day (1 hour) is a warning.
    warn_ms_per_day: float = 3_600_000.0
    # Only the costliest statements are reported.
    max_statements: int = 10


@dataclass(frozen=True, slots=True)
class _Hidden:
    table: Table
    column: Column
    condition: Condition

    @property
    def words(self) -> str:
        """The expression as a user would write it."""
        wrapper = self.condition.wrapper
        if wrapper.startswith("::"):
            return f"{self.column.name}{wrapper}"
        if wrapper.endswith("()"):
            return f"{wrapper[:-1]}{self.column.name})"
        return f"{self.column.name} {wrapper} …"


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each statement whose condition prevents the use of an index."""
    load = q.Load.of(snapshot)
    yield from load.unknowns()
    yield from load.texts_unknown()
    builder, found = IndexBuilder(snapshot), 0
    for s in load.queries:
        if load.share(s) < limits.min_load_share or found >= limits.max_statements:
            break
        hidden = _hidden(snapshot, s, limits) if s.calls >= limits.min_calls else None
        if hidden is not None:
            found += 1
            yield _finding(builder, load, s, hidden, limits)


def _hidden(snapshot: Snapshot, s: Statement, limits: Limits) -> _Hidden | None:
    parsed = query(s.text)
    if parsed is None:
        return None
    for level in parsed.levels:
        for condition in level.conditions:
            hidden = _of(snapshot, level, condition)
            if hidden is not None and _reads_most(snapshot, s, hidden.table, limits):
                return hidden
    return None


def _of(snapshot: Snapshot, level: Level, condition: Condition) -> _Hidden | None:
    """Return the column that a condition wraps in an expression that no index has."""
    wraps = condition.wrapper.endswith("()") or condition.wrapper.startswith("::")
    if condition.column is not None or condition.is_alternative or condition.operator == "<>":
        return None
    if not (wraps or condition.wrapper in _ARITHMETIC) or forms.reads_json(condition.node):
        return None
    if len(set(condition.names)) != 1:
        return None
    table = named.table_of(snapshot, level, condition.names[0])
    column = named.column(snapshot, table, condition.names[0].column) if table else None
    if table is None or column is None or forms.is_noop(condition.node, column):
        return None
    if _is_covered(snapshot, table, condition) or _is_narrowed(snapshot, level, table):
        return None
    return _Hidden(table, column, condition)


def _is_covered(snapshot: Snapshot, table: Table, condition: Condition) -> bool:
    wanted = forms.shape(condition.node)
    return any(
        wanted in forms.index_expressions(snapshot.definition_by_oid.get(i.oid, ""))
        or i.oid not in snapshot.definition_by_oid
        for i in snapshot.indexes_of[table.oid]
        if i.expressions is not None and i.is_usable
    )


def _is_narrowed(snapshot: Snapshot, level: Level, table: Table) -> bool:
    """Tell whether all columns of a unique key are compared by equality as well: that finds one row."""
    equal = {
        c.column.column
        for c in level.conditions
        if c.column is not None and c.operator == "=" and not c.is_alternative
        if named.table_of(snapshot, level, c.column) is table
    }
    return any(
        set(snapshot.column_names(table.oid, i.columns[: i.key_count])) <= equal
        for i in snapshot.indexes_of[table.oid]
        if i.is_unique and i.is_usable and i.key_count
    )


def _reads_most(snapshot: Snapshot, s: Statement, table: Table, limits: Limits) -> bool:
    if ix.rows(snapshot, table) < limits.min_rows:
        return False
    known = ix.table_bytes(snapshot, table) / snapshot.server.block_size
    # if never vacuumed or analyzed, assume a hundred rows per page
    pages = known or ix.rows(snapshot, table) / 100
    blocks = (s.shared_blks_hit + s.shared_blks_read) / max(s.calls, 1)
    return blocks >= limits.min_read_share * pages


def _finding(
    builder: IndexBuilder, load: q.Load, s: Statement, hidden: _Hidden, limits: Limits
) -> Finding:
    snapshot, table, column = load.snapshot, hidden.table, hidden.column
    daily = load.least_per_day(s.total_exec_ms, s)
    plain = [
        i.name
        for i in snapshot.indexes_of[table.oid]
        if i.is_usable and i.keys[:1] == (column.attnum,)
    ]
    remedy = _remedy(builder, hidden)
    warns = daily >= limits.warn_ms_per_day
    return Finding(
        object=load.object_of(s),
        related=(ix.table_object(snapshot, table),),
        severity=Severity.WARNING if warns else Severity.INFO,
        grade=Grade.B if plain else Grade.C,
        title=(
            f"{hidden.words} prevents the use of {plain[0]} on {table.qualified}: {q.short(s)}"
            if plain
            else f"No index on {table.qualified} serves {hidden.words}: {q.short(s)}"
        ),
        detail=f"The condition compares an expression, not the column {column.name} itself"
        + (f", so the index {plain[0]} cannot be used. " if plain else ". ")
        + f"Each call reads {count(round((s.shared_blks_hit + s.shared_blks_read) / s.calls), 'block')}."
        + _advice(hidden),
        evidence={
            "table": table.qualified,
            "column": column.name,
            "expression": hidden.words,
            "table_rows": round(ix.rows(snapshot, table)),
            "table_bytes": ix.table_bytes(snapshot, table),
            "blocks_per_call": round((s.shared_blks_hit + s.shared_blks_read) / s.calls, 1),
            "plain_indexes": plain,
            **load.evidence(s),
        },
        impact=Impact(cost=load.time(s.total_exec_ms, s), risk="every call scans the table"),
        remedy=remedy,
        caveats=() if remedy else ("No index is suggested: the expression may not be immutable.",),
    )


def _advice(hidden: _Hidden) -> str:
    wrapper = hidden.condition.wrapper.removesuffix("()").removeprefix("::")
    name = hidden.column.name
    if wrapper in _DAYS and hidden.column.type_category == "D":
        return f" Use a range instead: {name} >= the day AND {name} < the next day."
    if wrapper in _ARITHMETIC:
        return " Move the arithmetic to the other side, so that the column stands alone."
    return ""


def _remedy(builder: IndexBuilder, hidden: _Hidden) -> tuple[Remedy, ...]:
    table = hidden.table
    expression = forms.indexable(hidden.condition.node, hidden.column)
    if expression is None or not hidden.condition.is_ordered:
        return ()
    return builder.build(table, f"(({expression}))").remedy, maintenance.analyze(table)
