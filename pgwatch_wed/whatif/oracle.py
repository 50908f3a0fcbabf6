"""What answers the question "what would this query cost with these indexes?": the lab or HypoPG."""

from collections.abc import Collection, Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from pgwatch_wed.sqltext.plan_trees import PlanNode
from pgwatch_wed.sqltext.terms import Kind
from pgwatch_wed.whatif.catalog import Catalog, CatalogTable, ComputedShare
from pgwatch_wed.whatif.model import Candidate, Plan, Query
from pgwatch_wed.whatif.operator_classes import ValueType


@dataclass(frozen=True, slots=True)
class IndexShape:
    """The pages of an index and its rows, its method, its keys, None for each that is no column, and its predicate.

    ``texts`` are the keys as in CREATE INDEX, ``descending`` the positions from 0 of those in descending order. ``skips``: a scan may
    skip keys that have no condition; ``steps``: it reads a page once for all values of a list that are there. ``common_pages`` are those of the rows of the most common key of documents in a GIN index, 0 if most rows
    have none in common.
    """

    pages: float
    rows: float
    method: str = "btree"
    keys: tuple[str | None, ...] = ()
    predicate: str = ""
    texts: tuple[str, ...] = ()
    descending: frozenset[int] = frozenset()
    skips: bool = False
    common_pages: float = 0.0
    steps: bool = False

    @property
    def first(self) -> str | None:
        """The column that is its first key, if it is one."""
        return self.keys[0] if self.keys else None


@dataclass(frozen=True, slots=True)
class DocumentPath:
    """The keys that lead to a value in documents; what it is: "string", "whole number", "number", "boolean", "array", or "" if not always the same.

    ``common_share`` is the share of the documents whose value is the same short string, 0 if there is none.
    """

    names: tuple[str, ...]
    kind: str = ""
    common_share: float = 0.0


class Oracle(Protocol):
    """What answers the question "what would this query cost with these indexes?".

    ``jobs`` is how many plans may be requested at once, each by a thread of its own.
    """

    engine: str
    jobs: int
    notes: list[str]
    is_c_collation: bool
    text_search: str

    @property
    def catalog(self) -> Catalog:
        """The target's tables and indexes."""

    @property
    def calls(self) -> int:
        """How often a plan was computed."""

    def add(self, indexes: Iterable[Candidate]) -> None:
        """Add candidates; :meth:`refusal` tells which of them the server refuses."""

    def refusal(self, index: Candidate) -> str | None:
        """Return why the server refuses an index, or None."""

    def size(self, index: Candidate) -> int:
        """Return the size that it would have if it were really built."""

    def type_of(self, table: CatalogTable, text: str) -> ValueType | None:
        """Return the type of an expression over a table's columns, if it can be known."""

    def usual_values(self, table: CatalogTable, column: str) -> Sequence[tuple[str, float]]:
        """Return values of a column with their shares of the rows, or 0 where that is not known."""

    def share_meeting(
        self, table: CatalogTable, column: str, condition: str
    ) -> ComputedShare | None:
        """Return the share of rows that meet a condition on a column, if its common values are nearly all; None if not known."""

    def document_paths(self, table: CatalogTable, column: str) -> tuple[DocumentPath, ...]:
        """Return the paths to values that most documents in a column have, as far as statistics show them."""

    def bare(
        self, queries: Sequence[Query], seconds: float | None = None
    ) -> Generator[tuple[Query, Plan], None, None]:
        """Yield queries with their plans without indexes, which would hide conditions; close it when done.

        Nothing else may be requested in the meantime. Queries that cannot be planned are left out, as are those whose
        planning takes longer than ``seconds``.
        """

    def is_bound(self, query: Query, tree: PlanNode) -> bool:
        """Tell whether row-level security binds a query's role, so that other roles get other plans."""

    def doubts(self, query: Query, tree: PlanNode) -> tuple[str, ...]:
        """Return why the target may plan a query otherwise than this plan of it."""

    def rows_in_order(self, node: PlanNode) -> float | None:
        """Return how many rows an index scan reads to its end, including those that it excludes; None if that is not known."""

    def rows_meeting(self, node: PlanNode, kinds: Collection[Kind] | None = None) -> float | None:
        """Return how many rows meet the conditions of an index scan, or those of some kinds, wherever they are in it; None if that is not known."""

    def index_shape(self, name: str) -> IndexShape | None:
        """Return how large the index is that a plan calls so; None if that is not known."""

    def plan(
        self,
        query: Query,
        indexes: Iterable[Candidate] = (),
        hidden: Iterable[int] = (),
        *,
        bare: bool = False,
        seconds: float | None = None,
    ) -> Plan:
        """Return the plan with candidates visible and existing indexes hidden.

        Raises :class:`PlanError`, which is :class:`SlowPlanError` if planning takes longer than ``seconds``.
        """
