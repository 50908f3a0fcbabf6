"""The plan for a terminal: what to do, in order, with its gain, its locks, who may do it and the way back."""

from pgwatch_wed import units
from pgwatch_wed.findings import Report
from pgwatch_wed.render.plan_words import (
    PlanLine,
    closed_names,
    plan_lines,
    plan_sentence,
    shown_findings,
)
from pgwatch_wed.render.text_page import TextPage

_MOST_LINES = 12


def plan_text(report: Report, *, width: int = 80, colour: bool = False) -> str:
    """Render the plan of a report."""
    page = TextPage(width, colour=colour)
    target = report.target
    page.wrap(f"Plan for {target.label} · PostgreSQL {target.version}", style="1")
    page.wrap(f"facts of {report.generated_at:%Y-%m-%d %H:%M:%S %Z}, read as {target.role}")
    page.line()
    page.wrap(plan_sentence(report) or "There is nothing to do.")
    known = shown_findings(report)
    for place, line in enumerate(plan_lines(report), 1):
        page.line()
        _line(page, place, line, ", ".join(closed_names(report, line, known)))
    _not_planned(page, report)
    return str(page)


def _line(page: TextPage, place: int, line: PlanLine, closed: str) -> None:
    page.wrap(f"{place}. {line.title}", style="1", hang="   ")
    for label, words in (("closes", closed), *line.facts):
        if words:
            page.wrap(f"{label}: {words}", "   ", "2", hang="      ")
    page.line()
    _code(page, line.sql)
    if line.undo:
        page.line()
        page.line("   undo:", "2")
        _code(page, line.undo)


def _code(page: TextPage, sql: str) -> None:
    """Add SQL; of a long script, only enough to show the pattern."""
    lines = sql.splitlines()
    page.code("\n".join(lines[:_MOST_LINES]))
    if len(lines) > _MOST_LINES:
        left = units.count(len(lines) - _MOST_LINES, "more line")
        page.line(f"    … {left}; --as sql writes all")


def _not_planned(page: TextPage, report: Report) -> None:
    known = {f.id: f for f in (*report.findings, *report.hidden)}
    left = [(known[each.id], each.reason) for each in report.plan.not_planned if each.id in known]
    if not left:
        return
    page.line()
    page.line("Not in the plan", "1")
    by_reason: dict[str, list[str]] = {}
    for finding, reason in left:
        by_reason.setdefault(reason, []).append(f"{finding.rule} {finding.object.label}")
    for reason, names in by_reason.items():
        page.wrap(f"{', '.join(names)}: {reason}", "  ", hang="    ")
