"""One visit to one cluster: claim it, collect, judge, store, and write how it ended.

Whoever calls this decides where it runs: a thread of this process, or a worker on another machine. What is stored and
how the visit ended are one transaction: a worker that dies leaves a visit that waits, and nothing that counts twice.
"""

import math
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import sqlalchemy as sa

from pgwatch_wed import clock
from pgwatch_wed.config import Config
from pgwatch_wed.errors import Error, HistoryError, HistoryPlaceError
from pgwatch_wed.facts import Cause, Missing, Snapshot
from pgwatch_wed.fleet import (
    bundles,
    cluster_judging,
    failures,
    fleet_units,
    leftovers,
    probing,
    traits,
    visit_log,
)
from pgwatch_wed.fleet.failures import Failure
from pgwatch_wed.fleet.fleet_units import Unit, why_closed
from pgwatch_wed.fleet.members import Member
from pgwatch_wed.fleet.password_guard import PasswordGuard
from pgwatch_wed.fleet.visits import Visit, VisitEnding
from pgwatch_wed.gather import run as gathering
from pgwatch_wed.gather.wanted import Wanted
from pgwatch_wed.history import recall, remembered, runs, states
from pgwatch_wed.history.runs import StoredRun
from pgwatch_wed.history.store import Store
from pgwatch_wed.ignoring import acknowledged_as
from pgwatch_wed.progress import silent
from pgwatch_wed.target import connect
from pgwatch_wed.target.collect import CollectLimits

LEAST_JUDGING_S = 60.0
"""How long a large catalog may be judged, however small its cluster's budget is."""

PAUSES_S = (5.0, 20.0, 60.0)
"""How long to wait after each failed attempt; the last one for all further."""


