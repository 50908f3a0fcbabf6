"""Columns that are running out of values for their type.

## Why it matters
When a sequence passes the largest integer of its column, every insert fails until the type is changed, and that rewrites
the table and its indexes while all reads and writes are blocked. A foreign key that is narrower than the key it refers to
fails the same way, in another table.

## How sure we are
B: the sequence's position compared with the column's type. The days left are estimated from the rows inserted since the
counters began, and given only if the counters cover a week; if there are earlier runs on 30 days, they are those until the early end
of a forecast, which is meant to hold in four of five cases.

## Not reported
Sequences that end or cycle before the column's type ends (`schema-sequence-exhaustion` judges their own limits); defaults
that change the sequence's value; individual partitions; foreign keys whose type is as wide as that of the key they refer
to, since the key fails first; integer keys without a sequence, whose largest value is known only from their rows, which
are not read. bigint does not run out.

## Remedy
ALTER COLUMN … TYPE, first for foreign keys that refer to the column; then the sequence gets the new range. For a domain, one over
the wider type with the same checks is created. Views and other objects that use the column are listed: they have to be dropped
first and created again. A column of a partition key cannot be changed, so there is no SQL for it. The change rewrites the table: fine for small tables in a maintenance window. For a large one, add a bigint column,
keep it up to date with a trigger, fill existing rows in batches, and swap the two columns in one short transaction.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from pgwatch_wed.facts import Column, Forecast, Snapshot, Table
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Remedy, Severity, Unknown
from pgwatch_wed.postgres import sequences as sq
from pgwatch_wed.remedies.widening import Widening, described
from pgwatch_wed.rules import _forecasts as fc
from pgwatch_wed.units import count

NEEDS = ("sequences", "columns", "tables", "constraints", "column_dependents", "domains")
PRIMARY_ONLY = True

_WIDTHS: Mapping[str, str] = {"int4": "integer", "int8": "bigint"}


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds: used fractions of the column's range."""

    # The used fraction of the column's range: time to plan (info), time to act (warning).
    info_share: float = 0.5
    warn_share: float = 0.7
    # Above this, the time left is often shorter than the change takes.
    critical_share: float = 0.9
    # If a forecast from earlier runs says that it may end within this many days: changing a large table takes weeks.
    critical_days: float = 30
    # Running out within this many days at the current rate is a warning, whatever the fraction.
    warn_days: float = 365
    # The rate is used only if the counters cover at least this many days.
    min_rate_days: float = 7


@dataclass(frozen=True, slots=True)
class _Case:
    """A column with its sequence; ``target`` is the key that it refers to, for a foreign key."""

    table: Table
    column: Column
    clock: sq.SequencePosition
    end: int
    share: float
    days: float | None
    target: sq.ColumnId | None = None
    followers: tuple[sq.ColumnId, ...] = field(default=())
    forecast: Forecast | None = None


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each column that will be too narrow."""
    feeds, widening = sq.Feeds(snapshot), Widening(snapshot)
    for case in (*_direct(snapshot, feeds, limits), *_references(snapshot, feeds, limits)):
        severity = _severity(case, limits)
        if severity is not None:
            yield _finding(snapshot, widening, case, severity)


def _direct(snapshot: Snapshot, feeds: sq.Feeds, limits: Limits) -> Iterator[_Case]:
    for key, clock in feeds.direct.items():
        column = snapshot.column_by_key[key]
        end = clock.end_in(column)
        if end is None or abs(end) >= sq.BIGINT_MAX or _stops_before(clock, end):
            continue
        yield from _case(snapshot, limits, key, clock, end, None, feeds.followers(key))


def _stops_before(clock: sq.SequencePosition, end: int) -> bool:
    """Tell whether the sequence ends, or cycles, before the column's type ends."""
    if clock.own_end == end:
        return clock.sequence.is_cycling
    return clock.comes_before(clock.own_end, end)


def _references(snapshot: Snapshot, feeds: sq.Feeds, limits: Limits) -> Iterator[_Case]:
    for key, (target, clock) in feeds.by_reference.items():
        end = clock.end_in(snapshot.column_by_key[key]) if key in snapshot.column_by_key else None
        aim = snapshot.column_by_key.get(target)
        theirs = clock.end_in(aim) if aim is not None else None
        if end is None or abs(end) >= sq.BIGINT_MAX or not clock.comes_before(end, clock.own_end):
            continue
        if theirs is None or clock.comes_before(end, theirs):
            yield from _case(snapshot, limits, key, clock, end, target, ())


