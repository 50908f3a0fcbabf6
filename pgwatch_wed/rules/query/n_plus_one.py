"""Cheap statements that are called once for each row of another one: a loop in the application.

## Why it matters
A thousand look-ups of a row each cost a thousand round trips; one statement with a list costs one. The server's
time is the smaller part of it.

## How sure we are
C where another statement returned about as many rows as this one was called, from a table that a foreign key ties to it
(or from any table, with no more than a tenth of the calls); D where only the numbers say so. The loop itself is never seen.

## Not reported
Look-ups by a whole primary or unique key that no such statement goes with: that is what a healthy application does. Statements that
return many rows or take long; writes; few calls; a small part of all calls.

## Remedy
In the application: one query with = ANY(…) or a join, eager loading in the ORM. Nothing to paste.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed.facts import Snapshot, Statement, Table
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Severity, Unknown
from pgwatch_wed.postgres import indexes as ix
from pgwatch_wed.rules import _queries as q
from pgwatch_wed.sqltext import parsed as texts

NEEDS = ("statements", "statements_info", "tables", "columns", "indexes", "constraints")


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # Fewer calls are no loop worth a change.
    min_calls: int = 1_000
    # Without a statement that goes with it, so many calls and this part of all calls.
    min_calls_alone: int = 5_000
    min_call_share_alone: float = 0.3
    # Part of all calls, where a statement goes with it.
    min_call_share: float = 0.05
    # The statement that goes with it was called this many times less often, at least.
    min_fan_out: float = 10.0
    # Its rows differ from the calls by no more than this part.
    max_row_difference: float = 0.25
    # A look-up by key takes less.
    max_mean_ms: float = 5.0
    # Rows a call: a look-up returns a few.
    max_rows_per_call: float = 10.0
    # The most called few are what people act on.
    max_statements: int = 5


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each look-up that a loop seems to make."""
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
    """Return the one table that a cheap look-up by equality reads."""
    if (
        s.calls < limits.min_calls
        or s.mean_exec_ms > limits.max_mean_ms
        or s.rows > limits.max_rows_per_call * s.calls
        or s.text is None
    ):
        return None
    parsed = texts.parse(s.text)
    if parsed is None or len(parsed.levels) != 1 or len(parsed.relations) != 1:
        return None
    if not _equal_columns(parsed):
        return None
    return texts.relation(snapshot, parsed.relations[0])


def _equal_columns(parsed: texts.Parsed) -> set[str]:
    return {c.column.column for c in parsed.conditions if c.column and c.operator == "="}


def _lister(
    snapshot: Snapshot, s: Statement, table: Table, reads: list[Statement], limits: Limits
) -> Statement | None:
    """Return a statement whose rows were about as many as this one's calls."""
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
    """Tell whether a foreign key ties a table of the other statement to this one's, either way."""
    parsed = texts.parse(other.text) if other.text else None
    theirs = (
        {t.oid for r in parsed.relations if (t := texts.relation(snapshot, r))} if parsed else set()
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
    parsed = texts.parse(s.text or "")
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
    hours = seen["window_hours"]
    return Finding(
        object=load.object_of(s),
        related=related,
        severity=Severity.INFO,
        grade=Grade.C if tied else Grade.D,
        title=f"{share:.0%} of all calls are: {q.short(s)}",
        detail=f"{s.calls:,} calls, {s.rows / s.calls:.1f} rows and {s.mean_exec_ms:.3g} ms each. "
        + (
            f"About as many rows came from: {q.short(lister)}"
            if lister is not None
            else "If a loop in the application makes them, one statement with a list would do."
        ),
        evidence={
            "call_share": round(share, 4),
            "rows_per_call": round(s.rows / s.calls, 3),
            "calls_per_second": round(s.calls / hours / 3600, 3) if hours else None,
            "listing_query": lister.text if lister else None,
            "listing_rows": lister.rows if lister else None,
            "listing_calls": lister.calls if lister else None,
            **seen,
        },
        impact=Impact(
            ms_per_day=load.per_day(s.total_exec_ms, s), risk="each call is a round trip"
        ),
        caveats=("Look-ups by key are also what a healthy application does.",),
    )