@dataclass(frozen=True, slots=True)
class VisitOptions:
    """How clusters are visited. ``budget_s`` is for each cluster, in seconds; a member's own goes before it."""

    settings: Config = field(default_factory=Config)
    budget_s: float = 300
    connect_s: int = probing.CONNECT_S
    attempts: int = 3
    advise: bool = False
    limits: CollectLimits = field(default_factory=CollectLimits)


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who visits: a worker of a fleet run, with the history that it writes.

    ``until`` is when the time of the run is over, by the monotonic clock; ``passwords`` is for all visits of the run. ``others_go_on``
    tells whether there is anything to do besides a member that says nothing: else it is not asked again. ``in_turn`` is
    entered by :func:`visit_members` for what is more than to look. Once ``stopping`` is set, a visit ends before
    what takes long, and waits for whoever resumes the run.
    """

    store: Store
    fleet_run_id: int
    worker: str
    options: VisitOptions = field(default_factory=VisitOptions)
    until: float | None = None
    stopping: threading.Event = field(default_factory=threading.Event)
    passwords: PasswordGuard = field(default_factory=PasswordGuard)
    others_go_on: Callable[[sa.Connection, str], bool] = lambda _, __: True
    in_turn: Callable[[], AbstractContextManager[None]] = nullcontext

    @property
    def left_s(self) -> float:
        """How many seconds the run has left."""
        return math.inf if self.until is None else self.until - time.monotonic()

    @property
    def is_over(self) -> bool:
        """Whether the run has no time left."""
        return self.left_s <= 0

    def may_try_again(self, attempts: int) -> bool:
        """Tell whether there is another attempt after so many, and time for it."""
        return attempts < self.options.attempts and pause_s(attempts) < self.left_s


class _LostError(Exception):
    """Another worker has the visit, or we were told to stop."""


def pause_s(attempts: int) -> float:
    """Return how many seconds to wait after so many failed attempts."""
    return PAUSES_S[min(attempts, len(PAUSES_S)) - 1]


def visit_members(visitor: Visitor, members: tuple[Member, ...]) -> Visit | None:
    """Look at members that are one cluster, and visit it; see :func:`visit`.

    It is the work of a job: the first member is the one whose visit it is. Members that turn out to be the same as
    another one are ended as such.
    """
    first = members[0]
    skipped = why_skipped(first, clock.now())
    if skipped is not None:
        return end_without(visitor, first, skipped)
    plan = fleet_units.planned(
        probing.probed(each, visitor.options.connect_s, visitor.passwords) for each in members
    )
    for double in plan.doubles:
        if double.member.name != first.name:
            end_double(visitor, double)
    unit = unit_of(first, plan)
    if unit is not None:
        with visitor.in_turn():
            return visit(visitor, unit)
    lost = next(each for each in plan.lost if each.member.name == first.name)
    if not lost.failure.was_tried:
        return end_without(visitor, first, lost.failure)
    return fail(visitor, first, lost.failure)


def unit_of(first: Member, plan: fleet_units.VisitPlan) -> Unit | None:
    """Return the cluster of a member as that member's, whichever member's targets lead to its primary now."""
    mine = [unit for unit in plan.units if first in unit.members]
    return replace(mine[0], member=first) if mine else None


def why_skipped(member: Member, moment: datetime) -> Failure | None:
    """Return why a member is not visited at a moment, if it is not."""
    if not member.is_enabled:
        return Failure(
            VisitEnding.SKIPPED,
            "it is disabled in the inventory",
            "write enabled = true in the inventory",
        )
    if member.allowed is None or member.allowed.holds(moment):
        return None
    opens = member.allowed.next_opening(moment)
    reason = (
        f"visits are allowed from {member.allowed.begins:%H:%M} to {member.allowed.ends:%H:%M} UTC"
    )
    return Failure(
        VisitEnding.SKIPPED, reason, f"run again at {opens:%Y-%m-%d %H:%M} UTC" if opens else ""
    )


def visit(visitor: Visitor, unit: Unit, failed_before: int = 0) -> Visit | None:
    """Visit a cluster once, and write how that ended; None if another worker has it, or it has ended.

    The ending is None if the attempt failed in a way that may pass: the visit then waits again, and is worth another
    attempt after :func:`pause_s`. ``failed_before`` are attempts that did not come so far as to claim it.

    Raises :class:`HistoryPlaceError` if nothing can be written: then the visit waits, too. A damaged part of the history
    costs the clusters that need it only.
    """
    try:
        return _visited(visitor, unit, failed_before)
    finally:
        leftovers.visited()


def _visited(visitor: Visitor, unit: Unit, failed_before: int) -> Visit | None:
    begun = _claimed(visitor, unit.member, failed_before)
    if begun is None:
        return None
    begun = replace(begun, label=connect.label(unit.probe.target))
    if begun.attempts > visitor.options.attempts + _MOST_CUT_OFF:
        return _end(visitor, begun, _CUT_OFF)
    try:
        with visitor.store.writing() as connection:
            other = visit_log.identify(
                connection, visitor.fleet_run_id, begun.member, unit.node_key
            )
        if other is not None:
            reason = f"it is the same server as {other}, which is read once"
            return _end(
                visitor, replace(begun, same_as=other), Failure(VisitEnding.SKIPPED, reason)
            )
        return _made(visitor, unit, replace(begun, node_key=unit.node_key))
    except _LostError:
        _release(visitor, begun)
        return None
    except HistoryPlaceError:
        with suppress(HistoryError):
            _release(visitor, begun)
        raise
    except HistoryError as error:
        return _failed(visitor, begun, Failure(VisitEnding.REFUSED, error.message, error.hint))
    except Error as error:
        if visitor.stopping.is_set():
            _release(visitor, begun)
            return None
        return _failed(visitor, begun, failures.of(error, unit.probe.target))
    except Exception as error:  # noqa: BLE001 - whatever it is, the other clusters are visited
        return _failed(visitor, begun, failures.unexpected(error))


_MOST_CUT_OFF = 2
_CUT_OFF = Failure(
    VisitEnding.REFUSED,
    "its visits were cut off again and again: the process that made them ended each time",
    "see whether this machine's memory is enough for its catalog",
)


def fail(
    visitor: Visitor, member: Member, failure: Failure, failed_before: int = 0
) -> Visit | None:
    """Write that a member was not reached: as its ending, or, if that may pass, as the reason why it waits."""
    if failure.is_silence:
        return _fell_silent(visitor, member, failure, failed_before)
    begun = _claimed(visitor, member, failed_before)
    return None if begun is None else _failed(visitor, begun, failure)


def _fell_silent(
    visitor: Visitor, member: Member, failure: Failure, failed_before: int
) -> Visit | None:
    """Let a member wait again if there is anything else to do; in one transaction, so that of many none waits for another."""
    with visitor.store.writing() as connection:
        begun = _claimed_with(connection, visitor, member, failed_before)
        if begun is None:
            return None
        may = visitor.may_try_again(begun.attempts)
        if not may or not visitor.others_go_on(connection, member.name):
            return _ended(connection, begun, failure.ending, failure.reason, failure.mend)
        waiting = replace(begun, reason=failure.reason, mend=failure.mend)
        visit_log.release(connection, waiting)
        return waiting


def end_without(
    visitor: Visitor, member: Member, failure: Failure, attempts: int = 0
) -> Visit | None:
    """End a visit that was not made."""
    return _ended_at_once(visitor, Visit(visitor.fleet_run_id, member.name), failure, attempts)


def end_double(visitor: Visitor, double: fleet_units.Double) -> Visit | None:
    """End the visit of a member whose cluster is visited as another's."""
    mine = Visit(visitor.fleet_run_id, double.member.name, same_as=double.same_as)
    return _ended_at_once(visitor, mine, Failure(VisitEnding.SKIPPED, double.reason), 0)


