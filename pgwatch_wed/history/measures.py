"""Numbers over time: sizes, rows, positions of sequences, connections, WAL.

The numbers of one kind at one time are packed together, by the oid of the object: those that are not there were not known.
"""

from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from pgwatch_wed.facts import Snapshot
from pgwatch_wed.history import months
from pgwatch_wed.history.packed import Packed, pack
from pgwatch_wed.history.schema import numbers, subjects
from pgwatch_wed.history.snapshots import StoredSnapshot

_LARGEST = 1_000
"""Of this many tables, the largest, numbers are kept; also of as many sequences."""

_OF_SERVER = frozenset(("connections", "wal_position"))
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
    """The numbers of one subject, oldest first: one for each run, from the first on in which it was known."""

    subject: Subject
    points: tuple[Point, ...]


def write(
    connection: sa.Connection,
    stored: StoredSnapshot,
    snapshot: Snapshot,
    difference: Snapshot | None,
) -> None:
    """Store what a snapshot says, and what was counted since the one before."""
    _put(connection, stored, _states(snapshot))
    if difference is not None:
        _put(connection, stored, _counts(difference))


def _put(
    connection: sa.Connection, stored: StoredSnapshot, found: Iterable[tuple[Subject, float]]
) -> None:
    by_kind: dict[str, dict[int, float]] = defaultdict(dict)
    names: dict[int, str] = {}
    for subject, value in found:
        by_kind[subject.kind][subject.oid] = value
        if subject.oid:
            names[subject.oid] = subject.name
    _name(connection, stored, names)
    rows = [
        {
            "cluster_id": stored.cluster_id,
            "database_id": _place(kind, stored.database_id),
            "kind": kind,
            "taken_at": stored.taken_at,
            "data": packed(values),
        }
        for kind, values in by_kind.items()
    ]
    if rows:
        months.ensure(connection, ("numbers",), stored.taken_at)
        # the same moment may have been read twice
        connection.execute(_insert(connection, numbers).on_conflict_do_nothing(), rows)


def _place(kind: str, database_id: int) -> int:
    return 0 if kind in _OF_SERVER else database_id


def packed(values: Mapping[int, float]) -> bytes:
    """Return the numbers of a kind as bytes."""
    return pack("qd", sorted(values.items()))


def unpacked(data: bytes) -> dict[int, float]:
    """Return the numbers of a kind by oid."""
    return dict(Packed(data).rows())


def _insert(connection: sa.Connection, table: sa.Table) -> Any:
    return (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(table)


def _name(connection: sa.Connection, stored: StoredSnapshot, names: Mapping[int, str]) -> None:
    """Remember how objects are called; a renamed table goes on."""
    known = _names(connection, stored.cluster_id, stored.database_id)
    own = {"cluster_id": stored.cluster_id, "database_id": stored.database_id}
    new = [{**own, "oid": oid, "name": names[oid]} for oid in sorted(names.keys() - known.keys())]
    if new:
        connection.execute(subjects.insert(), new)


def _names(connection: sa.Connection, cluster_id: int, database_id: int) -> dict[int, str]:
    query = sa.select(subjects.c.oid, subjects.c.name).where(
        subjects.c.cluster_id == cluster_id, subjects.c.database_id == database_id
    )
    return {int(row.oid): row.name for row in connection.execute(query)}


def rewrite_counted(
    connection: sa.Connection, stored: StoredSnapshot, difference: Snapshot | None
) -> None:
    """Store anew what was counted before a run, after another one was put before it."""
    connection.execute(
        numbers.delete().where(
            numbers.c.cluster_id == stored.cluster_id,
            numbers.c.database_id == stored.database_id,
            numbers.c.kind.in_(COUNTED),
            numbers.c.taken_at == stored.taken_at,
        )
    )
    if difference is not None:
        _put(connection, stored, _counts(difference))


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

    A kind of :data:`COUNTED` has only the intervals in which something is known.
    """
    place = _place(kind, database_id)
    mine = (numbers.c.cluster_id == cluster_id, numbers.c.database_id == place)
    span = _within(since, until)
    query = sa.select(numbers.c.taken_at, numbers.c.data).where(
        *mine, numbers.c.kind == kind, *span
    )
    points: dict[int, list[Point]] = {}
    known = {row.taken_at: row.data for row in connection.execute(query)}
    times = set(known)
    if kind not in COUNTED:
        times |= set(
            connection.execute(sa.select(numbers.c.taken_at).where(*mine, *span)).scalars()
        )
    for moment in sorted(times):
        values = unpacked(known[moment]) if moment in known else {}
        for oid, value in values.items():
            if oids is None or oid in oids:
                points.setdefault(oid, []).append(Point(moment, value))
        if kind not in COUNTED:
            for oid in points.keys() - values.keys():
                points[oid].append(Point(moment, None))
    names = _names(connection, cluster_id, place)
    return tuple(
        Series(Subject(kind, oid, names.get(oid, ""), kind in _OF_SERVER), tuple(points[oid]))
        for oid in sorted(points)
    )


def _within(since: datetime | None, until: datetime | None) -> list[sa.ColumnElement[bool]]:
    conditions = [] if since is None else [numbers.c.taken_at >= since]
    return conditions if until is None else [*conditions, numbers.c.taken_at <= until]
