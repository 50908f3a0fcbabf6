"""Whose run it is: which cluster and database of the history a snapshot continues.

The system identifier tells that the data is the same, not that the server is: a standby, a clone and a
restored backup have it too, and become clusters of their own, unless they took over under the same name.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import sqlalchemy as sa

from pgwatch_wed.errors import DeltaError, HistoryError, HistoryPlaceError
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.facts.lineage import lineage, takes_over
from pgwatch_wed.history import snapshots as stored
from pgwatch_wed.history import turns
from pgwatch_wed.history.schema import clusters, databases
from pgwatch_wed.history.schema import snapshots as table
from pgwatch_wed.history.turns import Turn

_EVIDENCE = ("settings", "checkpoints", "wal", "archiver", "slru")
"""What :func:`lineage` compares; after an upgrade also the tables."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A cluster and a database in the history."""

    cluster_id: int
    database_id: int


def identify(connection: sa.Connection, snapshot: Snapshot) -> Identity | None:
    """Return what the snapshot continues, or None if it is the first of its kind."""
    cluster_id = _cluster(connection, snapshot)
    if cluster_id is None:
        return None
    database_id = _known_database(connection, cluster_id, snapshot)
    return Identity(cluster_id, database_id) if database_id is not None else None


def hold(connection: sa.Connection, snapshot: Snapshot, earlier: Sequence[int] = ()) -> int | None:
    """Return the cluster that the snapshot continues, or None if it is new; nobody else writes about it until the end.

    ``earlier`` are the clusters that were read under the same name, the last one first: a primary with the data of one of
    them, which took over from its server, goes on with it. Without a name, a clone could not be told from it.
    """
    found = _cluster_or_heir(connection, snapshot, earlier)
    if found is None and connection.dialect.name == "postgresql":
        # two may find it at once, and it must not become two
        turns.wait_for(connection, Turn.NEWCOMER, f"id {snapshot.server.system_identifier}")
        turns.wait_for(connection, Turn.NEWCOMER, f"place {label_of(snapshot)}")
        found = _cluster_or_heir(connection, snapshot, earlier)
    if found is not None and not turns.is_free(connection, Turn.CLUSTER, found):
        turns.wait_for(connection, Turn.CLUSTER, found)
        return hold(connection, snapshot, earlier)  # it has got one more run
    return found


def register(connection: sa.Connection, snapshot: Snapshot, cluster_id: int | None) -> Identity:
    """Return what the snapshot continues, or begin a history for it.

    ``cluster_id`` is what :func:`hold` returned, or that of another database that was read in the same run.
    """
    server = snapshot.server
    if cluster_id is None:
        row = clusters.insert().values(
            system_identifier=server.system_identifier,
            label=label_of(snapshot),
            first_seen=snapshot.now,
        )
        cluster_id = _id(connection.execute(row))
        turns.wait_for(connection, Turn.CLUSTER, cluster_id)
    else:
        connection.execute(
            clusters.update()
            .where(clusters.c.id == cluster_id)
            .values(system_identifier=server.system_identifier, label=label_of(snapshot))
        )
    return Identity(cluster_id, _database(connection, cluster_id, snapshot))


def label_of(snapshot: Snapshot) -> str:
    """Name the server for a reader."""
    port = snapshot.setting("port")
    return f"{snapshot.server.address or 'local'}:{port or '?'}"


def _id(result: sa.CursorResult[object]) -> int:
    key = result.inserted_primary_key
    assert key is not None
    return int(key[0])


def _database(connection: sa.Connection, cluster_id: int, snapshot: Snapshot) -> int:
    server = snapshot.server
    values = {"oid": server.database_oid, "name": server.database}
    found = _known_database(connection, cluster_id, snapshot)
    if found is None:
        return _id(connection.execute(databases.insert().values(cluster_id=cluster_id, **values)))
    connection.execute(databases.update().where(databases.c.id == found).values(**values))
    return found


def _known_database(connection: sa.Connection, cluster_id: int, snapshot: Snapshot) -> int | None:
    """Return the number of the database: it keeps its oid when it is renamed, and its name when it is restored.

    pg_upgrade to a version before 15 gives it another oid, and to a later one those that initdb makes.
    """
    server = snapshot.server
    mine = databases.c.cluster_id == cluster_id
    rows = connection.execute(
        sa.select(databases.c.id, databases.c.oid, databases.c.name).where(mine)
    )
    known = list(rows)
    same = [row.id for row in known if row.oid == server.database_oid]
    present = {d.oid for d in snapshot.databases}
    made_anew = [row.id for row in known if row.name == server.database and row.oid not in present]
    found = same or (made_anew if present else [])
    return int(found[0]) if found else None


