"""A fleet run begins: its clusters wait in the queue. Whoever is killed on the way has begun nothing."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from pgwatch_wed import clock
from pgwatch_wed.errors import Error
from pgwatch_wed.fleet import fleet_units, probing, visit_log
from pgwatch_wed.fleet.fleet_units import VisitPlan
from pgwatch_wed.fleet.lanes import Counted
from pgwatch_wed.fleet.members import Member
from pgwatch_wed.fleet.password_guard import PasswordGuard
from pgwatch_wed.fleet.probing import ProbedMember
from pgwatch_wed.fleet.queue import queue_jobs
from pgwatch_wed.fleet.queue.lock_names import lock_names
from pgwatch_wed.fleet.visiting import why_skipped
from pgwatch_wed.fleet.visits import FleetRun
from pgwatch_wed.history import turns
from pgwatch_wed.history.store import Store
from pgwatch_wed.history.turns import Turn

_MOST_LOOKING = 64


@dataclass(frozen=True, slots=True)
class EnqueueOptions:
    """``per_host`` and ``per_group`` limit how many clusters are visited at the same time, by all workers together.

    ``budget_s`` is for the whole run; all are without limit if None.
    """

    connect_s: int = probing.CONNECT_S
    per_host: int | None = None
    per_group: int | None = None
    budget_s: float | None = None


class UnfinishedRunError(Error):
    """The queue's last run has not ended: another one would visit the same clusters at the same time."""

    def __init__(self, run: FleetRun) -> None:
        super().__init__(
            f"Fleet run {run.id} has not ended, so that nothing was enqueued: see db-analyze fleet status."
        )


def unfinished(opened: Store) -> FleetRun | None:
    """Return the queue's newest run if it has not ended: another one would visit the same clusters at the same time."""
    with opened.reading() as connection:
        return queue_jobs.unfinished(connection)


def enqueue(
    opened: Store, members: Sequence[Member], sources: Sequence[str], options: EnqueueOptions
) -> FleetRun:
    """Begin a run: look at all members, and let each cluster wait; ``sources`` are noted.

    A member that does not answer here waits by itself: a worker may reach it. Raises :class:`UnfinishedRunError`, also if
    somebody else has begun a run meanwhile.
    """
    _refuse_second(unfinished(opened))
    moment = clock.now()
    looked = _looked([m for m in members if why_skipped(m, moment) is None], options.connect_s)
    plan = fleet_units.planned(looked)
    visits = _visits(members, plan)
    locks = _locks(visits, members, plan, options)
    with opened.writing() as connection:
        turns.wait_for(connection, Turn.FLEET)
        _refuse_second(queue_jobs.unfinished(connection))
        settings = {
            "engine": queue_jobs.ENGINE,
            "sources": list(sources),
            "budget_s": options.budget_s,
        }
        began = queue_jobs.server_moment(connection)
        run = visit_log.begin(connection, members, began, settings)
        queue_jobs.defer(connection, run.id, visits, locks.get)
    return run


def _refuse_second(run: FleetRun | None) -> None:
    if run is not None:
        raise UnfinishedRunError(run)


def _looked(members: Sequence[Member], connect_s: int) -> list[ProbedMember]:
    if not members:
        return []
    look = partial(probing.probed, connect_s=connect_s, passwords=PasswordGuard())
    with ThreadPoolExecutor(min(_MOST_LOOKING, len(members)), "look") as threads:
        return list(threads.map(look, fleet_units.mixed(members)))


def _visits(members: Sequence[Member], plan: VisitPlan) -> list[tuple[str, ...]]:
    """Return whose visits wait: each with the members that are the same cluster."""
    others: dict[str, list[str]] = defaultdict(list)
    for double in plan.doubles:
        others[double.same_as].append(double.member.name)
    doubles = {double.member.name for double in plan.doubles}
    return [(m.name, *others[m.name]) for m in members if m.name not in doubles]


def _locks(
    visits: Sequence[tuple[str, ...]],
    members: Sequence[Member],
    plan: VisitPlan,
    options: EnqueueOptions,
) -> Mapping[str, str]:
    """Return names of locks by member: a host and a group have as many as clusters of it may be visited at a time."""
    hosts = {unit.member.name: unit.host for unit in plan.units}
    named = {member.name: member for member in members}

    def counted(name: str) -> tuple[Counted, ...]:
        own = named[name]
        host = hosts.get(name) or (fleet_units.host_of(own.targets[0]) if own.targets else "")
        return tuple(each for each in (("host", host), ("group", own.group)) if each[1])

    most = {"host": options.per_host, "group": options.per_group}
    return lock_names(((name, counted(name)) for name, *_ in visits), most)
