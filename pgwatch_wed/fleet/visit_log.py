"""The log of visits, in the history: who is to be visited, who is under way, what became of each.

A row per member is written when a run begins, so that whoever goes on after a crash knows what is left. Claiming is
one UPDATE: of several processes, one visits. Functions take the connection of :meth:`Store.writing` or ``reading``.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from pgwatch_wed import __version__
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
    """Note when the last visit of a run has ended."""
    left = sa.select(fleet_visits.c.member).where(
        fleet_visits.c.fleet_run_id == fleet_run_id, fleet_visits.c.ending.is_(None)
    )
    connection.execute(
        fleet_runs.update()
        .where(fleet_runs.c.id == fleet_run_id, ~sa.exists(left))
        .values(ended_at=moment)
    )


def visits(connection: sa.Connection, fleet_run_id: int) -> tuple[Visit, ...]:
    """Return all visits of a run, in the order of the members' names."""
    query = sa.select(fleet_visits).where(fleet_visits.c.fleet_run_id == fleet_run_id)
    found = map(_visit, connection.execute(query).mappings())
    return tuple(sorted(found, key=lambda visit: visit.member))


def _visit(row: Any) -> Visit:
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


def _mine(fleet_run_id: int, member: str) -> sa.ColumnElement[bool]:
    return (fleet_visits.c.fleet_run_id == fleet_run_id) & (fleet_visits.c.member == member)
