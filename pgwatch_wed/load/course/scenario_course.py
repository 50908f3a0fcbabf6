"""One scenario from its preparation to its answers."""

from dataclasses import dataclass, replace

import psycopg

from pgwatch_wed.config import Config
from pgwatch_wed.errors import CollectError, Error, said
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.load.course.block_figures import phase_spoilt
from pgwatch_wed.load.course.interval_analysis import LoadInterval, evaluated, snapshot_before
from pgwatch_wed.load.course.objective_answers import answered
from pgwatch_wed.load.course.phase_course import PhaseCourse
from pgwatch_wed.load.engine.block_run import INTERRUPTED
from pgwatch_wed.load.first_cause import TELLING
from pgwatch_wed.load.ground.ground_connection import connected
from pgwatch_wed.load.load_model import Block, Ground, LoadObjective, Scenario
from pgwatch_wed.load.load_words import ERRORS
from pgwatch_wed.load.sampling.cause_ranking import ranked_causes
from pgwatch_wed.load.sampling.sampled_db_time import sampled_db_time
from pgwatch_wed.load.scenarios.load_profiles import PlannedScenario
from pgwatch_wed.load.stress_report import Phase, PhaseKind, ScenarioRun

_ERRORS = 5
_MEASURED = (PhaseKind.SOAK, PhaseKind.STEADY)
_DISTURBED = (
    "The run was disturbed: shares of DB time may tell of what disturbed it, and not of the server."
)


def prepare(ground: Ground, scenario: Scenario) -> None:
    """Create and fill the tables of a scenario."""
    try:
        with connected(ground) as connection:
            for statement in scenario.prepare:
                connection.execute(statement.encode())
            _write_back(connection)
    except psycopg.Error as error:
        raise CollectError(
            f"scenario {scenario.name} could not be prepared: {said(error)}"
        ) from None


def _write_back(connection: psycopg.Connection[object]) -> None:
    """Write what was filled to disk, so that this is no part of the load."""
    try:
        connection.execute("checkpoint")
    except psycopg.errors.InsufficientPrivilege:
        return


@dataclass(slots=True)
class ScenarioCourse:
    """Runs a scenario that was prepared; what ran before an interruption or a failure is in the result, too.

    ``failure``: why it could not go on, if it could not.
    """

    ground: Ground
    phases: PhaseCourse
    settings: Config
    failure: Error | None = None

    def run(self, planned: PlannedScenario) -> tuple[ScenarioRun, Snapshot]:
        """Run it; return what came of it, and the latest snapshot."""
        before = snapshot_before(self.ground)
        try:
            self.phases.run(planned.phases)
        except KeyboardInterrupt:
            self.phases.ended_early = INTERRUPTED
        except (Error, psycopg.Error) as error:
            if not self.phases.phases:
                raise  # nothing ran yet that a report could tell
            self.failure = _as_failure(error)
            self.phases.ended_early = self.failure.message
        found = self._evaluated(before)
        return self._summed(found), found.snapshot or before

    def _evaluated(self, before: Snapshot) -> LoadInterval:
        if self.phases.ended_early != INTERRUPTED:
            self.phases.told(f"{self.phases.scenario.name}: evaluating the rules")
            try:
                return evaluated(self.ground, before, self.settings)
            except KeyboardInterrupt:
                self.phases.ended_early = INTERRUPTED
        return LoadInterval(None, None, "the run was interrupted")

    def _summed(self, found: LoadInterval) -> ScenarioRun:
        course = self.phases
        measured = measured_blocks(course.phases)
        ranking = ranked_causes(measured, found.snapshot)
        db_time = sampled_db_time(measured)
        spoilt = phase_spoilt(measured)
        is_disturbed = any(s.check not in TELLING for s in spoilt)
        db_time = replace(
            db_time, doubts=(*ranking.doubts, *([_DISTURBED] if is_disturbed else []))
        )
        if not measured:
            db_time = replace(db_time, missing="nothing was measured under steady load")
        elif not db_time.missing and not ranking.causes:
            db_time = replace(db_time, missing="; ".join(ranking.doubts))
        return ScenarioRun(
            scenario=course.scenario,
            seed=course.profile.seed,
            phases=tuple(course.phases),
            objectives=tuple(
                answered(o, measured or nothing_succeeded(course.phases, o))
                for o in course.profile.objectives
            ),
            spoilt=spoilt,
            knee=course.knee,
            analysis=found.report,
            no_analysis=found.missing,
            db_time=db_time,
            causes=ranking.causes,
            errors=_errors(course.phases),
            ended_early=course.ended_early,
        )


def _as_failure(error: Error | psycopg.Error) -> Error:
    if isinstance(error, Error):
        return error
    return CollectError(f"the server of the load test failed: {said(error)}")


def measured_blocks(phases: list[Phase]) -> tuple[Block, ...]:
    """Return the blocks that objectives are evaluated on: of the soak, else of the steady load."""
    for kind in _MEASURED:
        for phase in phases:
            if phase.kind is kind:
                return phase.blocks
    return ()


def nothing_succeeded(phases: list[Phase], objective: LoadObjective) -> tuple[Block, ...]:
    """Return the block in which every transaction failed, for the objective that this answers: errors."""
    if objective.name != ERRORS or not phases:
        return ()
    first = phases[0].blocks[:1]
    return first if first and not first[0].transactions and sum(first[0].failures.values()) else ()


def _errors(phases: list[Phase]) -> tuple[str, ...]:
    texts = (text for phase in phases for block in phase.blocks for text in block.errors)
    return tuple(dict.fromkeys(texts))[:_ERRORS]
