"""A load test for a terminal: whether it can be believed, its objectives, the first bottleneck, what to do, the rest."""

from collections.abc import Sequence

from pgwatch_wed import units
from pgwatch_wed.findings import Remedy
from pgwatch_wed.load.first_cause import first_cause
from pgwatch_wed.load.load_model import Answer, Proven, Spoilt
from pgwatch_wed.load.load_pages.load_fixes import LoadFix, load_fixes, why_no_fix
from pgwatch_wed.load.load_words import (
    NOTHING_MEASURED,
    answer_line,
    cause_line,
    clock_words,
    compared_line,
    failures_words,
    percentiles_words,
    phase_words,
    step_line,
)
from pgwatch_wed.load.stress_report import (
    ComparedAs,
    PerformanceReport,
    ReplayFidelity,
    ScenarioRun,
    StressComparison,
    StressReport,
)
from pgwatch_wed.render.text_page import TextPage

_BOLD, _DIM = "1", "2"
_ANSWERS = {Answer.PASS: "1;32", Answer.FAIL: "1;31", Answer.UNKNOWN: "1;33"}
_RESULTS = {ComparedAs.REGRESSION: "1;31", ComparedAs.IMPROVEMENT: "1;32"}
_CAUSES = 3
_FINDINGS = 5
_TO_PROVE = "--prove shows which of these matter: it takes causes away one by one, on the embedded server or a copy (--copy)"


def stress_text(
    report: StressReport, *, width: int = 80, colour: bool = False, verbose: bool = False
) -> str:
    """Render the report."""
    page = TextPage(width, colour=colour)
    _load(page, report, load_fixes(report), verbose=verbose)
    return str(page)


def _load(
    page: TextPage, report: StressReport, fixes: Sequence[LoadFix] | None, *, verbose: bool
) -> None:
    """Render what the load showed; ``fixes`` is None if they stand above it."""
    target = report.target
    page.wrap(
        f"{target.label} · PostgreSQL {target.server_version} · profile {report.profile}, "
        f"seed {report.seed}",
        style=_BOLD,
    )
    if report.ended_early:
        page.wrap(f"ENDED EARLY: {report.ended_early}. This is what ran until then.", style="1;33")
    _credibility(page, report)
    for run in report.runs:
        page.line()
        _run(page, run, fixes, verbose=verbose)
    if report.comparison:
        page.line()
        _comparison(page, report.comparison, verbose=verbose)
    _conditions(page, report)


def performance_text(report: PerformanceReport, *, width: int = 80, colour: bool = False) -> str:
    """Render the report of ``db-analyze perf``: what to fix first, then the load."""
    page = TextPage(width, colour=colour)
    fixes = load_fixes(report.stress, report.analysis)
    page.line("What to fix first", _BOLD)
    if not fixes:
        page.wrap(f"Nothing: {why_no_fix(report.stress)}.", "  ")
    for number, fix in enumerate(fixes[:_FINDINGS], 1):
        proof = "proven" if fix.is_proven else f"grade {fix.grade.value}"
        gain = f": {fix.gain}" if fix.gain else ""
        page.wrap(f"{number}. {fix.title} ({proof}, {fix.scenario}){gain}", "  ", hang="     ")
        for remedy in fix.remedy:
            _remedy(page, remedy)
    if len(fixes) > _FINDINGS:
        page.line(f"  and {len(fixes) - _FINDINGS:,} more in the HTML and JSON reports")
    page.line()
    load = TextPage(width, colour=colour)
    _load(load, report.stress, None, verbose=False)
    return f"{page}\n{load}"


def _credibility(page: TextPage, report: StressReport) -> None:
    if not report.is_measured:
        page.wrap(NOTHING_MEASURED, style=_BOLD)
        return
    if report.is_believable:
        page.wrap("The measured times can be believed.", style="1;32")
        return
    spoilt = [r for r in report.runs if r.spoilt]
    whose = "The measured times" if len(spoilt) == len(report.runs) else "Some measured times"
    page.wrap(
        f"{whose} CANNOT BE BELIEVED and are not evaluated; work per transaction and errors are:",
        style="1;31",
    )
    shown: list[Spoilt] = []
    for run in spoilt:
        for each in run.spoilt:
            if each not in shown:
                shown.append(each)
                page.wrap(f"{run.scenario.name}: {each.text}", "  ", hang="    ")


