"""What to do first after a load test, and how much it brings: what was proven comes before what is only known."""

from dataclasses import dataclass

from pgwatch_wed.findings import Finding, Grade, Remedy, Report
from pgwatch_wed.load.load_model import Proven
from pgwatch_wed.load.load_words import short_rate, step_gain
from pgwatch_wed.load.scenarios import known_scenarios
from pgwatch_wed.load.stress_report import ProofStep, ScenarioRun, StressReport
from pgwatch_wed.render.impact_words import gain


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadFix:
    """A change that is recommended. ``gain`` is a sentence; ``is_proven``: it was taken away, and measured again."""

    scenario: str  # or the server that was analyzed
    title: str
    gain: str
    grade: Grade
    is_proven: bool
    remedy: tuple[Remedy, ...]
    why: str


def load_fixes(report: StressReport, analysis: Report | None = None) -> tuple[LoadFix, ...]:
    """Return the changes in the order in which they should be made; each once, of the first run that shows it.

    ``analysis`` is of the server that the load is about; what it says comes before what rules say of the load.
    """
    found: list[LoadFix] = []
    seen: set[tuple[str, ...]] = set()
    advised = (
        [(analysis.target.label, f) for f in analysis.findings if f.remedy] if analysis else []
    )
    own = [_of_finding(label, f) for label, f in sorted(advised, key=_urgency)]
    for fix in (*_proven(report), *own, *_advised(report)):
        key = tuple(r.sql for r in fix.remedy) or (fix.title,)
        if key not in seen:
            seen.add(key)
            found.append(fix)
    return tuple(found)


def _proven(report: StressReport) -> list[LoadFix]:
    return [
        _of_step(run, step)
        for run in report.runs
        if run.proof
        for step in run.proof.steps
        if step.result is Proven.PROVEN and step.remedy
    ]


def _of_step(run: ScenarioRun, step: ProofStep) -> LoadFix:
    capacity = (
        f"; capacity from {short_rate(step.capacity_before)} to {short_rate(step.capacity_after)} transactions/s"
        if step.capacity_before is not None and step.capacity_after is not None
        else ""
    )
    return LoadFix(
        scenario=run.scenario.name,
        title=step.cause,
        gain=f"{step_gain(step)}{capacity}",
        grade=Grade.A,
        is_proven=True,
        remedy=step.remedy,
        why=f"taken away by {step.probe}, and measured in pairs of blocks",
    )


def _advised(report: StressReport) -> list[LoadFix]:
    """Return what the rules say of the interval and can be acted upon, worst first, the best proven first among those."""
    found = [
        (run.scenario.name, finding)
        for run in report.runs
        if run.analysis
        for finding in run.analysis.findings
        if finding.remedy and finding.id not in _tried(run) and not _is_about_ours(run, finding)
    ]
    return [_of_finding(name, finding) for name, finding in sorted(found, key=_urgency)]


def is_built_in(run: ScenarioRun) -> bool:
    """Tell whether a scenario came with this tool, and so its tables did."""
    return run.scenario.name in known_scenarios.names()


def why_no_fix(report: StressReport) -> str:
    """Return why nothing is recommended, a clause."""
    ours = any(
        _is_about_ours(run, finding)
        for run in report.runs
        if run.analysis
        for finding in run.analysis.findings
        if finding.remedy
    )
    if ours:
        return "no cause was proven, and what the rules found is about the tables of scenarios that come with this tool"
    return "no cause was proven, and no rule found anything that can be changed"


def _is_about_ours(run: ScenarioRun, finding: Finding) -> bool:
    """Tell whether a finding is about what a scenario of ours created: it has a database of its own, and nothing else is there."""
    return is_built_in(run) and finding.object.database is not None


def _urgency(found: tuple[str, Finding]) -> tuple[int, str]:
    return found[1].severity.rank, found[1].grade.value


def _tried(run: ScenarioRun) -> frozenset[str]:
    """Return the findings that a probe answered: proven ones stand above, and refuted ones are no advice."""
    steps = run.proof.steps if run.proof else ()
    answered = (Proven.PROVEN, Proven.REFUTED)
    return frozenset(f for s in steps if s.result in answered for f in s.findings)


def _of_finding(where: str, finding: Finding) -> LoadFix:
    return LoadFix(
        scenario=where,
        title=finding.title,
        gain=gain(finding),
        grade=finding.grade,
        is_proven=False,
        remedy=tuple(finding.remedy),
        why=finding.detail,
    )
