"""The indexes of the lab by the names that plans call them: candidates that were built, and those that the target has."""

from collections.abc import Mapping
from dataclasses import dataclass

from pgwatch_wed.sqltext.plan_trees import PlanNode, used_names
from pgwatch_wed.whatif import estimates, spreads
from pgwatch_wed.whatif.catalog import Catalog, ExistingIndex
from pgwatch_wed.whatif.lab import pages
from pgwatch_wed.whatif.lab.skips import BTree
from pgwatch_wed.whatif.model import Candidate, Plan
from pgwatch_wed.whatif.oracle import IndexShape

_DESCENDING = 1  # a bit of pg_index.indoption


@dataclass(frozen=True, slots=True)
class BuiltIndex:
    """A candidate in the lab: its oid and those of its partitions for each slot, its tables, and its size."""

    oids: tuple[tuple[int, ...], ...]
    tables: tuple[int, ...]
    size_bytes: int


class LabIndexes:
    """What is known of the lab's indexes.

    ``rows`` are those of partial indexes, by the table's oid and the predicate, as estimated by the planner.
    """

    def __init__(self) -> None:
        self.catalog = Catalog({}, {}, ())
        self.built: dict[Candidate, BuiltIndex] = {}
        self.refused: dict[Candidate, str] = {}
        self.rows: dict[tuple[int, str], float] = {}
        self._existing: dict[str, int] = {}
        self._candidates: dict[str, Candidate] = {}
        self._oids: dict[str, int] = {}

    def read(self, catalog: Catalog, names: Mapping[str, int]) -> None:
        """Take over what the target has, with the names and oids of its indexes."""
        self.catalog, self._existing = catalog, dict(names)

    def call(self, name: str, oid: int, index: Candidate) -> None:
        """Remember what plans call a candidate, or a part of it."""
        self._candidates[name], self._oids[name] = index, oid

    def candidate(self, name: str) -> Candidate | None:
        """Return the candidate that plans call so."""
        return self._candidates.get(name)

    def existing(self, name: str) -> ExistingIndex | None:
        """Return the existing index that plans call so."""
        return self.catalog.indexes.get(self._existing.get(name, 0))

    def predicate(self, name: str) -> str | None:
        """Return the predicate of the index that plans call so."""
        candidate, existing = self.candidate(name), self.existing(name)
        if candidate is not None:
            return candidate.predicate
        return None if existing is None else existing.predicate

    def btree(self, name: str) -> BTree | None:
        """Return the B-tree that plans call so; None if it is no B-tree."""
        existing = self.existing(name)
        if existing is not None:
            tree = BTree(existing.oid, existing.keys, existing.pages)
            return tree if existing.method == "btree" else None
        candidate = self.candidate(name)
        if candidate is None or candidate.method != "btree":
            return None
        blocks = self.built[candidate].size_bytes / pages.BLOCK
        return BTree(self._oids[name], tuple(k.text for k in candidate.keys), blocks)

    def shape(self, name: str) -> IndexShape | None:
        """Return how large the index is that plans call so; None if that is not known."""
        existing, candidate = self.existing(name), self.candidate(name)
        if existing is not None:
            return _shape_of(existing)
        return None if candidate is None else self._shape(candidate)

    def plan(self, tree: PlanNode) -> Plan:
        """Return a plan with the indexes that it uses."""
        names = used_names(tree)
        return Plan(
            float(tree["Total Cost"]),
            frozenset(self._candidates[n] for n in names if n in self._candidates),
            frozenset(self._existing[n] for n in names if n in self._existing),
            tree,
        )

    def _shape(self, index: Candidate) -> IndexShape:
        leaves = list(self.catalog.leaves(self.catalog.by_name[index.schema, index.table]))
        rows = (self.rows.get((t.oid, index.predicate), t.rows) for t in leaves)
        common = (estimates.common_pages(self.catalog, t, index) for t in leaves)
        return IndexShape(
            self.built[index].size_bytes / pages.BLOCK,
            sum(max(0.0, each) for each in rows),
            index.method,
            tuple(key.column for key in index.keys),
            index.predicate,
            tuple(key.text for key in index.keys),
            frozenset(n for n, key in enumerate(index.keys) if key.order.startswith("DESC")),
            common_pages=max(common, default=0.0),
        )


def _shape_of(index: ExistingIndex) -> IndexShape:
    return IndexShape(
        index.pages,
        index.rows,
        index.method,
        tuple(map(spreads.bare, index.keys)),
        index.predicate or "",
        index.keys,
        frozenset(n for n, option in enumerate(index.options) if option & _DESCENDING),
    )
