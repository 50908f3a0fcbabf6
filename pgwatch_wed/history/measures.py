"""Numbers over time: sizes, rows, positions of sequences, connections, WAL.

A number is stored when it changes. Kinds that count what happened between two runs are stored for each interval.
"""

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from pgwatch_wed.facts import Snapshot
from pgwatch_wed.history import months
from pgwatch_wed.history.schema import measures, series, snapshots
from pgwatch_wed.history.snapshots import StoredSnapshot

_LARGEST = 1_000
"""Of this many tables, the largest, numbers are kept; also of as many sequences."""

COUNTED = ("table_writes", "table_seq_rows", "rows_written", "sessions")
"""Kinds that count what happened in the interval that ends at the time."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What a number is about. ``oid`` is 0 for the database itself, ``of_server`` for the whole server."""

    kind: str
    oid: int = 0
    name: str = ""
    of_server: bool = False


@dataclass(frozen=True, slots=True)
class Point:
    """A number at a time; None if it was not known."""

    at: datetime
    value: float | None


@dataclass(frozen=True, slots=True)
class Series:
    """The numbers of one subject, oldest first: one for each run since it was first known."""

    subject: Subject
    points: tuple[Point, ...]


def write(
    connection: sa.Connection,
    stored: StoredSnapshot,
    snapshot: Snapshot,
    difference: Snapshot | None,
) -> None:
    """Store what a snapshot says, and what was counted since the one before."""
    found = dict(_states(snapshot))
    if difference is not None:
        found |= dict(_counts(difference))
    ids = _ids(connection, stored, found)
    last = _last_values(connection, stored)
    values = {ids[subject]: value for subject, value in found.items()}
    counted = {ids[subject] for subject in found if subject.kind in COUNTED}
    # What was known until now and is not any more has ended.
    gone = dict.fromkeys(last.keys() - values.keys())
    rows = [
        {
            "cluster_id": stored.cluster_id,
            "taken_at": stored.taken_at,
            "series_id": number,
            "value": value,
        }
        for number, value in sorted({**values, **gone}.items())
        if number in counted or number not in last or last[number] != value
    ]
    if rows:
        months.ensure(connection, ("measures",), stored.taken_at)
        # databases that were read together share the server's numbers
        connection.execute(_insert(connection, measures).on_conflict_do_nothing(), rows)


