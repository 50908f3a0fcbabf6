"""What keeps old row versions from being removed: sessions, prepared transactions, slots, standbys."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from pgwatch_wed.facts import PreparedTransaction, Replica, Session, Slot, Snapshot
from pgwatch_wed.facts.derived import derived
from pgwatch_wed.postgres import autovacuum as vac
from pgwatch_wed.postgres.waits import Participant, Waits, label


@dataclass(frozen=True, slots=True)
class Holder:
    """Something that keeps VACUUM from removing rows that died after it began.

    ``since`` is None if the server does not show when it began. ``pins_rows`` is False for a logical
    slot's catalog_xmin, which only keeps dead rows in the catalogs. ``waiters`` are the sessions that
    would hold back VACUUM too, but only wait for its locks; if ``is_indirect``, only they do.
    """

    source: Session | PreparedTransaction | Slot | Replica
    age_xids: int
    since: datetime | None
    pins_rows: bool = True
    waiters: tuple[int, ...] = ()
    is_indirect: bool = False

    def held(self, now: datetime) -> timedelta | None:
        """Return how long it has existed, or None if that is unknown."""
        return None if self.since is None else max(now - self.since, timedelta())


@derived
def holders(snapshot: Snapshot) -> tuple[Holder, ...]:
    """Return everything that holds back VACUUM in this database's tables or catalogs, oldest first.

    A session that waits for a lock is not the cause: what it waits for is the holder.
    """
    found = [
        *_without_waiters(snapshot, list(_sessions(snapshot))),
        *_prepared(snapshot),
        *_slots(snapshot),
        *_standbys(snapshot),
    ]
    return tuple(sorted(found, key=lambda h: (-h.age_xids, str(h.source))))


def holders_of_all(snapshot: Snapshot) -> list[Holder]:
    """Return everything that holds back VACUUM in the shared catalogs: sessions of any database count."""
    found = [
        *_without_waiters(snapshot, list(_sessions(snapshot, everywhere=True))),
        *_prepared(snapshot, everywhere=True),
        *_slots(snapshot),
        *_standbys(snapshot),
    ]
    return sorted(found, key=lambda h: (-catalog_age(h), str(h.source)))


def catalog_age(holder: Holder) -> int:
    """Return how far a holder holds back the catalogs: a slot may hold them further than the tables."""
    slot = holder.source if isinstance(holder.source, Slot) else None
    return max(holder.age_xids, (slot.catalog_xmin_age_xids or 0) if slot else 0)


def _sessions(snapshot: Snapshot, *, everywhere: bool = False) -> Iterator[Holder]:
    """Yield sessions of this database; snapshots in other databases only affect shared catalogs.

    VACUUM's own snapshots hold back nothing, autovacuum belongs to the server, WAL senders are covered
    by their standbys and parallel workers by their leaders.
    """
    vacuums = {v.pid for v in snapshot.vacuums}
    oldest = _oldest_ids(snapshot)
    for s in snapshot.sessions:
        ages = [a for a in (s.xid_age_xids, s.xmin_age_xids) if a is not None]
        skipped = s.backend_type in ("autovacuum worker", "walsender") or s.leader_pid is not None
        here = everywhere or s.database == snapshot.server.database
        if ages and here and s.pid not in vacuums and not skipped:
            began = next((since for since, age in oldest if age >= max(ages)), None)
            inherits = began is not None and s.xact_start is not None and began < s.xact_start
            yield Holder(s, (s.xid_age_xids or 0) if inherits else max(ages), s.xact_start)


def _oldest_ids(snapshot: Snapshot) -> list[tuple[datetime, int]]:
    """Return the transactions that have an ID, of any database, by when they began.

    Every snapshot taken while one of them runs is as old as that transaction, but is not the cause.
    """
    sessions = [(s.xact_start, s.xid_age_xids) for s in snapshot.sessions]
    prepared = [(p.prepared_at, p.xid_age_xids) for p in snapshot.prepared_transactions]
    found: list[tuple[datetime, int]] = []
    for since, age in sorted((t, a) for t, a in (*sessions, *prepared) if t and a is not None):
        if not found or age > found[-1][1]:
            found.append((since, age))
    return found


def _without_waiters(snapshot: Snapshot, found: list[Holder]) -> Iterator[Holder]:
    waits = Waits(snapshot)
    by_pid = {h.source.pid: h for h in found if isinstance(h.source, Session)}
    roots = {} if "lock_waits" in snapshot.missing else _roots(waits, by_pid)
    for pid, holder in by_pid.items():
        if pid not in waits.by_pid:
            yield replace(holder, waiters=tuple(sorted(roots.pop(pid, ()))))
    for root, pids in roots.items():
        source = snapshot.session_by_pid.get(root) if isinstance(root, int) else None
        if source is not None:  # a prepared transaction is a holder itself
            oldest = max((by_pid[p] for p in pids), key=lambda h: h.age_xids)
            yield replace(oldest, source=source, waiters=tuple(sorted(pids)), is_indirect=True)


def _roots(waits: Waits, stuck: Collection[int]) -> dict[Participant, list[int]]:
    """Return the causes for which sessions wait, each session only once."""
    found: dict[Participant, list[int]] = {}
    left = {pid for pid in stuck if pid in waits.by_pid}
    for root in sorted(waits.roots, key=lambda r: (r not in stuck, str(r))):
        behind = left & waits.depths(root).keys()
        left -= behind
        if behind:
            found[root] = list(behind)
    return found


def _prepared(snapshot: Snapshot, *, everywhere: bool = False) -> Iterator[Holder]:
    for p in snapshot.prepared_transactions:
        if everywhere or p.database == snapshot.server.database:
            yield Holder(p, p.xid_age_xids, p.prepared_at)


def _slots(snapshot: Snapshot) -> Iterator[Holder]:
    """Yield slots: a slot of any database affects every database."""
    for s in snapshot.slots:
        if s.invalidation_reason is not None or s.wal_status == "lost":
            continue
        if s.xmin_age_xids is not None:
            yield Holder(s, s.xmin_age_xids, s.inactive_since)
        elif s.catalog_xmin_age_xids is not None:
            yield Holder(s, s.catalog_xmin_age_xids, s.inactive_since, pins_rows=False)


def _standbys(snapshot: Snapshot) -> Iterator[Holder]:
    """Yield standbys that report the horizon of their queries; if they use a slot, the slot holds it."""
    for r in snapshot.replicas:
        if r.backend_xmin_age_xids is not None and r.slot_name is None:
            yield Holder(r, r.backend_xmin_age_xids, None)


_FEW_DEAD = 1000


@derived
def overdue(snapshot: Snapshot) -> tuple[vac.Heap, ...]:
    """Return heaps with more dead rows than their own autovacuum trigger allows."""
    heaps = (h for table in vac.vacuumable(snapshot) for h in vac.heaps(snapshot, table))
    return tuple(h for h in heaps if _is_overdue(snapshot, h))


def _is_overdue(snapshot: Snapshot, heap: vac.Heap) -> bool:
    if heap.dead <= _FEW_DEAD:
        return False
    trigger = vac.vacuum_trigger(snapshot, heap)
    return trigger is not None and heap.dead > trigger


def vacuumed_in_vain(
    snapshot: Snapshot, heap: vac.Heap, holder: Holder, recently: timedelta
) -> bool:
    """Tell whether a vacuum ran after the holder began, but left the dead rows.

    If it is unknown when the holder began, a vacuum within ``recently`` counts instead.
    """
    if heap.last_vacuum is None:
        return False
    since = holder.since or snapshot.now - recently
    return heap.last_vacuum > since


def describe_session(session: Session) -> str:
    """Name a session in a sentence."""
    return f"session {session.pid} ({label(session)})"


def describe(holder: Holder) -> str:
    """Name a holder in a sentence."""
    match holder.source:
        case Session() as s:
            return describe_session(s)
        case PreparedTransaction() as p:
            return f"prepared transaction {p.gid}"
        case Slot() as s:
            return f"replication slot {s.name}"
        case Replica() as r:
            return f"standby {r.application_name or r.pid}"
