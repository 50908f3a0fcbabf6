"""A load test as one HTML file: whether to believe it, the objectives, what to do first, and what that rests on."""

from markupsafe import Markup

from pgwatch_wed import assets, units
from pgwatch_wed.findings import Report
from pgwatch_wed.load import load_words as words
from pgwatch_wed.load.first_cause import first_cause
from pgwatch_wed.load.load_model import Answer, Proven
from pgwatch_wed.load.load_pages.block_chart import HEIGHT, WIDTH, BlockChart, block_chart
from pgwatch_wed.load.load_pages.load_fixes import LoadFix, is_built_in, load_fixes, why_no_fix
from pgwatch_wed.load.stress_report import (
    ComparedAs,
    PerformanceReport,
    Phase,
    ScenarioRun,
    StressReport,
)
from pgwatch_wed.render import html

_MAX_ROWS = 500
_BADGES = {
    Answer.PASS: "pass",
    Answer.FAIL: "critical",
    Answer.UNKNOWN: "warning",
    Proven.PROVEN: "pass",
    Proven.REFUTED: "grade",
    Proven.NOT_PROVEN: "warning",
    Proven.NOT_TRIED: "grade",
    ComparedAs.REGRESSION: "critical",
    ComparedAs.IMPROVEMENT: "pass",
    ComparedAs.SAME: "grade",
    ComparedAs.UNKNOWN: "warning",
}


def stress_html(report: StressReport) -> str:
    """Return the page of ``db-analyze stress``."""
    return load_page("stress.html.j2", report, fixes=load_fixes(report))


def performance_html(report: PerformanceReport) -> str:
    """Return the page of ``db-analyze perf``."""
    fixes = load_fixes(report.stress, report.analysis)
    return load_page("performance.html.j2", report.stress, fixes=fixes, analysis=report.analysis)


def load_page(
    template: str,
    report: StressReport,
    *,
    fixes: tuple[LoadFix, ...],
    analysis: Report | None = None,
) -> str:
    """Render a template that extends or is the page of a load test."""
    css = load_css()
    return (
        html.environment()
        .get_template(template)
        .render(
            report=report,
            fixes=fixes,
            analysis=analysis,
            words=words,
            first_cause=first_cause,
            why_no_fix=why_no_fix(report),
            is_ours=report.target.is_embedded and all(map(is_built_in, report.runs)),
            two_sides=words.two_sides,
            badge=badge_of,
            chart=_chart,
            chart_size=(WIDTH, HEIGHT),
            share=units.share,
            duration=lambda seconds: units.duration(seconds * 1000),
            max_rows=_MAX_ROWS,
            proven=Proven,
            answers=Answer,
            compared=ComparedAs,
            css=Markup(css),  # noqa: S704 - our own files
            policy=html.policy(css),
        )
    )


def load_css() -> str:
    """Return the style of all pages of load tests."""
    return assets.text("reports", "templates", "report.css") + assets.text(
        "reports", "templates", "load.css"
    )


def badge_of(kind: Answer | Proven | ComparedAs) -> str:
    """Return the class of the badge of an answer."""
    return _BADGES[kind]


def _chart(run: ScenarioRun, phase: Phase) -> BlockChart | None:
    limit = next((o.objective.limit for o in run.objectives if o.objective.name == "p95"), None)
    return block_chart(phase.blocks[:_MAX_ROWS], limit)