def _insert(connection: sa.Connection, table: sa.Table) -> Any:
    return (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(table)


def rewrite_counted(
    connection: sa.Connection,
    stored: StoredSnapshot,
    snapshot: Snapshot,
    difference: Snapshot | None,
) -> None:
    """Store anew what a run says, after one was put before it: what was counted, and what changed."""
    mine = sa.select(series.c.id).where(
        series.c.cluster_id == stored.cluster_id,
        series.c.database_id.in_((0, stored.database_id)),
    )
    connection.execute(
        measures.delete().where(
            measures.c.cluster_id == stored.cluster_id,
            measures.c.taken_at == stored.taken_at,
            measures.c.series_id.in_(mine),
        )
    )
    write(connection, stored, snapshot, difference)


# --- what is stored -----------------------------------------------------------------------------


def _states(snapshot: Snapshot) -> Iterator[tuple[Subject, float]]:
    block = snapshot.server.block_size
    largest = sorted(snapshot.tables, key=lambda t: (-_pages(t), t.oid))[:_LARGEST]
    indexes = snapshot.indexes_of
    activity = snapshot.activity_by_oid
    for t in largest:
        if t.kind == "p":
            continue
        yield Subject("table_bytes", t.oid, t.qualified), float(_pages(t) * block)
        index_pages = sum(i.pages for i in indexes.get(t.oid, ()))
        yield Subject("indexes_bytes", t.oid, t.qualified), float(index_pages * block)
        if t.oid in activity:
            yield Subject("live_rows", t.oid, t.qualified), float(activity[t.oid].n_live_tup)
            yield Subject("dead_rows", t.oid, t.qualified), float(activity[t.oid].n_dead_tup)
    if "tables" not in snapshot.missing and "indexes" not in snapshot.missing:
        pages = sum(map(_pages, snapshot.tables)) + sum(i.pages for i in snapshot.indexes)
        yield Subject("relations_bytes"), float(pages * block)
    for s in sorted(snapshot.sequences, key=lambda s: s.oid)[:_LARGEST]:
        if s.last_value is not None:
            yield Subject("sequence_value", s.oid, f"{s.schema}.{s.name}"), float(s.last_value)
    if snapshot.database is not None:
        yield Subject("xid_age"), float(snapshot.database.xid_age_xids)
    yield from _server_states(snapshot)


def _pages(table: object) -> int:
    pages: int = table.pages + (table.toast_pages or 0)  # type: ignore[attr-defined]
    return pages


def _server_states(snapshot: Snapshot) -> Iterator[tuple[Subject, float]]:
    backends = [d.num_backends for d in snapshot.databases if d.num_backends is not None]
    if backends:
        yield Subject("connections", of_server=True), float(sum(backends))
    for w in snapshot.wal:
        if w.lsn_bytes is not None:
            # a position: it survives resets, and its difference is the volume
            yield Subject("wal_position", of_server=True), float(w.lsn_bytes)


def _counts(difference: Snapshot) -> Iterator[tuple[Subject, float]]:
    tables = difference.table_by_oid
    largest = sorted(
        (a for a in difference.table_activity if a.oid in tables),
        key=lambda a: (-(a.n_tup_ins + a.n_tup_upd + a.n_tup_del + a.seq_tup_read), a.oid),
    )[:_LARGEST]
    for a in largest:
        name = tables[a.oid].qualified
        writes = a.n_tup_ins + a.n_tup_upd + a.n_tup_del
        yield Subject("table_writes", a.oid, name), float(writes)
        yield Subject("table_seq_rows", a.oid, name), float(a.seq_tup_read)
    if difference.database is not None and difference.database.sessions is not None:
        yield Subject("sessions"), float(difference.database.sessions)


# --- dimensions ---------------------------------------------------------------------------------


def _ids(
    connection: sa.Connection, stored: StoredSnapshot, wanted: Mapping[Subject, float]
) -> dict[Subject, int]:
    known = _known(connection, stored.cluster_id, stored.database_id)
    new = [
        {
            "cluster_id": stored.cluster_id,
            "database_id": 0 if subject.of_server else stored.database_id,
            "kind": subject.kind,
            "object_oid": subject.oid,
            "object_name": subject.name,
        }
        for subject in wanted
        if _key(subject) not in known
    ]
    if new:
        connection.execute(series.insert(), new)
        known = _known(connection, stored.cluster_id, stored.database_id)
    return {subject: known[_key(subject)] for subject in wanted}


def _key(subject: Subject) -> tuple[bool, str, int, str]:
    # a renamed table goes on
    return subject.of_server, subject.kind, subject.oid, "" if subject.oid else subject.name


def _known(
    connection: sa.Connection, cluster_id: int, database_id: int
) -> dict[tuple[bool, str, int, str], int]:
    return {
        _key(subject): number for number, subject in _subjects(connection, cluster_id, database_id)
    }


def _subjects(
    connection: sa.Connection, cluster_id: int, database_id: int
) -> Iterator[tuple[int, Subject]]:
    query = sa.select(series).where(
        series.c.cluster_id == cluster_id, series.c.database_id.in_((0, database_id))
    )
    for row in connection.execute(query.order_by(series.c.id)):
        subject = Subject(row.kind, row.object_oid, row.object_name, row.database_id == 0)
        yield int(row.id), subject


def _last_values(connection: sa.Connection, stored: StoredSnapshot) -> dict[int, float]:
    """Return the last known numbers before a time, by series; those that ended are left out."""
    numbers = [n for n, s in _subjects(connection, stored.cluster_id, stored.database_id)]
    newest = (
        sa.select(measures.c.series_id, sa.func.max(measures.c.taken_at).label("taken_at"))
        .where(
            measures.c.series_id.in_(
                sa.select(series.c.id).where(
                    series.c.cluster_id == stored.cluster_id,
                    series.c.database_id.in_((0, stored.database_id)),
                )
            ),
            measures.c.taken_at < stored.taken_at,
        )
        .group_by(measures.c.series_id)
        .subquery()
    )
    query = sa.select(measures.c.series_id, measures.c.value).join(
        newest,
        (measures.c.series_id == newest.c.series_id) & (measures.c.taken_at == newest.c.taken_at),
    )
    found = {int(r.series_id): r.value for r in connection.execute(query) if r.value is not None}
    return {n: found[n] for n in numbers if n in found}


# --- reading ------------------------------------------------------------------------------------


def read(
    connection: sa.Connection,
    cluster_id: int,
    database_id: int,
    kind: str,
    since: datetime | None = None,
    until: datetime | None = None,
    oids: Container[int] | None = None,
) -> tuple[Series, ...]:
    """Return the series of a kind, or only those of some objects.

    A number that did not change is repeated for each run; a kind of :data:`COUNTED` has only the
    intervals in which something is known.
    """
    subjects = [(n, s) for n, s in _subjects(connection, cluster_id, database_id) if s.kind == kind]
    subjects = [(n, s) for n, s in subjects if oids is None or s.oid in oids]
    times = [] if kind in COUNTED else _times(connection, cluster_id, database_id, subjects)
    return tuple(
        Series(
            subject,
            tuple(p for p in _points(connection, number, times) if _is_within(p, since, until)),
        )
        for number, subject in subjects
    )


def _is_within(point: Point, since: datetime | None, until: datetime | None) -> bool:
    return (since is None or point.at >= since) and (until is None or point.at <= until)


def _times(
    connection: sa.Connection,
    cluster_id: int,
    database_id: int,
    subjects: list[tuple[int, Subject]],
) -> list[datetime]:
    of_server = any(s.of_server for _, s in subjects)
    mine = (
        snapshots.c.cluster_id == cluster_id
        if of_server
        else snapshots.c.database_id == database_id
    )
    query = sa.select(snapshots.c.taken_at).where(mine).distinct()
    return list(connection.execute(query.order_by(snapshots.c.taken_at)).scalars())


def _points(connection: sa.Connection, number: int, times: list[datetime]) -> Iterator[Point]:
    query = sa.select(measures.c.taken_at, measures.c.value).where(measures.c.series_id == number)
    changes = list(connection.execute(query.order_by(measures.c.taken_at)))
    if not times:
        yield from (Point(row.taken_at, row.value) for row in changes)
        return
    current: float | None = None
    begun = 0
    for moment in times:
        while begun < len(changes) and changes[begun].taken_at <= moment:
            current = changes[begun].value
            begun += 1
        if begun:
            yield Point(moment, current)
