"""A load test as it was ordered: opens the ground, watches its limits, and runs the course."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar

from pgwatch_wed import units
from pgwatch_wed.config import Config
from pgwatch_wed.embedded import server as embedded
from pgwatch_wed.embedded.server import EmbeddedServer
from pgwatch_wed.errors import CollectError
from pgwatch_wed.load.compare.plan_shapes import PlannedBlocks
from pgwatch_wed.load.course.scenario_proof import ScenarioProof, proof_seconds
from pgwatch_wed.load.course.stress_course import StressCourse
from pgwatch_wed.load.engine.block_run import INTERRUPTED
from pgwatch_wed.load.engine.block_runner import runner
from pgwatch_wed.load.ground.embedded_ground import embedded_ground
from pgwatch_wed.load.ground.stop_conditions import StopConditions, StopLimits, stop_conditions
from pgwatch_wed.load.ground.target_ground import target_ground
from pgwatch_wed.load.load_model import Block, BlockRunner, Ground, Order, Scenario
from pgwatch_wed.load.sampling.session_watch import SessionWatch
from pgwatch_wed.load.scenarios.load_profiles import LoadProfile
from pgwatch_wed.load.stress_report import StressReport
from pgwatch_wed.load.users import own_pooler
from pgwatch_wed.progress import Progress
from pgwatch_wed.scratch import sweep_scratch

_SLACK_S = 120.0


@dataclass(frozen=True, slots=True)
class Owned:
    """What the owner of a target says: its name as it answers, which refusals do not count, and whether load writes.

    ``needs_database``: a schema will not do.
    """

    name: str
    even_if: frozenset[str]
    is_writing: bool
    needs_database: bool = False


@dataclass(slots=True)
class LoadPlace:
    """An open ground. ``server`` is set if it is ours; ``left`` tells at the end what could not be dropped.

    ``is_reserved``: it is a copy's own database, on which only we prove until it is closed.
    """

    ground: Ground
    server: EmbeddedServer | None = None
    left: list[str] = field(default_factory=list)
    is_reserved: bool = False


Telling = Callable[[str], None]
"""Tells people something that no report will say."""


def nobody_told(_text: str) -> None:
    """Tell nobody."""


class _Opened(Protocol):
    @property
    def left(self) -> list[str]: ...


P = TypeVar("P", bound=_Opened)


@contextmanager
def telling_leftovers(opening: AbstractContextManager[P], tell: Telling) -> Iterator[P]:
    """Open a ground for the ``with`` block; if that fails, tell what could not be dropped."""
    left: list[str] = []
    try:
        with opening as place:
            left = place.left
            yield place
    except BaseException:
        for each in left:
            tell(each)
        raise


@contextmanager
def opened(target: str | None, owned: Owned) -> Iterator[LoadPlace]:
    """Open the ground for the ``with`` block: an embedded server, or a database of ours on the target.

    What killed runs have left on this machine is removed, whether or not this one needs the like.
    """
    for sweep in (embedded.sweep, own_pooler.sweep, sweep_scratch):
        sweep()
    if target is None:
        with embedded_ground() as ours:
            yield LoadPlace(ours.ground, ours.server)
        return
    with target_ground(
        target,
        owned.name,
        owned.even_if,
        writing=owned.is_writing,
        needs_database=owned.needs_database,
    ) as theirs:
        yield LoadPlace(theirs.ground, left=theirs.left)


@dataclass(frozen=True, slots=True, kw_only=True)
class StressJob:
    """What is to be run. ``original``: the target of which the ground is a copy, if it is one.

    ``tell`` is called with what a run that fails has left behind, which else the report says.
    """

    profile: LoadProfile
    scenarios: Mapping[str, Scenario]
    settings: Config
    is_proving: bool
    original: str | None
    progress: Progress
    notes: tuple[str, ...] = ()
    tell: Telling = nobody_told

    def run(self, target: str | None, owned: Owned) -> StressReport:
        """Run it."""
        self.progress("opening the ground", 0.01)
        with telling_leftovers(opened(target, owned), self.tell) as place:
            report = self.on(place)
        return replace(report, notes=(*report.notes, *place.left)) if place.left else report

    def on(self, place: LoadPlace) -> StressReport:
        """Run it on a ground that is open."""
        # of a server of our own, we may use all connections
        limits = StopLimits(
            seconds=self._most_s(), connections=0.8 if place.server is None else None
        )
        with stop_conditions(place.ground, limits) as stop:
            report = self._course(place, stop).run()
        if not stop.has_failed or report.failure or report.ended_early == INTERRUPTED:
            return report
        failure = CollectError(f"the server of the load test failed: {stop.reason}")
        return replace(report, failure=failure, ended_early=report.ended_early or stop.reason)

    def _most_s(self) -> float:
        """Return how long all blocks may take: connecting, and what does not end in time, come on top of their own."""
        profile = self.profile
        proofs = len(profile.scenarios) * proof_seconds(profile) if self.is_proving else 0.0
        return 2 * (profile.total_s + proofs) + _SLACK_S

    def _course(self, place: LoadPlace, stop: StopConditions) -> StressCourse:
        watched = runner(place.ground, stop=stop, watch=SessionWatch(place.ground))
        run_block = PlannedBlocks(place.ground, _noted(watched, stop))
        course = StressCourse(
            ground=place.ground,
            profile=self.profile,
            scenarios=self.scenarios,
            run_block=run_block,
            settings=self.settings,
            progress=self.progress,
            stop=stop,
            notes=(*self.notes, *_timeout_notes(self.profile), *stop.notes),
        )
        if self.is_proving:
            course.prove = ScenarioProof(
                place.ground,
                self.profile,
                run_block,
                self.settings,
                place.server,
                self.original,
                place.is_reserved,
            )
        return course


def _timeout_notes(profile: LoadProfile) -> tuple[str, ...]:
    if profile.timeout_s is None:
        return ()
    limit = units.duration(1000 * profile.timeout_s)
    return (f"a transaction that takes longer than {limit} counts as failed (timeout)",)


def _noted(run: BlockRunner, stop: StopConditions) -> BlockRunner:
    """Return a runner after whose blocks the failures are looked at."""

    def noted(order: Order) -> Block:
        with stop.loading():
            block = run(order)
        stop.seen(block)
        return block

    return noted