def _run(
    page: TextPage, run: ScenarioRun, fixes: Sequence[LoadFix] | None, *, verbose: bool
) -> None:
    page.wrap(f"{run.scenario.name}: {run.scenario.title}", style=_BOLD)
    if run.ended_early:
        page.wrap(f"ended early: {run.ended_early}", "  ", hang="    ")
    for result in run.objectives:
        mark = page.paint(f"{result.answer.value:<7}", _ANSWERS[result.answer])
        said = answer_line(result)
        # the mark may contain invisible characters, so it is not wrapped
        first, *rest = page.wrapped(said, " " * 10) or [""]
        page.line(f"  {mark} {first.strip()}")
        for each in rest:
            page.line(each)
    _bottleneck(page, run)
    if fixes is not None:
        _remedies(page, run)
        _advised(page, run, fixes, verbose=verbose)
    _figures(page, run)
    if run.fidelity:
        _replay(page, run.fidelity, verbose=verbose)
    _findings(page, run, verbose=verbose)
    for error in run.errors:
        page.wrap(f"error: {error}", "  ", hang="    ")


def _bottleneck(page: TextPage, run: ScenarioRun) -> None:
    if run.causes:
        first = first_cause(run)
        page.wrap(f"{first.label}: {cause_line(run.causes[0])}", "  ", _BOLD, hang="    ")
        for cause in run.causes[1:_CAUSES]:
            page.wrap(f"{first.following}: {cause_line(cause)}", "  ", hang="    ")
        if first.doubt:
            page.wrap(f"note: {first.doubt}", "  ", hang="    ")
    elif run.db_time and run.db_time.missing:
        page.wrap(f"first bottleneck: unknown: {run.db_time.missing}", "  ", hang="    ")
    for doubt in run.db_time.doubts if run.db_time and run.causes else ():
        page.wrap(f"note: {doubt}", "  ", hang="    ")
    if run.proof:
        for number, step in enumerate(run.proof.steps, 1):
            page.wrap(f"{number}. {step_line(step)}", "    ", hang="       ")
        page.wrap(run.proof.ended, "    ", hang="    ")
        for left in run.proof.left_behind:
            page.wrap(f"COULD NOT BE PUT BACK: {left}", "    ", "1;31", hang="      ")


def _remedies(page: TextPage, run: ScenarioRun) -> None:
    proven = [s for s in run.proof.steps if s.result is Proven.PROVEN] if run.proof else []
    remedies = [r for step in proven for r in step.remedy]
    if not remedies:
        return
    page.line("  what to do (proven here):", _BOLD)
    for remedy in remedies:
        _remedy(page, remedy)


def _advised(page: TextPage, run: ScenarioRun, fixes: Sequence[LoadFix], *, verbose: bool) -> None:
    """Show what the rules recommend for causes that nobody has taken away, and how that is tried."""
    found = [f for f in fixes if f.scenario == run.scenario.name and not f.is_proven]
    if found:
        page.line("  recommended by the rules (not proven here):", _BOLD)
    for fix in found if verbose else found[:_CAUSES]:
        page.wrap(f"{fix.title} (grade {fix.grade.value})", "  ", hang="    ")
        for remedy in fix.remedy:
            _remedy(page, remedy)
    if not verbose and len(found) > _CAUSES:
        page.line(f"    and {len(found) - _CAUSES:,} more (-v shows them)")
    if run.proof is None and run.causes:
        page.wrap(_TO_PROVE, "  ", hang="    ")