def _ended_at_once(visitor: Visitor, mine: Visit, failure: Failure, attempts: int) -> Visit | None:
    """Claim a visit, which another worker may have lost, and end it; None if it has ended, or is under way."""
    with visitor.store.writing() as connection:
        moment = clock.now()
        run, worker = visitor.fleet_run_id, visitor.worker
        if not visit_log.claim(connection, run, mine.member, worker, moment):
            return None
        begun = visit_log.stands(connection, run, mine.member)
        assert begun is not None
        begun = replace(begun, attempts=attempts, same_as=mine.same_as)
        return _ended(connection, begun, failure.ending, failure.reason, failure.mend)


# --- the log --------------------------------------------------------------------------------------


def _claimed(visitor: Visitor, member: Member, failed_before: int) -> Visit | None:
    with visitor.store.writing() as connection:
        return _claimed_with(connection, visitor, member, failed_before)


def _claimed_with(
    connection: sa.Connection, visitor: Visitor, member: Member, failed_before: int
) -> Visit | None:
    run = visitor.fleet_run_id
    if not visit_log.claim(connection, run, member.name, visitor.worker, clock.now()):
        return None
    claimed = visit_log.stands(connection, run, member.name)
    assert claimed is not None
    attempts = max(claimed.attempts, failed_before + 1)
    return replace(claimed, attempts=attempts, reason="", mend="")


def _failed(visitor: Visitor, begun: Visit, failure: Failure) -> Visit | None:
    if failure.is_temporary and visitor.may_try_again(begun.attempts):
        waiting = replace(begun, reason=failure.reason, mend=failure.mend)
        _release(visitor, waiting)
        return waiting
    return _end(visitor, begun, failure)


def _release(visitor: Visitor, begun: Visit) -> None:
    with visitor.store.writing() as connection:
        visit_log.release(connection, begun)


def _end(visitor: Visitor, begun: Visit, failure: Failure) -> Visit | None:
    with visitor.store.writing() as connection:
        return _ended(connection, begun, failure.ending, failure.reason, failure.mend)


def _ended(
    connection: sa.Connection, begun: Visit, ending: VisitEnding, reason: str, mend: str
) -> Visit | None:
    done = replace(begun, ending=ending, reason=reason, mend=mend, ended_at=clock.now())
    if not ending.was_read:
        return bundles.end_unread(connection, done)
    return done if visit_log.end(connection, done) else None


# --- the work -------------------------------------------------------------------------------------


def _made(visitor: Visitor, unit: Unit, begun: Visit) -> Visit | None:
    if not unit.databases:
        reason = "none of its databases is to be read"
        mend = f"see databases of {unit.member.name} in the inventory"
        return _failed(visitor, begun, Failure(VisitEnding.REFUSED, reason, mend))
    stored = _stored_before(visitor, begun)
    if stored is not None:
        return _concluded(visitor, unit, begun, *stored)
    begun = replace(begun, run_id=None)
    read = _read(visitor, unit)
    _stop_if_told(visitor)
    broken = _why_broken(read)
    if broken is not None and visitor.may_try_again(begun.attempts):
        return _failed(visitor, begun, broken)
    if _is_nothing(read):
        return _failed(visitor, begun, broken or _OVER_BUDGET)
    run = _remembered(visitor, begun, read, unit.kin)
    begun = replace(begun, run_id=run.id, cluster_id=run.cluster_id)
    return _concluded(visitor, unit, begun, run, read)


def _stored_before(visitor: Visitor, begun: Visit) -> tuple[StoredRun, tuple[Snapshot, ...]] | None:
    """Return what a worker that died had stored a short time ago and not concluded."""
    if begun.run_id is None:
        return None
    with visitor.store.reading() as connection:
        run = runs.numbered(connection, begun.run_id)
        if run is None or run.report is not None or clock.now() - run.taken_at > _FRESH:
            return None
        return run, runs.read(connection, run)


_FRESH = timedelta(minutes=30)
_OVER_BUDGET = Failure(
    VisitEnding.OVER_BUDGET,
    "the time for this cluster was over before it could be judged",
    "increase its budget",
)


def _read(visitor: Visitor, unit: Unit) -> tuple[Snapshot, ...]:
    seconds = visitor.options.connect_s
    own, *others = [(name, probing.resolved(target, seconds)) for name, target in unit.databases]
    wanted = Wanted(
        standbys=tuple(probing.resolved(each, seconds) for each in unit.standbys),
        databases=tuple(others),
        budget_s=_budget_s(visitor, unit.member),
        advise=visitor.options.advise,
        limits=visitor.options.limits,
    )
    # the lab starts servers of ours: one at a time
    with _lab if wanted.advise else nullcontext():
        read = gathering.gathered(own[1], wanted, silent).read
    return tuple(_without_nodes(each, unit.unread) for each in read)


