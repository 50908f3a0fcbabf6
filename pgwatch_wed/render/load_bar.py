"""Where the measured time goes, and what the first steps of the plan that save time take away from it."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Finding, Report
from pgwatch_wed.postgres.statements import of_users
from pgwatch_wed.render.plan_words import PlanLine, closed_by, shown_findings

FIRST = 3
_STATEMENTS = 5
_TEXT = 120


@dataclass(frozen=True, slots=True)
class LoadPart:
    """A statement's share of the measured time (0…1), where it begins, and how much of it the steps save."""

    label: str
    begins: float
    share: float
    saved: float


@dataclass(frozen=True, slots=True)
class LoadBar:
    """All parts, the longest first, and the numbers of the first steps that save some of it."""

    parts: tuple[LoadPart, ...]
    steps: tuple[int, ...]

    @property
    def saved(self) -> float:
        """The share of the measured time that these steps save."""
        return sum(p.saved for p in self.parts)


def load_bar(
    report: Report, snapshots: Sequence[Snapshot], lines: Sequence[PlanLine]
) -> LoadBar | None:
    """Return the bar; None if no time was measured."""
    spent = {
        (s.server.database, st.query_id): (st.total_exec_ms, st.text or "(text not visible)")
        for s in snapshots
        for st in of_users(s)
    }
    whole = sum(ms for ms, _ in spent.values())
    if whole <= 0:
        return None
    known = shown_findings(report)
    closing = enumerate((closed_by(report, line, known) for line in lines), 1)
    savings = {place: s for place, findings in closing if (s := _saved(findings))}
    first = tuple(savings)[:FIRST]
    less: dict[tuple[str | None, int], float] = defaultdict(float)
    for place in first:
        for key, ms in savings[place].items():
            less[key] += ms
    ranked = sorted(spent, key=lambda key: -spent[key][0])
    parts: list[LoadPart] = []
    begins = 0.0
    for key in ranked[:_STATEMENTS]:
        ms, text = spent[key]
        share = ms / whole
        label = " ".join(text.split())[:_TEXT]
        parts.append(LoadPart(label, begins, share, min(less[key], ms) / whole))
        begins += share
    rest = ranked[_STATEMENTS:]
    if rest:
        saved = sum(min(less[key], spent[key][0]) for key in rest) / whole
        name = f"{len(rest):,} other statement{'s' * (len(rest) > 1)}"
        parts.append(LoadPart(name, begins, max(1 - begins, 0.0), saved))
    return LoadBar(tuple(parts), first)


def _saved(findings: Iterable[Finding]) -> dict[tuple[str | None, int], float]:
    """Return the time that the findings closed by a step save, by statement."""
    found: dict[tuple[str | None, int], float] = defaultdict(float)
    for finding in findings:
        gain = finding.impact.gain
        for query, ms in (gain.by_query if gain is not None else {}).items():
            found[finding.object.database, query] += ms
    return found
