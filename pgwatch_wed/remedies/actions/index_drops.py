"""Which indexes may go together: none that the rest, a foreign key or a new index needs."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

from pgwatch_wed.facts import Index, Snapshot
from pgwatch_wed.facts.derived import derived
from pgwatch_wed.postgres import indexes as ix
from pgwatch_wed.remedies.actions.index_changes import CreatedIndex, IndexChange, ancestors
from pgwatch_wed.remedies.actions.index_names import attached, needed
from pgwatch_wed.remedies.actions.proposals import Proposal

_AGAIN = "run the analysis again afterwards"


@dataclass(slots=True)
class IndexDrops:
    """The drops of one database, decided one by one, the most important first."""

    snapshot: Snapshot
    created: Sequence[CreatedIndex]
    needs: Mapping[int, Sequence[Proposal]]
    gone: set[int] = field(default_factory=set)
    gone_of: dict[int, list[Index]] = field(default_factory=dict)

    @classmethod
    def beside(
        cls, snapshot: Snapshot, proposals: Iterable[Proposal], created: Sequence[CreatedIndex]
    ) -> "IndexDrops":
        """Begin with what all proposals need, and the indexes that will be created."""
        needs: dict[int, list[Proposal]] = {}
        for proposal in proposals:
            for part in proposal.parts:
                for index in (*needed(snapshot, part), *attached(snapshot, part)):
                    needs.setdefault(index.oid, []).append(proposal)
        return cls(snapshot, created, needs)

    def decide(self, change: IndexChange) -> str:
        """Let the indexes of a change go, or return why one of them has to stay."""
        new = [change.created] if change.created is not None else []
        for index in change.dropped:
            for part in ix.with_parts(self.snapshot, index):
                reason = self._obstacle(part, change.proposal, new)
                if reason:
                    cause = "" if part is index else f" because of {part.qualified}"
                    return f"{index.qualified} has to stay for now{cause}: {reason}."
        for index in change.dropped:
            self._let_go(index)
        return ""

    def _let_go(self, index: Index) -> None:
        """Note an index with those of partitions, which are dropped with it."""
        for part in ix.with_parts(self.snapshot, index):
            if part.oid not in self.gone:
                self.gone.add(part.oid)
                self.gone_of.setdefault(part.table_oid, []).append(part)

    def _obstacle(self, index: Index, proposal: Proposal, new: list[CreatedIndex]) -> str:
        if index.oid in self.gone:
            return ""
        reasons = (
            self._named_elsewhere(index, proposal),
            self._used_by_advice(index),
            self._needed_by_foreign_key(index, new),
            self._replaced_by_what_goes(index),
            self._replaces_what_goes(index),
        )
        return next(filter(None, reasons), "")

    def _named_elsewhere(self, index: Index, proposal: Proposal) -> str:
        others = [p for p in self.needs.get(index.oid, ()) if p is not proposal]
        if not others:
            return ""
        finding = others[0].finding
        return f"what {finding.rule} ({finding.object.label}) recommends uses it; {_AGAIN}"

    def _used_by_advice(self, index: Index) -> str:
        """Say which new indexes are planned together with it, unless another one can replace it."""
        advice = _used_with_advice(self.snapshot).get(index.name)
        if advice is None or self._servers(index):
            return ""
        return f"the plan with the new index {advice} uses it, too"

    def _needed_by_foreign_key(self, index: Index, new: list[CreatedIndex]) -> str:
        for key in ix.foreign_keys(self.snapshot, index.table_oid):
            if not ix.covers_foreign_key(self.snapshot, index, key):
                continue
            columns = frozenset(self.snapshot.column_names(index.table_oid, key.columns))
            rest = (i for i in self._rest(index) if ix.covers_foreign_key(self.snapshot, i, key))
            if next(rest, None) is None and not self._is_covered_anew(index, columns, new):
                return f"no other index serves the foreign key {key.name}"
        return ""

    def _is_covered_anew(
        self, index: Index, columns: frozenset[str], new: Iterable[CreatedIndex]
    ) -> bool:
        table = self.snapshot.table_by_oid.get(index.table_oid)
        if table is None:
            return False
        # an index of a partitioned table is created on each partition, too
        above = (a for a in ancestors(self.snapshot, table) if a.kind == "p")
        where = {(t.schema, t.name) for t in (table, *above)}
        here = (c for c in (*self.created, *new) if (c.schema, c.table) in where)
        return any(c.text.form[0] == "btree" and c.text.begins_with(columns) for c in here)

    def _replaced_by_what_goes(self, index: Index) -> str:
        if index.oid not in _replaceable(self.snapshot) or self._servers(index):
            return ""
        keeper = _replaceable(self.snapshot)[index.oid]
        return f"{keeper.name}, which replaces it, is dropped; {_AGAIN}"

    def _replaces_what_goes(self, index: Index) -> str:
        for other in self.gone_of.get(index.table_oid, ()):
            is_replaced = other.oid in _replaceable(self.snapshot) and self._servers(other)
            if is_replaced and not self._servers(other, {index.oid}):
                return f"it replaces {other.name}, which is dropped; {_AGAIN}"
        return ""

    def _rest(self, index: Index, without: Set[int] = frozenset()) -> Iterator[Index]:
        """Yield the other indexes of the table that stay."""
        for other in self.snapshot.indexes_of[index.table_oid]:
            is_other = other.oid != index.oid and other.oid not in without
            if is_other and other.oid not in self.gone and other.is_usable:
                yield other

    def _servers(self, index: Index, without: Set[int] = frozenset()) -> list[Index]:
        """Return those that can answer all queries of an index, and enforce what it does."""
        return [o for o in self._rest(index, without) if _can_replace(o, index)]


def _can_replace(other: Index, index: Index) -> bool:
    if ix.reads_like(other) == ix.reads_like(index):
        return ix.enforces_as_much(other, index)
    return not index.is_unique and ix.is_prefix(index, other)


@derived
def _replaceable(snapshot: Snapshot) -> Mapping[int, Index]:
    """Return what replaces each index that is reported because another one replaces it."""
    pairs = (*ix.duplicates(snapshot), *ix.prefixes(snapshot))
    return {pair.index.oid: pair.keeper for pair in pairs}


@derived
def _used_with_advice(snapshot: Snapshot) -> Mapping[str, str]:
    """Return the names of the indexes that plans with recommended ones use, each with such a one."""
    found: dict[str, str] = {}
    for advice in snapshot.missing_indexes:
        for tree in filter(None, advice.trees):
            for name in _index_names(json.loads(tree)):
                if name != advice.name:
                    found.setdefault(name, advice.name)
    return found


def _index_names(tree: Any) -> Iterator[str]:
    stack = [tree]
    while stack:
        each = stack.pop()
        if isinstance(each, dict):
            if isinstance(name := each.get("Index Name"), str):
                yield name
            stack.extend(each.values())
        elif isinstance(each, list):
            stack.extend(each)
