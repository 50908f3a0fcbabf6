"""Markdown for pull requests and wikis."""

import re
from collections.abc import Sequence

from pgwatch_wed import units
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Finding, Report, Severity
from pgwatch_wed.render import heading, numbers, standing
from pgwatch_wed.render.characters import visible
from pgwatch_wed.render.terminal import coverage_sentence, gain

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>()#+!|~&@-])")
_IN_FULL = 20


def render(report: Report, snapshots: Sequence[Snapshot] = ()) -> str:  # noqa: ARG001 - one form for all
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
    if report.findings:
        parts.append(_table(report))
    parts += [_section(f) for f in report.findings[:_IN_FULL]]
    if len(report.findings) > _IN_FULL:
        left = units.count(len(report.findings) - _IN_FULL, "further finding")
        parts.append(f"See the table above and the JSON report for {left}.")
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
    if report.unknowns:
        rows = [f"| {v.rule} | {plain(v.reason)} | {code(v.mend)} |" for v in report.unknowns]
        parts.append("## Not evaluated")
        parts.append("\n".join(["| rule | reason | to allow it |", "|---|---|---|", *rows]))
    return "\n\n".join(parts) + "\n"


def _table(report: Report) -> str:
    heads = ["severity", "grade", "rule", "object", "impact"]
    heads += ["baseline"] if report.compared else []
    rows = [f"| {' | '.join(_row(report, f))} |" for f in report.findings]
    return "\n".join([f"| {' | '.join(heads)} |", "|---" * len(heads) + "|", *rows])


def _row(report: Report, f: Finding) -> list[str]:
    cells = [f.severity.value, f.grade.value, f.rule, plain(f.object.label), plain(gain(f))]
    if report.compared:
        stands, was = standing.mark(report, f), standing.was(report, f)
        cells.append(plain(f"{stands}: {was}" if was else stands))
    return cells


def _section(finding: Finding) -> str:
    parts = [f"## {finding.rule}: {plain(finding.title)}", plain(finding.detail)]
    evidence = [
        f"- {plain(numbers.label(k))}: {plain(numbers.measured(k, v))}"
        for k, v in finding.evidence.items()
    ]
    parts.append("\n".join(evidence))
    for remedy in finding.remedy:
        parts.append(fenced(remedy.sql))
        alone = "" if remedy.in_transaction else " Cannot run inside a transaction block."
        parts.append(f"Lock: {plain(remedy.lock)}.{alone}")
        if remedy.run_as:
            parts.append(f"Run as: {plain(remedy.run_as)}.")
        if remedy.undo:
            parts.append("Undo:\n\n" + fenced(remedy.undo))
    parts += [f"> {plain(c)}" for c in finding.caveats]
    return "\n\n".join(p for p in parts if p)


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
