"""All scenarios of a run on one ground → the report."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import psycopg

from pgwatch_wed import __version__
from pgwatch_wed.config import Config
from pgwatch_wed.errors import CollectError, Error, said
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.load.course.load_conditions import generator, pgbench_line, sync_ms, target_of
from pgwatch_wed.load.course.load_line import line_of
from pgwatch_wed.load.course.phase_course import PhaseCourse
from pgwatch_wed.load.course.scenario_course import ScenarioCourse, prepare
from pgwatch_wed.load.course.scenario_proof import Proving
from pgwatch_wed.load.engine.block_run import INTERRUPTED
from pgwatch_wed.load.load_model import BlockRunner, Ground, Scenario
from pgwatch_wed.load.scenarios.background_load import beside
from pgwatch_wed.load.scenarios.first_try import try_scripts
from pgwatch_wed.load.scenarios.load_profiles import LoadProfile, PlannedScenario
from pgwatch_wed.load.scenarios.soak_length import soak_length
from pgwatch_wed.load.stress_report import PhaseKind, ScenarioRun, StressReport
from pgwatch_wed.load.users.many_users import with_users
from pgwatch_wed.progress import Progress


def goes_on() -> str:
    """Return no reason to end a load."""
    return ""


@dataclass(slots=True)
class StressCourse:
    """Runs the scenarios of a profile on a ground.

    ``stop`` returns why the load has to end, "" if it need not.
    """

    ground: Ground
    profile: LoadProfile
    scenarios: Mapping[str, Scenario]
    run_block: BlockRunner
    settings: Config
    progress: Progress
    stop: Callable[[], str] = goes_on
    prove: Proving | None = None
    notes: tuple[str, ...] = ()
    _runs: list[ScenarioRun] = field(default_factory=list)
    _latest: Snapshot | None = None
    _ended: str = ""
    _failure: Error | None = None

    def run(self) -> StressReport:
        """Run them one after the other. An interruption or a failure ends it with a report, if anything ran by then."""
        planned = self.profile.planned()
        program, sync = pgbench_line(self.ground), sync_ms(self.ground)
        try:
            for number, each in enumerate(planned):
                self._run(each, number / len(planned))
                if self._ended:
                    break
        except KeyboardInterrupt:
            self._ended = INTERRUPTED
        except Error as error:
            self._fail(error)
        except psycopg.Error as error:
            self._fail(CollectError(f"the server of the load test failed: {said(error)}"))
        if self._latest is None:
            raise KeyboardInterrupt
        return StressReport(
            generated_at=self._latest.now,
            tool_version=__version__,
            profile=self.profile.name,
            seed=self.profile.seed,
            target=target_of(self.ground, self._latest, sync),
            generator=generator(program),
            runs=tuple(self._runs),
            ended_early=self._ended,
            notes=self.notes,
            failure=self._failure,
        )

    def _fail(self, error: Error) -> None:
        """Note why it cannot go on; raise it if nothing ran by then."""
        if not self._runs:
            raise error
        self._failure, self._ended = error, error.message

    def _run(self, planned: PlannedScenario, share: float) -> None:
        if self._is_over():
            return
        scenario = self._sized(self.scenarios[planned.name])
        self.progress(f"{scenario.name}: filling tables", share)
        prepare(self.ground, scenario)
        try_scripts(self.ground, scenario)
        with line_of(self.ground, scenario) as line:
            self.notes += line.notes
            phases = PhaseCourse(
                scenario=line.scenario,
                profile=self.profile,
                run_block=beside(self.run_block, self.ground, line.scenario),
                stop=self.stop,
                told=lambda what: self.progress(what, share),
                conninfo=line.conninfo,
            )
            course = ScenarioCourse(self.ground, phases, self.settings)
            found, self._latest = course.run(planned)
            self._runs.append(found)
            self._failure = course.failure
            self.notes += (*line.cost_notes(), *self._soak_notes(planned))
            self._ended = found.ended_early
            self._prove(found)

    def _is_over(self) -> bool:
        """Tell whether there is no room for another scenario; raises :class:`CollectError` if none has run."""
        reason = self.stop()
        if reason and not self._runs:
            raise CollectError(f"load is refused: {reason}")
        self._ended = reason
        return bool(reason)

    def _soak_notes(self, planned: PlannedScenario) -> tuple[str, ...]:
        """Say if a soak contains too few checkpoints."""
        timeout_ms = self._latest and self._latest.setting_number("checkpoint_timeout")
        soaks = [p.seconds for p in planned.phases if p.kind is PhaseKind.SOAK]
        if not timeout_ms or not soaks:
            return ()
        note = soak_length(timeout_ms / 1000, sum(soaks), self.profile.checkpoints).note
        return (f"{planned.name}: {note}",) if note else ()

    def _prove(self, run: ScenarioRun) -> None:
        measured = run.measured
        if self.prove is None or run.ended_early or measured is None or self._latest is None:
            return
        order = measured.blocks[-1].order
        chain = self.prove(run, self._latest, order, self.progress)
        self._runs[-1] = replace(run, proof=chain)
        if chain.is_interrupted:
            self._ended = INTERRUPTED

    def _sized(self, scenario: Scenario) -> Scenario:
        profile = self.profile
        if profile.users and profile.think_s:
            return with_users(scenario, profile.users, profile.think_s)
        return replace(scenario, clients=profile.clients or scenario.clients)
