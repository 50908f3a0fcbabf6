"""Markdown for pull requests and wikis."""

import re
from collections.abc import Iterator, Sequence

from pgwatch_wed import units
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Finding, Report, Severity
from pgwatch_wed.render import heading, numbers, standing
from pgwatch_wed.render.characters import visible
from pgwatch_wed.render.finding_groups import FindingGroup, by_table, entries
from pgwatch_wed.render.ignores import ignored_sentences
from pgwatch_wed.render.impact_words import GRADES, coverage_sentence, effects, gain, summed
from pgwatch_wed.render.plan_words import first_places, group_sql, plan_lines, plan_sentence

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>()#+!|~&@-])")
_IN_FULL = 20
_ACTIONS = 10
_OF_GROUP = 10
_TABLES = 20
_OF_SCRIPT = 100


def render(report: Report, snapshots: Sequence[Snapshot] = ()) -> str:
    """Return the report as GitHub-flavored Markdown; names and texts are escaped."""
    t = report.target
    counts = ", ".join(f"{report.count(s)} {s.value}" for s in Severity)
    parts = [
        f"# PostgreSQL analysis of {plain(t.label)}",
        f"PostgreSQL {plain(t.version)}, {report.generated_at:%Y-%m-%d %H:%M} UTC.",
        f"**{counts}**, {units.count(len(report.unknowns), 'rule')} not evaluated.",
    ]
    sentence = coverage_sentence(report)
    if sentence:
        parts.append(sentence)
    if report.compared:
        parts.append(plain(standing.sentence(report)))
    parts += _plan(report)
    shown = entries(report.findings)
    if shown:
        parts.append("## Findings")
        parts.append(GRADES)
        parts.append(_table(report, shown))
    calls = effects(report.findings, snapshots)
    for entry in shown[:_IN_FULL]:
        if isinstance(entry, FindingGroup):
            parts.append(_group(report, entry))
        else:
            parts.append(_section(entry, calls.get(entry.id, "")))
    if len(shown) > _IN_FULL:
        left = units.count(len(shown) - _IN_FULL, "further line")
        parts.append(f"See the JSON report for the {left} of the table above.")
    parts += _tables(report)
    if report.compared and report.compared.gone:
        gone = report.compared.gone
        listed = [
            f"| {'not evaluated' if g.reason else 'resolved'} | {g.severity.value} | {g.rule} | {plain(g.label)} | {plain(g.reason)} |"
            for g in gone
        ]
        parts.append("## In the baseline only")
        head = ["| state | severity | rule | object | reason |", "|---|---|---|---|---|"]
        parts.append("\n".join([*head, *listed]))
    if report.advice:
        lines = [
            f"| {plain(a.label)} | {a.rule} | {a.grade} | {plain(a.told)} |" for a in report.advice
        ]
        parts.append("## What became of earlier advice")
        parts.append("\n".join(["| object | rule | grade | |", "|---|---|---|---|", *lines]))
    if report.forecasts:
        parts.append("## Where it is heading")
        parts.append(heading.INTRO)
        head = [f"| {' | '.join(heading.HEADINGS)} |", "|" + "---|" * len(heading.HEADINGS)]
        cells = (heading.cells(line) for line in report.forecasts)
        parts.append("\n".join([*head, *(f"| {' | '.join(map(plain, c))} |" for c in cells)]))
    parts += map(plain, ignored_sentences(report))
    if report.unknowns:
        rows = [f"| {v.rule} | {plain(v.reason)} | {code(v.mend)} |" for v in report.unknowns]
        parts.append("## Not evaluated")
        parts.append("\n".join(["| rule | reason | to allow it |", "|---|---|---|", *rows]))
    return "\n\n".join(parts) + "\n"


def _plan(report: Report) -> list[str]:
    """Say first what to do, in order."""
    lines = plan_lines(report)
    if not lines:
        return []
    shown = first_places(report, lines, _ACTIONS)
    steps = [
        f"**{place}. {plain(line.title)}**"
        + "".join(f"\n- {label}: {plain(said)}" for label, said in line.facts)
        for place, line in ((n, lines[n - 1]) for n in shown)
    ]
    said = plain(plan_sentence(report))
    if len(shown) < len(lines):
        said += f" Of {len(lines):,} steps, these matter most; `db-analyze plan` has all."
    # Markdown counts a list by itself: as paragraphs, the steps keep their numbers
    return ["## What to do, in order", said, "\n\n".join(steps)]


