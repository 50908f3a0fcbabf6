"""When probes are asked, and what comes of it.

One thread keeps the time; each attempt runs in a thread of its own. At the deadline the wait ends, whatever the
library does: name resolution, a connection and all commands together have this one deadline. An attempt that has
not returned by then is abandoned, and the probe is not asked again until it has returned: threads never pile up.
"""

import random
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from pgwatch_wed.app import breakers
from pgwatch_wed.app.breakers import Breaker, BreakerOpenError, Permit
from pgwatch_wed.serve.probes.observation import Limit, Observation, ProbeFailure, of_network
from pgwatch_wed.serve.probes.probe_settings import ProbeSettings
from pgwatch_wed.serve.state import Board, Family, Health, ProbeResult, Reason, ServiceState

MAKER = "probes"  # of families of the state
JITTER = 0.1
# After the first of several tries, the next follows soon: a failure is to be known before the next interval.
RETRY_S = 1.0
# While a breaker is open, a probe asks once an interval; the jitter must not make it skip one.
_RESET_INTERVALS = 0.8
_FAILURES = 5


@dataclass(frozen=True, slots=True)
class Probe:
    """A peer and how it is asked: ``ask`` runs in a thread, and raises ProbeFailure or returns what it saw."""

    settings: ProbeSettings
    ask: Callable[[Limit], Observation]
    target: str = ""  # how the target is called in metrics; no address that is a secret


@dataclass(slots=True, eq=False)
class _Attempt:
    begun: float
    until: float
    permit: Permit
    is_abandoned: bool = False


@dataclass(slots=True, eq=False)
class _Course:
    """A probe and where it stands."""

    probe: Probe
    breaker: Breaker
    due: float = 0.0  # when it is to be asked next
    round_at: float = 0.0  # when the present round of tries began
    failed: int = 0  # tries of this round
    rounds: int = 0  # how many have ended
    attempt: _Attempt | None = None
    result: ProbeResult | None = None
    families: tuple[Family, ...] = ()

    @property
    def name(self) -> str:
        return self.probe.settings.name


