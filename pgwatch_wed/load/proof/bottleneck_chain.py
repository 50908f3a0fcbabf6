"""The chain of bottlenecks: the first cause that is proven stays away, then the next is sought.

Causes are ranked anew after each: what a bottleneck hid, only its absence shows.
"""

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

import psycopg

from pgwatch_wed.errors import Error, said
from pgwatch_wed.findings import Report
from pgwatch_wed.load.load_model import (
    BLOCK_S,
    WARMUP_S,
    Answer,
    Block,
    LoadObjective,
    ObjectiveResult,
    Order,
    Proven,
)
from pgwatch_wed.load.proof.load_probes import NEVER_ADVICE, LoadProbe, NotTriedError
from pgwatch_wed.load.proof.probe_choice import probes
from pgwatch_wed.load.proof.proof_bench import ProofBench, StandingProbe
from pgwatch_wed.load.proof.proof_pairs import (
    InterruptedTrialError,
    TrialResult,
    check_interrupt,
    judged,
    run_pairs,
)
from pgwatch_wed.load.proof.trial_metrics import TrialMetric, is_over_capacity, metric_for
from pgwatch_wed.load.sampling.load_causes import LoadCause
from pgwatch_wed.load.statistics.signed_rank import LEAST_PAIRS, hodges_lehmann, shift_interval
from pgwatch_wed.load.stress_report import Bounds, ProofChain, ProofStep
from pgwatch_wed.progress import Progress, silent


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofLimits:
    """How long to try. ``seconds``: no trial begins after that; None: no limit."""

    pairs: int = LEAST_PAIRS
    block_s: float = BLOCK_S
    warmup_s: float = WARMUP_S
    longest_block_s: float = 120.0
    capacity_blocks: int = LEAST_PAIRS
    seconds: float | None = None
    most_steps: int = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What a run says of a load: ranked causes, what all rules find, whether the objectives hold."""

    causes: tuple[LoadCause, ...]
    report: Report | None = None
    objectives: tuple[ObjectiveResult, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether there are objectives, and all of them hold."""
        return bool(self.objectives) and all(o.answer is Answer.PASS for o in self.objectives)


Diagnose = Callable[[Order], Diagnosis]
"""Runs an order with everything that ranks causes, and judges it."""


@dataclass(slots=True)
class _Capacity:
    tps: float | None = None
    interval: Bounds | None = None