def _cluster(connection: sa.Connection, snapshot: Snapshot) -> int | None:
    """Return the cluster that this server continues; of several, the one with the newest run."""
    for candidate in _candidates(connection, snapshot):
        other = _evidence(connection, candidate, snapshot)
        if other is None:
            continue
        if other.now == snapshot.now and other.server == snapshot.server:
            return candidate
        # another database of the same cluster says as much about it
        server = replace(other.server, database_oid=snapshot.server.database_oid)
        if _is_continued(replace(other, server=server), snapshot):
            return candidate
    return None


def _cluster_or_heir(
    connection: sa.Connection, snapshot: Snapshot, earlier: Sequence[int]
) -> int | None:
    found = _cluster(connection, snapshot)
    others = [each for each in earlier if each != found]
    if not others or snapshot.server.is_in_recovery:
        return found
    if found is not None:
        known = _evidence(connection, found, snapshot)
        if known is None or not known.server.is_in_recovery:
            return found
        # a standby that was read by itself while its primary was down, and has been promoted
    return next((each for each in others if _is_heir(connection, snapshot, each)), found)


def _is_heir(connection: sa.Connection, snapshot: Snapshot, cluster_id: int) -> bool:
    other = _evidence(connection, cluster_id, snapshot)
    return other is not None and takes_over(other, snapshot)


def _evidence(connection: sa.Connection, candidate: int, snapshot: Snapshot) -> Snapshot | None:
    """Return what is known of a cluster near to the time of the snapshot."""
    nearest = stored.nearest(connection, candidate, snapshot.now)
    if nearest is None:
        return None
    try:
        return _read(connection, nearest, snapshot)
    except HistoryPlaceError:
        raise
    except HistoryError:
        if stored.nearest(connection, candidate, snapshot.now) == nearest:
            older = _before_damaged(connection, nearest, snapshot)
            if older is None:
                raise
            return older
    return _evidence(connection, candidate, snapshot)  # it was due, and has just been removed


_MOST_DAMAGED = 5


def _before_damaged(
    connection: sa.Connection, damaged: stored.StoredSnapshot, snapshot: Snapshot
) -> Snapshot | None:
    """Return the last of the earlier snapshots that can be read: one that is damaged must not end its cluster's history."""
    earlier = damaged
    for _ in range(_MOST_DAMAGED):
        found = stored.before(connection, earlier.database_id, earlier.taken_at)
        if found is None:
            return None
        with suppress(HistoryError):
            return _read(connection, found, snapshot)
        earlier = found
    return None


def _read(
    connection: sa.Connection, nearest: stored.StoredSnapshot, snapshot: Snapshot
) -> Snapshot:
    if nearest.taken_at == snapshot.now:  # itself: whoever recalls its history asks for each fact
        itself = stored.read(connection, nearest, ())
        if itself.server == snapshot.server:
            return itself
    other = stored.read(connection, nearest, _EVIDENCE)
    if other.server.features == snapshot.server.features:
        return other
    return stored.read(connection, nearest, (*_EVIDENCE, "tables"))


def _candidates(connection: sa.Connection, snapshot: Snapshot) -> list[int]:
    same = clusters.c.system_identifier == snapshot.server.system_identifier
    if snapshot.server.system_identifier is None:
        same = clusters.c.system_identifier.is_(None)
    # pg_upgrade gives a new identifier
    place = clusters.c.label == label_of(snapshot)
    newest = sa.func.max(table.c.taken_at)
    rows = connection.execute(
        sa.select(clusters.c.id)
        .join(table, table.c.cluster_id == clusters.c.id)
        .where(same | place)
        .group_by(clusters.c.id)
        .order_by(newest.desc())
    )
    return [int(row.id) for row in rows]


def _is_continued(other: Snapshot, snapshot: Snapshot) -> bool:
    if other.now == snapshot.now:
        return False
    first, second = sorted((other, snapshot), key=lambda s: s.now)
    try:
        lineage(first, second)
    except DeltaError:
        return _is_nameless(other, snapshot)
    return True


def _is_nameless(other: Snapshot, snapshot: Snapshot) -> bool:
    """Tell whether nothing but the place identifies both: the role may not read the system identifier."""
    pair = (other.server.system_identifier, snapshot.server.system_identifier)
    return pair == (None, None) and label_of(other) == label_of(snapshot)
