"""Snapshots in the history: one row each, and the addresses of what they hold."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from pgwatch_wed.errors import HistoryError
from pgwatch_wed.facts import Cause, Missing, Snapshot
from pgwatch_wed.facts.fields import fact_names
from pgwatch_wed.history import blobs, part_groups
from pgwatch_wed.history.schema import blobs as table_of_blobs
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
    # another of the same database, whose parts it has where it has none of its own
    shares: int | None = None


def add(
    connection: sa.Connection, snapshot: Snapshot, run_id: int, cluster_id: int, database_id: int
) -> StoredSnapshot:
    """Store a snapshot; what an earlier one holds too is not stored again."""
    earlier = before(connection, database_id, snapshot.now)
    names = _names(snapshot)
    alike = earlier or _sibling(connection, names, cluster_id)
    near = {} if alike is None else addresses(connection, alike)
    facts = {n: getattr(snapshot, n) for n in fact_names()}
    parts = blobs.put_facts(connection, facts, near)
    parts[_NAMES] = blobs.put(connection, names, near.get(_NAMES))
    if snapshot.missing:
        parts[_MISSING] = blobs.put(connection, _unread(snapshot), near.get(_MISSING))
    root = None if earlier is None else earlier.shares or earlier.id
    rows = _beyond(parts, {} if root is None else _own(connection, root))
    if root is not None and len(part_groups.folded(rows)) > len(part_groups.folded(parts)) // 2:
        root, rows = None, parts
    values: dict[str, Any] = {
        "run_id": run_id,
        "cluster_id": cluster_id,
        "database_id": database_id,
        "taken_at": snapshot.now,
        "tool_version": snapshot.tool_version,
        "measured_since": snapshot.measured_since,
        "server": blobs.put_server(connection, snapshot.server, alike.server if alike else None),
        "missing": {},
        "shares": root,
    }
    key = connection.execute(snapshots.insert().values(**values)).inserted_primary_key
    assert key is not None
    _put_own(connection, int(key[0]), rows)
    return StoredSnapshot(id=int(key[0]), **values)


# --- siblings -------------------------------------------------------------------------------------

_NAMES = ":names"
"""The part that siblings have in common: the names of all tables, without their oids."""


def _names(snapshot: Snapshot) -> bytes:
    named = sorted(t.qualified for t in snapshot.tables)
    return "\n".join((snapshot.server.version[:2], *named)).encode("utf-8", "surrogatepass")


def _sibling(connection: sa.Connection, names: bytes, cluster_id: int) -> StoredSnapshot | None:
    """Return a snapshot of a database with the same tables, or else of the same server, or of any."""
    c = collections.c
    same = sa.select(c.snapshot_id).where(c.name == _NAMES, c.hash == blobs.address_of(names))
    for condition in (
        snapshots.c.id.in_(same.limit(1)),
        snapshots.c.cluster_id == cluster_id,
        sa.true(),
    ):
        found = _first(connection, condition, order=snapshots.c.id.desc())
        if found is not None:
            return found
    return None


# --- what is shared with an earlier snapshot --------------------------------------------------------

_LACKS = ""
"""Instead of an address: the part that the other snapshot has is not in this one."""


def _beyond(parts: Mapping[str, str], known: Mapping[str, str]) -> dict[str, str]:
    """Return what is to be said of parts where others are known."""
    changed = {name: address for name, address in parts.items() if known.get(name) != address}
    return changed | dict.fromkeys(known.keys() - parts.keys(), _LACKS)


def _own(connection: sa.Connection, snapshot_id: int) -> dict[str, str]:
    c = collections.c
    rows = connection.execute(sa.select(c.name, c.hash).where(c.snapshot_id == snapshot_id))
    return part_groups.unfolded({row.name: row.hash for row in rows})


def _put_own(connection: sa.Connection, snapshot_id: int, parts: Mapping[str, str]) -> None:
    listed = part_groups.folded(parts)
    if listed:
        rows = [{"snapshot_id": snapshot_id, "name": n, "hash": h} for n, h in listed.items()]
        connection.execute(collections.insert(), rows)


def hand_over(connection: sa.Connection, ids: Iterable[int]) -> None:
    """Before snapshots are removed, give others what they share with them."""
    gone = sorted(set(ids))
    are_gone, heirs = set(gone), defaultdict[int, list[StoredSnapshot]](list)
    for begin in range(0, len(gone), 500):
        part = snapshots.c.shares.in_(gone[begin : begin + 500])
        for heir in _select(connection, part, order=snapshots.c.taken_at):
            if heir.id not in are_gone:
                heirs[heir.shares or 0].append(heir)
    for mine in heirs.values():
        whole = {heir.id: addresses(connection, heir) for heir in mine}
        first = mine[0].id
        for heir in mine:
            connection.execute(collections.delete().where(collections.c.snapshot_id == heir.id))
            shares = None if heir.id == first else first
            rows = whole[first] if shares is None else _beyond(whole[heir.id], whole[first])
            _put_own(connection, heir.id, rows)
            one = snapshots.update().where(snapshots.c.id == heir.id)
            connection.execute(one.values(shares=shares))


def unshare(connection: sa.Connection) -> None:
    """Give each snapshot all that it shares: the form of earlier versions."""
    # those with whom others share come last: they still have all parts then
    for stored in sorted(_select(connection, order=snapshots.c.id), key=lambda s: not s.shares):
        whole = addresses(connection, stored)
        missing = whole.pop(_MISSING, None)
        whole.pop(_NAMES, None)
        connection.execute(collections.delete().where(collections.c.snapshot_id == stored.id))
        _put_own(connection, stored.id, whole)
        values: dict[str, Any] = {"shares": None}
        if missing is not None:
            values["missing"] = _kept_missing(connection, missing)
        one = snapshots.update().where(snapshots.c.id == stored.id)
        connection.execute(one.values(**values))


def divide(connection: sa.Connection) -> None:
    """Store each part of a group by itself: the form of earlier versions."""
    c = collections.c
    query = sa.select(c.snapshot_id, c.name, c.hash).where(c.name.startswith(part_groups.ROW))
    groups = set()
    for number, name, group in connection.execute(query).all():
        groups.add(group)
        parts = part_groups.read(blobs.get(connection, group))
        own = {part: blobs.put(connection, content) for part, content in parts.items()}
        connection.execute(collections.delete().where(c.snapshot_id == number, c.name == name))
        _put_own(connection, number, own)
    for group in sorted(groups):
        connection.execute(table_of_blobs.delete().where(table_of_blobs.c.hash == group))


def parts_of(database_id: int, names: Iterable[str]) -> sa.Subquery:
    """Return a query for some parts of all snapshots of a database: snapshot_id, name, hash.

    They cannot be parts of groups, which no query tells apart.
    """
    c, s, own = collections.c, snapshots.c, collections.alias("own")
    wanted = (s.database_id == database_id, c.name.in_(list(names)), c.hash != _LACKS)
    columns = (s.id.label("snapshot_id"), c.name, c.hash)
    mine = sa.select(*columns).join(collections, c.snapshot_id == s.id).where(*wanted)
    has_own = sa.exists().where(own.c.snapshot_id == s.id, own.c.name == c.name)
    shared = sa.select(*columns).join(collections, c.snapshot_id == s.shares)
    return sa.union_all(mine, shared.where(*wanted, ~has_own)).subquery("parts")


# --- what could not be read -------------------------------------------------------------------------

_MISSING = ":missing"


def _unread(snapshot: Snapshot) -> bytes:
    document = {name: asdict(why) for name, why in sorted(snapshot.missing.items())}
    return json.dumps(document, ensure_ascii=False).encode("utf-8", "surrogatepass")


def _kept_missing(connection: sa.Connection, address: str) -> Any:
    try:
        return json.loads(blobs.get(connection, address).decode("utf-8", "surrogatepass"))
    except ValueError:
        raise HistoryError("what a run could not read is damaged") from None


# --- reading ------------------------------------------------------------------------------------------


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
    parts = addresses(connection, stored)
    missing = _kept_missing(connection, parts[_MISSING]) if _MISSING in parts else stored.missing
    return Snapshot(
        tool_version=stored.tool_version,
        server=blobs.get_server(connection, stored.server),
        measured_since=stored.measured_since,
        missing=_missing(missing),
        **blobs.get_facts(connection, parts, names),
    )


def addresses(connection: sa.Connection, stored: StoredSnapshot) -> dict[str, str]:
    """Return where the parts of a snapshot are, without reading them."""
    shared = {} if stored.shares is None else _own(connection, stored.shares)
    parts = shared | _own(connection, stored.id)
    return {name: address for name, address in parts.items() if address != _LACKS}


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
