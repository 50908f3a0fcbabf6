"""A run of a fleet in one process: threads that look at targets, threads that visit, and one that decides.

A host that hangs costs the thread that waits for it, and these are many and cheap: visits have threads of their own.
Members are put together to clusters once everybody has been looked at or is slow; who is slow follows by itself.
"""

import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from pgwatch_wed import clock
from pgwatch_wed.errors import HistoryError
from pgwatch_wed.fleet import fleet_units, probing, visit_log, visiting
from pgwatch_wed.fleet.failures import Failure
from pgwatch_wed.fleet.fleet_begin import BegunRun
from pgwatch_wed.fleet.fleet_units import Double, Unit, VisitPlan, address_of, addresses_of
from pgwatch_wed.fleet.lanes import Lane, LaneLimits, LaneTask
from pgwatch_wed.fleet.members import Member
from pgwatch_wed.fleet.probing import ProbedMember
from pgwatch_wed.fleet.visiting import VisitOptions, Visitor
from pgwatch_wed.fleet.visits import Visit, VisitEnding
from pgwatch_wed.history import remembered
from pgwatch_wed.history.store import Store
from pgwatch_wed.target import door

_MOST_LOOKING = 64
_SLOW_S = 3.0
"""Who has not answered after so many seconds is not waited for when members are put together."""

_BEAT_S = 20.0
_ENDING_S = 3.0
_ELSEWHERE_S = 15.0
_TICK_S = 0.05
_PRUNED_A_CLUSTER = 20


def _go_on() -> None:
    pass


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """How a fleet is visited.

    ``per_host`` and ``per_group`` limit how many visits run at the same time; ``budget_s`` is for the whole run, in
    seconds; each visit begins up to ``jitter_s`` later than it could. ``end_if_told`` is called again and again, and
    raises what shall end the run.
    """

    visits: VisitOptions = field(default_factory=VisitOptions)
    concurrency: int = 16
    per_host: int | None = None
    per_group: int | None = None
    budget_s: float | None = None
    jitter_s: float = 0.0
    end_if_told: Callable[[], None] = _go_on


TellVisit = Callable[[Visit], None]
"""Called with each visit that has ended, by the thread that runs the engine."""


@dataclass(frozen=True, slots=True)
class _Looked:
    """Members that were looked at together, and how often they had been before."""

    found: tuple[ProbedMember, ...]
    failed: int

    @property
    def members(self) -> tuple[Member, ...]:
        return tuple(each.member for each in self.found)


@dataclass(frozen=True, slots=True)
class _Came:
    """What became of an attempt to visit a cluster."""

    unit: Unit
    visit: Visit | None


@dataclass(frozen=True, slots=True)
class _Silence:
    """Members that are looked at again, and what was known of them by then."""

    members: tuple[Member, ...]
    failure: Failure
    attempts: int


