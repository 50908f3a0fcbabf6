"""The oracle on the target itself, using the extension HypoPG, with its known errors corrected.

HypoPG omits the cost of descending a B-tree, so that copies of a primary key look useful, and its
sizes are three to four times too large; costs are corrected here, and sizes are our own. Its state
survives ROLLBACK, so every request begins and ends with a reset, in one transaction. A statement is
refused if planning it could run user-defined code on the server.
"""

from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from types import TracebackType
from typing import Any

import psycopg
from psycopg import sql

from pgwatch_wed.errors import CollectError, said
from pgwatch_wed.postgres.btree import IndexSize
from pgwatch_wed.sqltext.plan_trees import PlanNode, walk
from pgwatch_wed.sqltext.statement import UnsupportedError
from pgwatch_wed.sqltext.terms import Kind
from pgwatch_wed.target import planning
from pgwatch_wed.target.door import Guards, opened
from pgwatch_wed.target.planning import RefusedError
from pgwatch_wed.target.queries import composed
from pgwatch_wed.whatif import catalog as catalogs
from pgwatch_wed.whatif import estimates, planner, spreads
from pgwatch_wed.whatif.catalog import CatalogTable
from pgwatch_wed.whatif.model import Candidate, Plan, PlanError, Query, SlowPlanError
from pgwatch_wed.whatif.oracle import DocumentPath, IndexShape

Connection = psycopg.Connection[Any]

_GUARDS = Guards()
_PAGE_MULTIPLIER = 50  # what the planner charges per page of descent, in operator costs
_KNOWN_METHODS = frozenset({"btree", "brin", "hash"})


