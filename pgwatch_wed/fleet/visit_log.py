"""The log of visits, in the history: who is to be visited, who is under way, what became of each.

A row per member is written when a run begins, so that whoever goes on after a crash knows what is left. Claiming is
one UPDATE: of several processes, one visits. Functions take the connection of :meth:`Store.writing` or ``reading``.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from pgwatch_wed import __version__, clock
from pgwatch_wed.fleet.members import Member
from pgwatch_wed.fleet.visits import FleetRun, Visit, VisitEnding
from pgwatch_wed.history.schema import fleet_runs, fleet_visits

LOST_AFTER = timedelta(minutes=2)
"""A visit whose worker has not been heard of for so long may be claimed by another."""

_RENAMED = {"group_name": "group"}


def begin(
    connection: sa.Connection,
    members: Iterable[Member],
    moment: datetime,
    settings: Mapping[str, Any],
) -> FleetRun:
    """Begin a run: each member waits. ``settings`` are what was asked for, without secrets."""
    rows = [_waiting(member) for member in members]
    values = {
        "began_at": moment,
        "ended_at": None,
        "tool_version": __version__,
        "members": len(rows),
        "settings": dict(settings),
    }
    key = connection.execute(fleet_runs.insert().values(**values)).inserted_primary_key
    assert key is not None
    run = FleetRun(int(key[0]), moment, None, __version__, len(rows))
    if rows:
        connection.execute(fleet_visits.insert(), [{**r, "fleet_run_id": run.id} for r in rows])
    return run


def _waiting(member: Member) -> dict[str, Any]:
    empty = asdict(Visit(0, member.name, member.group, dict(member.tags)))
    empty["group_name"] = empty.pop("group")
    return empty


def asked_for(connection: sa.Connection, fleet_run_id: int) -> Mapping[str, Any]:
    """Return the settings with which a run began."""
    query = sa.select(fleet_runs.c.settings).where(fleet_runs.c.id == fleet_run_id)
    return connection.execute(query).scalar() or {}


def put(connection: sa.Connection, visit: Visit) -> None:
    """Write a visit that was made elsewhere, in the place of what is known of it."""
    assert visit.ending is not None
    values = asdict(visit)
    values["group_name"] = values.pop("group")
    values["ending"] = visit.ending.value
    known = stands(connection, visit.fleet_run_id, visit.member)
    if known is not None:
        mine = _mine(visit.fleet_run_id, visit.member)
        connection.execute(fleet_visits.update().where(mine).values(**values))
    else:
        connection.execute(fleet_visits.insert().values(**values))
        connection.execute(
            fleet_runs.update()
            .where(fleet_runs.c.id == visit.fleet_run_id)
            .values(members=fleet_runs.c.members + 1)
        )
    _end_run(connection, visit.fleet_run_id, clock.now())


def claim(
    connection: sa.Connection, fleet_run_id: int, member: str, worker: str, moment: datetime
) -> bool:
    """Take a visit that waits, or whose worker is lost; tell whether it is ours."""
    mine = _mine(fleet_run_id, member)
    is_free = fleet_visits.c.began_at.is_(None)
    is_lost = fleet_visits.c.heartbeat_at < moment - LOST_AFTER
    taken = connection.execute(
        fleet_visits.update()
        .where(mine, fleet_visits.c.ending.is_(None), is_free | is_lost)
        .values(
            began_at=moment,
            heartbeat_at=moment,
            worker=worker,
            attempts=fleet_visits.c.attempts + 1,
        )
    )
    return bool(taken.rowcount)


def unfinished(
    connection: sa.Connection, engine: str, shards: int
) -> tuple[FleetRun, dict[str, Any]] | None:
    """Return the newest run of an engine and a number of shards, with its settings, unless it has ended."""
    query = sa.select(fleet_runs).order_by(fleet_runs.c.began_at.desc(), fleet_runs.c.id.desc())
    for row in connection.execute(query.limit(_LOOKED_BACK)).mappings():
        told = dict(row["settings"])
        if (told.get("engine"), told.get("shards")) == (engine, shards):
            run = FleetRun(**{name: row[name] for name in _RUN})
            return None if run.ended_at is not None else (run, told)
    return None


_LOOKED_BACK = 50


def left_behind(connection: sa.Connection, engine: str, before: datetime) -> tuple[int, ...]:
    """Return the runs of an engine that began before a moment and have not ended."""
    c = fleet_runs.c
    mine = (c.ended_at.is_(None), c.began_at <= before, c.settings["engine"].as_string() == engine)
    return tuple(connection.execute(sa.select(c.id).where(*mine).order_by(c.id)).scalars())


def abandon(connection: sa.Connection, fleet_run_id: int, moment: datetime) -> None:
    """End a run that nobody goes on with: what waits, or is under way with a worker that is lost, is skipped."""
    is_alive = fleet_visits.c.heartbeat_at >= moment - LOST_AFTER
    connection.execute(
        fleet_visits.update()
        .where(
            fleet_visits.c.fleet_run_id == fleet_run_id,
            fleet_visits.c.ending.is_(None),
            fleet_visits.c.heartbeat_at.is_(None) | ~is_alive,
        )
        .values(
            ending=VisitEnding.SKIPPED.value,
            reason="the run was interrupted, and nobody went on with it",
            mend="db-analyze fleet run --resume goes on with an interrupted run",
            ended_at=moment,
        )
    )
    _end_run(connection, fleet_run_id, moment)


def note(connection: sa.Connection, fleet_run_id: int, settings: Mapping[str, Any]) -> None:
    """Replace what is noted of a run."""
    connection.execute(
        fleet_runs.update().where(fleet_runs.c.id == fleet_run_id).values(settings=dict(settings))
    )


def stands(connection: sa.Connection, fleet_run_id: int, member: str) -> Visit | None:
    """Return the visit of a member as it stands, or None if it is not in this run."""
    query = sa.select(fleet_visits).where(_mine(fleet_run_id, member))
    row = connection.execute(query).mappings().first()
    return None if row is None else of_row(row)


def identify(
    connection: sa.Connection, fleet_run_id: int, member: str, node_key: str
) -> str | None:
    """Note which server a visit is to; return the member that is visited there, if that is another one."""
    try:
        with connection.begin_nested():
            connection.execute(
                fleet_visits.update().where(_mine(fleet_run_id, member)).values(node_key=node_key)
            )
    except sa.exc.IntegrityError:
        query = sa.select(fleet_visits.c.member).where(
            fleet_visits.c.fleet_run_id == fleet_run_id, fleet_visits.c.node_key == node_key
        )
        return str(connection.execute(query).scalar_one())
    return None


def keep(connection: sa.Connection, visit: Visit) -> bool:
    """Note the run that a visit has stored and not concluded; False if another worker has it since."""
    kept = connection.execute(
        fleet_visits.update()
        .where(
            _mine(visit.fleet_run_id, visit.member),
            fleet_visits.c.worker == visit.worker,
            fleet_visits.c.ending.is_(None),
        )
        .values(run_id=visit.run_id, cluster_id=visit.cluster_id, label=visit.label)
    )
    return bool(kept.rowcount)


def last_cluster(connection: sa.Connection, member: str) -> int | None:
    """Return the cluster of the history that a member was at its last visit that read it."""
    found: int | None = _of_last(connection, member, fleet_visits.c.cluster_id)
    return found


def clusters_before(
    connection: sa.Connection, visit: Visit, kin: Collection[str] = ()
) -> tuple[int, ...]:
    """Return the clusters of the history that a member was at, the last one first.

    A cluster is left out whose server is there, under another name: if its key is one of ``kin``, or of another visit of
    the same run.
    """
    v = fleet_visits.c
    read = [each.value for each in VisitEnding if each.was_read]
    mine = (v.member == visit.member, v.fleet_run_id < visit.fleet_run_id, v.ending.in_(read))
    query = sa.select(v.cluster_id, v.node_key).where(*mine, v.cluster_id.is_not(None))
    rows = connection.execute(query.order_by(v.fleet_run_id.desc()).limit(_LOOKED_BACK)).all()
    last: dict[int, str | None] = {}
    for cluster_id, node_key in rows:
        last.setdefault(cluster_id, node_key)
    there = sa.select(v.node_key).where(
        v.fleet_run_id == visit.fleet_run_id,
        v.member != visit.member,
        v.node_key.in_([key for key in last.values() if key is not None]),
    )
    taken = {*kin, *connection.execute(there).scalars()}
    return tuple(each for each, key in last.items() if key not in taken)


def traits_near(connection: sa.Connection, visit: Visit) -> str | None:
    """Return the address of traits that are likely to be alike: those of the last visit, or of a sibling."""
    found: str | None = _of_last(connection, visit.member, fleet_visits.c.traits)
    if found is not None:
        return found
    sibling = sa.select(fleet_visits.c.traits).where(
        fleet_visits.c.fleet_run_id == visit.fleet_run_id,
        fleet_visits.c.group_name == visit.group,
        fleet_visits.c.traits.is_not(None),
    )
    return connection.execute(sibling.order_by(fleet_visits.c.member).limit(1)).scalar()


def _of_last(connection: sa.Connection, member: str, column: sa.Column[Any]) -> Any:
    query = sa.select(column).where(fleet_visits.c.member == member, column.is_not(None))
    return connection.execute(query.order_by(fleet_visits.c.fleet_run_id.desc()).limit(1)).scalar()


def release(connection: sa.Connection, visit: Visit) -> None:
    """Let a visit wait again, with the reason why the last attempt failed."""
    connection.execute(
        fleet_visits.update()
        .where(
            _mine(visit.fleet_run_id, visit.member),
            fleet_visits.c.worker == visit.worker,
            fleet_visits.c.ending.is_(None),
        )
        .values(
            began_at=None,
            heartbeat_at=None,
            worker="",
            node_key=None,
            reason=visit.reason,
            mend=visit.mend,
        )
    )


def release_all(connection: sa.Connection, fleet_run_id: int, workers: Collection[str]) -> None:
    """Let all visits of workers that are gone wait again."""
    connection.execute(
        fleet_visits.update()
        .where(
            fleet_visits.c.fleet_run_id == fleet_run_id,
            fleet_visits.c.worker.in_(workers),
            fleet_visits.c.ending.is_(None),
        )
        .values(began_at=None, heartbeat_at=None, worker="", node_key=None)
    )


def beat_all(connection: sa.Connection, fleet_run_id: int, worker: str, moment: datetime) -> None:
    """Say that a worker lives, for all its visits."""
    connection.execute(
        fleet_visits.update()
        .where(
            fleet_visits.c.fleet_run_id == fleet_run_id,
            fleet_visits.c.worker == worker,
            fleet_visits.c.ending.is_(None),
        )
        .values(heartbeat_at=moment)
    )


def beat(
    connection: sa.Connection, fleet_run_id: int, member: str, worker: str, moment: datetime
) -> bool:
    """Say that the worker lives; False if another has taken the visit since."""
    said = connection.execute(
        fleet_visits.update()
        .where(
            _mine(fleet_run_id, member),
            fleet_visits.c.worker == worker,
            fleet_visits.c.ending.is_(None),
        )
        .values(heartbeat_at=moment)
    )
    return bool(said.rowcount)


def end(connection: sa.Connection, visit: Visit) -> bool:
    """Write how a visit ended; False if it had ended already, or another worker has it: nothing is written then."""
    assert visit.ending is not None
    values = asdict(visit)
    values["group_name"] = values.pop("group")
    values["ending"] = visit.ending.value
    fixed = ("fleet_run_id", "member", "group_name", "tags")
    done = connection.execute(
        fleet_visits.update()
        .where(
            _mine(visit.fleet_run_id, visit.member),
            fleet_visits.c.ending.is_(None),
            (fleet_visits.c.worker == visit.worker) | fleet_visits.c.began_at.is_(None),
        )
        .values({name: value for name, value in values.items() if name not in fixed})
    )
    if done.rowcount:
        _end_run(connection, visit.fleet_run_id, visit.ended_at)
    return bool(done.rowcount)


def _end_run(connection: sa.Connection, fleet_run_id: int, moment: datetime | None) -> None:
    """Note when the last visit of a run has ended.

    Of two that end at the same time, the second waits, and sees that the first has ended.
    """
    mine = sa.select(fleet_runs.c.id).where(fleet_runs.c.id == fleet_run_id)
    connection.execute(mine.with_for_update())
    left = sa.select(fleet_visits.c.member).where(
        fleet_visits.c.fleet_run_id == fleet_run_id, fleet_visits.c.ending.is_(None)
    )
    connection.execute(
        fleet_runs.update()
        .where(fleet_runs.c.id == fleet_run_id, fleet_runs.c.ended_at.is_(None), ~sa.exists(left))
        .values(ended_at=moment)
    )


def visits(connection: sa.Connection, fleet_run_id: int) -> tuple[Visit, ...]:
    """Return all visits of a run, in the order of the members' names."""
    query = sa.select(fleet_visits).where(fleet_visits.c.fleet_run_id == fleet_run_id)
    found = map(of_row, connection.execute(query).mappings())
    return tuple(sorted(found, key=lambda visit: visit.member))


