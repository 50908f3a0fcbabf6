"""What a load test found, in sentences that text and HTML share."""

import math
from collections.abc import Sequence

from pgwatch_wed import units
from pgwatch_wed.load.load_model import LoadObjective, ObjectiveResult, Proven
from pgwatch_wed.load.sampling.load_causes import LoadCause
from pgwatch_wed.load.stress_report import (
    Bounds,
    ComparedMetric,
    PercentileFigure,
    Phase,
    PhaseFigures,
    PhaseKind,
    ProofStep,
)
from pgwatch_wed.render import numbers

ERRORS, TPS = "errors", "tps"
TRANSACTION = "transaction"
_LARGE = 1000.0
NOTHING_MEASURED = "Nothing was measured under steady load."
_PHASES = {
    PhaseKind.STEADY: "steady load",
    PhaseKind.RAMP: "ramp",
    PhaseKind.SOAK: "soak",
}


def objective_words(objective: LoadObjective, what: str = TRANSACTION) -> str:
    """``p95 at most 200 ms``."""
    limit = objective_value(objective.name, objective.limit, what)
    if objective.name == TPS:
        return f"at least {limit}"
    measured = f"failed {what}s" if objective.name == ERRORS else objective.name
    return f"{measured} at most {limit}"


def objective_value(name: str, value: float, what: str = TRANSACTION) -> str:
    """Print a value of an objective in its unit."""
    if name == ERRORS:
        return fine_share(value)
    return f"{short_rate(value)} {what}s/s" if name == TPS else fine_duration(value)


def fine_duration(ms: float) -> str:
    """Print a time that may be very short: 0.03 ms, never a rounded 0 ms."""
    if ms == 0 or ms >= 1:
        return units.duration(ms)
    return f"{float(f'{ms:.2g}'):g} ms" if ms >= 0.001 else "below 0.001 ms"


def fine_share(value: float) -> str:
    """Print a share that may be very small: 0.05%, never a rounded 0%."""
    if value == 0 or value >= 0.01:
        return units.share(value)
    return f"{float(f'{value * 100:.2g}'):g}%" if value >= 0.00001 else "below 0.001%"


def short_rate(value: float) -> str:
    """Print a number a second."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def answer_line(result: ObjectiveResult, what: str = TRANSACTION) -> str:
    """Return the objective, what was measured, and why that is the answer."""
    name = result.objective.name
    value = result.value
    measured = "" if value is None else f", {objective_value(name, value, what)}"
    if value is not None and result.interval is not None:
        measured += f" [{interval_words(name, result.interval, what)}]"
    return f"{objective_words(result.objective, what)}{measured}: {result.reason}"


def interval_words(name: str, interval: Bounds | None, what: str = TRANSACTION) -> str:
    """Return the bounds of an objective's value; empty if there are none."""
    if interval is None:
        return ""
    low, high = interval
    up_to = f"to {objective_value(name, high, what)}" if math.isfinite(high) else "or more"
    return f"{objective_value(name, low, what)} {up_to}"


def two_sides(there: float | None, here: float | None) -> str:
    """Return two amounts a call, of which either may be unknown."""
    return ", ".join("unknown" if n is None else numbers.number(n) for n in (there, here))


def percentiles_words(figures: Sequence[PercentileFigure]) -> str:
    """``p50 3 ms [2.9 to 3.1], p95 …``; a percentile that is not known says why."""
    if len({f.reason for f in figures}) == 1 and all(f.ms is None for f in figures):
        names = ", ".join(f"p{f.percent:g}" for f in figures)
        return f"{names} unknown ({figures[0].reason})" if figures[0].reason else f"{names} unknown"
    return ", ".join(_percentile(f) for f in figures) or "unknown"


def _percentile(figure: PercentileFigure) -> str:
    name = f"p{figure.percent:g}"
    if figure.ms is None:
        return f"{name} unknown ({figure.reason})" if figure.reason else f"{name} unknown"
    return f"{name} {fine_duration(figure.ms)}{_range(figure.interval)}"


def _range(interval: Bounds | None) -> str:
    if interval is None:
        return ""
    low, high = interval
    up_to = f"to {fine_duration(high)}" if math.isfinite(high) else "or more"
    return f" [{fine_duration(low)} {up_to}]"