class HypoPG:
    """An oracle on a session of the target. Use as a context manager."""

    engine = "hypopg"
    jobs = 1  # one session on the target

    def __init__(self, conninfo: str, search_path: str | None = None) -> None:
        self._stack = ExitStack()
        self._door = self._stack.enter_context(opened(conninfo, _GUARDS))
        self._sizes: dict[Candidate, IndexSize] = {}
        self._refused: dict[Candidate, str] = {}
        self._search_path = search_path
        self.calls = 0
        self.notes: list[str] = []
        try:
            with self._door.asking("hypopg") as connection:
                self._begin(connection)
        except BaseException:
            self._stack.close()
            raise

    def _begin(self, connection: Connection) -> None:
        found = connection.execute(composed("whatif", "hypopg")).fetchone()
        if found is None:
            raise CollectError(
                "extension hypopg is not installed in this database",
                "CREATE EXTENSION hypopg, or use --engine lab, which needs nothing on the server",
            )
        self._schema, self._hides = sql.Identifier(str(found[0])), bool(found[1])
        settings = planner.read(connection)
        self._path = self._search_path or settings["search_path"]
        self._operator_cost = float(settings["cpu_operator_cost"])
        self.text_search = settings.get("default_text_search_config", "english")
        self.is_c_collation = planner.collation(connection) in ("C", "POSIX")
        self.catalog = catalogs.read(connection)
        if not self._hides:
            self.notes.append(
                "this version of HypoPG cannot hide existing indexes (1.4 and later can)"
            )

    def __enter__(self) -> "HypoPG":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._stack.close()

    def add(self, indexes: Iterable[Candidate]) -> None:
        """Try candidates; those that HypoPG refuses are remembered."""
        for index in dict.fromkeys(indexes):
            if index not in self._sizes and index not in self._refused:
                self._try(index)

    def refusal(self, index: Candidate) -> str | None:
        """Return why HypoPG refuses an index, or None."""
        return self._refused.get(index)

    def size(self, index: Candidate) -> int:
        """Return the size that it would have if it were really built."""
        return self._sizes[index].bytes

    def type_of(self, _table: CatalogTable, _text: str) -> None:
        """Return nothing: only methods that HypoPG does not support would need it."""

    def usual_values(self, _table: CatalogTable, _column: str) -> Sequence[tuple[str, float]]:
        """Return nothing: values in statistics are not read from a target."""
        return ()

    def share_meeting(self, _table: CatalogTable, _column: str, _condition: str) -> None:
        """Return nothing: values in statistics are not read from a target."""

    def document_paths(self, _table: CatalogTable, _column: str) -> tuple[DocumentPath, ...]:
        """Return nothing: values in statistics are not read from a target."""
        return ()

    def _try(self, index: Candidate) -> None:
        if index.method not in _KNOWN_METHODS:
            self._refused[index] = f"HypoPG does not support {index.method} indexes"
            return
        table = self.catalog.by_name[index.schema, index.table]
        if table.kind == "p":
            self._refused[index] = "HypoPG does not support indexes on partitioned tables"
            return
        try:
            with self._asking() as connection:
                rows = self._rows(connection, index, table.rows)
                self._create(connection, index)
                catalogs.read_values(connection, self.catalog, table)
        except (psycopg.Error, RefusedError, UnsupportedError) as error:
            self._refused[index] = said(error)
            return
        self._sizes[index] = estimates.size(self.catalog, table, index, rows)

    def _rows(self, connection: Connection, index: Candidate, rows: float) -> float:
        """Return the number of rows in an index; refuse one that could run user-defined code."""
        name = sql.Identifier(index.schema, index.table).as_string()
        keys = ", ".join(key.text for key in index.keys)
        where = f" where {index.predicate}" if index.predicate else ""
        asked = f"select {keys} from {name}{where}"  # noqa: S608 - never executed, and the name is quoted
        planning.refuse_foreign_code(connection, asked, self._path)
        if not index.predicate:
            return rows
        tree = planning.explained(connection, f"select from {name}{where}", self._path)
        return max(1.0, min(rows, float(tree["Plan Rows"])))

    def bare(
        self, queries: Sequence[Query], seconds: float | None = None
    ) -> Generator[tuple[Query, Plan], None, None]:
        """Yield queries with their plans without any indexes, as far as HypoPG can hide them."""
        for query in queries:
            with suppress(PlanError):
                yield query, self.plan(query, bare=True, seconds=seconds)

    def plan(
        self,
        query: Query,
        indexes: Iterable[Candidate] = (),
        hidden: Iterable[int] = (),
        *,
        bare: bool = False,
        seconds: float | None = None,
    ) -> Plan:
        """Return the plan with candidates visible and, from HypoPG 1.4 on, existing indexes hidden."""
        self.calls += 1
        try:
            with self._asking(seconds) as connection:
                planning.refuse_foreign_code(connection, query.sql, self._path, query.user)
                by_name = dict(self._create(connection, index) for index in indexes)
                self._hide(connection, self.catalog.indexes if bare else hidden)
                tree = planning.explained(connection, query.sql, self._path)
        except psycopg.errors.QueryCanceled as error:
            raise SlowPlanError(said(error)) from None
        except (psycopg.Error, RefusedError, UnsupportedError) as error:
            raise PlanError(said(error)) from None
        used = {n["Index Name"] for n in walk(tree) if "Index Name" in n}
        existing = {i.name: oid for oid, i in self.catalog.indexes.items()}
        return Plan(
            float(tree["Total Cost"]) + self._missing_descents(tree, by_name),
            frozenset(by_name[name] for name in used if name in by_name),
            frozenset(existing[name] for name in used if name in existing),
            tree,
        )

    def is_bound(self, _query: Query, _tree: PlanNode) -> bool:
        """Return False: a statement on tables whose policies bind us is refused."""
        return False

    def doubts(self, _query: Query, _tree: PlanNode) -> tuple[str, ...]:
        """Return nothing: it is the target's own planner, with all that it has."""
        return ()

    def rows_in_order(self, _node: PlanNode) -> float | None:
        """Return None: the target is not asked for what only a guard needs."""
        return None

    def rows_meeting(self, _node: PlanNode, _kinds: Collection[Kind] | None = None) -> float | None:
        """Return None for the same reason."""
        return None

    def index_shape(self, name: str) -> IndexShape | None:
        """Return the size of an existing index; the names of others last as long as a plan."""
        found = next((i for i in self.catalog.indexes.values() if i.name == name), None)
        if found is None:
            return None
        keys = tuple(map(spreads.bare, found.keys))
        return IndexShape(found.pages, found.rows, found.method, keys, found.predicate or "")

    def _hide(self, connection: Connection, oids: Iterable[int]) -> None:
        hide = sql.SQL("select {}.hypopg_hide_index(%s::oid)").format(self._schema)
        for oid in oids if self._hides else ():
            connection.execute(hide, [oid])

    def _create(self, connection: Connection, index: Candidate) -> tuple[str, Candidate]:
        create = sql.SQL("select indexname from {}.hypopg_create_index(%s::text)")
        row = connection.execute(create.format(self._schema), [index.ddl()]).fetchone()
        assert row is not None
        return str(row[0]), index

    def _missing_descents(self, tree: PlanNode, by_name: Mapping[str, Candidate]) -> float:
        """Return the cost of descending hypothetical B-trees, which HypoPG omits."""
        total = 0.0
        for node, loops in _with_loops(tree, 1.0):
            index = by_name.get(node.get("Index Name", ""))
            if index is not None and index.method == "btree":
                pages = self._sizes[index].height + 1
                total += loops * pages * _PAGE_MULTIPLIER * self._operator_cost
        return total

    @contextmanager
    def _asking(self, seconds: float | None = None) -> Iterator[Connection]:
        """Work in one guarded transaction that leaves nothing behind, not even after an error.

        No statement of it takes longer than ``seconds``.
        """
        is_clean = False
        settings = {"geqo": "off"}
        if seconds is not None and seconds * 1000 < _GUARDS.statement_ms:
            settings["statement_timeout"] = f"{max(1, int(seconds * 1000))}ms"
        try:
            with self._door.asking("hypopg", settings=settings) as connection:
                self._reset(connection)
                yield connection
                self._reset(connection)
                is_clean = True
        finally:
            if not is_clean:
                with suppress(psycopg.Error), self._door.asking("hypopg") as connection:
                    self._reset(connection)

    def _reset(self, connection: Connection) -> None:
        names = ("hypopg_reset", *(["hypopg_unhide_all_indexes"] if self._hides else []))
        for name in names:
            call = sql.SQL("select {}.{}()").format(self._schema, sql.Identifier(name))
            connection.execute(call)


def _with_loops(node: PlanNode, loops: float) -> Iterator[tuple[PlanNode, float]]:
    """Yield nodes, and how often the plan runs them."""
    yield node, loops
    children = node.get("Plans", ())
    is_join = node["Node Type"] == "Nested Loop"
    for child in children:
        times = loops
        if is_join and child.get("Parent Relationship") == "Inner":
            times *= max(1.0, float(children[0].get("Plan Rows", 1)))
        elif child.get("Parent Relationship") == "SubPlan":
            times *= max(1.0, float(node.get("Plan Rows", 1)))
        if child["Node Type"] == "Materialize":
            times = loops
        yield from _with_loops(child, times)
