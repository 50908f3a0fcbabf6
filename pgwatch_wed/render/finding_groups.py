"""Findings of one rule as one entry of the report, with their sums; and findings by table."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pgwatch_wed import units
from pgwatch_wed.findings import Finding, Object, Severity
from pgwatch_wed.render.impact_words import summed
from pgwatch_wed.rules import all_rules

# Fewer are listed one by one.
_AT_LEAST = 4
_PLURALS = {"index": "indexes"}


@dataclass(frozen=True, slots=True)
class FindingGroup:
    """Several findings of one rule, in the order of the report."""

    rule: str
    findings: tuple[Finding, ...]

    @property
    def severity(self) -> Severity:
        """The worst."""
        return min((f.severity for f in self.findings), key=lambda s: s.rank)

    @property
    def grades(self) -> str:
        """The grades that occur: ``B`` or ``A–C``."""
        found = sorted({f.grade.value for f in self.findings})
        return found[0] if len(found) == 1 else f"{found[0]}–{found[-1]}"

    @property
    def objects(self) -> str:
        """How many objects: ``130 indexes of 130 tables``."""
        return things(f.object for f in self.findings)

    @property
    def saved(self) -> str:
        """What all of the remedies save."""
        return summed(self.findings)

    @property
    def sums(self) -> str:
        """Both: ``130 indexes of 130 tables, 265 MB of space``."""
        return ", ".join(filter(None, (self.objects, self.saved)))

    @property
    def summary(self) -> str:
        """What the rule looks for."""
        return _summaries().get(self.rule, self.rule)


def entries(findings: Sequence[Finding]) -> tuple[Finding | FindingGroup, ...]:
    """Return the findings with those of a rule that has many as one, where the first of them is."""
    by_rule: dict[str, list[Finding]] = {}
    for finding in findings:
        by_rule.setdefault(finding.rule, []).append(finding)
    found: dict[str, Finding | FindingGroup] = {}
    for finding in findings:
        same = by_rule[finding.rule]
        if len(same) < _AT_LEAST:
            found[finding.id] = finding
        elif finding.rule not in found:
            found[finding.rule] = FindingGroup(finding.rule, tuple(same))
    return tuple(found.values())


def things(objects: Iterable[Object]) -> str:
    """Count objects by kind, and their tables: ``130 indexes of 40 tables``."""
    each = list(dict.fromkeys(objects))
    kinds = Counter(o.kind for o in each)
    tables = {_table(o) for o in each} - {None}
    said = ", ".join(units.count(n, k, _PLURALS.get(k, "")) for k, n in kinds.most_common())
    return (
        f"{said} of {units.count(len(tables), 'table')}"
        if tables and "table" not in kinds
        else said
    )


def by_table(findings: Iterable[Finding]) -> Mapping[str, tuple[Finding, ...]]:
    """Return the findings of each table that has several, in the order of the report."""
    found: dict[tuple[str, ...], list[Finding]] = {}
    for finding in findings:
        if (table := _table(finding.object)) is not None:
            found.setdefault(table, []).append(finding)
    is_one = len({database for database, *_ in found}) == 1
    return {
        ".".join(filter(None, table[1:] if is_one else table)): tuple(of)
        for table, of in found.items()
        if len(of) > 1
    }


def _table(o: Object) -> tuple[str, str, str] | None:
    name = o.table or (o.name if o.kind == "table" else None)
    return None if name is None else (o.database or "", o.schema or "", name)


def _summaries() -> Mapping[str, str]:
    return {rule.id: rule.summary for rule in all_rules()}
