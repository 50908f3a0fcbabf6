"""The report for a terminal: the same ranking at 80 columns or more, and the next command to type."""

import textwrap
from collections.abc import Iterator

from pgwatch_wed import units
from pgwatch_wed.findings import (
    AdviceLine,
    Finding,
    ForecastLine,
    Gone,
    MeasuredTime,
    Remedy,
    Report,
    RuleVerdict,
    Severity,
    Verdict,
)
from pgwatch_wed.render import heading, numbers, standing
from pgwatch_wed.render.text_page import TextPage

_COLOURS = {Severity.CRITICAL: "1;31", Severity.WARNING: "1;33", Severity.INFO: "1;36"}
_NAMES = {Severity.CRITICAL: "CRITICAL", Severity.WARNING: "WARNING", Severity.INFO: "INFO"}
_IN_FULL = 10
_EVIDENCE = 6


def text(
    report: Report,
    *,
    width: int = 80,
    colour: bool = False,
    verbose: bool = False,
    target: str = "",
) -> str:
    """Render the report; ``target`` is what the user typed, for the next command."""
    page = TextPage(width, colour=colour)
    _header(page, report)
    shown = report.findings if verbose else report.findings[:_IN_FULL]
    for place, finding in enumerate(shown, 1):
        _finding(page, place, finding, report)
    if len(shown) < len(report.findings):
        _rest(page, report, len(shown))
    if report.compared:
        _gone(page, "Resolved since the baseline", report.compared.resolved, verbose=verbose)
        head = "In the baseline, but not evaluated this time"
        _gone(page, head, report.compared.not_evaluated, verbose=verbose)
    _advice(page, report.advice, verbose=verbose)
    _forecasts(page, report.forecasts, verbose=verbose)
    _unknowns(page, report.unknowns, verbose=verbose)
    _footer(page, report, target, verbose=verbose)
    return str(page)


def _header(page: TextPage, report: Report) -> None:
    t = report.target
    kind = "standby" if t.is_in_recovery else "primary"
    page.wrap(f"{t.label} · PostgreSQL {t.version} · {kind}", style="1")
    begins = report.window_begins
    if begins is not None:
        days = (report.window_ends - begins).total_seconds() / 86_400
        page.wrap(f"counters cover {units.duration(days * 86_400_000)}: {report.window_reason}")
    explained = coverage_sentence(report)
    if explained:
        page.wrap(explained)
    if report.compared:
        page.wrap(standing.sentence(report))
    page.line()
    counts = " · ".join(
        page.paint(f"{report.count(s)} {_NAMES[s].lower()}", _COLOURS[s]) for s in Severity
    )
    clear = sum(v.verdict is Verdict.CLEAR for v in report.verdicts)
    page.line(
        f"{counts} · {units.count(clear, 'rule')} clear · {len(report.unknowns)} not evaluated"
    )
    page.line()


def coverage_sentence(report: Report) -> str:
    """Return how much of the load the report sees and explains; empty without pg_stat_statements."""
    c = report.coverage
    if c.visible_share is None:
        return ""
    said = f"{units.share(c.visible_share)} of the measured load is visible"
    if c.explained_share:
        said += f"; these findings explain {units.share(c.explained_share)} of it"
    if c.evictions_per_hour:
        said += f"; about {numbers.number(c.evictions_per_hour)} statements per hour are evicted"
    return said + "."


def _finding(page: TextPage, place: int, finding: Finding, report: Report) -> None:
    mark = page.paint(_NAMES[finding.severity], _COLOURS[finding.severity])
    stands = standing.mark(report, finding)
    page.line(f"{place}. {mark} {finding.grade.value}  {finding.rule}{stands and '  · '}{stands}")
    page.wrap(finding.title, "   ", "1")
    page.wrap(finding.detail, "   ")
    if was := standing.was(report, finding):
        page.wrap(f"baseline: {was}", "   ", hang="      ")
    said = gain(finding)
    if said:
        page.wrap(f"impact: {said}", "   ", hang="      ")
    facts = [
        f"{numbers.label(k)} {numbers.measured(k, v)}"
        for k, v in finding.evidence.items()
        if _is_short(v)
    ]
    if facts:
        page.wrap(f"evidence: {'; '.join(facts[:_EVIDENCE])}", "   ", hang="      ")
    for caveat in finding.caveats:
        page.wrap(f"note: {caveat}", "   ", hang="      ")
    for remedy in finding.remedy:
        _remedy(page, remedy)
    page.line()


def gain(finding: Finding) -> str:
    """Describe the impact of a finding."""
    parts: list[str] = []
    saved, spent = finding.impact.gain, finding.impact.cost
    if saved is not None and saved.ms > 0:
        parts.append(f"saves about {_time(saved)}")
    if spent is not None and spent.ms > 0:
        parts.append(f"costs {_time(spent)}")
    if finding.impact.bytes:
        parts.append(f"{units.size(finding.impact.bytes)} of space")
    if finding.impact.risk:
        parts.append(finding.impact.risk)
    return ", ".join(parts)


