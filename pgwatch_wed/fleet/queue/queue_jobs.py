"""Jobs of the queue: one a visit, with the names of run and member; never with a conninfo.

Functions take the connection of :meth:`Store.writing`, so that a job and what the visit log says change together.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

import psycopg
import sqlalchemy as sa
from procrastinate.sql import queries
from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from pgwatch_wed import assets
from pgwatch_wed.fleet import bundles, visit_log
from pgwatch_wed.fleet.failures import SILENCE, Failure
from pgwatch_wed.fleet.queue.queue_tables import queue_cursor
from pgwatch_wed.fleet.visits import FleetRun, Visit, VisitEnding
from pgwatch_wed.history.schema import fleet_runs, fleet_visits

VISIT_TASK = "visit"
QUEUE = "fleet"
ENGINE = "queue"
"""What the settings of a fleet run say of its engine, if its visits are made by workers."""
MOST_ATTEMPTS = 4
"""So often a visit may end its worker before it is given up."""

# Not of a connection that was lost: whoever was reached is worth another attempt. These are words of ours and of psycopg.
# libpq's stay English as well, whatever the language of this machine, since nothing here sets LC_MESSAGES.
_SAID_NOTHING = rf"^(?:could not connect|the host name).*(?:{SILENCE})"
_RESCUE_LOCK = 0x70_67_77_72

# The columns of procrastinate_job_to_defer_v1.
_Job = tuple[str, str, int, str | None, None, Jsonb, None]
VisitKey = tuple[int, str]
"""A fleet run and a member."""
LockOf = Callable[[str], str | None]
"""The name of a lock by member: of visits with the same one, one is made at a time."""


@dataclass(frozen=True, slots=True)
class Rescued:
    """What a round of rescue did: visits that wait again, those that were given up, and jobs that had been lost."""

    again: tuple[str, ...] = ()
    given_up: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()


def server_moment(connection: sa.Connection) -> datetime:
    """Return this moment by the server's clock: workers on many machines have no other in common."""
    moment: datetime = connection.exec_driver_sql("SELECT clock_timestamp()").scalar_one()
    return moment


def defer(
    connection: sa.Connection,
    fleet_run_id: int,
    visits: Iterable[tuple[str, ...]],
    lock_of: LockOf = lambda _: None,
) -> None:
    """Let visits of a run wait in the queue: each is a member, and members that are the same cluster."""
    jobs = [_job(fleet_run_id, *visit, lock=lock_of(visit[0])) for visit in visits]
    if not jobs:
        return
    with queue_cursor(connection) as cursor:
        _defer(cursor, jobs)


def _job(fleet_run_id: int, member: str, *others: str, lock: str | None) -> _Job:
    args = Jsonb({"fleet_run": fleet_run_id, "member": member, "others": others})
    # No queueing_lock: with retries it fails with a unique violation. The key of fleet_visits prevents duplicates.
    return (QUEUE, VISIT_TASK, 0, lock, None, args, None)


def left(connection: sa.Connection) -> int:
    """Return how many visits of the queue's runs have not ended."""
    with queue_cursor(connection) as cursor:
        row = cursor.execute(_text("left.sql")).fetchone()
    assert row is not None
    return int(row["visits"])


def end_over_budget(connection: sa.Connection) -> tuple[str, ...]:
    """End the visits that wait in a run whose time is over; return whose they are."""
    rows = _waiting_in_vain(connection, "time")
    for row in rows:
        before = f"; before that: {row['reason']}" if row["reason"] else ""
        reason = f"the time for the whole run was over before its turn{before}"
        over = Failure(VisitEnding.OVER_BUDGET, reason, "start more workers, or increase --budget")
        end_unread(connection, row["fleet_run"], row["member"], over)
    return tuple(row["member"] for row in rows)


def end_silent(connection: sa.Connection) -> tuple[Visit, ...]:
    """End the visits to hosts that said nothing, if nothing else is left of their run; return them.

    Another attempt may be under way: whoever makes it finds that the visit has ended.
    """
    rows = _waiting_in_vain(connection, "silence")
    for row in rows:
        silent = Failure(VisitEnding.UNREACHABLE, row["reason"], row["mend"])
        end_unread(connection, row["fleet_run"], row["member"], silent)
    found = (visit_log.stands(connection, row["fleet_run"], row["member"]) for row in rows)
    return tuple(visit for visit in found if visit is not None)


def _waiting_in_vain(
    connection: sa.Connection, because: Literal["time", "silence"]
) -> Sequence[DictRow]:
    given = {"because": because, "silence": _SAID_NOTHING}
    with queue_cursor(connection) as cursor:
        return cursor.execute(_text("waiting_in_vain.sql"), given).fetchall()


def note_answer(connection: sa.Connection, fleet_run_id: int, member: str) -> None:
    """Note that a host which had said nothing has answered: its visit is about to begin."""
    _change(connection, fleet_run_id, member, "", {"reason": "", "mend": ""})


def ended(connection: sa.Connection, visits: Collection[VisitKey]) -> frozenset[VisitKey]:
    """Return those of some visits that have ended."""
    v = fleet_visits.c
    query = sa.select(v.fleet_run_id, v.member).where(
        sa.tuple_(v.fleet_run_id, v.member).in_(list(visits)), v.ending.is_not(None)
    )
    return frozenset((row.fleet_run_id, row.member) for row in connection.execute(query))


