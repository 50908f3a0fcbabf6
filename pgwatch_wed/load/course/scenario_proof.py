"""Causes of a run, taken away on its ground: what the proof is given, and how long it may take."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from pgwatch_wed.config import Config
from pgwatch_wed.embedded.server import EmbeddedServer
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Report
from pgwatch_wed.load.course.interval_analysis import evaluated, snapshot_before
from pgwatch_wed.load.course.objective_answers import answered
from pgwatch_wed.load.load_model import BlockRunner, Ground, Order
from pgwatch_wed.load.proof.bottleneck_chain import Diagnosis, ProofLimits, prove
from pgwatch_wed.load.proof.finding_scope import that_matter
from pgwatch_wed.load.proof.proof_bench import proving
from pgwatch_wed.load.sampling.cause_ranking import ranked_causes
from pgwatch_wed.load.scenarios.background_load import beside
from pgwatch_wed.load.scenarios.load_profiles import LoadProfile
from pgwatch_wed.load.statistics.block_percentiles import LEAST_BLOCKS
from pgwatch_wed.load.stress_report import ProofChain, ScenarioRun
from pgwatch_wed.progress import Progress

_LEAST_S = 600.0  # six pairs of a few causes
_BLOCK_S, _WARMUP_S = 5.0, 1.0

Proving = Callable[[ScenarioRun, Snapshot, Order, Progress], ProofChain]
"""Takes the causes of a run away, one by one; given what was counted in the run, and the order of its measured blocks."""


def proof_seconds(profile: LoadProfile) -> float:
    """Return how long causes of one scenario may be tried."""
    return max(_LEAST_S, profile.total_s)


@dataclass(slots=True)
class ScenarioProof:
    """Proves causes on a ground. ``server``: the embedded server, which may be configured and restarted.

    ``original``: the target of which the ground is a copy, if it is one. ``is_reserved``: the ground is a copy's own
    database, on which only we prove.
    """

    ground: Ground
    profile: LoadProfile
    run_block: BlockRunner
    settings: Config
    server: EmbeddedServer | None = None
    original: str | None = None
    is_reserved: bool = False
    is_writing: bool = True

    def __call__(
        self, run: ScenarioRun, counted: Snapshot, order: Order, progress: Progress
    ) -> ProofChain:
        """Return the chain of bottlenecks; everything is put back."""
        whole = replace(
            self,
            run_block=beside(self.run_block, self.ground, run.scenario),
            is_writing=run.scenario.is_writing,
        )
        block_s = min(self.profile.block_s, _BLOCK_S)
        limits = ProofLimits(
            block_s=block_s,
            warmup_s=min(self.profile.warmup_s, _WARMUP_S),
            seconds=proof_seconds(self.profile),
        )
        order = replace(order, seconds=block_s, warmup_s=limits.warmup_s)
        first = Diagnosis(
            causes=run.causes,
            report=whole.narrowed(run.analysis, counted),
            objectives=run.objectives,
        )
        with proving(
            self.ground,
            whole.run_block,
            self.server,
            self.original,
            is_reserved=self.is_reserved,
        ) as bench:
            return prove(bench, order, first, whole.diagnosed, limits, progress)

    def diagnosed(self, order: Order) -> Diagnosis:
        """Run the order again, as things stand."""
        before = snapshot_before(self.ground)
        blocks = [
            self.run_block(replace(order, seed=order.seed + number))
            for number in range(LEAST_BLOCKS)
        ]
        found = evaluated(self.ground, before, self.settings)
        return Diagnosis(
            causes=ranked_causes(blocks, found.snapshot).causes,
            report=self.narrowed(found.report, found.snapshot),
            objectives=tuple(answered(o, blocks) for o in self.profile.objectives),
        )

    def narrowed(self, report: Report | None, counted: Snapshot | None) -> Report | None:
        """Leave out findings about a copy's own tables that cannot matter to this load."""
        if not self.is_reserved:
            return report
        return that_matter(report, counted, is_writing=self.is_writing)
