"""The series and facts of a history from the form of its first version into that of the second, and back."""

import hashlib
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from heapq import merge
from itertools import chain, groupby
from operator import itemgetter
from typing import Any

import sqlalchemy as sa

from pgwatch_wed.facts import columns, documents
from pgwatch_wed.history import blobs as stored
from pgwatch_wed.history import months
from pgwatch_wed.history.measures import COUNTED, packed, unpacked
from pgwatch_wed.history.schema import (
    SCHEMA,
    Instant,
    blobs,
    collections,
    numbers,
    runs,
    snapshots,
    statement_work,
    statements,
    subjects,
)
from pgwatch_wed.history.work_rows import StatementInterval, all_in, written

_AT_A_TIME = 5_000
_STATEMENT_COLUMNS = (
    *("statement_id", "calls", "exec_ms", "squares_ms2", "min_ms", "max_ms", "rows"),
    *("blocks_hit", "blocks_read", "temp_blocks", "wal_bytes", "plan_hash"),
)
_old = sa.MetaData()
_old_statements = sa.Table(
    "statement_intervals",
    _old,
    sa.Column("cluster_id", sa.BigInteger),
    sa.Column("ended_at", Instant),
    sa.Column("began_at", Instant),
    *map(sa.Column, _STATEMENT_COLUMNS),
)
_old_series = sa.Table(
    "series",
    _old,
    *map(sa.Column, ("id", "cluster_id", "database_id", "kind", "object_oid", "object_name")),
)
_old_measures = sa.Table(
    "measures",
    _old,
    sa.Column("cluster_id", sa.BigInteger),
    sa.Column("taken_at", Instant),
    sa.Column("series_id", sa.BigInteger),
    sa.Column("value", sa.Float),
)


def pack_series(connection: sa.Connection) -> None:
    """Write the packed series of what rows tell."""
    _pack_statements(connection)
    _pack_subjects(connection)
    for cluster_id, database_id in _places(connection):
        _pack_numbers(connection, cluster_id, database_id)


def unpack_series(connection: sa.Connection) -> None:
    """Write rows of what packed series tell."""
    _unpack_statements(connection)
    _unpack_numbers(connection)


# --- statements -----------------------------------------------------------------------------------


def _pack_statements(connection: sa.Connection) -> None:
    t = _old_statements.c
    query = (
        sa.select(_old_statements, statements.c.database_id)
        .join(statements, statements.c.id == t.statement_id)
        .order_by(t.cluster_id, statements.c.database_id, t.ended_at)
        .execution_options(yield_per=_AT_A_TIME)
    )
    found = connection.execute(query)
    for key, rows in groupby(found, lambda r: (r.cluster_id, r.database_id, r.ended_at)):
        own = dict(zip(("cluster_id", "database_id", "ended_at"), key, strict=True))
        months.ensure(connection, ("statement_work",), own["ended_at"])
        data = written(map(_interval, rows))
        connection.execute(statement_work.insert().values(**own, data=data))


def _interval(row: Any) -> StatementInterval:
    own = {name: getattr(row, name) for name in _STATEMENT_COLUMNS}
    return StatementInterval(began_at=row.began_at, ended_at=row.ended_at, **own)


def _unpack_statements(connection: sa.Connection) -> None:
    t = statement_work.c
    for key in connection.execute(sa.select(t.cluster_id, t.database_id, t.ended_at)).all():
        mine = (t.cluster_id == key[0], t.database_id == key[1], t.ended_at == key[2])
        data = connection.execute(sa.select(t.data).where(*mine)).scalar_one()
        months.create(connection, "statement_intervals", key.ended_at)
        _insert(
            connection,
            _old_statements,
            (
                {
                    "cluster_id": key.cluster_id,
                    "began_at": row.began_at,
                    "ended_at": row.ended_at,
                    **{name: getattr(row, name) for name in _STATEMENT_COLUMNS},
                }
                for row in all_in(data, key.ended_at)
            ),
        )


def _insert(connection: sa.Connection, table: Any, rows: Iterable[Mapping[str, Any]]) -> None:
    found = list(rows)
    if found:
        connection.execute(sa.insert(table), found)


# --- numbers --------------------------------------------------------------------------------------


def _pack_subjects(connection: sa.Connection) -> None:
    names: dict[tuple[int, int, int], str] = {}
    for row in connection.execute(sa.select(_old_series).order_by(_old_series.c.id)):
        if row.object_oid:
            names.setdefault((row.cluster_id, row.database_id, row.object_oid), row.object_name)
    keys = ("cluster_id", "database_id", "oid", "name")
    _insert(
        connection,
        subjects,
        (dict(zip(keys, (*key, name), strict=True)) for key, name in names.items()),
    )


def _places(connection: sa.Connection) -> list[tuple[int, int]]:
    s = _old_series.c
    rows = connection.execute(sa.select(s.cluster_id, s.database_id).distinct())
    return sorted((int(row.cluster_id), int(row.database_id)) for row in rows)