def end_unread(connection: sa.Connection, fleet_run_id: int, member: str, failure: Failure) -> None:
    """End a visit without reading its cluster, unless it has ended."""
    known = visit_log.stands(connection, fleet_run_id, member)
    if known is None or known.ending is not None:
        return
    lost = replace(known, ending=failure.ending, reason=failure.reason, mend=failure.mend)
    bundles.end_unread(connection, replace(lost, ended_at=server_moment(connection)))


def others_go_on(connection: sa.Connection, fleet_run_id: int, member: str) -> bool:
    """Tell whether other visits of a run are under way, or have yet to have their turn."""
    with queue_cursor(connection) as cursor:
        given = {"fleet_run": fleet_run_id, "member": member}
        row = cursor.execute(_text("others_go_on.sql"), given).fetchone()
    assert row is not None
    return bool(row["go_on"])


def unfinished(connection: sa.Connection) -> FleetRun | None:
    """Return the newest run of the queue if it has not ended."""
    query = sa.select(
        fleet_runs.c.id,
        fleet_runs.c.began_at,
        fleet_runs.c.ended_at,
        fleet_runs.c.tool_version,
        fleet_runs.c.members,
    ).where(fleet_runs.c.ended_at.is_(None), fleet_runs.c.settings["engine"].as_string() == ENGINE)
    row = connection.execute(query.order_by(fleet_runs.c.id.desc()).limit(1)).mappings().first()
    return None if row is None else FleetRun(**row)


def somebody_has(connection: sa.Connection, member: str, lost_after: timedelta) -> bool:
    """Tell whether a worker that lives has a member in its inventory."""
    with queue_cursor(connection) as cursor:
        given = {"member": member, "lost_after": lost_after}
        row = cursor.execute(_text("somebody_has.sql"), given).fetchone()
    assert row is not None
    return bool(row["has"])


def began_at(connection: sa.Connection, fleet_run_id: int) -> datetime:
    """Return when a run began."""
    query = sa.select(fleet_runs.c.began_at).where(fleet_runs.c.id == fleet_run_id)
    moment: datetime = connection.execute(query).scalar_one()
    return moment


def rescue(connection: sa.Connection, lost_after: timedelta) -> Rescued:
    """Let visits wait again whose worker is gone, and give those a job that have none; of several workers, one does it."""
    with queue_cursor(connection) as cursor:
        mine = cursor.execute(
            "SELECT pg_try_advisory_xact_lock(%s) AS mine", [_RESCUE_LOCK]
        ).fetchone()
        if not (mine or {})["mine"]:
            return Rescued()
        given = {"lost_after": lost_after}
        cursor.execute(_text("failed.sql"))
        again, given_up = [], []
        for row in cursor.execute(_text("stalled.sql"), given).fetchall():
            if row["has_ended"]:
                _finish(cursor, row["id"])
            elif row["attempts"] >= MOST_ATTEMPTS:
                given_up.append(row["member"])
                end_unread(connection, row["fleet_run"], row["member"], _given_up(row))
                _finish(cursor, row["id"])
            else:
                again.append(row["member"])
                release(connection, row["fleet_run"], row["member"], row["worker"])
                _retry(cursor, row["id"])
        lost = cursor.execute(_text("lost_visits.sql"), given).fetchall()
        if lost:
            _defer(cursor, [_job(r["fleet_run"], r["member"], lock=None) for r in lost])
    return Rescued(tuple(again), tuple(given_up), tuple(r["member"] for r in lost))


def release(connection: sa.Connection, fleet_run_id: int, member: str, worker: str) -> None:
    """Take a visit from a worker that does not make it any more: it waits again. The attempt counts.

    Why an earlier one failed does not count any more: the host has answered since.
    """
    if not worker:
        return  # it waits
    waits = {"began_at": None, "heartbeat_at": None, "worker": "", "node_key": None}
    _change(connection, fleet_run_id, member, worker, {**waits, "reason": "", "mend": ""})


def _change(
    connection: sa.Connection,
    fleet_run_id: int,
    member: str,
    worker: str,
    values: Mapping[str, Any],
) -> None:
    connection.execute(
        fleet_visits.update()
        .where(
            fleet_visits.c.fleet_run_id == fleet_run_id,
            fleet_visits.c.member == member,
            fleet_visits.c.worker == worker,
            fleet_visits.c.ending.is_(None),
        )
        .values(values)
    )


def _given_up(row: DictRow) -> Failure:
    return Failure(
        VisitEnding.OVER_BUDGET,
        f"{row['attempts']} workers ended while they visited it, the last one {row['worker']}",
        "see why they ended, such as for lack of memory; try db-analyze run with this cluster alone",
    )


def _defer(cursor: psycopg.Cursor[DictRow], jobs: list[_Job]) -> None:
    cursor.execute(queries["defer_jobs"], {"jobs": jobs})


def _retry(cursor: psycopg.Cursor[DictRow], job_id: int) -> None:
    same = dict.fromkeys(("retry_at", "new_priority", "new_queue_name", "new_lock"))
    cursor.execute(queries["retry_job"], {"job_id": job_id, **same})


def _finish(cursor: psycopg.Cursor[DictRow], job_id: int) -> None:
    given = {"job_id": job_id, "status": "succeeded", "delete_job": True}
    cursor.execute(queries["finish_job"], given)


def _text(name: str) -> bytes:
    return assets.text("sql", "queue", name).encode()
