"""The plan for a terminal: what to do, in order, with its gain, its locks, who may do it and the way back."""

from pgwatch_wed.findings import Action, Report
from pgwatch_wed.render import action_words
from pgwatch_wed.render.text_page import TextPage


def plan_text(report: Report, *, width: int = 80, colour: bool = False) -> str:
    """Render the plan of a report."""
    page = TextPage(width, colour=colour)
    target = report.target
    page.wrap(f"Plan for {target.label} · PostgreSQL {target.version}", style="1")
    page.wrap(f"facts of {report.generated_at:%Y-%m-%d %H:%M:%S %Z}, read as {target.role}")
    page.line()
    page.wrap(action_words.summary(report.plan))
    if report.plan.cost_share is not None:
        page.wrap(
            f"All advised indexes together save {report.plan.cost_share:.0%} of the planner's cost of the evaluated queries."
        )
    for place, action in enumerate(report.plan.actions, 1):
        page.line()
        _action(page, place, action, report)
    _not_planned(page, report)
    return str(page)


def _action(page: TextPage, place: int, action: Action, report: Report) -> None:
    hang = "   "
    database = f" in {action.database}" if _are_several(report) and action.database else ""
    page.wrap(f"{place}. {action.title}{database}", style="1", hang=hang)
    for name, words in (
        ("when", _when(action)),
        ("closes", action_words.closes(action, report)),
        ("gain", action_words.gain(action.gain)),
        ("lock", action_words.locks(action)),
        ("who", action_words.who(action)),
        ("risk", action.risk),
        ("by hand", action.by_hand),
    ):
        if words:
            page.wrap(f"{name}: {words}", hang, "2", hang="      ")
    for remedy in action.statements:
        page.line()
        page.code(remedy.sql)
    if action.undo:
        page.line()
        page.line(f"{hang}undo:", "2")
        for sql in action.undo:
            page.code(sql)


def _when(action: Action) -> str:
    return f"{action.stage.value}; needs a restart" if action.needs_restart else action.stage.value


def _are_several(report: Report) -> bool:
    return len(report.target.databases) > 1


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
