"""The report for a terminal: the same ranking at 80 columns or more, and the next command to type."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence

from pgwatch_wed import units
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import (
    AdviceLine,
    Finding,
    ForecastLine,
    Gone,
    Remedy,
    Report,
    RuleVerdict,
    Severity,
    Verdict,
)
from pgwatch_wed.render import heading, numbers, standing
from pgwatch_wed.render.chapters import lock_tree
from pgwatch_wed.render.finding_groups import FindingGroup, by_table, entries
from pgwatch_wed.render.ignores import ignored_sentences
from pgwatch_wed.render.impact_words import GRADES, coverage_sentence, effects, gain, summed
from pgwatch_wed.render.lock_lines import drawn
from pgwatch_wed.render.plan_words import first_places, plan_lines, plan_sentence
from pgwatch_wed.render.text_page import TextPage

_COLOURS = {Severity.CRITICAL: "1;31", Severity.WARNING: "1;33", Severity.INFO: "1;36"}
_NAMES = {Severity.CRITICAL: "CRITICAL", Severity.WARNING: "WARNING", Severity.INFO: "INFO"}
_IN_FULL = 10
# With more findings, each has one line.
_MOST_IN_FULL = 100
_ACTIONS = 5
_WAITING = 30
_EVIDENCE = 6
_FEW = 3
_TABLES = 5


def text(
    report: Report,
    snapshots: Sequence[Snapshot] = (),
    *,
    width: int = 80,
    colour: bool = False,
    verbose: bool = False,
    target: str = "",
) -> str:
    """Render the report; ``target`` is what the user typed, for the next command."""
    page = TextPage(width, colour=colour)
    _header(page, report)
    _plan(page, report, target, verbose=verbose)
    _waits(page, snapshots)
    _findings(page, report, effects(report.findings, snapshots), verbose=verbose)
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
    if report.findings:
        page.wrap(GRADES)
    page.line()


def _plan(page: TextPage, report: Report, target: str, *, verbose: bool) -> None:
    """Say first what to do, in order."""
    lines = plan_lines(report)
    if not lines:
        return
    page.line("What to do, in order", "1")
    page.wrap(plan_sentence(report))
    shown = first_places(report, lines, len(lines) if verbose else _ACTIONS)
    if len(shown) < len(lines):
        page.wrap(f"Of {len(lines):,} steps, these matter most:")
    for place, line in ((n, lines[n - 1]) for n in shown):
        page.wrap(line.title, f"{place:>2}. ", "1", hang="    ")
        page.wrap(
            "; ".join(f"{label}: {said.removesuffix('.')}" for label, said in line.facts), "    "
        )
    if target:
        source = target.removeprefix("report ")  # plan takes snapshot files, too
        page.wrap(f"As one script, with its undo: db-analyze plan {source} --as sql -o plan.sql")
    page.line()


def _waits(page: TextPage, snapshots: Sequence[Snapshot]) -> None:
    """Draw who waits for whom."""
    found = [line for s in snapshots for line in drawn(lock_tree(s))]
    if not found:
        return
    page.line("Lock waits", "1")
    for line in found[:_WAITING]:
        page.wrap(line.session, f"  {line.before}", hang=f"  {line.below}")
        page.wrap(textwrap.shorten(line.query, 160), f"  {line.below}", "2", f"  {line.below}")
    if len(found) > _WAITING:
        page.line(f"  and {len(found) - _WAITING:,} more")
    page.line()


def _findings(page: TextPage, report: Report, calls: Mapping[str, str], *, verbose: bool) -> None:
    """Show the first findings in full, the others with a line each; many of one rule are one."""
    shown = entries(report.findings)
    few = len(report.findings) <= _MOST_IN_FULL
    full = len(shown) if verbose else _IN_FULL if few else 0
    place = 0
    for entry in shown[:full]:
        if isinstance(entry, FindingGroup):
            place += 1
            _group(page, place, entry, standing.marks(report, entry.findings))
        for finding in _alone(entry, verbose=verbose):
            place += not isinstance(entry, FindingGroup)
            _finding(page, place, finding, report, calls.get(finding.id, ""))
    if len(shown) > full:
        _rest(page, shown[full:], full, report)
    _tables(page, report, verbose=verbose)


def _tables(page: TextPage, report: Report, *, verbose: bool) -> None:
    """Name the tables with several findings, with what these save together."""
    tables = by_table(report.findings)
    if not tables:
        return
    page.line("Tables with several findings", "1")
    shown = list(tables.items())[: None if verbose else _TABLES]
    for name, of in shown:
        sums = summed(of)
        rules = ", ".join(dict.fromkeys(f.rule for f in of))
        page.wrap(f"{name}: {rules}{f' ({sums})' if sums else ''}", "  ", hang="    ")
    if len(shown) < len(tables):
        page.line(f"  and {len(tables) - len(shown):,} more (-v shows them)")
    page.line()


def _alone(entry: Finding | FindingGroup, *, verbose: bool) -> tuple[Finding, ...]:
    if isinstance(entry, FindingGroup):
        return entry.findings if verbose else ()
    return (entry,)


def _group(page: TextPage, place: int, group: FindingGroup, stands: str) -> None:
    mark = page.paint(_NAMES[group.severity], _COLOURS[group.severity])
    page.line(f"{place}. {mark} {group.grades}  {group.rule}{stands and '  · '}{stands}")
    page.wrap(f"{group.sums}: {group.summary}", "   ", "1")
    page.wrap(f"the first: {group.findings[0].title}", "   ", hang="      ")
    page.line()


def _finding(page: TextPage, place: int, finding: Finding, report: Report, calls: str) -> None:
    """Show what to do, then what it brings, then why."""
    mark = page.paint(_NAMES[finding.severity], _COLOURS[finding.severity])
    stands = standing.mark(report, finding)
    page.line(f"{place}. {mark} {finding.grade.value}  {finding.rule}{stands and '  · '}{stands}")
    page.wrap(finding.title, "   ", "1")
    for remedy in finding.remedy:
        _remedy(page, remedy)
    if finding.remedy:
        page.line()
    if calls:
        page.wrap(calls, "   ", "1")
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
    page.line()


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


def _rest(
    page: TextPage, rest: Sequence[Finding | FindingGroup], before: int, report: Report
) -> None:
    page.line("More findings" if before else "Findings", "1")
    for place, entry in enumerate(rest, before + 1):
        grade = entry.grades if isinstance(entry, FindingGroup) else entry.grade.value
        said = _line(report, entry)
        head = f"{place:>4}. {_NAMES[entry.severity]:<8} {grade:<3}  "
        page.wrap(f"{entry.rule}{said}", head, hang=" " * 8)
    page.line()


def _line(report: Report, entry: Finding | FindingGroup) -> str:
    if isinstance(entry, FindingGroup):
        stands, said = standing.marks(report, entry.findings), entry.sums
    else:
        stands, said = standing.mark(report, entry), entry.title
    return f"{f' ({stands})' if stands else ''}: {said}"


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
    for said in ignored_sentences(report, None if verbose else _FEW, "-v shows them"):
        page.wrap(said)
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
