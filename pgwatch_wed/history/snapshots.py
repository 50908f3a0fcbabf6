"""Snapshots in the history: one row each, and the addresses of what they hold."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from pgwatch_wed.errors import HistoryError
from pgwatch_wed.facts import Cause, Missing, Snapshot
from pgwatch_wed.facts.fields import fact_names
from pgwatch_wed.history import blobs
from pgwatch_wed.history.schema import collections, snapshots


@dataclass(frozen=True, slots=True)
class StoredSnapshot:
    """A snapshot in the history, not decoded."""

    id: int
    run_id: int
    cluster_id: int
    database_id: int
    taken_at: datetime
    tool_version: str
    measured_since: datetime | None
    server: str
    missing: Mapping[str, Any]


def add(
    connection: sa.Connection, snapshot: Snapshot, run_id: int, cluster_id: int, database_id: int
) -> StoredSnapshot:
    """Store a snapshot; what an earlier one holds too is not stored again."""
    values: dict[str, Any] = {
        "run_id": run_id,
        "cluster_id": cluster_id,
        "database_id": database_id,
        "taken_at": snapshot.now,
        "tool_version": snapshot.tool_version,
        "measured_since": snapshot.measured_since,
        "server": blobs.put_server(connection, snapshot.server),
        "missing": {name: asdict(why) for name, why in sorted(snapshot.missing.items())},
    }
    key = connection.execute(snapshots.insert().values(**values)).inserted_primary_key
    assert key is not None
    earlier = before(connection, database_id, snapshot.now)
    parts = blobs.put_facts(
        connection,
        {n: getattr(snapshot, n) for n in fact_names()},
        {} if earlier is None else addresses(connection, earlier),
    )
    rows = [{"snapshot_id": key[0], "name": n, "hash": address} for n, address in parts.items()]
    if rows:
        connection.execute(collections.insert(), rows)
    return StoredSnapshot(id=int(key[0]), **values)


def of_run(connection: sa.Connection, run_id: int) -> tuple[StoredSnapshot, ...]:
    """Return the snapshots of a run, in the order in which they were stored."""
    return _select(connection, snapshots.c.run_id == run_id, order=snapshots.c.id)


def of_database(
    connection: sa.Connection,
    database_id: int,
    since: datetime | None = None,
    until: datetime | None = None,
) -> tuple[StoredSnapshot, ...]:
    """Return the snapshots of a database, oldest first; both times are included."""
    conditions = [snapshots.c.database_id == database_id]
    if since is not None:
        conditions.append(snapshots.c.taken_at >= since)
    if until is not None:
        conditions.append(snapshots.c.taken_at <= until)
    return _select(connection, *conditions, order=snapshots.c.taken_at)


def newest(connection: sa.Connection, database_id: int) -> StoredSnapshot | None:
    """Return the last snapshot of a database."""
    mine = snapshots.c.database_id == database_id
    return _first(connection, mine, order=snapshots.c.taken_at.desc())


def before(connection: sa.Connection, database_id: int, moment: datetime) -> StoredSnapshot | None:
    """Return the last snapshot of a database before a moment."""
    mine = (snapshots.c.database_id == database_id, snapshots.c.taken_at < moment)
    return _first(connection, *mine, order=snapshots.c.taken_at.desc())


def after(connection: sa.Connection, database_id: int, moment: datetime) -> StoredSnapshot | None:
    """Return the first snapshot of a database after a moment."""
    mine = (snapshots.c.database_id == database_id, snapshots.c.taken_at > moment)
    return _first(connection, *mine, order=snapshots.c.taken_at)


def nearest(connection: sa.Connection, cluster_id: int, moment: datetime) -> StoredSnapshot | None:
    """Return the last snapshot of a cluster up to a moment, or else the first after it."""
    mine = snapshots.c.cluster_id == cluster_id
    earlier = snapshots.c.taken_at <= moment
    found = _first(connection, mine, earlier, order=snapshots.c.taken_at.desc())
    return found or _first(connection, mine, ~earlier, order=snapshots.c.taken_at)


def read(
    connection: sa.Connection, stored: StoredSnapshot, wanted: Iterable[str] | None = None
) -> Snapshot:
    """Return a snapshot with the wanted collections of facts, or with all.

    Raises :class:`HistoryError` if a part is gone or damaged.
    """
    names = fact_names() if wanted is None else tuple(wanted)
    return Snapshot(
        tool_version=stored.tool_version,
        server=blobs.get_server(connection, stored.server),
        measured_since=stored.measured_since,
        missing=_missing(stored.missing),
        **blobs.get_facts(connection, addresses(connection, stored), names),
    )


def addresses(connection: sa.Connection, stored: StoredSnapshot) -> dict[str, str]:
    """Return where the parts of a snapshot are, without reading them."""
    c = collections.c
    rows = connection.execute(sa.select(c.name, c.hash).where(c.snapshot_id == stored.id))
    return {row.name: row.hash for row in rows}


def _missing(document: Mapping[str, Any]) -> dict[str, Missing]:
    try:
        return {
            name: Missing(why["reason"], why["mend"], _cause(why["cause"]), why["said"])
            for name, why in document.items()
        }
    except (KeyError, TypeError, AttributeError):
        raise HistoryError("what a run could not read is damaged") from None


def _cause(text: str) -> Cause:
    return Cause(text) if text in Cause.__members__.values() else Cause.OTHER


def _first(connection: sa.Connection, *conditions: Any, order: Any) -> StoredSnapshot | None:
    found = _select(connection, *conditions, order=order, limit=1)
    return found[0] if found else None


def _select(
    connection: sa.Connection, *conditions: Any, order: Any, limit: int | None = None
) -> tuple[StoredSnapshot, ...]:
    query = sa.select(snapshots).where(*conditions).order_by(order, snapshots.c.id).limit(limit)
    return tuple(StoredSnapshot(**row._mapping) for row in connection.execute(query))  # noqa: SLF001 - public, in spite of its name
