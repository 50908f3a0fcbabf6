"""A report compared with a baseline: what is new, worse, known, resolved, or could not be evaluated.

A finding is worse if its severity rose, or if what it costs or would save rose by so much that noise does not explain
it: twice the time a day and at least ten seconds more, or half as many bytes again and at least 10 MB more.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from pgwatch_wed import units
from pgwatch_wed.findings import (
    Compared,
    Finding,
    Gone,
    Report,
    Severity,
    Standing,
    Verdict,
    fingerprint,
)
from pgwatch_wed.history.conclusions import Concluded, Conclusions, concluded, is_partial
from pgwatch_wed.history.successors import Successor

MIN_TIME_RATIO = 2.0
MIN_MORE_MS = 10_000.0
MIN_BYTES_RATIO = 1.5
MIN_MORE_BYTES = 10 << 20


@dataclass(frozen=True, slots=True)
class FailOn:
    """When the exit status is 1: for findings of a severity, or only for those that stand so."""

    severity: Severity
    standing: Standing | None = None

    def applies(self, report: Report, finding: Finding) -> bool:
        """Tell whether a finding is a reason to fail."""
        if finding.severity.rank > self.severity.rank:
            return False
        if self.standing is None:
            return True
        stands = report.standing(finding)
        if stands is Standing.WORSE and self.standing is Standing.NEW:
            before = report.compared.severities.get(finding.id) if report.compared else None
            return before is not None and before.rank > self.severity.rank
        return stands is self.standing


def compared(
    report: Report, before: Conclusions, label: str, successor: Successor, note: str = ""
) -> Report:
    """Return the report with where each finding stands."""
    now = concluded(report)
    before = _in_databases_of(before, now)
    was = _known(before, now, successor)
    standings: dict[str, Standing] = {}
    words: dict[str, str] = {}
    for finding in now.findings.values():
        earlier = was.get(finding.id)
        standings[finding.id], said = _standing(finding, earlier, before)
        if said:
            words[finding.id] = said
    gone = (_gone(f, now, successor) for id_, f in was.items() if id_ not in now.findings)
    kept = (g for g in gone if g.id not in now.ignored)
    return replace(
        report,
        compared=Compared(
            label,
            before.taken_at,
            standings,
            words,
            dict(before.hidden) | {id_: f.severity for id_, f in was.items()},
            tuple(sorted(kept, key=lambda g: (bool(g.reason), g.severity.rank, g.rule, g.label))),
            note,
        ),
    )


def _in_databases_of(before: Conclusions, now: Conclusions) -> Conclusions:
    """Give a single database that was renamed, or is created anew for each check, its present name."""
    if not len(before.databases) == len(now.databases) == 1:
        return before
    (was,), (name,) = before.databases, now.databases
    verdicts = {
        rule: replace(v, partial=tuple(name if p == was else p for p in v.partial))
        for rule, v in before.verdicts.items()
    }
    skipped = frozenset((name if d == was else d, schema) for d, schema in before.skipped)
    return replace(before, databases=now.databases, verdicts=verdicts, skipped=skipped)


def _known(before: Conclusions, now: Conclusions, successor: Successor) -> Mapping[str, Concluded]:
    """Return the findings of the baseline by the ids that they would have now."""
    found: dict[str, Concluded] = {}
    for finding in before.findings.values():
        there = successor(finding.object)
        id_ = finding.id if there is None else fingerprint(finding.rule, there)
        found[id_] = finding
    for finding in now.findings.values():
        if finding.id not in found and finding.object.kind == _SERVER:
            # its object's name contains the version
            mine = [i for i, f in found.items() if f.rule == finding.rule and i not in now.findings]
            if len(mine) == 1 and found[mine[0]].object.kind == _SERVER:
                found[finding.id] = found.pop(mine[0])
    return found


_SERVER = "server"


def _standing(
    finding: Concluded, earlier: Concluded | None, before: Conclusions
) -> tuple[Standing, str]:
    if earlier is not None:
        said_worse = "; ".join(worse(earlier, finding))
        label = earlier.object.label
        renamed = f"it was called {label}" if label != finding.object.label else ""
        said = "; ".join(filter(None, (said_worse, renamed)))
        return Standing.WORSE if said_worse else Standing.KNOWN, said
    if finding.id in before.ignored:
        return Standing.KNOWN, "it was ignored"
    hidden = before.hidden.get(finding.id)
    if hidden is not None:
        is_worse = finding.severity.rank < hidden.rank
        return Standing.WORSE if is_worse else Standing.KNOWN, f"it was {hidden.value}"
    verdict = before.verdicts.get(finding.rule)
    if verdict is None:
        return Standing.UNCLEAR, "the rule was not part of the baseline"
    is_blind = verdict.verdict is Verdict.UNKNOWN and is_partial(verdict, finding.object)
    if is_blind or finding.id in verdict.unjudged:
        return Standing.UNCLEAR, f"not evaluated for the baseline: {verdict.reason}"
    if finding.object.database is not None and finding.object.database not in before.databases:
        return Standing.UNCLEAR, f"database {finding.object.database} is not in the baseline"
    if (finding.object.database or "", finding.object.schema or "") in before.skipped:
        return Standing.UNCLEAR, f"schema {finding.object.schema} was skipped for the baseline"
    return Standing.NEW, ""


def worse(was: Concluded, now: Concluded) -> Iterator[str]:
    """Yield in words what makes a finding worse than it was."""
    if now.severity.rank < was.severity.rank:
        yield f"it was {was.severity.value}"
    for before, after, verb in (
        (was.cost_ms, now.cost_ms, "cost"),
        (was.gain_ms, now.gain_ms, "would have saved"),
    ):
        if _rose(before, after, MIN_TIME_RATIO, MIN_MORE_MS):
            yield f"it {verb} {units.duration(before or 0)} per day"
    if _rose(was.bytes, now.bytes, MIN_BYTES_RATIO, MIN_MORE_BYTES):
        yield f"it was {units.size(was.bytes or 0)}"


def _rose(before: float | None, after: float | None, ratio: float, least: float) -> bool:
    if before is None or after is None:
        return False
    return after >= before * ratio and after - before >= least


def _gone(finding: Concluded, now: Conclusions, successor: Successor) -> Gone:
    there = successor(finding.object)
    here = finding if there is None else replace(finding, object=there)
    id_ = fingerprint(here.rule, here.object)
    reason = now.why_not_evaluated(replace(here, id=id_), is_gone=there is None)
    return Gone(id_, here.rule, here.severity, here.object.label, here.title, reason)
