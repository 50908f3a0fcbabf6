"""The run that a process visits for: a new one, the one that another process left, or the one that other shards are at."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pgwatch_wed import clock
from pgwatch_wed.fleet import fleet_workers, visit_log
from pgwatch_wed.fleet.members import Member
from pgwatch_wed.fleet.shards import Shard
from pgwatch_wed.fleet.visits import FleetRun, Visit, VisitEnding
from pgwatch_wed.history import turns
from pgwatch_wed.history.store import Store
from pgwatch_wed.history.turns import Turn

ENGINE = "threads"
_CURRENT = timedelta(hours=12)
"""For so long a run can be gone on with, and be joined by shards; what waits in an older one is over."""


@dataclass(frozen=True, slots=True)
class BegunRun:
    """A run, the members that this process is to visit, and how many of its own visits had ended before.

    ``read_before`` of these were to clusters that could be read.
    """

    run: FleetRun
    members: tuple[Member, ...]
    before: int = 0
    is_resumed: bool = False
    read_before: int = 0


def begin(
    store: Store,
    members: Sequence[Member],
    worker: str,
    settings: dict[str, Any],
    *,
    shard: Shard,
    resume: bool,
) -> BegunRun:
    """Begin a run, or go on with one.

    With ``resume``, the newest run that has not ended and is not too old, whoever began it; a member that is no longer in the inventory is
    skipped there. Shards join the run of which one of them has begun.
    """
    moment = clock.now()
    with store.writing() as connection:
        turns.wait_for(connection, Turn.FLEET)
        for old in visit_log.left_behind(connection, ENGINE, moment - _CURRENT):
            visit_log.abandon(connection, old, moment)
        found = visit_log.unfinished(connection, ENGINE, shard.of)
        if found is not None and moment - found[0].began_at < _CURRENT:
            run, told = found
            begun = set(told.get("shards_begun", ()))
            if resume or (shard.of > 1 and shard.number not in begun):
                visit_log.note(
                    connection, run.id, {**told, "shards_begun": sorted({*begun, shard.number})}
                )
                logged = visit_log.visits(connection, run.id)
                _free(connection, run.id, logged, worker)
                _drop(connection, logged, members, shard, moment)
                return _left(run, logged, members, shard)
        told = {**settings, "engine": ENGINE, "shards": shard.of, "shards_begun": [shard.number]}
        run = visit_log.begin(connection, members, moment, told)
    return BegunRun(run, tuple(m for m in members if shard.holds(m.name)))


def _free(connection: Any, fleet_run_id: int, logged: Iterable[Visit], worker: str) -> None:
    workers = {each.worker for each in logged if each.ending is None and each.worker}
    gone = fleet_workers.dead(workers, worker)
    if gone:
        visit_log.release_all(connection, fleet_run_id, gone)


def _drop(
    connection: Any,
    logged: Iterable[Visit],
    members: Iterable[Member],
    shard: Shard,
    moment: datetime,
) -> None:
    known = {member.name for member in members}
    for each in logged:
        if each.ending is None and each.member not in known and shard.holds(each.member):
            visit_log.end(
                connection,
                Visit(
                    each.fleet_run_id,
                    each.member,
                    worker=each.worker,
                    ending=VisitEnding.SKIPPED,
                    reason="it is no longer in the inventory",
                    label=each.label,
                    attempts=each.attempts,
                    ended_at=moment,
                ),
            )


def _left(
    run: FleetRun, logged: Sequence[Visit], members: Sequence[Member], shard: Shard
) -> BegunRun:
    mine = [each for each in logged if shard.holds(each.member)]
    waiting = {each.member for each in mine if each.ending is None}
    left = tuple(member for member in members if member.name in waiting)
    before = [each.ending for each in mine if each.ending is not None]
    read = sum(ending.was_read for ending in before)
    return BegunRun(run, left, len(before), is_resumed=True, read_before=read)