@dataclass(slots=True)
class FleetEngine:
    """One run; see :func:`run`."""

    visitor: Visitor
    options: EngineOptions
    told: TellVisit
    _came: deque[_Looked | _Came | BaseException] = field(default_factory=deque)
    _signal: threading.Event = field(default_factory=threading.Event)
    _leaders: dict[str, str] = field(default_factory=dict)
    _looking: int = 0
    _silent: dict[str, _Silence] = field(default_factory=dict)
    _left: set[str] = field(default_factory=set)
    _limits: LaneLimits = field(default_factory=LaneLimits)
    _looks: Lane = field(init=False)
    _visits: Lane = field(init=False)

    def __post_init__(self) -> None:
        self._limits.most = {"host": self.options.per_host, "group": self.options.per_group}
        looking = max(_MOST_LOOKING, 2 * self.options.concurrency)
        self._looks = Lane(self._limits, looking, self._put)
        self._visits = Lane(self._limits, self.options.concurrency, self._put)

    def run(self, members: Sequence[Member]) -> None:
        """Visit members until each visit has ended; what interrupts it leaves visits that wait."""
        with _beating(self.visitor):
            try:
                for member in fleet_units.mixed(members):
                    self._begin(member)
                self._gather()
                while self._looking or not self._is_quiet:
                    self._wait()
                    for each in self._taken():
                        self._follow(each)
                    if self.visitor.is_over:
                        self._give_up()
                    elif self._looking == len(self._silent) and self._is_quiet:
                        self._leave_silent()
            except BaseException:
                self._stop()
                raise
            for lane in (self._looks, self._visits):
                lane.close()

    @property
    def _is_quiet(self) -> bool:
        return self._visits.is_idle and not self._came

    # --- beginning ----------------------------------------------------------------------------

    def _begin(self, member: Member) -> None:
        skipped = visiting.why_skipped(member, clock.now())
        if skipped is not None:
            self._say(visiting.end_without(self.visitor, member, skipped))
        else:
            self._look((member,), 0)

    def _look(self, members: tuple[Member, ...], failed: int, delay_s: float = 0.0) -> None:
        self._looking += 1

        def work() -> None:
            seconds = max(2, int(min(self.visitor.options.connect_s, self.visitor.left_s)))
            guard = self.visitor.passwords
            self._put(_Looked(tuple(probing.probed(m, seconds, guard) for m in members), failed))

        self._looks.add(LaneTask(work, addresses_of(members), members=members), delay_s)

    def _gather(self) -> None:
        """Put everybody together who has answered by the time when only slow ones are left."""
        looked: list[ProbedMember] = []
        while not self.visitor.is_over:
            for each in self._taken():
                if isinstance(each, BaseException):
                    raise each
                if isinstance(each, _Looked):
                    looked += each.found
            if self._looks.is_settled(_SLOW_S) and not self._came:
                break
            self._wait()
        self._go(fleet_units.planned(looked), 0, is_late=False)

    # --- what came ------------------------------------------------------------------------------

    def _put(self, came: _Looked | _Came | BaseException) -> None:
        self._came.append(came)
        self._signal.set()

    def _taken(self) -> Iterator[_Looked | _Came | BaseException]:
        while self._came:
            each = self._came.popleft()
            if isinstance(each, _Looked):
                name = each.members[0].name
                if name in self._left:
                    self._left.discard(name)
                    continue
                self._looking -= 1
                self._silent.pop(name, None)
            yield each

    def _wait(self) -> None:
        self._signal.wait(_TICK_S)
        self._signal.clear()
        self.options.end_if_told()

    def _follow(self, came: _Looked | _Came | BaseException) -> None:
        if isinstance(came, BaseException):
            raise came
        if isinstance(came, _Looked):
            if len(came.found) > 1:
                self._go_again(came)
            else:
                self._go(fleet_units.planned(came.found), came.failed, is_late=True)
        elif came.visit is None:
            self._see_again(came.unit.members)
        elif came.visit.ending is None:
            self._look_again(came.unit.members, came.visit.attempts)
        else:
            self._say(came.visit)

    def _look_again(
        self, members: tuple[Member, ...], attempts: int, *, is_silence: bool = False
    ) -> None:
        # silence took as long as it may: the pause need not grow as well
        pause = visiting.PAUSES_S[0] if is_silence else visiting.pause_s(attempts)
        spread = random.uniform(0.8, 1.2)  # noqa: S311 - to spread load
        self._look(members, attempts, pause * spread)

    def _go(self, plan: VisitPlan, failed: int, *, is_late: bool) -> None:
        """Visit what was planned; what comes late may belong to a cluster that has been visited."""
        for double in plan.doubles:
            self._say(visiting.end_double(self.visitor, double))
        for unit in plan.units:
            leader = self._leaders.get(unit.probe.system_identifier or "", unit.member.name)
            if is_late and unit.probe.is_in_recovery and leader != unit.member.name:
                reason = f"it is a standby of the same cluster as {leader}, which is read once"
                double = Double(unit.member, leader, reason)
                self._say(visiting.end_double(self.visitor, double))
            else:
                self._visit_primary(unit, failed)
        for lost in plan.lost:
            self._lose((lost.member,), lost.failure, failed)

    def _go_again(self, looked: _Looked) -> None:
        """Visit a cluster again of which the first member has the visit, whoever is the primary by now."""
        first = looked.found[0].member
        plan = fleet_units.planned(looked.found)
        unit = visiting.unit_of(first, plan)
        if unit is None:
            failure = next(each.failure for each in plan.lost if each.member == first)
            self._lose(looked.members, failure, looked.failed)
        else:
            self._visit_primary(unit, looked.failed)

    def _visit_primary(self, unit: Unit, failed: int) -> None:
        """Visit a cluster, but not its standby as long as its primary is worth another attempt."""
        attempts = failed + 1
        is_silence = any(why.is_silence for why in unit.unread.values())
        if unit.lacks_primary and self._may_look_again(attempts, is_silence=is_silence):
            self._look_again(unit.members, attempts, is_silence=is_silence)
        else:
            self._visit(unit, failed)

    def _visit(self, unit: Unit, failed: int) -> None:
        if self.visitor.is_over:
            self._end_over_budget(unit.member)
            return
        if unit.probe.system_identifier and not unit.probe.is_in_recovery:
            self._leaders.setdefault(unit.probe.system_identifier, unit.member.name)
        addresses = {address_of(target) for target in (unit.probe.target, *unit.standbys)}
        counted = (("host", unit.host), ("group", unit.member.group))

        def work() -> None:
            # it may have waited for hours
            closed = visiting.why_skipped(unit.member, clock.now())
            if closed is None:
                came = visiting.visit(self.visitor, unit, failed)
            else:
                came = visiting.end_without(self.visitor, unit.member, closed, failed)
            self._put(_Came(unit, came))

        task = LaneTask(
            work,
            frozenset({unit.node_key, *addresses}),
            tuple(each for each in counted if each[1]),
            (unit.member,),
        )
        delay = random.uniform(0, self.options.jitter_s)  # noqa: S311 - to spread load
        self._visits.add(task, delay)

    def _lose(self, members: tuple[Member, ...], failure: Failure, failed: int) -> None:
        attempts = failed + int(failure.was_tried)
        is_silence = failure.is_silence
        if failure.is_temporary and self._may_look_again(attempts, is_silence=is_silence):
            if is_silence:
                self._silent[members[0].name] = _Silence(members, failure, attempts)
            self._look_again(members, attempts, is_silence=is_silence)
        else:
            self._end_lost(members, failure, attempts)

    def _end_lost(self, members: tuple[Member, ...], failure: Failure, attempts: int) -> None:
        lost = visiting.end_without(self.visitor, members[0], failure, attempts)
        if lost is None:
            self._see_again(members)
        self._say(lost)

    def _may_look_again(self, attempts: int, *, is_silence: bool) -> bool:
        """Tell whether another attempt is worth it: those who say nothing are asked again only while others are visited."""
        return self.visitor.may_try_again(attempts) and not (is_silence and self._visits.is_idle)

    def _leave_silent(self) -> None:
        """End those who had the time to answer, and did not; the attempt that is under way is not waited for."""
        silent = tuple(self._silent.items())
        self._silent.clear()
        self._looking -= len(silent)
        for name, each in silent:
            self._left.add(name)
            self._end_lost(each.members, each.failure, each.attempts)

    def _see_again(self, members: tuple[Member, ...]) -> None:
        """Look again later if another worker has the visit: it may be lost."""
        with self.visitor.store.reading() as connection:
            stands = visit_log.stands(connection, self.visitor.fleet_run_id, members[0].name)
        if stands is not None and stands.ending is None and not self.visitor.is_over:
            self._look(members, 0, _ELSEWHERE_S)

    def _say(self, visit: Visit | None) -> None:
        if visit is not None:
            self.told(visit)

    # --- the end --------------------------------------------------------------------------------

    def _give_up(self) -> None:
        """End what has not begun when the time of the run is over; what is under way has its share of that time."""
        looks, visits = self._looks.close(), self._visits.close()
        self._looking -= len(looks)
        for task in (*looks, *visits):
            for member in task.members:
                self._end_over_budget(member)

    def _end_over_budget(self, member: Member) -> None:
        with self.visitor.store.reading() as connection:
            stands = visit_log.stands(connection, self.visitor.fleet_run_id, member.name)
        before = f"; before that: {stands.reason}" if stands is not None and stands.reason else ""
        reason = f"the time for the whole run was over before its turn{before}"
        over = Failure(VisitEnding.OVER_BUDGET, reason, "increase --budget")
        attempts = 0 if stands is None else stands.attempts
        self._say(visiting.end_without(self.visitor, member, over, attempts))

    def _stop(self) -> None:
        """End connections, and let visits wait for whoever resumes the run."""
        self.visitor.stopping.set()
        for lane in (self._looks, self._visits):
            lane.close()
        with suppress(Exception):
            door.end_all()
        until = time.monotonic() + _ENDING_S
        while not self._visits.is_idle and time.monotonic() < until:
            time.sleep(_TICK_S)
        with suppress(HistoryError), self.visitor.store.writing() as connection:
            visit_log.release_all(connection, self.visitor.fleet_run_id, [self.visitor.worker])


@contextmanager
def _beating(visitor: Visitor) -> Iterator[None]:
    """Say from time to time that this worker lives."""
    done = threading.Event()

    def beat() -> None:
        while not done.wait(_BEAT_S):
            with suppress(HistoryError), visitor.store.writing() as connection:
                visit_log.beat_all(connection, visitor.fleet_run_id, visitor.worker, clock.now())

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()


def run(
    store: Store,
    begun: BegunRun,
    worker: str,
    options: EngineOptions,
    told: TellVisit,
) -> None:
    """Visit the members of a run; ``told`` is called with each visit that has ended.

    Raises :class:`HistoryError` if the history cannot be written. Whatever ends it, visits that have not ended wait.
    """
    until = None if options.budget_s is None else time.monotonic() + options.budget_s
    visitor = Visitor(store, begun.run.id, worker, options.visits, until)
    FleetEngine(visitor, options, told).run(begun.members)
    with suppress(HistoryError):  # the visits have ended; the next run tidies up
        remembered.tidy(store, _PRUNED_A_CLUSTER * max(1, len(begun.members)))