def _time(time: MeasuredTime) -> str:
    """Print a time with its window: as a rate only if that covers a day."""
    if time.per_day is not None:
        amount = f"{units.duration(time.per_day)} per day"
    elif time.window_seconds is None:
        amount = units.duration(time.ms)
    else:
        amount = f"{units.duration(time.ms)} in {units.duration(time.window_seconds * 1000)}"
    share = time.share
    return amount if share is None else f"{units.share(share)} of the measured load: {amount}"


def _is_short(value: object) -> bool:
    return value is not None and not isinstance(value, dict) and len(str(value)) <= 60


def _remedy(page: TextPage, remedy: Remedy) -> None:
    page.line()
    page.code(remedy.sql)
    alone = "" if remedy.in_transaction else "; cannot run inside a transaction block"
    page.wrap(f"lock: {remedy.lock}{alone}", "   ", "2", hang="      ")
    if remedy.run_as:
        page.wrap(f"run as: {remedy.run_as}", "   ", "2", hang="      ")
    if remedy.undo:
        page.wrap(f"undo: {remedy.undo}", "   ", "2", hang="      ")


def _rest(page: TextPage, report: Report, before: int) -> None:
    page.line("More findings", "1")
    for place, finding in enumerate(report.findings[before:], before + 1):
        head = f"{place:>4}. {_NAMES[finding.severity]:<8} {finding.grade.value}  "
        stands = standing.mark(report, finding)
        mark = f" ({stands})" if stands else ""
        page.wrap(f"{finding.rule}{mark}: {finding.title}", head, hang=" " * 8)
    page.line()


def _gone(page: TextPage, head: str, gone: tuple[Gone, ...], *, verbose: bool) -> None:
    if not gone:
        return
    page.line(head, "1")
    shown = gone if verbose else gone[:_IN_FULL]
    for each in shown:
        why = f" ({each.reason if verbose else textwrap.shorten(each.reason, 160)})"
        page.wrap(f"{each.rule}: {each.title}{why if each.reason else ''}", "  ", hang="      ")
    if len(shown) < len(gone):
        page.line(f"  and {len(gone) - len(shown):,} more (-v shows them)")
    page.line()


def _advice(page: TextPage, lines: tuple[AdviceLine, ...], *, verbose: bool) -> None:
    if not lines:
        return
    page.line("What became of earlier advice", "1")
    for each in lines if verbose else lines[:_IN_FULL]:
        page.wrap(f"{each.label} ({each.rule}): {each.told}", "  ", hang="    ")
    if not verbose and len(lines) > _IN_FULL:
        page.wrap(f"and {len(lines) - _IN_FULL} more: db-analyze record", "  ")
    page.line()


def _forecasts(page: TextPage, lines: tuple[ForecastLine, ...], *, verbose: bool) -> None:
    shown = [x for x in lines if verbose or (x.is_growing and x.reached[0] is not None)]
    if not shown:
        return
    page.line("Where it is heading", "1")
    for each in shown if verbose else shown[:_IN_FULL]:
        page.wrap(heading.sentence(each), "  ", hang="    ")
    if not verbose and len(shown) > _IN_FULL:
        page.line(f"  and {len(shown) - _IN_FULL:,} more (-v shows them)")
    page.line()


def _unknowns(page: TextPage, unknowns: tuple[RuleVerdict, ...], *, verbose: bool) -> None:
    if not unknowns:
        return
    page.line("Not evaluated", "1")
    for reason, rules in _by_reason(unknowns):
        page.wrap(f"{', '.join(rules)}", "  ", hang="  ")
        page.wrap(reason if verbose else textwrap.shorten(reason, 240), "      ")
    mends = list(dict.fromkeys(v.mend for v in unknowns if v.mend))
    if mends:
        page.line("To allow more", "1")
        for mend in mends:
            page.wrap(mend, "  ", hang="    ")
    page.line()


def _by_reason(unknowns: tuple[RuleVerdict, ...]) -> Iterator[tuple[str, list[str]]]:
    reasons: dict[str, list[str]] = {}
    for verdict in unknowns:
        reasons.setdefault(verdict.reason, []).append(verdict.rule)
    yield from reasons.items()


def _footer(page: TextPage, report: Report, target: str, *, verbose: bool) -> None:
    if report.ignored:
        ignored = units.count(len(report.ignored), "finding")
        page.wrap(f"{ignored} ignored by the configuration, or acknowledged.")
    if report.hidden_count and report.hidden_below:
        hidden = units.count(report.hidden_count, "finding")
        page.wrap(f"{hidden} below severity {report.hidden_below.value} not shown.")
    cost = report.self_cost
    if cost:
        sent = units.count(cost.queries, "query", "queries")
        page.wrap(f"This run sent {sent} to the server, which took {cost.seconds:.1f} s.")
    if report.findings:
        page.wrap(f"Next: db-analyze explain {report.findings[0].rule}", style="1")
        if not verbose and len(report.findings) > _IN_FULL and target:
            page.wrap(f"To show all in full: db-analyze {target} -v")
    elif not report.unknowns:
        page.wrap("Nothing to do.", style="1")
