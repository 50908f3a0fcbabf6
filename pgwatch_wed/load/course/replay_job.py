"""A replay as it was ordered: the mix is made on the copy, and run as any scenario is."""

from dataclasses import dataclass, replace

from pgwatch_wed.load.course.stress_job import LoadPlace, Owned, StressJob, telling_leftovers
from pgwatch_wed.load.load_words import short_rate
from pgwatch_wed.load.replay.replay_ground import ReplaySource, replay_ground, without_texts_of
from pgwatch_wed.load.replay.replay_mix import SCENARIO, ReplayMix
from pgwatch_wed.load.stress_report import ScenarioRun, StressReport

_CLIENTS = 8


@dataclass(frozen=True, slots=True)
class ReplayJob:
    """What is replayed, and how: ``job`` is a load test without scenarios."""

    job: StressJob
    source: ReplaySource

    def run(self, copy: str, owned: Owned) -> StressReport:
        """Run it on a copy."""
        job = self.job
        opening = replay_ground(
            self.source,
            copy,
            owned.name,
            owned.even_if,
            is_proving=job.is_proving,
            seed=job.profile.seed,
            progress=job.progress,
        )
        with telling_leftovers(opening, job.tell) as found:
            mix = found.mix
            scenario = mix.scenario(job.profile.clients or _CLIENTS)
            notes = (*job.notes, *found.ground.notes, *_notes(mix))
            place = LoadPlace(found.ground, left=found.left, is_reserved=job.is_proving)
            report = replace(job, scenarios={SCENARIO: scenario}, notes=notes).on(place)
        notes = (*report.notes, *found.left)
        return replace(report, notes=notes, runs=tuple(_told(run, mix) for run in report.runs))


def _notes(mix: ReplayMix) -> tuple[str, ...]:
    called = (
        f"production called the replayed statements {short_rate(mix.rate)} times a second,"
        f" {mix.covered_calls:.0%} of its calls in {mix.window_s:,.0f} s"
    )
    sent = f"statements are sent with the {mix.protocol} protocol: {mix.protocol_reason}"
    return (*mix.notes, called, sent)


def _told(run: ScenarioRun, mix: ReplayMix) -> ScenarioRun:
    """Add the fidelity, and take away what the server said: that may contain values of users."""
    phases = tuple(
        replace(phase, blocks=tuple(without_texts_of(block) for block in phase.blocks))
        for phase in run.phases
    )
    errors = tuple(dict.fromkeys(e for phase in phases for b in phase.blocks for e in b.errors))
    return replace(run, phases=phases, errors=errors[:5], fidelity=mix.fidelity)
