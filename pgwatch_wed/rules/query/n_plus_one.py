"""Cheap statements that are called once for each row of another one: a loop in the application.

## Why it matters
A thousand single-row lookups take a thousand round trips; one statement with a list takes one. The time on the server is the
smaller part of the cost.

## How sure we are
C if another statement returned about as many rows as this one had calls, and reads a table that a foreign key relates to this
one's (or any table, if it had at most a tenth of the calls); D if only the numbers suggest it. The loop itself is never
seen.

## Not reported
Lookups by a complete primary or unique key without such a statement, which are normal for an application. Statements that
return many rows or take long; writes; few calls; a small share of all calls.

## Remedy
In the application: one query with = ANY(…) or a join; eager loading in the ORM. No SQL to run.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed.facts import Snapshot, Statement, Table
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Severity, Unknown
from pgwatch_wed.postgres import indexes as ix
from pgwatch_wed.postgres import named
from pgwatch_wed.rules import _queries as q
from pgwatch_wed.sqltext.reading import Reading, query
from pgwatch_wed.units import count, duration

NEEDS = ("statements", "statements_info", "tables", "columns", "indexes", "constraints")


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # Fewer calls are not worth a change.
    min_calls: int = 1_000
    # The number and share of calls required if no listing statement is found.
    min_calls_alone: int = 5_000
    min_call_share_alone: float = 0.3
    # The share of calls required if a listing statement is found.
    min_call_share: float = 0.05
    # The listing statement must have been called at least this many times less often.
    min_fan_out: float = 10.0
    # Its rows may differ from the calls by at most this fraction.
    max_row_difference: float = 0.25
    # A lookup by key takes less time.
    max_mean_ms: float = 5.0
    # A lookup returns only a few rows per call.
    max_rows_per_call: float = 10.0
    # Only the most frequent statements are reported.
    max_statements: int = 5


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each lookup that seems to be called in a loop."""
    load = q.Load.of(snapshot)
    yield from load.unknowns()
    yield from load.texts_unknown()
    reads = [s for s in load.queries if q.first_word(s) in ("select", "with")]
    calls = sum(s.calls for s in load.queries)
    found = 0
    for s in sorted(reads, key=lambda s: (-s.calls, s.query_id)):
        table = _looked_up(snapshot, s, limits)
        if table is None or s.calls < limits.min_call_share * calls:
            continue
        lister = _lister(snapshot, s, table, reads, limits)
        if (lister or _stands_alone(snapshot, s, table, calls, limits)) and (
            found < limits.max_statements
        ):
            found += 1
            yield _finding(load, s, table, lister, calls)


def _looked_up(snapshot: Snapshot, s: Statement, limits: Limits) -> Table | None:
    """Return the one table that a cheap lookup by equality reads."""
    if (
        s.calls < limits.min_calls
        or s.mean_exec_ms > limits.max_mean_ms
        or s.rows > limits.max_rows_per_call * s.calls
        or s.text is None
    ):
        return None
    parsed = query(s.text)
    if parsed is None or len(parsed.levels) != 1 or len(parsed.sources) != 1:
        return None
    if not _equal_columns(parsed):
        return None
    return named.relation(snapshot, parsed.sources[0])


def _equal_columns(parsed: Reading) -> set[str]:
    return {c.column.column for c in parsed.conditions if c.column and c.operator == "="}


def _lister(
    snapshot: Snapshot, s: Statement, table: Table, reads: list[Statement], limits: Limits
) -> Statement | None:
    """Return a statement that returned about as many rows as this one had calls."""
    fitting = [
        o
        for o in reads
        if o.query_id != s.query_id
        and 0 < o.calls * limits.min_fan_out <= s.calls
        and abs(o.rows - s.calls) <= limits.max_row_difference * s.calls
    ]
    fitting.sort(
        key=lambda o: (not _is_tied(snapshot, o, table), abs(o.rows - s.calls), o.query_id)
    )
    return fitting[0] if fitting else None


def _is_tied(snapshot: Snapshot, other: Statement, table: Table) -> bool:
    """Tell whether a foreign key, in either direction, relates a table of the other statement to this one's."""
    parsed = query(other.text)
    theirs = (
        {t.oid for r in parsed.sources if (t := named.relation(snapshot, r))} if parsed else set()
    )
    return any(
        k.kind == "f"
        and (
            (k.table_oid == table.oid and k.referenced_oid in theirs)
            or (k.referenced_oid == table.oid and k.table_oid in theirs)
        )
        for k in snapshot.constraints
    )


def _stands_alone(
    snapshot: Snapshot, s: Statement, table: Table, calls: int, limits: Limits
) -> bool:
    parsed = query(s.text)
    if s.calls < max(limits.min_calls_alone, limits.min_call_share_alone * calls) or not parsed:
        return False
    equal = _equal_columns(parsed)
    keys = (
        set(snapshot.column_names(table.oid, i.columns[: i.key_count]))
        for i in snapshot.indexes_of[table.oid]
        if i.is_unique and i.is_usable and i.predicate is None
    )
    return not any(key <= equal for key in keys)


def _finding(
    load: q.Load, s: Statement, table: Table, lister: Statement | None, calls: int
) -> Finding:
    share = s.calls / max(calls, 1)
    seen = load.evidence(s)
    tied = lister is not None and _is_tied(load.snapshot, lister, table)
    related: tuple[Object, ...] = (ix.table_object(load.snapshot, table),)
    if lister is not None:
        seen = {**seen, "query_ids": [s.query_id, lister.query_id]}
        related = (*related, load.object_of(lister))
    seconds = seen["window_seconds"]
    return Finding(
        object=load.object_of(s),
        related=related,
        severity=Severity.INFO,
        grade=Grade.C if tied else Grade.D,
        title=f"{share:.0%} of all calls: {q.short(s)}",
        detail=f"{count(s.calls, 'call')}, with an average of {s.rows / s.calls:.1f} rows and {duration(s.mean_exec_ms)}. "
        + (
            f"About as many rows were returned by: {q.short(lister)}"
            if lister is not None
            else "If the application calls it in a loop, one statement with a list would do."
        ),
        evidence={
            "call_share": round(share, 4),
            "rows_per_call": round(s.rows / s.calls, 3),
            "calls_per_second": round(s.calls / seconds, 3) if seconds else None,
            "listing_query": lister.text if lister else None,
            "listing_rows": lister.rows if lister else None,
            "listing_calls": lister.calls if lister else None,
            **seen,
        },
        impact=Impact(cost=load.time(s.total_exec_ms, s), risk="every call is a round trip"),
        caveats=("Lookups by key are also normal for an application.",),
    )
