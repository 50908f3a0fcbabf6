"""Snapshot files of clusters that may not be reached: which member of the fleet they are of, and a visit in their place.

The visit is one of the newest fleet run: as if the cluster had been read in it, at the time at which the file was
written. Where that run has read the cluster itself, or is about to, it stays as it is.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa
from psycopg import conninfo

from pgwatch_wed import clock
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.fleet import traits, visit_log
from pgwatch_wed.fleet.members import Member
from pgwatch_wed.fleet.visits import FleetRun, Visit, VisitEnding
from pgwatch_wed.history import identity, recall, turns
from pgwatch_wed.history.runs import StoredRun
from pgwatch_wed.history.schema import fleet_runs, fleet_visits, runs
from pgwatch_wed.history.turns import Turn

_FROM_FILE = "from a snapshot file of"
WORKER = "fleet import"


def member_of(
    connection: sa.Connection,
    run: StoredRun,
    first: Snapshot,
    path: Path,
    members: Iterable[Member],
) -> Member | None:
    """Return whose snapshot it is: the cluster of earlier visits, else a folder or the beginning of the file's name, else its address."""
    by_name = {member.name: member for member in members}
    query = sa.select(fleet_visits.c.member).where(fleet_visits.c.cluster_id == run.cluster_id)
    order = fleet_visits.c.fleet_run_id.desc()
    for name in connection.execute(query.order_by(order).limit(1)).scalars():
        return by_name.get(name) or Member(name, ())
    for part in reversed(path.parts[:-1]):
        if part in by_name:
            return by_name[part]
    named = [name for name in by_name if _begins(path.name, name)]
    if named:
        return by_name[max(named, key=len)]
    place = identity.label_of(first)
    return next((m for m in by_name.values() if place in map(_place, m.targets)), None)


def _begins(file: str, name: str) -> bool:
    return file.startswith(name) and file[len(name) : len(name) + 1] in (".", "-", "_")


def _place(target: str) -> str:
    parts = conninfo.conninfo_to_dict(target)
    return f"{parts.get('hostaddr') or parts.get('host')}:{parts.get('port') or 5432}"


def attach(
    connection: sa.Connection, member: Member, run: StoredRun, read: Sequence[Snapshot]
) -> bool:
    """Note a run as the visit to a member; tell whether that was news. Runs may come in any order, and twice."""
    fleet_run = _newest(connection)
    if fleet_run is None:
        turns.wait_for(connection, Turn.FLEET)  # of several imports, one begins it
        own = {"sources": [WORKER]}
        fleet_run = _newest(connection) or visit_log.begin(connection, [member], clock.now(), own)
    known = visit_log.stands(connection, fleet_run.id, member.name)
    if known is not None and not _gives_way(connection, known):
        return False
    if run.taken_at <= _last_read(connection, member.name):
        return False
    near = visit_log.traits_near(connection, known or Visit(fleet_run.id, member.name))
    mine = Visit(
        fleet_run.id,
        member.name,
        member.group or (known.group if known else ""),
        dict(member.tags or (known.tags if known else {})),
        label=run.label,
        ending=VisitEnding.DONE,
        reason=f"{_FROM_FILE} {run.taken_at:%Y-%m-%d %H:%M} UTC",
        attempts=1,
        began_at=run.taken_at,
        ended_at=run.taken_at,
        worker=WORKER,
        cluster_id=run.cluster_id,
        run_id=run.id,
        traits=traits.put(connection, traits.of(recall.recalled(connection, read)), near),
    )
    visit_log.put(connection, mine)
    return True


def is_awaited(connection: sa.Connection, member: Member) -> bool:
    """Tell whether the newest fleet run has yet to visit a member: until then, no file of it counts."""
    fleet_run = _newest(connection)
    if fleet_run is None:
        return False
    known = visit_log.stands(connection, fleet_run.id, member.name)
    return known is not None and known.ending is None and not _gives_way(connection, known)


_COUNTS_FOR = timedelta(days=1)


def end_unread(connection: sa.Connection, lost: Visit) -> Visit | None:
    """End a visit that did not read its cluster; return what counts, or None if it had ended, or another worker has it."""
    if lost.cluster_id is None:
        lost = replace(lost, cluster_id=visit_log.last_cluster(connection, lost.member))
    return stand_in(connection, lost) if visit_log.end(connection, lost) else None


def stand_in(connection: sa.Connection, lost: Visit) -> Visit:
    """After a cluster was not read, put the file that came before the run in the place of the visit; return what counts.

    It counts if it was written since the run before began, or within a day of this one.
    """
    if lost.ending is None or lost.ending.was_read or lost.same_as is not None:
        return lost
    last = _last_that_read(connection, lost)
    if last is None or last.worker != WORKER or last.ended_at is None or last.run_id is None:
        return lost
    r = fleet_runs.c
    query = sa.select(r.id, r.began_at).where(r.id <= lost.fleet_run_id).order_by(r.id.desc())
    this, *before = connection.execute(query.limit(2)).all()
    counts_from = min([this.began_at - _COUNTS_FOR, *(each.began_at for each in before)])
    is_there = sa.select(runs.c.id).where(runs.c.id == last.run_id)
    if last.ended_at < counts_from or connection.execute(is_there).first() is None:
        return lost
    why = f"{lost.ending.value}, {lost.reason}" if lost.reason else lost.ending.value
    told = last.reason.partition("; the cluster itself: ")[0]
    mine = replace(
        last,
        fleet_run_id=lost.fleet_run_id,
        group=lost.group,
        tags=lost.tags,
        reason=f"{told}; the cluster itself: {why}",
        mend=lost.mend,
        attempts=lost.attempts,
        node_key=lost.node_key,
    )
    visit_log.put(connection, mine)
    return mine


def _last_that_read(connection: sa.Connection, visit: Visit) -> Visit | None:
    v = fleet_visits.c
    was_read = v.ending.in_([each.value for each in VisitEnding if each.was_read])
    mine = (v.member == visit.member, v.fleet_run_id < visit.fleet_run_id, was_read)
    query = sa.select(fleet_visits).where(*mine).order_by(v.fleet_run_id.desc()).limit(1)
    row = connection.execute(query).mappings().first()
    return None if row is None else visit_log.of_row(row)


def _newest(connection: sa.Connection) -> FleetRun | None:
    return next(iter(visit_log.runs_of_fleet(connection, 1)), None)


def _gives_way(connection: sa.Connection, known: Visit) -> bool:
    """Tell whether a visit was not made, or is of a file."""
    if known.ending is None:
        return not known.worker and _is_only_imported(connection, known)
    return not known.ending.was_read or known.worker == WORKER


def _last_read(connection: sa.Connection, member: str) -> datetime:
    """Return of what time the newest is that is known of a member."""
    newest = sa.select(sa.func.max(runs.c.taken_at)).join(
        fleet_visits, fleet_visits.c.run_id == runs.c.id
    )
    found = connection.execute(newest.where(fleet_visits.c.member == member)).scalar()
    return found or datetime.min.replace(tzinfo=UTC)


def _is_only_imported(connection: sa.Connection, known: Visit) -> bool:
    """Tell whether the fleet run is one that nobody but the import makes."""
    return visit_log.asked_for(connection, known.fleet_run_id).get("sources") == [WORKER]
