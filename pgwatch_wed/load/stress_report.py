"""What a load test found: the one thing from which text, JSON and HTML are rendered.

Nothing here contains a secret, and nothing is computed later: a renderer only puts it into words. A part that nobody
asked for is None, and one that could not be had says why.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from pgwatch_wed.errors import Error
from pgwatch_wed.findings import Remedy, Report
from pgwatch_wed.load.load_model import (
    Answer,
    Block,
    BlockWork,
    FailureKind,
    Latencies,
    ObjectiveResult,
    Proven,
    Scenario,
    Spoilt,
)
from pgwatch_wed.load.sampling.load_causes import LoadCause

Bounds = tuple[float, float]


class PhaseKind(StrEnum):
    """What a chain of blocks is for."""

    STEADY = "steady"  # one rate; objectives are evaluated here
    RAMP = "ramp"  # each block at a higher rate, until the knee
    SOAK = "soak"  # one rate below the knee, over several checkpoints


@dataclass(frozen=True, slots=True, kw_only=True)
class PercentileFigure:
    """A percentile in ms with its 95% interval; None with too few transactions beyond it, and ``reason`` says so."""

    percent: float
    ms: float | None
    interval: Bounds | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseFigures:
    """Blocks of a phase, taken together. Times are of the ``believed`` blocks, or of all of them if none can be believed.

    ``is_open``: latency counts from the moment at which a transaction was due. ``lag`` is the part of it that passed
    before it began, ``service`` the rest.
    """

    blocks: int
    believed: int
    seconds: float
    is_open: bool
    rate: float | None
    clients: int
    transactions: int
    failures: Mapping[FailureKind, int]
    retries: int
    tps: float
    error_share: float | None
    error_interval: Bounds | None
    latency: tuple[PercentileFigure, ...]
    lag: tuple[PercentileFigure, ...]
    service: tuple[PercentileFigure, ...]
    work: BlockWork | None
    histogram: Latencies | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A chain of blocks. ``ended_early`` says why it did not run to its end."""

    kind: PhaseKind
    blocks: tuple[Block, ...]
    figures: PhaseFigures | None  # None without blocks
    ended_early: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Knee:
    """How much the server can do: the highest rate at which it kept up, and what happened above.

    ``tps`` is None if that was not found; ``reason`` is one sentence either way.
    """

    tps: float | None
    clients: int
    is_open: bool  # False: the throughput of a closed loop, an upper limit
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DbTimeShare:
    """A part of DB time: the time that sessions were active. ``query`` is the normalized statement, shortened.

    ``wait`` is ``CPU`` or the wait event as ``IO:WalSync``. ``through``: the lock waits that are charged to this, as what
    their root blocker did, with the share of DB time of each.
    """

    query_id: int | None
    query: str
    wait: str
    share: float
    seconds: float
    through: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class DbTime:
    """Where DB time went, by samples of active sessions; ``missing`` says why it is not known.

    ``symptoms``: as sessions waited; ``charged``: lock waits charged to what the root blocker did.
    """

    seconds: float = 0.0
    samples: int = 0
    active_sessions: float = 0.0  # on average
    largest_gap_s: float = 0.0
    source: str = ""
    symptoms: tuple[DbTimeShare, ...] = ()
    charged: tuple[DbTimeShare, ...] = ()
    missing: str = ""
    doubts: tuple[str, ...] = ()  # what cannot be told, or not be believed


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkEffect:
    """What taking a cause away changed in the work of a transaction: the value of each pair, with and without it."""

    name: str  # blocks, temp bytes, WAL records
    before: tuple[float, ...]
    after: tuple[float, ...]
    ratio: float
    interval: Bounds | None
    shows: Proven


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofStep:
    """A cause that was taken away, and what that changed. Ratios are with / without the cause's removal.

    ``probe`` is what was done for the test; ``remedy`` what is recommended, empty for a probe that is never advice.
    ``remains``: it stays taken away for the steps after it. ``before`` and ``after``: the metric of each pair. ``share``
    of DB time is the most that the removal could save. Capacities are transactions a second in a closed loop.
    """

    cause: str
    probe: str
    result: Proven
    metric: str  # such as "p50" or "tps"
    ratio: float | None
    interval: Bounds | None
    pairs: int
    pairs_needed: int | None  # for not proven: how many would do
    reason: str
    remedy: tuple[Remedy, ...] = ()
    remains: bool = False
    capacity_before: float | None = None
    capacity_after: float | None = None
    capacity_interval: Bounds | None = None  # of the capacity after it
    kind: str = ""  # of the probe
    share: float | None = None
    findings: tuple[str, ...] = ()  # ids of those that say the same
    before: tuple[float, ...] = ()
    after: tuple[float, ...] = ()
    work: tuple[WorkEffect, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofChain:
    """Bottlenecks in the order in which they were found; ``ended`` says why there is no next one.

    ``left_behind``: what could not be put back, and why.
    """

    steps: tuple[ProofStep, ...]
    ended: str
    capacity: float | None = None
    capacity_interval: Bounds | None = None
    is_interrupted: bool = False
    left_behind: tuple[str, ...] = ()


class ComparedAs(StrEnum):
    """What became of a metric."""

    REGRESSION = "regression"
    IMPROVEMENT = "improvement"
    SAME = "same"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedMetric:
    """One metric before and after; ``is_work``: it does not depend on the machine's speed."""

    scenario: str
    metric: str
    is_work: bool
    before: float | None
    after: float | None
    ratio: float | None
    interval: Bounds | None
    result: ComparedAs
    reason: str
    pairs_needed: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StressComparison:
    """What changed between a baseline, or another configuration, and this run. ``notes``: what cannot be compared, and why.

    ``ended_early``: why there are fewer pairs than wanted, "" if there are not.
    """

    label: str
    taken_at: datetime | None
    metrics: tuple[ComparedMetric, ...]
    notes: tuple[str, ...] = ()
    ended_early: str = ""

    def count(self, result: ComparedAs) -> int:
        """Count the metrics of which that became."""
        return sum(m.result is result for m in self.metrics)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayedStatement:
    """A statement of the mix, and whether its replay resembles production; per call, None if unknown."""

    query_id: int | None
    query: str
    share: float  # of production's time
    is_used: bool
    reason: str
    rows_there: float | None = None
    rows_here: float | None = None
    blocks_there: float | None = None
    blocks_here: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayFidelity:
    """How much of production's time the replay covers, and what it does not reproduce."""

    covered_share: float | None
    statements: tuple[ReplayedStatement, ...]
    not_reproduced: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenarioRun:
    """What one scenario came to. ``spoilt``: why none of its times can be believed, by check.

    ``analysis`` is what all rules say of exactly this interval; ``no_analysis`` why there is none.
    """

    scenario: Scenario
    seed: int
    phases: tuple[Phase, ...]
    objectives: tuple[ObjectiveResult, ...]
    spoilt: tuple[Spoilt, ...] = ()
    knee: Knee | None = None
    analysis: Report | None = None
    no_analysis: str = ""
    db_time: DbTime | None = None
    causes: tuple[LoadCause, ...] = ()
    proof: ProofChain | None = None
    fidelity: ReplayFidelity | None = None
    errors: tuple[str, ...] = ()
    ended_early: str = ""

    @property
    def measured(self) -> Phase | None:
        """The phase that objectives are evaluated on: the soak, else the steady one."""
        for kind in (PhaseKind.SOAK, PhaseKind.STEADY):
            found = next((p for p in self.phases if p.kind is kind and p.figures), None)
            if found is not None:
                return found
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class StressTarget:
    """Where the load ran. ``sync_ms``: how long the disk takes to make a page of WAL durable, None if unknown."""

    label: str
    is_embedded: bool
    server_version: str
    server_version_num: int
    settings: Mapping[str, str]
    sync_ms: float | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Generator:
    """What made the load, and on which machine."""

    program: str  # pgbench's version line
    cores: int
    cpu: str  # model, "" if unknown
    machine: str  # a fingerprint: times are compared on the same machine only


@dataclass(frozen=True, slots=True, kw_only=True)
class StressReport:
    """What a run of ``db-analyze stress`` produces. ``failure``: why it could not go on, for the exit status."""

    generated_at: datetime
    tool_version: str
    profile: str
    seed: int
    target: StressTarget
    generator: Generator
    runs: tuple[ScenarioRun, ...]
    comparison: StressComparison | None = None
    ended_early: str = ""  # such as "interrupted"
    notes: tuple[str, ...] = ()
    failure: Error | None = None

    def count(self, answer: Answer) -> int:
        """Count the objectives that were answered so."""
        return sum(o.answer is answer for r in self.runs for o in r.objectives)

    @property
    def is_measured(self) -> bool:
        """Whether there are times at all, of a phase that objectives are evaluated on."""
        return any(r.measured for r in self.runs)

    @property
    def is_believable(self) -> bool:
        """Whether there are times, and no run is spoilt."""
        return self.is_measured and not any(r.spoilt for r in self.runs)


@dataclass(frozen=True, slots=True, kw_only=True)
class PerformanceReport:
    """What a run of ``db-analyze perf`` produces: the load, and what the rules say of the target, if there is one."""

    stress: StressReport
    analysis: Report | None = None