def _case(
    snapshot: Snapshot,
    limits: Limits,
    key: sq.ColumnId,
    clock: sq.SequencePosition,
    end: int,
    target: sq.ColumnId | None,
    followers: tuple[sq.ColumnId, ...],
) -> Iterator[_Case]:
    fed = snapshot.table_by_oid.get((target or key)[0])
    table = snapshot.table_by_oid.get(key[0])
    if table is None or clock.position is None:
        return
    days = sq.days_left(snapshot, fed, clock.left(end), limits.min_rate_days) if fed else None
    forecast = fc.of_sequence(snapshot, clock.sequence.oid, end)
    if forecast is not None:
        days = fc.days_until(snapshot, forecast.reached_low)
    column = snapshot.column_by_key[key]
    yield _Case(table, column, clock, end, clock.share(end), days, target, followers, forecast)


def _severity(case: _Case, limits: Limits) -> Severity | None:
    is_told = case.forecast is not None and case.days is not None
    is_soon = is_told and (case.days or 0.0) <= limits.critical_days
    if case.share >= limits.critical_share or is_soon:
        return Severity.CRITICAL
    if case.share >= limits.warn_share or (case.days is not None and case.days <= limits.warn_days):
        return Severity.WARNING
    return Severity.INFO if case.share >= limits.info_share else None


def _finding(snapshot: Snapshot, widening: Widening, case: _Case, severity: Severity) -> Finding:
    table, column, sequence = case.table, case.column, case.clock.sequence
    left = case.clock.left(case.end)
    aim = snapshot.column_by_key.get(case.target) if case.target else None
    aimed = snapshot.table_by_oid.get(case.target[0]) if case.target else None
    role = f", a foreign key to {aimed.qualified}" if aimed is not None else ""
    return Finding(
        object=Object(
            "column",
            f"{table.name}.{column.name}",
            database=snapshot.server.database,
            schema=table.schema,
            table=table.name,
        ),
        related=tuple(_related(snapshot, case)),
        severity=severity,
        grade=Grade.B,
        title=f"{table.qualified}.{column.name} ({column.type}) has used {case.share:.0%} of its range",
        detail=f"The column{role} gets its values from the sequence {sequence.schema}.{sequence.name}, "
        f"now at {case.clock.position:,}; its type ends at {case.end:,}." + _when(case),
        evidence={
            "column": column.name,
            "type": column.type,
            "sequence": f"{sequence.schema}.{sequence.name}",
            "last_value": case.clock.position,
            "end_of_type": case.end,
            "used_share": round(case.share, 4),
            "values_left": left,
            "days_left": round(case.days, 1) if case.days is not None else None,
            **(fc.evidence(case.forecast) if case.forecast is not None else {}),
            "used_by": _dependents(widening, case),
            "refers_to": f"{aimed.qualified}.{aim.name}" if aim and aimed else None,
        },
        impact=Impact(risk="inserts fail with “integer out of range” once the type is exhausted"),
        remedy=_remedy(snapshot, widening, case),
        caveats=tuple(_caveats(widening, case)),
    )


def _when(case: _Case) -> str:
    if case.forecast is not None:
        return f" {fc.sentence(case.forecast)}"
    return f" At the current rate that is in {count(round(case.days), 'day')}." if case.days else ""


def _related(snapshot: Snapshot, case: _Case) -> Iterator[Object]:
    sequence = case.clock.sequence
    database = snapshot.server.database
    yield Object("sequence", sequence.name, database=database, schema=sequence.schema)
    for oid, attnum in case.followers:
        table, column = snapshot.table_by_oid.get(oid), snapshot.column_by_key.get((oid, attnum))
        if table is not None and column is not None:
            name = f"{table.name}.{column.name}"
            yield Object("column", name, database=database, schema=table.schema, table=table.name)


def _remedy(snapshot: Snapshot, widening: Widening, case: _Case) -> tuple[Remedy, ...]:
    keys = (*case.followers, (case.table.oid, case.column.attnum))
    if any(map(widening.obstacle, keys)):
        return ()
    if case.target is None:
        return widening.remedies(keys, case.clock)
    aim = snapshot.column_by_key.get(case.target)
    least = _WIDTHS.get(aim.base_type, "smallint") if aim is not None else "smallint"
    return widening.remedies(keys, None, least)


def _caveats(widening: Widening, case: _Case) -> Iterator[str]:
    for key in (*case.followers, (case.table.oid, case.column.attnum)):
        obstacle = widening.obstacle(key)
        if obstacle:
            yield f"{obstacle[0].upper()}{obstacle[1:]}"
    yield "It rewrites the table and its indexes; for a large table, fill a new column in batches and swap."
    yield "Functions and clients that expect the old type must be changed as well."


def _dependents(widening: Widening, case: _Case) -> list[str]:
    keys = (*case.followers, (case.table.oid, case.column.attnum))
    return list(dict.fromkeys(described(d) for key in keys for d in widening.dependents(key)))
