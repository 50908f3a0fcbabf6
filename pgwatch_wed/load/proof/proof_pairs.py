"""A trial: pairs of blocks with and without a cause, in the order A B B A, and what they show."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from pgwatch_wed.load.engine.block_run import INTERRUPTED
from pgwatch_wed.load.load_model import Block, Order, Proven
from pgwatch_wed.load.proof.proof_bench import ProofBench, StandingProbe
from pgwatch_wed.load.proof.trial_metrics import WORK, TrialMetric, log_ratios, work_of
from pgwatch_wed.load.statistics.block_noise import MARGIN
from pgwatch_wed.load.statistics.pair_verdict import PairVerdict
from pgwatch_wed.load.statistics.signed_rank import LEAST_PAIRS
from pgwatch_wed.load.stress_report import WorkEffect
from pgwatch_wed.progress import Progress

MORE_FAILURES = 0.005
"""If so many more transactions fail, what is left of them may well be faster."""
_USELESS = frozenset({"interrupted", "connecting"})
_GENERATOR = frozenset({"generator-cpu", "generator-lag"})
_SPARE_PAIRS = 2


class InterruptedTrialError(Exception):
    """Somebody wants to stop."""


@dataclass(frozen=True, slots=True)
class TrialPair:
    """A block with the cause, and one without, one after the other in either order."""

    before: Block
    after: Block


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialResult:
    """What a trial shows: ``before`` and ``after`` are the metric of each pair, ``verdict`` is None without any."""

    metric: TrialMetric
    shows: Proven
    reason: str
    verdict: PairVerdict | None
    before: tuple[float, ...] = ()
    after: tuple[float, ...] = ()
    work: tuple[WorkEffect, ...] = ()


def run_pairs(
    bench: ProofBench, arm: StandingProbe, order: Order, pairs: int, progress: Progress
) -> list[TrialPair]:
    """Run pairs of blocks; one of which nothing can be taken is run again, at most twice in all."""
    found: list[TrialPair] = []
    for number in range(pairs + _SPARE_PAIRS):
        progress(f"{arm.probe.tried}: pair {len(found) + 1} of {pairs}", len(found) / pairs)
        pair = _pair(bench, arm, replace(order, seed=order.seed + number), first=number % 2 == 1)
        if not (_is_useless(pair.before) or _is_useless(pair.after)):
            found.append(pair)
        if len(found) == pairs:
            break
    return found


def _pair(bench: ProofBench, arm: StandingProbe, order: Order, *, first: bool) -> TrialPair:
    blocks: dict[bool, Block] = {}
    for away in (first, not first):
        if bench.switch(arm, away=away) and arm.lever.settling_s:
            bench.run(replace(order, seconds=arm.lever.settling_s, warmup_s=0.0), arm)
        blocks[away] = bench.run(order, arm)
        check_interrupt(blocks[away])
    return TrialPair(blocks[False], blocks[True])


def check_interrupt(block: Block) -> None:
    """Raise :class:`InterruptedTrialError` if the block was ended by Ctrl-C, and not because something ran out."""
    if block.ended_early == INTERRUPTED:
        raise InterruptedTrialError


def _is_useless(block: Block) -> bool:
    return bool(block.ended_early) or any(s.check in _USELESS for s in block.spoilt)


def judged(pairs: Sequence[TrialPair], metric: TrialMetric, evidence: str = "") -> TrialResult:
    """Judge the pairs of a trial by one metric; the work of a transaction is judged beside it.

    Work decides nothing, but for that which is ``evidence``: unless there is less of it, something else made the difference.
    """
    values = [(a, b) for p in pairs if (a := metric.of(p.before)) and (b := metric.of(p.after))]
    names = dict.fromkeys((*WORK, *([evidence] if evidence else [])))
    work = tuple(w for name in names if (w := _work(pairs, name)) is not None)
    if len(values) < LEAST_PAIRS:
        text = f"only {len(values)} of {len(pairs)} pairs have a {metric.name}; {LEAST_PAIRS} are needed"
        return TrialResult(
            metric=metric, shows=Proven.NOT_PROVEN, reason=text, verdict=None, work=work
        )
    before, after = zip(*values, strict=True)
    verdict = PairVerdict.of(log_ratios(before, after))
    shows, reason = _shown(verdict, metric, pairs)
    if shows is Proven.PROVEN and evidence and (lacking := _lacking(work, evidence)):
        shows, reason = Proven.NOT_PROVEN, lacking
    return TrialResult(
        metric=metric,
        shows=shows,
        reason=reason,
        verdict=verdict,
        before=before,
        after=after,
        work=work,
    )


def _shown(
    verdict: PairVerdict, metric: TrialMetric, pairs: Sequence[TrialPair]
) -> tuple[Proven, str]:
    margin = f"{MARGIN:.0%}"
    is_better = (verdict.effect > 1) is metric.is_throughput
    if verdict.shows is Proven.NOT_PROVEN:
        return Proven.NOT_PROVEN, f"the interval contains changes of more and of less than {margin}"
    if verdict.shows is Proven.PROVEN and not is_better:
        return Proven.REFUTED, f"without it, {metric.name} is worse"
    if verdict.shows is Proven.PROVEN:
        more = _failing(pairs, lambda p: p.after) - _failing(pairs, lambda p: p.before)
        if more > MORE_FAILURES:
            return Proven.NOT_PROVEN, f"without it, {more:.1%} more of the transactions fail"
        return Proven.PROVEN, f"without it, {metric.name} is better by more than {margin}"
    if any(s.check in _GENERATOR for p in pairs for b in (p.before, p.after) for s in b.spoilt):
        return Proven.NOT_PROVEN, "the load generator was the limit, with and without it"
    return Proven.REFUTED, f"without it, {metric.name} changes by less than {margin}"


def _lacking(work: Sequence[WorkEffect], evidence: str) -> str:
    """Return why the work does not confirm what the times show; "" if it does."""
    found = next((w for w in work if w.name == evidence), None)
    if found is None:
        return (
            f"{evidence} are not counted here, so it is not known whether the cause was taken away"
        )
    if found.shows is not Proven.PROVEN or found.ratio >= 1:
        return f"a transaction writes hardly fewer {evidence} without it, so something else made the difference"
    return ""


def _failing(pairs: Sequence[TrialPair], side: Callable[[TrialPair], Block]) -> float:
    blocks = [side(pair) for pair in pairs]
    attempts = sum(b.attempts for b in blocks)
    return sum(sum(b.failures.values()) for b in blocks) / attempts if attempts else 0.0


def _work(pairs: Sequence[TrialPair], name: str) -> WorkEffect | None:
    values = [
        (a, b)
        for p in pairs
        if (a := work_of(p.before, name)) is not None and (b := work_of(p.after, name)) is not None
    ]
    if len(values) < LEAST_PAIRS:
        return None
    before, after = zip(*values, strict=True)
    verdict = PairVerdict.of(log_ratios(before, after))
    return WorkEffect(
        name=name,
        before=before,
        after=after,
        ratio=verdict.effect,
        interval=verdict.interval,
        shows=verdict.shows,
    )