def of_row(row: Mapping[Any, Any]) -> Visit:
    """Return the visit that a row of the table stands for."""
    values = {_RENAMED.get(name, name): value for name, value in row.items()}
    ending = values.pop("ending")
    return Visit(**values, ending=None if ending is None else VisitEnding(ending))


def runs_of_fleet(connection: sa.Connection, limit: int = 20) -> tuple[FleetRun, ...]:
    """Return the runs, the newest first."""
    query = sa.select(
        fleet_runs.c.id,
        fleet_runs.c.began_at,
        fleet_runs.c.ended_at,
        fleet_runs.c.tool_version,
        fleet_runs.c.members,
    ).order_by(fleet_runs.c.began_at.desc(), fleet_runs.c.id.desc())
    return tuple(FleetRun(**row) for row in connection.execute(query.limit(limit)).mappings())


def run_before(connection: sa.Connection, run: FleetRun) -> FleetRun | None:
    """Return the newest earlier run of the same fleet: of the same sources and selection, with a member in common.

    A history may have several fleets, and a run may have been one over a part of the fleet.
    """
    sources = asked_for(connection, run.id).get("sources")
    query = (
        sa.select(fleet_runs)
        .where(fleet_runs.c.id < run.id)
        .order_by(fleet_runs.c.began_at.desc(), fleet_runs.c.id.desc())
    )
    alike = {
        row["id"]: FleetRun(**{name: row[name] for name in _RUN})
        for row in connection.execute(query.limit(_LOOKED_BACK)).mappings()
        if row["settings"].get("sources") == sources
    }
    ours = sa.select(fleet_visits.c.member).where(fleet_visits.c.fleet_run_id == run.id)
    shared = (
        sa.select(fleet_visits.c.fleet_run_id)
        .where(fleet_visits.c.fleet_run_id.in_(list(alike)), fleet_visits.c.member.in_(ours))
        .distinct()
    )
    known = set(connection.execute(shared).scalars())
    return next((found for id_, found in alike.items() if id_ in known), None)


_RUN = ("id", "began_at", "ended_at", "tool_version", "members")


def _mine(fleet_run_id: int, member: str) -> sa.ColumnElement[bool]:
    return (fleet_visits.c.fleet_run_id == fleet_run_id) & (fleet_visits.c.member == member)
