"""A run against a stored one: work only, since the times of another day or machine say nothing about the server."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain

from pgwatch_wed import units
from pgwatch_wed.errors import UsageError
from pgwatch_wed.load.compare.measured_runs import MeasuredRun, MeasuredScenario, measured_run
from pgwatch_wed.load.compare.work_comparison import WorkShift, compared, work_shifts
from pgwatch_wed.load.load_json import render_stress
from pgwatch_wed.load.statistics.block_noise import MARGIN
from pgwatch_wed.load.statistics.holm import holm
from pgwatch_wed.load.stress_report import (
    ComparedAs,
    ComparedMetric,
    StressComparison,
    StressReport,
)

_MOST_SETTINGS = 8
WRITING_MARGIN = 0.2
"""What autovacuum and pruning did by chance stays for a whole run: identical ones that write differ by up to 13%."""


def compare_runs(base: MeasuredRun, current: MeasuredRun, label: str) -> StressComparison:
    """Compare each scenario that both ran; raises :class:`UsageError` if they have none in common that agrees."""
    both = [name for name in current.scenarios if name in base.scenarios]
    refused = {
        name: differing
        for name in both
        if (differing := _differing(base.scenarios[name].same, current.scenarios[name].same))
    }
    comparable = [name for name in both if name not in refused]
    if not comparable:
        raise UsageError(f"{label} cannot be compared with this run: {_why(base, refused)}")
    pairs = [(base.scenarios[name], current.scenarios[name]) for name in comparable]
    shifts = (work_shifts(a, b, WRITING_MARGIN if b.is_writing else MARGIN) for a, b in pairs)
    metrics = judged_work(list(chain.from_iterable(shifts)))
    return StressComparison(
        label=label,
        taken_at=base.taken_at,
        metrics=metrics,
        notes=(
            _no_times(base, current),
            *(f"{name} was not compared: {_differ(what)}" for name, what in refused.items()),
            *(f"{n} was not compared: the baseline does not have it" for n in _new(base, current)),
            *_other_conditions(base, current),
            *(note for a, b in pairs for note in plan_changes(a, b)),
            *(note for a, b in pairs for note in _not_counted(a, b, metrics)),
        ),
    )


def measured_report(report: StressReport) -> MeasuredRun:
    """Return a report as it will be read again."""
    return measured_run(json.loads(render_stress(report)))


def judged_work(shifts: list[WorkShift]) -> tuple[ComparedMetric, ...]:
    """Decide on all metrics together: of many, some differ by chance."""
    tested = {n: s.p_value for n, s in enumerate(shifts) if not s.doubt}
    corrected = holm(tested)
    return tuple(compared(s, corrected.get(n, 1.0), len(tested)) for n, s in enumerate(shifts))


def has_regressed(comparison: StressComparison | None) -> bool:
    """Tell whether ``--fail-on regression`` fails."""
    return comparison is not None and comparison.count(ComparedAs.REGRESSION) > 0


def nothing_compared(comparison: StressComparison | None) -> str:
    """Return why a comparison that was ordered compared nothing; "" if it did, or none was ordered."""
    if comparison is None or comparison.metrics:
        return ""
    return "; ".join(note.rstrip(".") for note in comparison.notes) or "nothing was measured"


def plan_changes(base: MeasuredScenario, current: MeasuredScenario) -> Iterator[str]:
    """Name what is planned otherwise than before."""
    then, now = _plans(base), _plans(current)
    for name in sorted(then.keys() & now.keys()):
        if then[name].isdisjoint(now[name]):
            yield (
                f"{current.name}: {name} is planned otherwise: {_shapes(now[name])},"
                f" and {_shapes(then[name])} before"
            )


def _plans(scenario: MeasuredScenario) -> dict[str, set[str]]:
    plans: dict[str, set[str]] = {}
    for block in scenario.blocks:
        for name, shape in (block.work.plans if block.work else {}).items():
            plans.setdefault(name, set()).add(shape)
    return plans


def _shapes(shapes: Iterable[str]) -> str:
    return " or ".join(sorted(shapes))


def _differing(some: Mapping[str, str], others: Mapping[str, str]) -> list[str]:
    return [what for what, value in some.items() if others.get(what) != value]


def _why(base: MeasuredRun, refused: Mapping[str, list[str]]) -> str:
    if not refused:
        ran = _listed(sorted(base.scenarios)) or "no scenario"
        return f"it ran {ran}"
    return "; ".join(f"of {name}, {_differ(what)}" for name, what in refused.items())


def _new(base: MeasuredRun, current: MeasuredRun) -> list[str]:
    return [name for name in current.scenarios if name not in base.scenarios]


def _no_times(base: MeasuredRun, current: MeasuredRun) -> str:
    where = (
        "another time" if base.machine and base.machine == current.machine else "another machine"
    )
    return (
        f"Times were not compared: the baseline is of {where}, and identical runs differ by"
        " more than changes do. --against compares them in interleaved blocks."
    )


def _other_conditions(base: MeasuredRun, current: MeasuredRun) -> Iterator[str]:
    for what, then in base.differs.items():
        if (now := current.differs[what]) != then:
            yield f"The {what} differs: {now}, and {then} before."
    names = sorted(base.settings.keys() & current.settings.keys())
    other = [n for n in names if base.settings[n] != current.settings[n]]
    for name in other[:_MOST_SETTINGS]:
        now, then = current.settings[name], base.settings[name]
        yield f"The setting {name} differs: {now or 'empty'}, and {then or 'empty'} before."
    if (more := len(other) - _MOST_SETTINGS) > 0:
        yield f"{units.count(more, 'more setting')} differ."


def _not_counted(
    base: MeasuredScenario, current: MeasuredScenario, metrics: Iterable[ComparedMetric]
) -> Iterator[str]:
    """Say that nothing was compared of a scenario, and why."""
    if any(m.scenario == current.name for m in metrics):
        return
    if not base.blocks or not current.blocks:
        where = "the baseline" if not base.blocks else "this run"
        yield f"{current.name} was not compared: {where} has no whole block at one rate"
    else:
        yield f"{current.name} was not compared: the work of its transactions was not counted"


def _differ(what: Sequence[str]) -> str:
    *others, last = what
    return f"{_listed(others)} and {last} differ" if others else f"{last} differs"


def _listed(items: Iterable[str]) -> str:
    return ", ".join(items)
