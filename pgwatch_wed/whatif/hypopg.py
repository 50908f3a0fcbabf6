"""The oracle on the target itself, by the extension HypoPG, with its known errors put right.

HypoPG leaves out what descending a B-tree costs, so that copies of a primary key look useful, and
its sizes are three to four times too large; costs are corrected here and sizes are our own. Its
state survives ROLLBACK, so every question begins and ends with a reset, in one transaction.
"""

import json
import re
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import TracebackType

import psycopg
from psycopg import sql

from pgwatch_wed.errors import CollectError, said
from pgwatch_wed.facts.features import Features
from pgwatch_wed.postgres.btree import IndexSize
from pgwatch_wed.sqltext.plan_trees import PlanNode, walk
from pgwatch_wed.target import connect
from pgwatch_wed.whatif import catalog as catalogs
from pgwatch_wed.whatif import estimates
from pgwatch_wed.whatif.model import Candidate, Plan, PlanError, Query

_EXTENSION = """
select n.nspname, exists (select from pg_proc p where p.pronamespace = n.oid
       and p.proname = 'hypopg_hide_index')
from pg_extension e join pg_namespace n on n.oid = e.extnamespace where e.extname = 'hypopg'
"""
_GUARDS = connect.Guards(lock_ms=500, statement_ms=30_000)
_PAGE_MULTIPLIER = 50  # what the planner charges for a page of descent, in operator costs
_KNOWN_METHODS = frozenset({"btree", "brin", "hash"})