def clock_words(figures: PhaseFigures) -> str:
    """Return from when latency counts, and whether any block's times can be believed."""
    clock = "from when it was due" if figures.is_open else "closed loop"
    return clock if figures.believed else f"{clock}; cannot be believed"


def phase_words(phase: Phase) -> str:
    """Return what ran in a phase."""
    name = _PHASES[phase.kind]
    figures = phase.figures
    ended = f"; ended early: {phase.ended_early}" if phase.ended_early else ""
    if figures is None:
        return f"{name}: nothing was measured{ended}"
    due = f"{short_rate(figures.rate)}/s due, " if figures.rate is not None else ""
    return (
        f"{name}: {due}{short_rate(figures.tps)}/s done by {units.count(figures.clients, 'client')}; "
        f"{units.count(figures.transactions, 'transaction')} in "
        f"{units.count(figures.blocks, 'block')}, {units.duration(figures.seconds * 1000)} in all{ended}"
    )


def failures_words(figures: PhaseFigures) -> str:
    """Return how many transactions failed, by kind; empty if none did."""
    failed = sum(figures.failures.values())
    if not failed or figures.error_share is None:
        return ""
    kinds = ", ".join(f"{kind.value} {n:,}" for kind, n in figures.failures.items() if n)
    return f"failed: {failed:,} ({fine_share(figures.error_share)}): {kinds}"


def cause_line(cause: LoadCause) -> str:
    """Return a cause with its share of DB time."""
    concerns = f" ({cause.concerns})" if cause.concerns else ""
    interval = cause.interval
    between = (
        f" [{units.share(interval[0])} to {units.share(interval[1])}]"
        if interval is not None
        else ""
    )
    symptom = f" This is mostly a symptom of: {cause.symptom_of.value}." if cause.symptom_of else ""
    return (
        f"{cause.kind.value}{concerns}, {units.share(cause.share)}{between} of DB time. "
        f"{cause.text}{symptom}"
    )


def step_line(step: ProofStep) -> str:
    """Return what was tried against a cause, and what that changed."""
    ratio = "" if step.ratio is None else f", {step.metric} ×{step.ratio:.2f}"
    if step.ratio is not None and step.interval is not None:
        ratio += f" [{step.interval[0]:.2f} to {step.interval[1]:.2f}]"
    pairs = f" in {units.count(step.pairs, 'pair')}" if step.pairs else ""
    more = (
        f"; {step.pairs_needed:,} pairs would do"
        if step.result is Proven.NOT_PROVEN and step.pairs_needed
        else ""
    )
    capacity = (
        f"; capacity {short_rate(step.capacity_before)}/s → {short_rate(step.capacity_after)}/s"
        if step.capacity_before is not None and step.capacity_after is not None
        else ""
    )
    reason = f": {step.reason}" if step.reason else ""
    return (
        f"{step.cause}, {step.result.value} by {step.probe}{ratio}{pairs}{more}{capacity}{reason}"
    )


def step_gain(step: ProofStep) -> str:
    """Return what taking a cause away changed: ``p50 ×0.02 [0.02 to 0.03] in 6 pairs``."""
    if step.ratio is None:
        return step.result.value
    bounds = f" [{step.interval[0]:.2f} to {step.interval[1]:.2f}]" if step.interval else ""
    return f"{step.metric} ×{step.ratio:.2f}{bounds} in {units.count(step.pairs, 'pair')}"


def compared_line(metric: ComparedMetric) -> str:
    """Return a metric before and after."""
    ratio = f" {ratio_words(metric)}" if metric.ratio is not None else ""
    kind = "work" if metric.is_work else "time"
    return f"{metric.result.value}: {metric.scenario}: {metric.metric} ({kind}){ratio}: {metric.reason}"


def ratio_words(metric: ComparedMetric) -> str:
    """``×1.63 [1.61 to 1.65]``; empty if it is unknown."""
    if metric.ratio is None:
        return ""
    bounds = metric.interval
    interval = f" [{_ratio(bounds[0])} to {_ratio(bounds[1])}]" if bounds else ""
    return f"×{_ratio(metric.ratio)}{interval}"


def _ratio(value: float) -> str:
    return f"{value:.3g}" if value < _LARGE else f"{value:,.0f}"