def _pack_numbers(connection: sa.Connection, cluster_id: int, database_id: int) -> None:
    """Write all numbers for each time at which a run was taken, or one of them changed."""
    s = _old_series.c
    mine = (s.cluster_id == cluster_id, s.database_id == database_id)
    about = {
        row.id: (row.kind, row.object_oid)
        for row in connection.execute(sa.select(s.id, s.kind, s.object_oid).where(*mine))
    }
    changes = _changes(connection, mine)
    runs_: _Changes = ((moment, []) for moment in _taken(connection, cluster_id, database_id))
    current: dict[str, dict[int, float]] = defaultdict(dict)
    for moment, parts in groupby(merge(runs_, changes, key=itemgetter(0)), itemgetter(0)):
        for kind in COUNTED:
            current[kind] = {}
        for number, value in chain.from_iterable(part for _, part in parts):
            kind, oid = about[number]
            current[kind].pop(oid, None)
            if value is not None:
                current[kind][oid] = value
        own = {"cluster_id": cluster_id, "database_id": database_id, "taken_at": moment}
        months.ensure(connection, ("numbers",), moment)
        _insert(
            connection,
            numbers,
            ({**own, "kind": k, "data": packed(v)} for k, v in current.items() if v),
        )


_Changes = Iterator[tuple[datetime, list[tuple[int, float | None]]]]


def _changes(connection: sa.Connection, mine: tuple[Any, ...]) -> _Changes:
    m = _old_measures.c
    query = (
        sa.select(m.taken_at, m.series_id, m.value)
        .join(_old_series, _old_series.c.id == m.series_id)
        .where(*mine)
        .order_by(m.taken_at)
        .execution_options(yield_per=_AT_A_TIME)
    )
    for moment, rows in groupby(connection.execute(query), lambda r: r.taken_at):
        yield moment, [(row.series_id, row.value) for row in rows]


def _taken(connection: sa.Connection, cluster_id: int, database_id: int) -> list[datetime]:
    query = sa.select(snapshots.c.taken_at).where(snapshots.c.cluster_id == cluster_id)
    if database_id:
        query = query.where(snapshots.c.database_id == database_id)
    return sorted(connection.execute(query.distinct()).scalars())


def _unpack_numbers(connection: sa.Connection) -> None:
    n = numbers.c
    names = {
        (row.cluster_id, row.database_id, row.oid): row.name
        for row in connection.execute(sa.select(subjects))
    }
    ids: dict[tuple[int, int, str, int], int] = {}
    kinds = sa.select(n.cluster_id, n.database_id, n.kind).distinct()
    for place in sorted(tuple(row) for row in connection.execute(kinds)):
        _unpack_kind(connection, place, ids)
    keys = ("cluster_id", "database_id", "kind", "object_oid", "object_name", "id")
    _insert(
        connection,
        _old_series,
        (
            dict(zip(keys, (*key, names.get((key[0], key[1], key[3]), ""), number), strict=True))
            for key, number in ids.items()
        ),
    )
    if ids and connection.dialect.name == "postgresql":
        connection.exec_driver_sql(
            f"SELECT setval(pg_get_serial_sequence('{SCHEMA}.series', 'id'), {len(ids)})"
        )


def _unpack_kind(
    connection: sa.Connection, place: Any, ids: dict[tuple[int, int, str, int], int]
) -> None:
    """Write a row when a number changes, or for each of what is counted."""
    n = numbers.c
    mine = (n.cluster_id == place[0], n.database_id == place[1], n.kind == place[2])
    query = sa.select(n.taken_at, n.data).where(*mine).order_by(n.taken_at)
    last: dict[int, float] = {}
    for moment, data in connection.execute(query).all():
        values = unpacked(data)
        changed: dict[int, float | None] = {o: v for o, v in values.items() if last.get(o) != v}
        changed |= dict.fromkeys(last.keys() - values.keys())
        last = {} if place[2] in COUNTED else values
        own = {"cluster_id": place[0], "taken_at": moment}
        months.create(connection, "measures", moment)
        _insert(
            connection,
            _old_measures,
            (
                {**own, "series_id": ids.setdefault((*place, oid), len(ids) + 1), "value": value}
                for oid, value in changed.items()
            ),
        )


# --- facts ----------------------------------------------------------------------------------------


def unpack_blobs(connection: sa.Connection) -> None:
    """Store whole and under the address of its compressed form what is kept in another way."""
    _order_statements(connection)
    for address in list(connection.execute(sa.select(blobs.c.hash)).scalars()):
        _readdress(connection, address)
    connection.execute(blobs.delete().where(blobs.c.base.is_not(None)))


def _order_statements(connection: sa.Connection) -> None:
    c = collections.c
    query = sa.select(c.snapshot_id, c.hash).where(c.name == stored.BY_KEY)
    for number, address in connection.execute(query).all():
        mine = (c.snapshot_id == number, c.name == stored.BY_KEY)
        again = documents.text(columns.document(stored.in_order(connection, address)))
        connection.execute(
            collections.update()
            .where(*mine)
            .values(name="statements", hash=stored.put(connection, again))
        )


def _readdress(connection: sa.Connection, address: str) -> None:
    row = connection.execute(sa.select(blobs).where(blobs.c.hash == address)).one()
    if row.base is None and hashlib.sha256(row.data).hexdigest()[:32] == address:
        return
    content = stored.get(connection, address)
    is_facts = content.startswith(b'{"rows":')
    data = documents.pack(content) if is_facts else zlib.compress(content)
    new = hashlib.sha256(data).hexdigest()[:32]
    if connection.execute(sa.select(blobs.c.hash).where(blobs.c.hash == new)).first() is None:
        connection.execute(blobs.insert().values(hash=new, data=data))
    for column in (collections.c.hash, snapshots.c.server, runs.c.report):
        holder = column.table
        assert isinstance(holder, sa.Table)
        connection.execute(holder.update().where(column == address).values({column.name: new}))
