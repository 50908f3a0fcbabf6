"""Phases of one scenario, block after block: what is due, until when, and what ends it early."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from pgwatch_wed.load.course.block_figures import PERCENTILES, phase_figures
from pgwatch_wed.load.course.objective_answers import in_one_block, percent_of
from pgwatch_wed.load.engine.block_run import INTERRUPTED
from pgwatch_wed.load.load_model import (
    Answer,
    Block,
    BlockRunner,
    FailureKind,
    LoadObjective,
    Order,
    Scenario,
)
from pgwatch_wed.load.load_words import objective_words, short_rate
from pgwatch_wed.load.scenarios import capacity_ramp
from pgwatch_wed.load.scenarios.load_profiles import LoadProfile, PlannedPhase
from pgwatch_wed.load.stress_report import Knee, Phase, PhaseKind

# After a ramp in which nothing held: what a closed loop does is far above it.
_CAUTIOUS = 0.5
Told = Callable[[str], None]


@dataclass(slots=True)
class PhaseCourse:
    """Runs the phases of a scenario; what ran so far stays in ``phases``, whatever ends it.

    ``stop`` returns why the load has to end; "" if it need not.
    """

    scenario: Scenario
    profile: LoadProfile
    run_block: BlockRunner
    stop: Callable[[], str]
    told: Told
    conninfo: str | None = None  # of a pooler
    phases: list[Phase] = field(default_factory=list)
    knee: Knee | None = None
    ended_early: str = ""
    _rate: float | None = None
    _number: int = 0

    def run(self, planned: tuple[PlannedPhase, ...]) -> None:
        """Run them."""
        self._rate = self.profile.rate
        if self._rate is None and not any(p.kind is PhaseKind.RAMP for p in planned):
            first = PlannedPhase(kind=PhaseKind.RAMP, seconds=self.profile.block_s, blocks=1)
            planned = (first, *planned)
        for phase in planned:
            if self.ended_early:
                return
            if phase.kind is PhaseKind.RAMP:
                self._ramp(phase.blocks)
            else:
                self._chain(phase.kind, [self._rate] * phase.blocks)

    def order(self, rate: float | None) -> Order:
        """Return the order of the next block."""
        scenario, profile = self.scenario, self.profile
        self._number += 1
        return Order(
            scripts=scenario.scripts,
            clients=scenario.clients,
            rate=rate,
            seconds=profile.block_s,
            warmup_s=profile.warmup_s,
            protocol=scenario.protocol,
            seed=profile.seed * 1000 + self._number,
            max_tries=scenario.max_tries,
            timeout_s=profile.timeout_s,
            reconnects=scenario.reconnects,
            conninfo=self.conninfo,
            settings=scenario.settings,
        )

    def _chain(self, kind: PhaseKind, rates: list[float | None]) -> None:
        blocks: list[Block] = []
        for number, rate in enumerate(rates, 1):
            self.told(f"{self.scenario.name}: {kind.value}, block {number} of {len(rates)}")
            block = self._block(rate)
            blocks.append(block)
            self._note(kind, blocks)
            if self.ended_early:
                return

    def _block(self, rate: float | None) -> Block:
        block = self.run_block(self.order(rate))
        if block.ended_early == INTERRUPTED:
            self.ended_early = INTERRUPTED
        else:
            self.ended_early = self.stop()
        return block

    def _note(self, kind: PhaseKind, blocks: list[Block]) -> None:
        """Keep what a phase has so far."""
        phase = Phase(
            kind=kind,
            blocks=tuple(blocks),
            figures=phase_figures(blocks, percents_of(self.profile.objectives)),
            ended_early=self.ended_early,
        )
        if self.phases and self.phases[-1].kind is kind:
            self.phases.pop()
        self.phases.append(phase)

    # --- the ramp

    def _ramp(self, blocks: int) -> None:
        self.told(f"{self.scenario.name}: closed loop, to find the capacity")
        closed = self._block(None)
        done = [closed]
        self._note_ramp(done)
        estimate = closed.tps
        self._rate = estimate * self.profile.load_share
        self.knee = _closed_knee(closed)
        if estimate <= 0 and not self.ended_early:
            self.ended_early = _why_nothing(closed)
        if self.ended_early or blocks < 2:
            return
        steps: list[capacity_ramp.RampStep] = []
        while (rate := capacity_ramp.next_rate(steps, estimate, blocks - 1)) is not None:
            self.told(f"{self.scenario.name}: ramp, {short_rate(rate)}/s")
            block = self._block(rate)
            done.append(block)
            self._note_ramp(done)
            if self.ended_early:
                break
            steps.append(capacity_ramp.step_of(block, self._answers(block)))
        self._conclude(steps, estimate)

    def _answers(self, block: Block) -> list[tuple[str, Answer]]:
        found = ((o, in_one_block(o, block)) for o in self.profile.objectives)
        return [(objective_words(o), answer) for o, answer in found if answer is not None]

    def _note_ramp(self, blocks: list[Block]) -> None:
        """Keep the blocks of the ramp; each has another rate, so the figures are those of the closed loop."""
        self._note(PhaseKind.RAMP, blocks)
        figures = phase_figures(blocks[:1], percents_of(self.profile.objectives))
        self.phases[-1] = replace(self.phases[-1], figures=figures)

    def _conclude(self, steps: list[capacity_ramp.RampStep], estimate: float) -> None:
        found = capacity_ramp.capacity(steps)
        self.knee = Knee(
            tps=found.low, clients=self.scenario.clients, is_open=True, reason=found.reason
        )
        share = self.profile.load_share
        if (rate := found.soak_rate(share)) is not None:
            self._rate = rate
        elif found.high is not None:
            self._rate = min(found.high, estimate) * share * _CAUTIOUS


def _closed_knee(block: Block) -> Knee:
    clients = block.order.clients
    if block.tps <= 0:
        return Knee(tps=None, clients=clients, is_open=False, reason=_why_nothing(block))
    return Knee(
        tps=block.tps,
        clients=clients,
        is_open=False,
        reason=f"{short_rate(block.tps)}/s in a closed loop of {clients:,} clients, an upper limit: "
        "no rate was tried",
    )


def _why_nothing(block: Block) -> str:
    # pgbench ends a client at an error, although it may have done many transactions before
    if block.failures.get(FailureKind.LOST_CLIENT, 0) >= block.order.clients:
        return "every client was lost to an error of its script or connection"
    return "not one transaction succeeded in a closed loop"


def percents_of(objectives: tuple[LoadObjective, ...]) -> tuple[float, ...]:
    """Return the percentiles to report: the usual ones, and those of objectives."""
    return tuple(sorted({*PERCENTILES, *_percents(objectives)}))


def _percents(objectives: tuple[LoadObjective, ...]) -> Iterator[float]:
    for objective in objectives:
        percent = percent_of(objective)
        if percent is not None:
            yield percent