def _table(report: Report, shown: Sequence[Finding | FindingGroup]) -> str:
    heads = ["severity", "grade", "rule", "object", "impact"]
    heads += ["baseline"] if report.compared else []
    rows = [f"| {' | '.join(_row(report, f))} |" for f in shown]
    return "\n".join([f"| {' | '.join(heads)} |", "|---" * len(heads) + "|", *rows])


def _row(report: Report, f: Finding | FindingGroup) -> list[str]:
    if isinstance(f, FindingGroup):
        cells = [f.severity.value, f.grades, f.rule, plain(f.objects), plain(f.saved)]
        return [*cells, standing.marks(report, f.findings)] if report.compared else cells
    cells = [f.severity.value, f.grade.value, f.rule, plain(f.object.label), plain(gain(f))]
    if report.compared:
        stands, was = standing.mark(report, f), standing.was(report, f)
        cells.append(plain(f"{stands}: {was}" if was else stands))
    return cells


def _tables(report: Report) -> list[str]:
    """List the tables with several findings, with what these save together."""
    tables = by_table(report.findings)
    if not tables:
        return []
    rows = [
        f"| {plain(name)} | {', '.join(dict.fromkeys(f.rule for f in of))} | {plain(summed(of))} |"
        for name, of in list(tables.items())[:_TABLES]
    ]
    parts = [
        "## Tables with several findings",
        "\n".join(["| table | findings | together |", "|---|---|---|", *rows]),
    ]
    if len(tables) > _TABLES:
        parts.append(f"And {units.count(len(tables) - _TABLES, 'more table')}.")
    return parts


def _group(report: Report, group: FindingGroup) -> str:
    """List the first findings of a rule that has many, with one script for all."""
    parts = [f"### {group.rule}: {plain(group.sums)}", plain(group.summary)]
    parts.append("\n".join(f"- {plain(f.title)}" for f in group.findings[:_OF_GROUP]))
    if len(group.findings) > _OF_GROUP:
        parts.append(f"And {len(group.findings) - _OF_GROUP:,} more; see the JSON report.")
    if sql := group_sql(report, group, _OF_SCRIPT):
        parts.append(fenced(sql))
    return "\n\n".join(parts)


def _section(finding: Finding, calls: str) -> str:
    """Show what to do, then what it brings, then why."""
    parts = [f"### {finding.rule}: {plain(finding.title)}", *_remedies(finding)]
    parts += [f"**{plain(calls)}**" if calls else "", plain(finding.detail)]
    parts += [f"> {plain(c)}" for c in finding.caveats]
    evidence = [
        f"- {plain(numbers.label(k))}: {plain(numbers.measured(k, v))}"
        for k, v in finding.evidence.items()
    ]
    parts.append("\n".join(evidence))
    return "\n\n".join(p for p in parts if p)


def _remedies(finding: Finding) -> Iterator[str]:
    for remedy in finding.remedy:
        yield fenced(remedy.sql)
        alone = "" if remedy.in_transaction else " Cannot run inside a transaction block."
        yield f"Lock: {plain(remedy.lock)}.{alone}"
        if remedy.run_as:
            yield f"Run as: {plain(remedy.run_as)}."
        if remedy.undo:
            yield "Undo:\n\n" + fenced(remedy.undo)


def plain(text: str) -> str:
    """Return the text on one line, escaping what Markdown or HTML would interpret."""
    return _SPECIAL.sub(r"\\\1", " ".join(visible(text).split()))


def code(text: str) -> str:
    """Show a text as inline code that no backtick in it can end."""
    text = " ".join(visible(text).split()).replace("|", "\\|")
    if not text:
        return ""
    ticks = "`" * (1 + max((len(m) for m in re.findall("`+", text)), default=0))
    pad = " " if len(ticks) > 1 else ""
    return f"{ticks}{pad}{text}{pad}{ticks}"


def fenced(sql: str) -> str:
    """Show SQL as a block that no backtick in it can end."""
    fence = "`" * max(3, 1 + max((len(m) for m in re.findall("`+", sql)), default=0))
    return f"{fence}sql\n{visible(sql)}\n{fence}"
