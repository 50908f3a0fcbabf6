"""Statements that wrap a column in a function or cast before comparing it.

## Why it matters
An index on the column cannot serve `lower(email) = $1` or `created_at::date = $1`; the whole table is read.

## How sure we are
C: read from the text by PostgreSQL's own parser, the column resolved by name. That no index has this expression is judged by the columns
that expression indexes depend on. Casts that the server adds by itself are invisible in a text.

## Not reported
Columns that an expression index covers; small tables; casts to the column's own type; statements that take little time; names that the text alone
cannot resolve; arithmetic on columns of any other side.

## Remedy
Rewrite the condition so that the column stands bare (a range instead of a cast to date), or an index on the expression.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed import workload
from pgwatch_wed.facts import Column, Snapshot, Statement, Table
from pgwatch_wed.findings import Finding, Grade, Impact, Severity, Unknown
from pgwatch_wed.rules import _indexes as ix
from pgwatch_wed.rules import _parsed
from pgwatch_wed.rules import _queries as q

NEEDS = ("statements", "tables", "columns", "indexes")

_SAME = {
    "int4": "integer",
    "int8": "bigint",
    "int2": "smallint",
    "bool": "boolean",
    "timestamptz": "timestamp with time zone",
    "timestamp": "timestamp without time zone",
    "varchar": "character varying",
    "float8": "double precision",
}
_TEXTS = frozenset({"text", "varchar"})


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # A smaller table is read as fast whole.
    min_rows: int = 10_000
    # A smaller part of the load is not worth a rewrite.
    min_load_share: float = 0.01
    # Fewer calls are somebody's exploration.
    min_calls: int = 5
    # The dearest few are what people act on.
    max_statements: int = 10


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each statement whose condition hides a column from its index."""
    found = 0
    for s in sorted(workload.statements(snapshot), key=lambda s: (-s.total_exec_ms, s.query_id)):
        if s.text is None or s.calls < limits.min_calls:
            continue
        if q.share(snapshot, s) < limits.min_load_share:
            break
        hidden = _hidden(snapshot, s.text, limits)
        if hidden is not None and found < limits.max_statements:
            found += 1
            yield _finding(snapshot, s, *hidden)


def _hidden(snapshot: Snapshot, text: str, limits: Limits) -> tuple[Table, Column, str] | None:
    parsed = _parsed.parse(text)
    if parsed is None or parsed.kind == "insert":
        return None
    for condition in parsed.conditions:
        if condition.column is not None or len(condition.names) != 1:
            continue
        table = _parsed.table_of(snapshot, parsed, condition.names[0])
        if table is None or ix.rows(snapshot, table) < limits.min_rows:
            continue
        column = _parsed.column(snapshot, table, condition.names[0].column)
        if (
            column is None
            or _is_noop(condition.wrapper, column)
            or not _is_function(condition.wrapper)
        ):
            continue
        if not _covered(snapshot, table, column) and not _narrowed(snapshot, parsed, table):
            return table, column, condition.wrapper
    return None


def _is_function(wrapper: str) -> bool:
    return (
        wrapper.endswith("()") or wrapper.startswith("::") or wrapper in ("+", "-", "*", "/", "||")
    )


def _is_noop(wrapper: str, column: Column) -> bool:
    kind = wrapper.removeprefix("::")
    own = column.base_type.removeprefix("_")
    return wrapper.startswith("::") and (
        kind == own or _SAME.get(kind) == column.type or {kind, own} <= _TEXTS
    )


def _covered(snapshot: Snapshot, table: Table, column: Column) -> bool:
    return any(
        i.expressions is not None and column.attnum in i.depends_on and i.is_usable
        for i in snapshot.indexes_of[table.oid]
    )


def _narrowed(snapshot: Snapshot, parsed: _parsed.Parsed, table: Table) -> bool:
    """Tell whether another condition of the statement already uses an index of the table."""
    leading = {i.keys[0] for i in snapshot.indexes_of[table.oid] if i.is_usable and i.keys}
    for condition in parsed.conditions:
        if condition.column is None:
            continue
        if _parsed.table_of(snapshot, parsed, condition.column) is not table:
            continue
        bare = _parsed.column(snapshot, table, condition.column.column)
        if bare is not None and bare.attnum in leading:
            return True
    return False


def _finding(
    snapshot: Snapshot, s: Statement, table: Table, column: Column, wrapper: str
) -> Finding:
    what = (
        f"{column.name}{wrapper}"
        if wrapper.startswith("::")
        else f"{wrapper.removesuffix('()')}({column.name})"
    )
    plain = [
        i.name
        for i in snapshot.indexes_of[table.oid]
        if i.is_usable and i.keys[:1] == (column.attnum,)
    ]
    return Finding(
        object=q.object_of(snapshot, s),
        related=(ix.table_object(snapshot, table),),
        severity=Severity.INFO,
        grade=Grade.C,
        title=f"{what} keeps an index on {table.qualified} from being used: {q.short(s)}",
        detail=f"The condition wraps the column {column.name}."
        + (f" The index {plain[0]} cannot serve it." if plain else ""),
        evidence={
            "table": table.qualified,
            "column": column.name,
            "wrapper": wrapper,
            "table_rows": round(ix.rows(snapshot, table)),
            "plain_indexes": plain,
            "load_share": round(q.share(snapshot, s), 4),
            **q.evidence(snapshot, s),
        },
        impact=Impact(ms_per_day=workload.per_day(snapshot, s.total_exec_ms, s)),
        caveats=("An index on the expression needs an immutable function.",),
    )
