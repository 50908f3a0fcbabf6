"""The difference of two runs for a terminal of 80 columns or more."""

import textwrap
from collections.abc import Iterable

from pgwatch_wed import units
from pgwatch_wed.findings import Standing
from pgwatch_wed.history.change import Change, What
from pgwatch_wed.history.run_difference import (
    SCHEMA,
    SETTINGS,
    SIZES,
    DatabaseDifference,
    RunDifference,
)
from pgwatch_wed.render import diff_words, standing
from pgwatch_wed.render.characters import visible_line

_SHOWN = 40


def text(found: RunDifference, *, width: int = 80) -> str:
    """Return the text."""
    lines = _Lines(max(60, min(width, 120)))
    for name, side in (("first", found.first), ("second", found.second)):
        lines.add(
            f"{name}: {side.label}, {side.taken_at:%Y-%m-%d %H:%M} UTC, {side.server}, PostgreSQL "
            f"{side.version}, {units.count(side.findings, 'finding')}"
        )
    lines.add(diff_words.heading(found))
    _findings(lines, found)
    for each in found.databases:
        _database(lines, each, len(found.databases) > 1)
    return str(lines)


class _Lines:
    def __init__(self, width: int) -> None:
        self.width = width
        self._lines: list[str] = []

    def add(self, said: str, indent: str = "", hang: str = "  ") -> None:
        self._lines += textwrap.wrap(
            visible_line(said),
            self.width,
            initial_indent=indent,
            subsequent_indent=indent + hang,
            break_on_hyphens=False,
        ) or [""]

    def as_is(self, line: str) -> None:
        self._lines.append(line)

    def head(self, said: str) -> None:
        self._lines.append("")
        self.add(said)

    def __str__(self) -> str:
        return "\n".join(self._lines)


def _findings(lines: _Lines, found: RunDifference) -> None:
    report = found.report
    if report.compared is None:
        return
    lines.head(f"Findings: {standing.counts(report.compared)}")
    for finding in report.findings:
        stands = report.standing(finding)
        if stands is not None and stands is not Standing.KNOWN:
            was = standing.was(report, finding)
            mark = standing.MARKS[stands]
            said = f"{mark}: {finding.severity.value} {finding.rule}: {finding.title}"
            lines.add(said + (f" ({was})" if was else ""), "  ")
    for gone in report.compared.gone:
        state = f"not evaluated ({gone.reason})" if gone.reason else "resolved"
        lines.add(f"{state}: {gone.severity.value} {gone.rule}: {gone.title}", "  ")


def _database(lines: _Lines, d: DatabaseDifference, is_one_of_several: bool) -> None:
    where = f" of {d.database}" if is_one_of_several else ""
    _changes(lines, f"Server and settings{where}", d.of(*SETTINGS))
    _changes(lines, f"Schema{where}", d.of(*SCHEMA))
    done = (
        units.count(d.maintained(w), "table") + f" {w.value}"
        for w in (What.ANALYZED, What.VACUUMED)
    )
    lines.add(f"in between: {', '.join(done)}", "  ")
    _workload(lines, d, where)
    sizes = f"{units.size(d.bytes_before)} → {units.size(d.bytes_after)}"
    _changes(lines, f"Sizes{where}: {sizes}", d.of(*SIZES))
    if d.found.not_compared:
        facts = ", ".join(f.replace("_", " ") for f in d.found.not_compared)
        lines.head(f"Not compared, since one of the two does not have it: {facts}")


def _changes(lines: _Lines, head: str, changes: Iterable[Change]) -> None:
    changes = tuple(changes)
    lines.head(head if changes else f"{head}: no differences" if ":" not in head else head)
    for c in changes[:_SHOWN]:
        said = f"{c.what.value}: {diff_words.subject(c)}"
        value = diff_words.values(c)
        lines.add(f"{said}: {value}" if value else said, "  ")
    if len(changes) > _SHOWN:
        lines.add(f"and {len(changes) - _SHOWN:,} more (--format json has all)", "  ")


def _workload(lines: _Lines, d: DatabaseDifference, where: str) -> None:
    w = d.workloads
    if w.missing:
        lines.head(f"Workload{where}: not compared, {w.missing}")
        return
    lines.head(
        f"Workload{where}: first {diff_words.span(w.before)}, second {diff_words.span(w.after)}"
    )
    lines.add("Two windows alone prove nothing about time: the load may have been another.", "  ")
    if not w.pairs:
        lines.add("no statements", "  ")
        return
    heads = ("share", "calls", "mean", "blocks/call")
    lines.as_is(f"  {'':7}" + "".join(f"{h:>14}" for h in heads))
    for pair in w.pairs:
        lines.add(textwrap.shorten(" ".join(pair.text.split()), lines.width - 4), "  ")
        for name, side in (("first", pair.before), ("second", pair.after)):
            lines.as_is(
                f"    {name:<7}" + "".join(f"{cell:>14}" for cell in diff_words.cells(side))[2:]
            )
    if w.left_out:
        lines.add(f"and {units.count(w.left_out, 'further statement')}", "  ")
