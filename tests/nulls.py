"""Snapshots with NULL wherever it is allowed, and what every rule owes them: a verdict."""

from collections.abc import Iterator
from dataclasses import replace
from types import UnionType
from typing import Any, get_origin

from pgwatch_wed.analyse import judge
from pgwatch_wed.config import Config
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.facts.fields import fact_types, field_types
from pgwatch_wed.findings import Finding, Verdict
from pgwatch_wed.rules import Rule, rule

# What a NULL becomes in each column that may have one: nothing, or an array of nothing.
COLUMNS: dict[tuple[str, str], Any] = {
    (fact, name): () if get_origin(hint) is tuple else None
    for fact, kind in fact_types().items()
    for name, hint in field_types(kind).items()
    if isinstance(hint, UnionType) or get_origin(hint) is tuple
}
_SEEN: set[str] = set()


def without(snapshot: Snapshot, fact: str, *names: str) -> Snapshot:
    """Return the snapshot with these columns of a fact NULL in every row; by default all."""
    wanted = names or [name for f, name in COLUMNS if f == fact]
    values = {name: COLUMNS[fact, name] for name in wanted}
    rows: dict[str, Any] = {fact: tuple(replace(r, **values) for r in getattr(snapshot, fact))}
    return replace(snapshot, **rows)


def each(snapshot: Snapshot) -> Iterator[tuple[str, Snapshot]]:
    """Yield the snapshot with one column NULL, for each column that has a value in some row."""
    for (fact, name), null in COLUMNS.items():
        if any(getattr(row, name) != null for row in getattr(snapshot, fact)):
            yield f"{fact}.{name}", without(snapshot, fact, name)


def judged(one: Rule, snapshot: Snapshot, config: Config, what: str) -> tuple[Finding, ...]:
    """Judge by one rule; fail where it raises, contradicts itself, or prints a NULL."""
    try:
        verdict, findings = judge(one, snapshot, config)
    except Exception as error:
        raise AssertionError(f"{one.id} raised {error!r} without {what}") from error
    assert bool(findings) == (verdict.verdict is Verdict.FINDING), (one.id, what)
    assert verdict.verdict is not Verdict.UNKNOWN or verdict.reason, (one.id, what)
    for finding in findings:
        said = (finding.title, finding.detail, *(s.sql for s in finding.remedy))
        assert not [s for s in said if "None" in s or "nan" in s.split()], (one.id, what, said)
    return tuple(findings)


def stands(rule_id: str, snapshot: Snapshot, config: Config) -> None:
    """Judge a snapshot in which a rule found something again, once a rule, with each column NULL."""
    if rule_id in _SEEN:
        return
    _SEEN.add(rule_id)
    for what, emptied in each(snapshot):
        judged(rule(rule_id), emptied, config, what)
