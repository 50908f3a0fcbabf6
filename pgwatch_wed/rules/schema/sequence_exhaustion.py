"""Sequences that are approaching their own limit.

## Why it matters
Once a sequence has reached its last value, nextval() fails, and so does every insert that uses it.

## How sure we are
B: the sequence's position compared with its own MAXVALUE, or MINVALUE if it is descending. If there are earlier runs on 30 days, a
forecast says when it ends; its interval is meant to hold in four of five cases.

## Not reported
Sequences with CYCLE; those whose column's type ends at the same value or earlier, which `schema-int-overflow` reports with
the column; sequences that have not been used. If the role may not read a sequence's position, the verdict is unknown.

## Remedy
ALTER SEQUENCE … NO MAXVALUE, or AS bigint if the sequence's own type is the limit. A limit that was set on purpose, such as
a range shared between servers, calls for another range instead. If the type of a column that it feeds would end soon after, the
column is changed as for `schema-int-overflow`.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Remedy, Severity, Unknown
from pgwatch_wed.postgres import sequences as sq
from pgwatch_wed.remedies.widening import Widening, extended, restored
from pgwatch_wed.rules import _forecasts as fc

NEEDS = ("sequences", "columns", "tables", "constraints", "column_dependents", "domains")
PRIMARY_ONLY = True


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds: used fractions of the sequence's range."""

    # The used fraction of the sequence's range: time to plan (info), time to act (warning).
    info_share: float = 0.5
    warn_share: float = 0.7
    # Above this, the sequence may run out on the next busy day.
    critical_share: float = 0.9
    # If a forecast from earlier runs says that it may end within this many days.
    warn_days: float = 90
    critical_days: float = 7


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each sequence that is close to its own limit."""
    feeds, widening = sq.Feeds(snapshot), Widening(snapshot)
    fed: dict[int, list[sq.ColumnId]] = {}
    for key, clock in feeds.direct.items():
        fed.setdefault(clock.sequence.oid, []).append(key)
    for sequence in snapshot.sequences:
        clock = sq.SequencePosition(sequence)
        if sequence.is_cycling or clock.position is None or not sequence.increment:
            continue
        columns = fed.get(sequence.oid, [])
        share = clock.share(clock.own_end)
        forecast = fc.of_sequence(snapshot, sequence.oid, clock.own_end)
        days = fc.days_until(snapshot, forecast.reached_low) if forecast is not None else None
        is_near = share >= limits.info_share or (days is not None and days <= limits.warn_days)
        if is_near and not _type_ends_first(snapshot, clock, columns):
            found = _finding(snapshot, clock, columns, share, days, limits)
            found = found if forecast is None else fc.added(found, forecast)
            wide = [
                step
                for key in _next_to_end(snapshot, clock, columns, limits)
                for step in _widened(widening, (*feeds.followers(key), key))
            ]
            yield replace(found, remedy=(*found.remedy, *wide) if found.remedy else ())


def _type_ends_first(
    snapshot: Snapshot, clock: sq.SequencePosition, columns: list[sq.ColumnId]
) -> bool:
    ends = [clock.end_in(snapshot.column_by_key[key]) for key in columns]
    return any(
        end is not None and abs(end) < sq.BIGINT_MAX and not clock.comes_before(clock.own_end, end)
        for end in ends
    )


def _finding(
    snapshot: Snapshot,
    clock: sq.SequencePosition,
    columns: list[sq.ColumnId],
    share: float,
    days: float | None,
    limits: Limits,
) -> Finding:
    sequence = clock.sequence
    names = [_column(snapshot, key) for key in columns]
    return Finding(
        object=Object(
            "sequence", sequence.name, database=snapshot.server.database, schema=sequence.schema
        ),
        severity=_severity(share, days, limits),
        grade=Grade.B,
        title=f"{sequence.schema}.{sequence.name} has used {share:.0%} of its range",
        detail=f"It is at {clock.position:,} and ends at {clock.own_end:,}; "
        + (
            f"the type of {', '.join(names)} allows larger values."
            if names
            else "no column default uses it."
        ),
        evidence={
            "last_value": clock.position,
            "end": clock.own_end,
            "increment": sequence.increment,
            "type": sequence.type,
            "used_share": round(share, 4),
            "values_left": clock.left(clock.own_end),
            "columns": names,
        },
        impact=Impact(risk="nextval() fails once the sequence has ended"),
        remedy=tuple(_remedy(clock, limits)),
        caveats=(
            "The limit may have been set on purpose, for example to give each server a range of its own.",
        ),
    )


def _severity(share: float, days: float | None, limits: Limits) -> Severity:
    left = math.inf if days is None else days
    if share >= limits.critical_share or left <= limits.critical_days:
        return Severity.CRITICAL
    is_warning = share >= limits.warn_share or left <= limits.warn_days
    return Severity.WARNING if is_warning else Severity.INFO


def _column(snapshot: Snapshot, key: sq.ColumnId) -> str:
    table = snapshot.table_by_oid.get(key[0])
    return f"{table.qualified if table else '?'}.{snapshot.column_by_key[key].name}"


def _remedy(clock: sq.SequencePosition, limits: Limits) -> Iterator[Remedy]:
    sequence = clock.sequence
    end = sq.end_of(sequence.type, is_ascending=clock.is_ascending)
    # without a limit of its own, the sequence may still be close to the end of its type
    is_enough = clock.own_end != end and clock.share(end) < limits.info_share
    if clock.own_end == end and sequence.type == "bigint":
        return
    yield Remedy(
        sql=extended(clock, sequence.type if is_enough else "bigint"),
        lock="SHARE ROW EXCLUSIVE on the sequence: briefly blocks nextval()",
        undo=f"{restored(sequence)}\n-- It fails, and changes nothing, once the sequence has gone beyond.",
    )


def _next_to_end(
    snapshot: Snapshot, clock: sq.SequencePosition, columns: list[sq.ColumnId], limits: Limits
) -> Iterator[sq.ColumnId]:
    """Yield the columns whose type is the next to end, soon after the sequence would have ended."""
    for key in columns:
        end = clock.end_in(snapshot.column_by_key[key])
        if end is not None and abs(end) < sq.BIGINT_MAX and clock.share(end) >= limits.info_share:
            yield key


def _widened(widening: Widening, keys: tuple[sq.ColumnId, ...]) -> tuple[Remedy, ...]:
    return () if any(map(widening.obstacle, keys)) else widening.remedies(keys, None)
