"""Each millisecond counts once: several findings may promise the same time, and the cheapest cure gets it.

What a remedy of one kind (a setting) saves is no longer there for the next (an index). Remedies of the same kind
share what is left. Findings that state what something costs refer to those that save a part of it.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from pgwatch_wed import units
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Effort, Finding, MeasuredTime, Severity
from pgwatch_wed.postgres import statements

Times = Mapping[tuple[str | None, int], float]
"""Execution time by database and query ID."""

# Less than this part of what was promised is left: no longer a warning of its own.
_MOST = 0.5
# A smaller difference is not worth a sentence.
_NOTED = 0.99
_MAX_CURES = 3


def counted_once(findings: Iterable[Finding], snapshots: Sequence[Snapshot]) -> tuple[Finding, ...]:
    """Return the findings with gains that add up, and with references from costs to cures."""
    given = tuple(findings)
    spent: dict[tuple[str | None, int], float] = {
        (s.server.database, statement.query_id): statement.total_exec_ms
        for s in snapshots
        for statement in statements.of_users(s)
    }
    gains = _gains(given, spent)
    return tuple(_referring(_with_gain(f, gains, given), given) for f in given)


def _gains(findings: Sequence[Finding], spent: Times) -> dict[str, MeasuredTime]:
    """Return what each finding's remedy saves after the cheaper ones."""
    left: dict[tuple[str | None, int], float] = defaultdict(lambda: 1.0)
    found: dict[str, MeasuredTime] = {}
    for effort in Effort:
        same = [f for f in findings if f.impact.gain and f.impact.effort is effort]
        wanted: dict[tuple[str | None, int], float] = defaultdict(float)
        for finding in same:
            for query, ms in _parts(finding).items():
                wanted[finding.object.database, query] += ms
        for finding in same:
            found[finding.id] = _after(finding, left, wanted, spent)
        for key, ms in wanted.items():
            if spent.get(key):
                left[key] *= 1 - min(ms / spent[key], 1.0)
    return found


def _parts(finding: Finding) -> Mapping[int, float]:
    return finding.impact.gain.by_query if finding.impact.gain else {}


def _after(
    finding: Finding,
    left: Mapping[tuple[str | None, int], float],
    wanted: Times,
    spent: Times,
) -> MeasuredTime:
    """Scale a gain to what the cheaper remedies leave, and to the statement's own time."""
    gain = finding.impact.gain or MeasuredTime(0.0)
    if not gain.by_query:
        return gain
    parts: dict[int, float] = {}
    for query, ms in gain.by_query.items():
        key = (finding.object.database, query)
        most = spent.get(key, wanted[key])
        fits = min(1.0, most / wanted[key]) if wanted[key] > 0 else 1.0
        parts[query] = ms * fits * left[key]
    return replace(gain, ms=sum(parts.values()), by_query=parts)


def _with_gain(
    finding: Finding, gains: Mapping[str, MeasuredTime], findings: Sequence[Finding]
) -> Finding:
    before, after = finding.impact.gain, gains.get(finding.id)
    if before is None or after is None:
        return finding
    changed = replace(finding, impact=replace(finding.impact, gain=after))
    if after.ms >= _NOTED * before.ms:
        return changed
    cheaper = [
        f
        for f in findings
        if f.impact.effort < finding.impact.effort and _shared(f, finding) and f.impact.gain
    ]
    names = ", ".join(dict.fromkeys(f"{f.rule} ({f.object.label})" for f in cheaper))
    if names:
        note = (
            f"Alone it saves about {units.duration(before.ms)} of the time measured. Of that, "
            f"{units.duration(before.ms - after.ms)} is already saved by an easier remedy and counted there: {names}."
        )
        changed = replace(changed, caveats=(note, *changed.caveats))
    if after.ms < _MOST * before.ms and changed.severity is Severity.WARNING:
        changed = replace(changed, severity=Severity.INFO)
    return changed


def _shared(one: Finding, other: Finding) -> bool:
    """Tell whether two findings save time of the same statement."""
    same = one.object.database == other.object.database
    return same and not _parts(one).keys().isdisjoint(_parts(other).keys())


def _referring(finding: Finding, findings: Sequence[Finding]) -> Finding:
    """Add to a finding about a cost where it is cured."""
    cost = finding.impact.cost
    if cost is None or not cost.by_query:
        return finding
    cures = [f for f in findings if f.id != finding.id and _cures(f, finding)]
    if not cures:
        only_cost = not (finding.remedy or finding.impact.risk)
        text = f"{finding.detail} Nothing in this report saves a part of it." if only_cost else ""
        return replace(finding, detail=text) if text else finding
    named = list(dict.fromkeys(_named(cures)))
    more = f" and {len(named) - _MAX_CURES} more" if len(named) > _MAX_CURES else ""
    lead = "See also" if finding.remedy else "What to do about it"
    text = f"{finding.detail} {lead}: {', '.join(named[:_MAX_CURES])}{more}."
    others = [f.object for f in cures if f.object not in (finding.object, *finding.related)]
    related = (*finding.related, *dict.fromkeys(others))
    return replace(finding, detail=text, related=related)


def _cures(cure: Finding, finding: Finding) -> bool:
    cost = finding.impact.cost
    queries = {*_parts(cure), *cure.evidence.get("query_ids", ())}
    costs = cost.by_query.keys() if cost is not None else set()
    same = cure.object.database == finding.object.database
    return bool(same and cure.remedy and not queries.isdisjoint(costs))


def _named(cures: Iterable[Finding]) -> Iterator[str]:
    for cure in sorted(cures, key=lambda f: (f.impact.effort, f.rule, f.object.label)):
        yield cure.rule if cure.object.kind == "statement" else f"{cure.rule} ({cure.object.label})"