def _remedy(page: TextPage, remedy: Remedy) -> None:
    page.code(remedy.sql)
    page.wrap(f"lock: {remedy.lock}", "    ", _DIM, hang="      ")
    if remedy.undo:
        page.wrap(f"undo: {remedy.undo}", "    ", _DIM, hang="      ")


def _figures(page: TextPage, run: ScenarioRun) -> None:
    for phase in run.phases:
        page.wrap(phase_words(phase), "  ", hang="    ")
        figures = phase.figures
        if figures is None:
            continue
        clock = clock_words(figures)
        page.wrap(f"latency ({clock}): {percentiles_words(figures.latency)}", "    ", hang="      ")
        if any(p.ms for p in figures.lag):
            page.wrap(f"of which lag: {percentiles_words(figures.lag)}", "    ", hang="      ")
        if said := failures_words(figures):
            page.wrap(said, "    ", hang="      ")
    if run.knee:
        page.wrap(f"capacity: {run.knee.reason}", "  ", hang="    ")


def _replay(page: TextPage, fidelity: ReplayFidelity, *, verbose: bool) -> None:
    if fidelity.covered_share is not None:
        covered = units.share(fidelity.covered_share)
        page.wrap(f"the replay covers {covered} of production's time", "  ", hang="    ")
    left_out = [s for s in fidelity.statements if not s.is_used]
    for each in left_out if verbose else left_out[:_CAUSES]:
        page.wrap(f"left out: {each.query}: {each.reason}", "    ", hang="      ")
    if not verbose and len(left_out) > _CAUSES:
        page.line(f"    and {len(left_out) - _CAUSES:,} more (-v shows them)")
    if fidelity.not_reproduced:
        page.wrap(f"not reproduced: {', '.join(fidelity.not_reproduced)}", "  ", hang="    ")


def _findings(page: TextPage, run: ScenarioRun, *, verbose: bool) -> None:
    if run.analysis is None:
        if run.no_analysis:
            page.wrap(f"rules not evaluated: {run.no_analysis}", "  ", hang="    ")
        return
    found = run.analysis.findings
    shown = found if verbose else found[:_FINDINGS]
    counted = units.count(len(found), "finding")
    unknown = len(run.analysis.unknowns)
    page.wrap(
        f"rules, of exactly this interval: {counted}; {units.count(unknown, 'rule')} not evaluated",
        "  ",
        hang="    ",
    )
    for each in shown:
        page.wrap(f"{each.severity.value} {each.rule}: {each.title}", "    ", hang="      ")
    if len(shown) < len(found):
        page.line(f"    and {len(found) - len(shown):,} more (-v shows them)")


def _comparison(page: TextPage, comparison: StressComparison, *, verbose: bool) -> None:
    counts = ", ".join(
        f"{comparison.count(r)} {w}"
        for r, w in (
            (ComparedAs.REGRESSION, "worse"),
            (ComparedAs.IMPROVEMENT, "better"),
            (ComparedAs.SAME, "the same"),
            (ComparedAs.UNKNOWN, "unknown"),
        )
    )
    came_to = counts if comparison.metrics else "nothing could be compared"
    page.wrap(f"Compared with {comparison.label}: {came_to}", style=_BOLD)
    for metric in comparison.metrics:
        if verbose or metric.result is not ComparedAs.SAME:
            page.wrap(compared_line(metric), "  ", _RESULTS.get(metric.result, ""), hang="    ")
    for note in comparison.notes:
        page.wrap(f"note: {note}", "  ", hang="    ")


def _conditions(page: TextPage, report: StressReport) -> None:
    page.line()
    generator, target = report.generator, report.target
    cpu = f" ({generator.cpu})" if generator.cpu else ""
    sync = (
        "how long a sync of the server's disk takes is unknown"
        if target.sync_ms is None
        else f"one sync of the server's disk takes {units.duration(target.sync_ms)}"
    )
    page.wrap(
        f"Load by {generator.program} on {units.count(generator.cores, 'core')}{cpu}; {sync}."
    )
    for note in (*target.notes, *report.notes):
        page.wrap(f"note: {note}", "", hang="  ")