_lab = threading.Lock()


def _budget_s(visitor: Visitor, member: Member) -> float:
    budget = visitor.options.budget_s if member.budget_s is None else member.budget_s
    return min(budget, max(1.0, visitor.left_s))


def _without_nodes(snapshot: Snapshot, unread: Mapping[str, Failure]) -> Snapshot:
    """Say that a node was not read: no index may then be called unused."""
    if not unread or "nodes" in snapshot.missing:
        return snapshot
    label, why = next(iter(unread.items()))
    lost = Missing(f"{label} could not be read: {why.reason}", why.mend, Cause.BROKEN, why.reason)
    return replace(snapshot, nodes=(), missing={**snapshot.missing, "nodes": lost})


def _why_broken(read: tuple[Snapshot, ...]) -> Failure | None:
    """Return why the connection was lost on the way, if it was: another attempt may read everything."""
    lost = [
        why
        for snapshot in read
        for name, why in snapshot.missing.items()
        if why.cause is Cause.BROKEN
        and name != "nodes"
        # one database may be closed to us: that would be so again
        and not (_is_placeholder(snapshot) and not failures.passes(why.said))
    ]
    if not lost:
        return None
    return Failure(VisitEnding.UNREACHABLE, lost[0].reason, lost[0].mend, is_temporary=True)


def _is_placeholder(snapshot: Snapshot) -> bool:
    return "tables" in snapshot.missing and not snapshot.query_costs


def _is_nothing(read: tuple[Snapshot, ...]) -> bool:
    """Tell whether not even what identifies the server was read, so that its history cannot go on."""
    return any(name in read[0].missing for name in ("settings", "databases", "tables"))


def _remembered(
    visitor: Visitor, begun: Visit, read: tuple[Snapshot, ...], kin: frozenset[str]
) -> StoredRun:
    with visitor.store.writing() as connection:
        earlier = visit_log.clusters_before(connection, begun, kin)
        run = remembered.remember(connection, read, earlier)
        assert run is not None
        if run.report is not None or not visit_log.keep(
            connection, replace(begun, run_id=run.id, cluster_id=run.cluster_id)
        ):
            raise _LostError
    return run


def _concluded(
    visitor: Visitor, unit: Unit, begun: Visit, run: StoredRun, read: tuple[Snapshot, ...]
) -> Visit | None:
    with visitor.store.reading() as connection:
        snapshots = recall.recalled(connection, read)
        known = states.acknowledged(connection, run.cluster_id, read)
    holding = tuple(acknowledged_as(each) for each, _ in known if each.holds(read[0].now))
    settings = replace(visitor.options.settings, acknowledged=holding)
    most_s = max(LEAST_JUDGING_S, _budget_s(visitor, unit.member))
    try:
        found = cluster_judging.judged(snapshots, settings, begun.label, most_s)
    except TimeoutError:
        return _failed(visitor, begun, _JUDGED_TOO_LONG)
    _stop_if_told(visitor)
    lacking = {**dict(_lacking(read)), **why_closed(unit)}
    with visitor.store.writing() as connection:
        if not visit_log.keep(connection, begun):
            raise _LostError
        remembered.conclude(connection, run, found.report, found.document, snapshots)
        near = visit_log.traits_near(connection, begun)
        begun = replace(
            begun,
            lacking=lacking,
            traits=traits.put(connection, traits.of(snapshots, settings.disk_bytes), near),
        )
        ending = VisitEnding.IN_PART if lacking else VisitEnding.DONE
        reason = "; ".join(f"{name}: {why}" for name, why in list(lacking.items())[:3])
        return _ended(connection, begun, ending, reason, "")


_JUDGED_TOO_LONG = Failure(
    VisitEnding.OVER_BUDGET,
    "the time for this cluster was over before all rules had looked at its catalog",
    "increase its budget: judging may take as long as reading",
)
_LACKS = frozenset((Cause.BROKEN, Cause.OUT_OF_TIME, Cause.UNEXPECTED))


def _lacking(read: tuple[Snapshot, ...]) -> list[tuple[str, str]]:
    """Return what a visit did not read and another one might, by database and fact."""
    found: list[tuple[str, str]] = []
    for snapshot in read:
        database = snapshot.server.database
        if _is_placeholder(snapshot):
            found.append((database, snapshot.missing["tables"].reason))
            continue
        found += [
            (f"{database}: {name.replace('_', ' ')}", why.reason)
            for name, why in snapshot.missing.items()
            if why.cause in _LACKS
        ]
    return found


def _stop_if_told(visitor: Visitor) -> None:
    if visitor.stopping.is_set():
        raise _LostError