class HypoPG:
    """An oracle on a session of the target. Use as a context manager."""

    engine = "hypopg"

    def __init__(self, conninfo: str, search_path: str | None = None) -> None:
        self._connection = connect.connect(conninfo, _GUARDS)
        self._sizes: dict[Candidate, IndexSize] = {}
        self._refused: dict[Candidate, str] = {}
        self._search_path = search_path
        self.calls = 0
        self.trigram: str | None = None
        self.notes: list[str] = []
        try:
            self._begin()
        except BaseException:
            self._connection.close()
            raise

    def _begin(self) -> None:
        found = self._connection.execute(_EXTENSION).fetchone()
        if found is None:
            raise CollectError(
                "the extension hypopg is not installed in this database",
                "CREATE EXTENSION hypopg, or use --engine lab, which needs nothing on the server",
            )
        self._schema, self._hides = sql.Identifier(str(found[0])), bool(found[1])
        self._path = self._search_path or self._one("select current_setting('search_path')")
        self._operator_cost = float(self._one("select current_setting('cpu_operator_cost')"))
        self.is_c_collation = self._one(
            "select datcollate from pg_database where datname = current_database()"
        ) in ("C", "POSIX")
        with self._transaction():
            self._set("search_path", "pg_catalog")
            self.catalog = catalogs.read(self._connection)
        if not self._hides:
            self.notes.append("this hypopg cannot hide existing indexes (1.4 can)")

    def __enter__(self) -> "HypoPG":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._connection.close()

    def add(self, indexes: Iterable[Candidate]) -> None:
        """Try candidates; what HypoPG refuses is remembered."""
        for index in dict.fromkeys(indexes):
            if index not in self._sizes and index not in self._refused:
                self._try(index)

    def refusal(self, index: Candidate) -> str | None:
        """Return why HypoPG does not take an index, or None."""
        return self._refused.get(index)

    def size(self, index: Candidate) -> int:
        """Return the bytes that it would take when really built."""
        return self._sizes[index].bytes

    def _try(self, index: Candidate) -> None:
        if index.method not in _KNOWN_METHODS:
            self._refused[index] = f"hypopg knows no {index.method} indexes"
            return
        table = self.catalog.by_name[index.schema, index.table]
        if table.kind == "p":
            self._refused[index] = "hypopg knows no indexes on partitioned tables"
            return
        try:
            with self._transaction():
                self._create(index)
                rows = self._rows(index, table.rows)
                catalogs.read_values(self._connection, self.catalog, table)
        except psycopg.Error as error:
            self._refused[index] = said(error)
            return
        self._sizes[index] = estimates.size(self.catalog, table, index, rows)

    def _rows(self, index: Candidate, rows: float) -> float:
        if not index.predicate:
            return rows
        name = sql.Identifier(index.schema, index.table).as_string()
        tree = self._tree(f"explain (format json) select from {name} where {index.predicate}")
        return max(1.0, min(rows, float(tree["Plan Rows"])))

    def bare(self, queries: Sequence[Query]) -> Generator[tuple[Query, Plan], None, None]:
        """Yield queries with their plans without any index, as far as HypoPG can hide them."""
        for query in queries:
            with suppress(PlanError):
                yield query, self.plan(query, bare=True)

    def plan(
        self,
        query: Query,
        indexes: Iterable[Candidate] = (),
        hidden: Iterable[int] = (),
        *,
        bare: bool = False,
    ) -> Plan:
        """Return the plan with candidates shown and, from HypoPG 1.4 on, existing ones hidden."""
        self.calls += 1
        try:
            with self._transaction():
                by_name = dict(self._create(index) for index in indexes)
                self._hide(self.catalog.indexes if bare else hidden)
                self._set("geqo", "off")
                self._set("search_path", self._path)
                tree = self._explained(query)
        except psycopg.Error as error:
            raise PlanError(said(error)) from None
        used = {n["Index Name"] for n in walk(tree) if "Index Name" in n}
        existing = {i.name: oid for oid, i in self.catalog.indexes.items()}
        return Plan(
            float(tree["Total Cost"]) + self._missing_descents(tree, by_name),
            frozenset(by_name[name] for name in used if name in by_name),
            frozenset(existing[name] for name in used if name in existing),
            tree,
        )

    def _hide(self, oids: Iterable[int]) -> None:
        if self._hides:
            for oid in oids:
                self._connection.execute(
                    sql.SQL("select {}.hypopg_hide_index(%s::oid)").format(self._schema), [oid]
                )

    def _create(self, index: Candidate) -> tuple[str, Candidate]:
        row = self._connection.execute(
            sql.SQL("select indexname from {}.hypopg_create_index(%s)").format(self._schema),
            [index.ddl()],
        ).fetchone()
        assert row is not None
        return str(row[0]), index

    def _explained(self, query: Query) -> PlanNode:
        if not query.has_parameters:
            return self._tree(f"explain (verbose, format json) {query.sql}")
        if Features.of(self._connection.info.server_version).has_generic_plans():
            return self._tree(f"explain (generic_plan, verbose, format json) {query.sql}")
        return self._prepared(query)

    def _prepared(self, query: Query) -> PlanNode:
        """Plan a statement with parameters before 16: prepared, forced to be generic, with NULLs."""
        self._set("plan_cache_mode", "force_generic_plan")
        self._connection.execute(f"prepare pgwatch_wed_plan as {query.sql}".encode())
        try:
            count = max(map(int, re.findall(r"\$(\d+)", query.sql)), default=0)
            values = f"({', '.join(['null'] * count)})" if count else ""
            return self._tree(f"explain (verbose, format json) execute pgwatch_wed_plan{values}")
        finally:
            # in a failed transaction this would fail too; the statement then never was made
            if self._connection.info.transaction_status == psycopg.pq.TransactionStatus.INTRANS:
                self._connection.execute("deallocate pgwatch_wed_plan")

    def _tree(self, statement: str) -> PlanNode:
        row = self._connection.execute(statement.encode()).fetchone()
        assert row is not None
        found = row[0] if isinstance(row[0], list) else json.loads(row[0])
        tree: PlanNode = found[0]["Plan"]
        return tree

    def _missing_descents(self, tree: PlanNode, by_name: Mapping[str, Candidate]) -> float:
        """Return the cost of descending hypothetical B-trees, which HypoPG leaves out."""
        total = 0.0
        for node, loops in _with_loops(tree, 1.0):
            index = by_name.get(node.get("Index Name", ""))
            if index is not None and index.method == "btree":
                pages = self._sizes[index].height + 1
                total += loops * pages * _PAGE_MULTIPLIER * self._operator_cost
        return total

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Ask in one read-only transaction that leaves nothing, not even after an error."""
        connection = self._connection
        connection.execute("begin read only")
        try:
            connect.guard(connection, _GUARDS)
            self._reset()
            yield
        finally:
            connection.rollback()
            self._reset()

    def _reset(self) -> None:
        if hasattr(self, "_schema"):
            self._call("hypopg_reset")
            if self._hides:
                self._call("hypopg_unhide_all_indexes")

    def _call(self, function: str) -> None:
        name = sql.Identifier(function)
        self._connection.execute(sql.SQL("select {}.{}()").format(self._schema, name))

    def _set(self, name: str, value: str) -> None:
        self._connection.execute("select set_config(%s, %s, true)", [name, value])

    def _one(self, query: str) -> str:
        row = self._connection.execute(query.encode()).fetchone()
        assert row is not None
        return str(row[0])


def _with_loops(node: PlanNode, loops: float) -> Iterator[tuple[PlanNode, float]]:
    """Yield nodes with how often the plan runs them."""
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
