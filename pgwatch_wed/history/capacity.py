"""Where sizes, sequences, connections and ages are heading, as facts of a snapshot that the rules evaluate."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import sqlalchemy as sa

from pgwatch_wed.facts import Forecast, Missing, Snapshot, Table
from pgwatch_wed.history import days, measures
from pgwatch_wed.history.forecasts import LEAST_DAYS, Outlook, Untold, forecast, of_days
from pgwatch_wed.history.identity import Identity
from pgwatch_wed.postgres import sequences as sq

# Of each of these many largest tables, the pace is told.
_TABLES = 50
# Sequences that have used less of their range than this are not near its end for years.
_LEAST_SHARE = 0.001
# Longer ago, a pace says nothing about today's.
_PAST = timedelta(days=400)
# What will be compared with what came.
_PREDICTED = (4,)
_WEEKS_AHEAD = (1, 2, 4, 8, 13, 26, 52, 104, 156)

# The server stops assigning transaction IDs three million before the end.
_LAST_XID_AGE = 2**31 - 3_000_000
# Autovacuum begins to freeze at the freeze age, and needs some time for it.
_FREEZING_IS_LATE = 1.2

_FREEZE_AGE = "autovacuum_freeze_max_age"
_FEW = "start db-analyze daily (db-analyze schedule prints how)"


@dataclass(frozen=True, slots=True)
class _Past:
    """The series of a database in the history, until the snapshot was taken."""

    connection: sa.Connection
    owner: Identity
    snapshot: Snapshot

    def of(
        self, kind: str, oids: frozenset[int] | None = None
    ) -> Iterator[tuple[int, list[days.DatedValue]]]:
        """Yield the values of each object of a kind."""
        now = self.snapshot.now
        own = (self.owner.cluster_id, self.owner.database_id)
        for each in measures.read(self.connection, *own, kind, now - _PAST, now, oids):
            yield each.subject.oid, [(p.at, p.value) for p in each.points]


def facts_of(
    connection: sa.Connection, snapshot: Snapshot, owner: Identity | None
) -> tuple[Forecast, ...] | Missing:
    """Return what can be told about a database and its server, or when something can be."""
    if owner is None:
        return Missing("there is no earlier run of this database", _FEW)
    past = _Past(connection, owner, snapshot)
    found = (
        *_database(past),
        *_tables(past),
        *_sequences(past),
        *_connections(past),
        *_wal(past),
        *_xids(past),
    )
    if all(each.reason for each in found):
        return _none_yet(found)
    return found


def _none_yet(found: Sequence[Forecast]) -> Missing:
    if not found:
        return Missing(f"0 of the {LEAST_DAYS} days with a run that a forecast requires", _FEW)
    nearest = max(found, key=lambda each: each.points)
    when = f"; from {nearest.told_at:%Y-%m-%d} on" if nearest.told_at else ""
    return Missing(nearest.reason, f"{_FEW}{when}")


# --- subjects -----------------------------------------------------------------------------------


def _database(past: _Past) -> Iterator[Forecast]:
    for _, points in past.of("relations_bytes"):
        told = forecast(points, past.snapshot.now, None, weeks_ahead=_WEEKS_AHEAD)
        row = _row("database", "bytes", _last(points), None, told)
        yield replace(_ahead(row, told, _WEEKS_AHEAD), oid=past.snapshot.server.database_oid)


def _tables(past: _Past) -> Iterator[Forecast]:
    """Yield the pace of the largest tables, with their TOAST tables and indexes."""
    snapshot = past.snapshot
    stored = (t for t in snapshot.tables if t.kind != "p")
    largest = {t.oid: t for t in sorted(stored, key=lambda t: -_pages(t))[:_TABLES]}
    indexes = dict(past.of("indexes_bytes", frozenset(largest)))
    for oid, points in past.of("table_bytes", frozenset(largest)):
        both = _added(points, indexes.get(oid, []))
        told = forecast(both, snapshot.now, None)
        row = _row("table", "bytes", _last(both), None, told)
        table = largest[oid]
        yield replace(row, oid=oid, schema=table.schema, table=table.name)


def _pages(table: Table) -> int:
    return table.pages + (table.toast_pages or 0)


def _added(
    one: Sequence[days.DatedValue], other: Sequence[days.DatedValue]
) -> list[days.DatedValue]:
    """Add up the values of the same times."""
    more = dict(other)
    return [(at, None if value is None else value + (more.get(at) or 0.0)) for at, value in one]


def _sequences(past: _Past) -> Iterator[Forecast]:
    """Yield sequences with the nearest end: their own, or that of a column that they feed."""
    near = dict(_near_their_end(past.snapshot))
    for oid, points in past.of("sequence_value", frozenset(near)):
        clock, end = near[oid]
        # one that counts down is seen in a mirror
        sign = 1 if clock.is_ascending else -1
        way = [(at, None if value is None else sign * value) for at, value in points]
        weeks = _PREDICTED if clock.is_ascending else ()
        told = forecast(way, past.snapshot.now, sign * end, is_counter=True, weeks_ahead=weeks)
        row = _ahead(_row("sequence", "values", sign * _last(way), float(end), told), told, weeks)
        own = clock.sequence
        yield replace(row, oid=oid, schema=own.schema, sequence=own.name)


def _near_their_end(snapshot: Snapshot) -> Iterator[tuple[int, tuple[sq.SequencePosition, int]]]:
    ends = _ends_by_columns(snapshot)
    for sequence in snapshot.sequences:
        clock = sq.SequencePosition(sequence)
        if clock.position is None or not sequence.increment:
            continue
        candidates = ends.get(sequence.oid, [])
        # one that cycles does not end, but the columns that it feeds may end first
        candidates = [e for e in candidates if clock.comes_before(e, clock.own_end)]
        if not sequence.is_cycling:
            candidates.append(clock.own_end)
        if not candidates:
            continue
        end = min(candidates) if clock.is_ascending else max(candidates)
        if clock.share(end) >= _LEAST_SHARE:
            yield sequence.oid, (clock, end)


def _ends_by_columns(snapshot: Snapshot) -> dict[int, list[int]]:
    """Return the last values of the columns, and of foreign keys to them, that a sequence feeds."""
    feeds = sq.Feeds(snapshot)
    fed = [*feeds.direct.items(), *((key, clock) for key, (_, clock) in feeds.by_reference.items())]
    found: dict[int, list[int]] = {}
    for key, clock in fed:
        column = snapshot.column_by_key.get(key)
        end = clock.end_in(column) if column is not None else None
        if end is not None:
            found.setdefault(clock.sequence.oid, []).append(end)
    return found


def _connections(past: _Past) -> Iterator[Forecast]:
    room = _available(past.snapshot)
    for _, points in past.of("connections"):
        told = of_days(days.peaks(points, past.snapshot.now), past.snapshot.now, room)
        yield _row("connections", "connections", _last(points), room, told)


def _available(snapshot: Snapshot) -> float | None:
    """Return the number of connections that ordinary roles can open."""
    most = snapshot.setting_number("max_connections")
    reserved = ("superuser_reserved_connections", "reserved_connections")
    return None if most is None else most - sum(snapshot.setting_number(n) or 0 for n in reserved)


def _wal(past: _Past) -> Iterator[Forecast]:
    for _, points in past.of("wal_position"):
        now = past.snapshot.now
        told = forecast(points, now, None, is_counter=True, weeks_ahead=_PREDICTED)
        yield _ahead(_row("wal", "bytes", _last(points), None, told), told, _PREDICTED)


def _xids(past: _Past) -> Iterator[Forecast]:
    """Yield the age of the database only if freezing is late: otherwise it goes up and down."""
    database, due = past.snapshot.database, past.snapshot.setting_number(_FREEZE_AGE)
    if database is None or due is None or database.xid_age_xids < _FREEZING_IS_LATE * due:
        return
    for _, points in past.of("xid_age"):
        told = forecast(points, past.snapshot.now, _LAST_XID_AGE, is_counter=True)
        yield _row("xids", "xids", _last(points), float(_LAST_XID_AGE), told)


# --- rows ---------------------------------------------------------------------------------------


def _row(
    kind: str, unit: str, value: float, limit: float | None, told: Outlook | Untold
) -> Forecast:
    row = Forecast(kind, 0, unit, value, limit, told.points)
    if isinstance(told, Untold):
        return replace(row, reason=told.reason, told_at=told.told_at)
    low, middle, high = told.pace
    reached_low, reached, reached_high = told.reached
    return replace(
        row,
        pace_low=low,
        pace=middle,
        pace_high=high,
        reached_low=reached_low,
        reached=reached,
        reached_high=reached_high,
        begins=told.begins,
        as_of=told.ends,
        note="; ".join(told.notes),
    )


def _ahead(row: Forecast, told: Outlook | Untold, weeks: tuple[int, ...]) -> Forecast:
    if isinstance(told, Untold) or not weeks:
        return row
    low, middle, high = zip(*told.ahead, strict=True)
    return replace(row, weeks_ahead=weeks, ahead_low=low, ahead=middle, ahead_high=high)


def _last(points: Sequence[days.DatedValue]) -> float:
    return next((value for _, value in reversed(points) if value is not None), 0.0)
