"""Whether two snapshots are of one server, and what happened to its counters in between.

The system identifier tells that the data is the same, not the counters: standbys, clones and restored
backups have the identifier of the original and counters of their own.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from operator import attrgetter

from pgwatch_wed.errors import DeltaError
from pgwatch_wed.facts.snapshot import REPORTED_LATE, Snapshot


class Bond(StrEnum):
    """How the second snapshot's server descends from the first's."""

    SAME = "the server has been running"
    RESTARTED = "the server was restarted"
    UPGRADED = "the server was upgraded"


@dataclass(frozen=True, slots=True)
class Lineage:
    """What connects two snapshots; ``fixed_reset`` is when every fixed counter was reset, if all were.

    A crash does that, and so does pg_stat_reset_shared() for each target: other counters tell which.
    ``crashed`` is when a crash reset them, if one certainly did.
    """

    bond: Bond
    fixed_reset: datetime | None
    crashed: datetime | None = None
    has_dates: bool = False  # of fixed counters, in both


def lineage(old: Snapshot, new: Snapshot) -> Lineage:
    """Return what connects two snapshots. Raises :class:`DeltaError` if they cannot be compared."""
    _in_order(old, new)
    if _is_upgraded(old, new):
        return Lineage(Bond.UPGRADED, None)
    _same_data(old, new)
    bond = Bond.SAME if old.server.started_at == new.server.started_at else Bond.RESTARTED
    if bond is Bond.RESTARTED:
        _same_place(old, new)
    _not_set_back(old, new)
    has_dates = bool(_fixed_dates(old).keys() & _fixed_dates(new).keys())
    return Lineage(bond, _fixed_reset(old, new), _crashed(old, new), has_dates)


def takes_over(old: Snapshot, new: Snapshot) -> bool:
    """Tell whether a primary may have taken over from another server with the same data: after a failover, or a move.

    A promotion begins a timeline, and a server that was moved with its storage has all but the address. A clone that was
    never promoted has neither; one that was is told apart only by who asks for it under which name.
    """
    before, after = old.server, new.server
    if before.system_identifier is None or before.system_identifier != after.system_identifier:
        return False
    if before.is_in_recovery or after.is_in_recovery:
        return False
    try:
        _in_order(old, new)
        _not_set_back(old, new)
    except DeltaError:
        return False
    was, now = before.timeline, after.timeline
    if was is not None and now is not None and was != now:
        return now > was
    places = [(old.setting(name), new.setting(name)) for name in _PLACE]
    return all(a == b for a, b in places if a is not None and b is not None)


def _not_set_back(old: Snapshot, new: Snapshot) -> None:
    """Refuse an older copy, such as a restored backup: its position in the WAL is lower."""
    before, after = (s.wal[0].lsn_bytes if s.wal else None for s in (old, new))
    if before is not None and after is not None and after < before:
        raise DeltaError(
            "the server was set back to an older copy: its position in the WAL is lower than it was",
            "compare snapshots that were both taken before or after that",
        )


def _in_order(old: Snapshot, new: Snapshot) -> None:
    if new.now <= old.now:
        same = new.now == old.now
        raise DeltaError(
            "both snapshots were taken at the same time"
            if same
            else f"the snapshot to compare with is of {old.now:%Y-%m-%d %H:%M:%S}, later than "
            f"{new.now:%Y-%m-%d %H:%M:%S}, when the other was taken",
            ""
            if same
            else "exchange the two; if they are in order, the server's clock was set back",
        )


def _is_upgraded(old: Snapshot, new: Snapshot) -> bool:
    """Tell whether pg_upgrade came in between: it gives a new identifier and keeps the oids.

    It makes the database anew: one that was there at the time of the first snapshot is another one.
    """
    before, after = old.server, new.server
    if after.major <= before.major or not _is_same_database(old, new):
        return False
    born = after.database_created_at
    if before.system_identifier == after.system_identifier is not None:
        return False
    return _keeps(old, new, "oid", "name") and (born is None or born >= old.now - REPORTED_LATE)


def _is_same_database(old: Snapshot, new: Snapshot) -> bool:
    """Tell whether the database may be the same; before 15, pg_upgrade gives it another oid."""
    before, after = old.server, new.server
    return before.database_oid == after.database_oid or before.database == after.database


def _keeps(old: Snapshot, new: Snapshot, *fields: str) -> bool:
    """Tell whether most tables are still there, as told by these fields."""
    what = attrgetter(*fields)
    before = {what(t) for t in old.tables}
    kept = sum(what(t) in before for t in new.tables)
    return bool(kept) and kept >= _KEPT * len(before)


_KEPT = 0.5


def _same_data(old: Snapshot, new: Snapshot) -> None:
    ours, theirs = old.server.system_identifier, new.server.system_identifier
    started_together = old.server.started_at == new.server.started_at
    if ours != theirs if ours and theirs else not started_together:
        if _keeps(old, new, "schema", "name") and _is_same_database(old, new):
            raise DeltaError(
                "the two snapshots are of different servers, but the database has the same name and tables: "
                "if it was dumped and restored, or replicated, its counters began anew",
                "run without --since; db-analyze diff compares the two by name",
            )
        raise DeltaError(
            "the two snapshots are of different servers: "
            + (
                "the system identifiers differ"
                if ours and theirs
                else "the start times differ, and the role may not read the system identifier"
            ),
            "compare snapshots of the same server",
        )
    if old.server.database_oid != new.server.database_oid:
        raise DeltaError(
            f"the two snapshots are of different databases: {old.server.database} and "
            f"{new.server.database}",
            "if the database was restored, its counters began anew: there is nothing to compare",
        )


# What tells servers apart that have the same data, and does not change with a restart.
_PLACE = ("port", "data_directory", "cluster_name")


def _same_place(old: Snapshot, new: Snapshot) -> None:
    """Refuse another server with the same data; one that has only been restarted is where it was."""
    pairs = [(name, old.setting(name), new.setting(name)) for name in _PLACE]
    pairs.append(("address", old.server.address, new.server.address))
    for name, was, now in pairs:
        if was is not None and now is not None and was != now:
            raise DeltaError(
                f"the second snapshot may be of another server with the same data, such as a standby or "
                f"a clone: {name} is {now or 'empty'}, not {was or 'empty'}, and the start times differ",
                "compare snapshots of the same server",
            )
    theirs = _fixed_dates(new)
    for name, moment in _fixed_dates(old).items():
        since = theirs.get(name)
        if since is not None and since != moment and since <= old.now:
            raise DeltaError(
                "the second snapshot is of another server with the same data: its counters began "
                f"before the first was taken, at {since:%Y-%m-%d %H:%M:%S}",
                "compare snapshots of the same server",
            )


def _fixed_reset(old: Snapshot, new: Snapshot) -> datetime | None:
    before, after = _fixed_dates(old), _fixed_dates(new)
    known = before.keys() & after.keys()
    if not known or any(after[name] <= old.now for name in known):
        return None
    return min(after[name] for name in known)


def _crashed(old: Snapshot, new: Snapshot) -> datetime | None:
    """Return when a crash reset all counters: it gives all of them one date, to the microsecond.

    pg_stat_reset_shared() does not, not even without a target. What is older has survived: no crash.
    """
    dates = _fixed_dates(new)
    facts = {name.split()[0] for name in dates}
    # a reset of all comes to the archiver first, and to these two last
    if len(set(dates.values())) != 1 or "archiver" not in facts or not {"wal", "slru"} & facts:
        return None
    moment = next(iter(dates.values()))
    of_database = new.database.stats_reset if new.database else None
    is_older = of_database is not None and of_database < moment
    return None if moment <= old.now or is_older or new.outlived(moment) else moment


def _fixed_dates(snapshot: Snapshot) -> dict[str, datetime]:
    return dict(_dated(snapshot))


def _dated(snapshot: Snapshot) -> Iterator[tuple[str, datetime]]:
    for fact in ("checkpoints", "wal", "archiver", "slru"):
        for row in getattr(snapshot, fact):
            if row.stats_reset is not None:
                yield f"{fact} {getattr(row, 'name', '')}", row.stats_reset