class Runner:
    """Asks the probes at their intervals, and puts results and what adds up on the board."""

    def __init__(
        self,
        board: Board,
        probes: Sequence[Probe],
        *,
        now: Callable[[], float],
        monotonic: Callable[[], float] = time.monotonic,
        spread: Callable[[], float] = random.random,  # from 0 to 1
    ) -> None:
        self._board = board
        self._now = now
        self._monotonic = monotonic
        self._spread = spread
        self._courses = [_Course(p, self._breaker(p.settings)) for p in probes]
        self._changed = threading.Condition(threading.RLock())
        self._thread: threading.Thread | None = None
        self._is_stopping = False
        self._board.change(self._with_more)

    @property
    def breakers(self) -> dict[str, Breaker]:
        """The breakers around the probes, by name of the probe."""
        return {c.name: c.breaker for c in self._courses}

    def start(self) -> None:
        """Ask each probe now, a little spread, and from now on at its interval."""
        with self._changed:
            begun = self._monotonic()
            for course in self._courses:
                # all at once would be a load of its own; and nothing should be unknown for long
                course.due = begun + min(course.probe.settings.interval_s, 1.0) * self._spread() / 2
            self._is_stopping = False
            self._thread = threading.Thread(target=self._keep_time, name="probes", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Ask no more. Attempts that have not returned are left to themselves, and end with the process."""
        with self._changed:
            self._is_stopping = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(2)
            self._thread = None

    def run_once(self) -> None:
        """Ask each probe once, with its tries, and return when all results are there."""
        with self._changed:
            begun = self._monotonic()
            wanted = {course: course.rounds + 1 for course in self._courses}
            for course in wanted:
                course.due = begun
            while True:
                pause = self._step(self._monotonic())
                if all(course.rounds >= number for course, number in wanted.items()):
                    return
                self._changed.wait(max(pause, 0.001))

    def _keep_time(self) -> None:
        with self._changed:
            while not self._is_stopping:
                self._changed.wait(max(self._step(self._monotonic()), 0.001))

    def _step(self, at: float) -> float:
        """Do what is due; return how long nothing will be."""
        for course in self._courses:
            attempt = course.attempt
            if attempt and not attempt.is_abandoned and at >= attempt.until:
                self._abandon(course, attempt, at)
            if course.due <= at:
                self._begin(course, at)
        return min((self._next(c) for c in self._courses), default=at + 3600) - at

    @staticmethod
    def _next(course: _Course) -> float:
        attempt = course.attempt
        return course.due if attempt is None or attempt.is_abandoned else attempt.until

    # One attempt

    def _begin(self, course: _Course, at: float) -> None:
        settings = course.probe.settings
        if not course.failed:
            course.round_at = at
        if course.attempt is not None:
            late = round(at - course.attempt.begun)
            detail = (
                f"no answer within the deadline; the last attempt has not returned for {late} s"
            )
            self._conclude(course, Observation(Health.FAIL, Reason.TIMEOUT, detail), None, at)
            return
        try:
            permit = course.breaker.admit()
        except BreakerOpenError:
            self._skip(course, at)
            return
        attempt = _Attempt(at, at + settings.deadline_s, permit)
        course.attempt, course.due = attempt, float("inf")
        name = f"probe {course.name}"
        made = threading.Thread(target=self._ask, args=(course, attempt), name=name, daemon=True)
        try:
            made.start()
        except RuntimeError:  # this machine's fault, which says nothing of the peer
            course.attempt = None
            permit.end(is_failure=True)
            seen = Observation(Health.UNKNOWN, None, "not probed: no thread can be started")
            self._conclude(course, seen, None, at)

    def _ask(self, course: _Course, attempt: _Attempt) -> None:
        settings = course.probe.settings
        try:
            seen = course.probe.ask(Limit(attempt.until, self._monotonic))
        except ProbeFailure as failure:
            seen = Observation(settings.status_of(failure.reason), failure.reason, failure.detail)
        except Exception as error:  # noqa: BLE001 - a fault of ours must not end the probing
            kind = type(error).__name__
            fault = ProbeFailure(Reason.PROTOCOL, f"the probe itself failed ({kind})")
            known = of_network(error) or fault
            seen = Observation(Health.FAIL, known.reason, known.detail)
        with self._changed:
            course.attempt = None
            if not attempt.is_abandoned and not self._is_stopping:
                self._returned(course, attempt, seen)
            self._changed.notify_all()

    def _returned(self, course: _Course, attempt: _Attempt, seen: Observation) -> None:
        at = self._monotonic()
        took = at - attempt.begun
        limit = course.probe.settings.latency_s
        if limit is not None and took > limit:
            seen = seen.warned(
                f"answered in {round(took * 1000)} ms; the threshold is {round(limit * 1000)} ms"
            )
        attempt.permit.end(is_failure=seen.status is Health.FAIL)
        self._conclude(course, seen, took, at)

    def _abandon(self, course: _Course, attempt: _Attempt, at: float) -> None:
        attempt.is_abandoned = True
        attempt.permit.end(is_failure=True)
        seen = Observation(Health.FAIL, Reason.TIMEOUT, "no answer within the deadline")
        self._conclude(course, seen, at - attempt.begun, at)

    def _skip(self, course: _Course, at: float) -> None:
        self._plan(course, at)
        if course.result is not None:
            # fresh, since the breaker's state is: the peer failed, and is left alone for a moment
            self._publish(course, replace(course.result, at=self._now()), ())

    # What comes of it

    def _conclude(self, course: _Course, seen: Observation, took: float | None, at: float) -> None:
        settings = course.probe.settings
        if (
            seen.reason is not None
            and seen.status is Health.FAIL
            and settings.may_retry(seen.reason)
        ):
            course.failed += 1
            if course.failed < settings.tries and self._was_well(course):
                course.due = at + min(RETRY_S, settings.interval_s / 5)
                self._board.change(self._with_more)
                return
        course.failed = 0
        self._plan(course, at)
        self._publish(course, self._result(course, seen, took), seen.families)

    @staticmethod
    def _was_well(course: _Course) -> bool:
        """Tell whether a failure would be news: one that is known already needs no second try."""
        return course.result is None or course.result.status is not Health.FAIL

    def _plan(self, course: _Course, at: float) -> None:
        course.rounds += 1
        interval = course.probe.settings.interval_s
        spread = 1 + JITTER * (2 * self._spread() - 1)
        course.due = max(course.round_at + interval * spread, at + 0.001)

    def _result(self, course: _Course, seen: Observation, took: float | None) -> ProbeResult:
        settings, now = course.probe.settings, self._now()
        last = course.result and course.result.as_of(now)
        is_same = last is not None and last.status is seen.status
        return ProbeResult(
            name=settings.name,
            kind=settings.kind,
            status=seen.status,
            at=now,
            since=last.since if last is not None and is_same else now,
            interval_s=settings.interval_s,
            latency_s=took,
            reason=seen.reason,
            detail=seen.detail,
            is_essential=settings.essential,
            target=course.probe.target,
            readings=seen.readings,
        )

    def _publish(self, course: _Course, result: ProbeResult, families: tuple[Family, ...]) -> None:
        course.result = result
        course.families = families

        def change(state: ServiceState) -> ServiceState:
            probes = {**state.probes, result.name: result}
            return self._with_more(replace(state, probes=probes))

        self._board.change(change)

    def _with_more(self, state: ServiceState) -> ServiceState:
        states = {name: str(each.state) for name, each in self.breakers.items()}
        return replace(
            state,
            families={**state.families, MAKER: merged(c.families for c in self._courses)},
            details={**state.details, "breakers": states},
        )

    def _breaker(self, settings: ProbeSettings) -> Breaker:
        made = Breaker(
            f"probe {settings.name}",
            failures=_FAILURES,
            reset_s=settings.interval_s * _RESET_INTERVALS,
            trial_s=max(60.0, 2 * settings.deadline_s),
            monotonic=self._monotonic,
        )
        breakers.show(made)
        return made


def merged(families: Iterable[tuple[Family, ...]]) -> tuple[Family, ...]:
    """Return families with the samples of all that have the same name."""
    found: dict[str, Family] = {}
    for each in chain.from_iterable(families):
        last = found.get(each.name)
        found[each.name] = replace(each, samples=last.samples + each.samples) if last else each
    return tuple(found.values())