@dataclass(slots=True)
class BottleneckChain:
    """Seeks bottlenecks one after the other; :func:`prove` runs it."""

    bench: ProofBench
    base: Order
    diagnose: Diagnose
    limits: ProofLimits
    progress: Progress
    steps: list[ProofStep] = field(default_factory=list)
    capacity: _Capacity = field(default_factory=_Capacity)
    at_start: _Capacity = field(default_factory=_Capacity)
    began: float = field(default_factory=time.monotonic)
    kept: set[object] = field(default_factory=set)

    def run(self, diagnosis: Diagnosis) -> str:
        """Return why there is no next bottleneck.

        The first is sought even if all objectives hold: who asks for a proof wants to know what limits the server.
        """
        self.capacity = self.at_start = self._capacity()
        for _ in range(self.limits.most_steps):
            if not self._round(diagnosis):
                return "nothing else was proven" if self.kept else "nothing was proven"
            diagnosis = self.diagnose(self.bench.order(self.base))
            if diagnosis.holds:
                return "the objectives hold"
        return f"{self.limits.most_steps} causes were taken away"

    def _round(self, diagnosis: Diagnosis) -> bool:
        """Try probes in order until one is proven, which then stays; return whether one was."""
        found = [p for p in probes(diagnosis.causes, diagnosis.report) if p.key not in self.kept]
        wanted = [o.objective for o in diagnosis.objectives if o.answer is not Answer.PASS]
        pilot = self._block(self._order(self.limits.block_s)) if found else None
        for probe in found:
            assert pilot is not None
            if self._try(probe, pilot, wanted):
                self.kept.add(probe.key)
                return True
        return False

    def _try(self, probe: LoadProbe, pilot: Block, objectives: Iterable[LoadObjective]) -> bool:
        began = time.monotonic()
        step = _step(probe)
        try:
            self._check_time(self.limits.block_s)
            arm = self.bench.set_up(probe, self._order(self.limits.block_s))
        except NotTriedError as why:
            self.steps.append(replace(step, reason=str(why)))
            return False
        try:
            found = self._trial(arm, pilot, objectives)
        except (NotTriedError, Error, psycopg.Error, OSError) as why:
            reason = said(why) if isinstance(why, psycopg.Error | OSError) else str(why)
            self.steps.append(replace(step, reason=reason, seconds=time.monotonic() - began))
            self.bench.take_down(arm)
            return False
        self.steps.append(_with_result(step, found, seconds=time.monotonic() - began))
        if found.shows is not Proven.PROVEN:
            self.bench.take_down(arm)
            return False
        self._keep(arm)
        return True

    def _keep(self, arm: StandingProbe) -> None:
        """Leave the cause taken away, and note the capacity without it; the step is there even if that fails."""
        self.bench.keep(arm)
        before = self.capacity
        self.steps[-1] = replace(self.steps[-1], remains=True, capacity_before=before.tps)
        self.capacity = self._capacity()
        self.steps[-1] = replace(
            self.steps[-1],
            capacity_after=self.capacity.tps,
            capacity_interval=self.capacity.interval,
        )

    def _trial(
        self, arm: StandingProbe, pilot: Block, objectives: Iterable[LoadObjective]
    ) -> TrialResult:
        seconds = max(self.limits.block_s, arm.lever.least_block_s)
        if seconds > self.limits.longest_block_s:
            raise NotTriedError(
                f"a block would have to last {seconds:.0f} s, two cycles of what it changes; the limit is"
                f" {self.limits.longest_block_s:.0f} s"
            )
        self._check_time(seconds, self._switching_s(arm))
        metric = metric_for(pilot, objectives)
        order = self._order(seconds)
        if metric.is_throughput:
            metric, order = TrialMetric("tps"), replace(order, rate=None)
        pairs = run_pairs(self.bench, arm, order, self.limits.pairs, self.progress)
        if any(is_over_capacity(b) for p in pairs for b in (p.before, p.after)):
            metric = TrialMetric("tps")
        return judged(pairs, metric, arm.lever.evidence)

    def _switching_s(self, arm: StandingProbe) -> float:
        """Take the cause away and put it back once, to see how long that takes: an index may be large."""
        if not arm.lever.take_away:
            return 0.0
        began = time.monotonic()
        self.bench.switch(arm, away=True)
        self.bench.switch(arm, away=False)
        return time.monotonic() - began

    def _check_time(self, block_s: float, switching_s: float = 0.0) -> None:
        limit = self.limits.seconds
        needed = self.limits.pairs * (2 * (block_s + self.limits.warmup_s) + switching_s / 2)
        if limit is not None and time.monotonic() - self.began + needed > limit:
            raise NotTriedError(
                f"it would take {needed:.0f} s, and the time for the proof, {limit:.0f} s, is used up"
            )

    def _order(self, seconds: float) -> Order:
        return replace(self.base, seconds=seconds, warmup_s=self.limits.warmup_s)

    def _block(self, order: Order) -> Block:
        block = self.bench.run(order)
        check_interrupt(block)
        return block

    def _capacity(self) -> _Capacity:
        """Measure the throughput of a closed loop, as things stand."""
        self.progress("measuring the capacity", 0.0)
        closed = replace(self._order(self.limits.block_s), rate=None)
        found = [
            self._block(replace(closed, seed=closed.seed + n)).tps
            for n in range(self.limits.capacity_blocks)
        ]
        logs = [math.log(tps) for tps in found if tps > 0]
        if not logs:
            return _Capacity()
        interval = shift_interval(logs)
        return _Capacity(
            math.exp(hodges_lehmann(logs)),
            interval and (math.exp(interval[0]), math.exp(interval[1])),
        )


def prove(
    bench: ProofBench,
    order: Order,
    diagnosis: Diagnosis,
    diagnose: Diagnose,
    limits: ProofLimits | None = None,
    progress: Progress = silent,
) -> ProofChain:
    """Take causes away one by one, put everything back, and return what that showed.

    ``diagnosis`` is of the run before; ``diagnose`` is called after each cause that was taken away. On Ctrl-C, what was
    found until then is returned.
    """
    chain = BottleneckChain(bench, order, diagnose, limits or ProofLimits(), progress)
    is_interrupted = False
    try:
        ended = chain.run(diagnosis)
    except (KeyboardInterrupt, InterruptedTrialError):
        ended, is_interrupted = "interrupted", True
    except (NotTriedError, Error, psycopg.Error, OSError) as error:
        reason = said(error) if isinstance(error, psycopg.Error | OSError) else str(error)
        ended = f"it could not go on: {reason}"
    finally:
        bench.close()
    return ProofChain(
        steps=tuple(chain.steps),
        ended=ended,
        capacity=chain.at_start.tps,
        capacity_interval=chain.at_start.interval,
        is_interrupted=is_interrupted,
        left_behind=tuple(bench.left_behind),
    )


def _step(probe: LoadProbe) -> ProofStep:
    return ProofStep(
        cause=probe.cause,
        probe=probe.tried,
        kind=probe.kind,
        result=Proven.NOT_TRIED,
        metric="",
        ratio=None,
        interval=None,
        pairs=0,
        pairs_needed=None,
        reason="",
        share=probe.share,
        findings=probe.findings,
        remedy=() if probe.kind in NEVER_ADVICE else probe.remedy,
    )


def _with_result(step: ProofStep, found: TrialResult, *, seconds: float) -> ProofStep:
    verdict = found.verdict
    return replace(
        step,
        result=found.shows,
        reason=found.reason,
        metric=found.metric.name,
        ratio=verdict.effect if verdict else None,
        interval=verdict.interval if verdict else None,
        pairs=len(found.before),
        pairs_needed=verdict.needed if verdict and found.shows is Proven.NOT_PROVEN else None,
        before=found.before,
        after=found.after,
        work=found.work,
        seconds=seconds,
    )
