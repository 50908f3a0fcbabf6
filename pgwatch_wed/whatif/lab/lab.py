"""The lab: a target's schema and statistics in our own PostgreSQL server, without any data.

Files have the same sizes as on the target, and indexes the same tree heights, so that the planner
behaves as it would on the target. Candidates are built once and made visible to a session by setting
``indislive`` and ``indisvalid`` in a transaction that is rolled back: every session sees its own set,
and hiding an existing index simulates dropping it.

Planning runs code from the target: functions declared IMMUTABLE, domain constraints. So everything from
the target is loaded, read and planned by a role that may do nothing else; the superuser only changes
catalogs.
"""

import json
import time
from collections.abc import (
    Callable,
    Collection,
    Generator,
    Hashable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock, RLock
from types import TracebackType
from typing import Any

import psycopg
from psycopg import sql

from pgwatch_wed.embedded import server as embedded
from pgwatch_wed.errors import said
from pgwatch_wed.facts.features import Feature, Features
from pgwatch_wed.postgres import btree
from pgwatch_wed.quote import ident
from pgwatch_wed.sqltext import arbiters, older_forms, statement, unindexed_lists
from pgwatch_wed.sqltext.arbiters import Conflict
from pgwatch_wed.sqltext.older_forms import Inserted, Insertion
from pgwatch_wed.sqltext.plan_trees import PlanNode, used_names
from pgwatch_wed.sqltext.plannable import with_lists
from pgwatch_wed.sqltext.terms import Kind
from pgwatch_wed.sqltext.typed_parameters import Misfit, TypedStatement, typed
from pgwatch_wed.target import queries
from pgwatch_wed.whatif import catalog as catalogs
from pgwatch_wed.whatif import doubts, estimates, planner, spreads
from pgwatch_wed.whatif.catalog import Catalog, CatalogTable, ExistingIndex
from pgwatch_wed.whatif.lab import (
    collations,
    elements,
    expressions,
    extended,
    guest,
    newer_paths,
    ordered_arrays,
    pages,
    role_settings,
    security,
    skips,
    surroundings,
    twins,
)
from pgwatch_wed.whatif.lab.lab_sessions import LabSessions, PlanningSession
from pgwatch_wed.whatif.lab.ordered_arrays import OrderedArray
from pgwatch_wed.whatif.lab.skips import BTree, Skip
from pgwatch_wed.whatif.model import Candidate, Doubt, Plan, PlanError, Query, SlowPlanError
from pgwatch_wed.whatif.operator_classes import ValueType
from pgwatch_wed.whatif.oracle import DocumentPath, IndexShape
from pgwatch_wed.whatif.plan_memo import PlanMemo, PlanRequest

LAB_SETTINGS = {
    "autovacuum": "off",
    "shared_buffers": "32MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_connections": "50",
    "max_locks_per_transaction": "4096",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_preload_libraries": "",
    "max_worker_processes": "64",
    "event_triggers": "off",
    "allow_system_table_mods": "on",
    "allow_in_place_tablespaces": "on",
    "log_min_messages": "fatal",
    "log_min_error_statement": "panic",
}
DATABASE = "lab"
MOST_JOBS = 16
"""More plans at once are not requested: each needs entries of its own for every candidate."""
_MOST_PLANNING_MS = 60_000
_DESCENDING = 1  # a bit of pg_index.indoption
_SET_SIZES = (
    "update pg_class set relpages = x.blocks, reltuples = x.rows"
    " from unnest(%s::oid[], %s::int[], %s::float8[]) x (oid, blocks, rows) where pg_class.oid = x.oid"
)
_LIMIT = "select pg_catalog.set_config('statement_timeout', %s, true)"
_NO_ORDER = "set local enable_indexscan = off; set local enable_indexonlyscan = off"
_LACKING_TYPES = (
    psycopg.errors.AmbiguousFunction,
    psycopg.errors.AmbiguousParameter,
    psycopg.errors.IndeterminateDatatype,
    psycopg.errors.UndefinedFunction,
    psycopg.errors.DatatypeMismatch,
    psycopg.errors.CannotCoerce,
    psycopg.errors.FeatureNotSupported,
    psycopg.errors.InvalidColumnReference,
)


@dataclass(frozen=True, slots=True)
class _Built:
    """A candidate in the lab: its oid and those of its partitions for each slot, its tables, and its size."""

    oids: tuple[tuple[int, ...], ...]
    tables: tuple[int, ...]
    size_bytes: int


@dataclass(frozen=True, slots=True)
class _Part:
    """An index relation: of a table, a partitioned table, or a partition."""

    oid: int
    table_oid: int
    kind: str
    path: str | None


class Lab:
    """An oracle on a database without data. Use as a context manager; see :func:`build`."""

    engine = "lab"

    def __init__(
        self, server: embedded.EmbeddedServer, settings: Mapping[str, str], jobs: int = 1
    ) -> None:
        self._server = server
        self._owner = pages.Owner.named(embedded.service_user())
        self._settings = dict(settings)
        self._stack = ExitStack()
        self._stack.enter_context(server)
        self._built: dict[Candidate, _Built] = {}
        self._refused: dict[Candidate, str] = {}
        self._schemas: set[str] = set()
        self._matching: dict[tuple[int, str], float] = {}
        self._satisfying: dict[tuple[Hashable, ...], float | None] = {}
        self._index_by_name: dict[str, Candidate] = {}
        self._existing_by_name: dict[str, int] = {}
        self._oid_by_name: dict[str, int] = {}
        self._statistics: dict[expressions.Where, expressions.ExpressionStatistics] = {}
        self.jobs = max(1, min(jobs, MOST_JOBS))
        self._sessions = LabSessions(self.jobs, self._connect)
        self._counting, self._hiding = Lock(), RLock()
        self._planning: dict[str, Lock] = {}
        self._typed: dict[str, TypedStatement | None] = {}
        self._types: dict[tuple[int, str], ValueType | None] = {}
        self._usual: dict[tuple[int, str], Sequence[tuple[str, float]]] = {}
        self._memo = PlanMemo()
        self.notes: list[str] = []
        self.unproven: list[Doubt] = []
        self._general: list[str] = []
        self._security = security.Security()
        self._of_roles = role_settings.PlannerSettings()
        self._features: Features | None = None
        self.calls = 0
        self.is_c_collation = False
        self.text_search = settings.get("default_text_search_config", "english").removeprefix(
            "pg_catalog."
        )
        self.catalog = Catalog({}, {}, ())

    def __enter__(self) -> "Lab":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop the server and remove it completely."""
        self._sessions.forget()
        self._stack.close()

    # Imitating the target

    def create(self, collation: str) -> None:
        """Create the lab's database, with the collation ``C`` if the target has it.

        In any other collation LIKE 'x%' cannot use an ordinary B-tree, so it matters.
        """
        self.is_c_collation = collation in ("C", "POSIX")
        guest.create_database(self._server, DATABASE, "C" if self.is_c_collation else None)

    def add_extensions(self, extensions: Iterable[tuple[str, str]]) -> None:
        """Create the target's extensions, each in its schema, if they are available here."""
        wanted = list(extensions)
        with self._admin() as connection:
            self._schemas |= guest.add_extensions(connection, wanted)
            there = {name for (name,) in connection.execute("select extname from pg_extension")}
        missing = [name for name, _ in wanted if name not in there]
        self._general += surroundings.general(missing, self._settings)

    def add_collations(self, used: Sequence[collations.UsedCollation]) -> None:
        """Create what stands for collations that this server does not have."""
        with self._admin() as admin:
            self.unproven += collations.stand_in(admin, used)
            self._schemas |= {each.schema for each in used}

    def add_roles(self, target: security.Security) -> None:
        """Create the roles that row-level security binds or names, so that policies can be loaded."""
        self._security = target
        with self._admin() as admin:
            security.create_roles(admin, target)

    def secure(self) -> None:
        """Prepare the policies that were loaded, and give tables and views their owners."""
        with self._admin() as admin, self._guest() as loader:
            security.secure(admin, loader, self._security)

    def imitate(self, settings: role_settings.PlannerSettings, features: Features) -> None:
        """Plan with each role's settings, and doubt what the target's version does not have."""
        self._of_roles, self._features = settings, features

    def place(self, tablespaces: Iterable[surroundings.Tablespace]) -> None:
        """Put relations into tablespaces that cost what the target's do."""
        with self._admin() as admin:
            surroundings.place(admin, tablespaces)
            surroundings.forget_remote_servers(admin)

    def compare(self, parts: Collection[surroundings.Part]) -> None:
        """Note as doubts what the target has and the lab has not."""
        with self._guest() as reader:
            here = surroundings.inventory(reader)
        self.unproven += surroundings.lacking(parts, here)
        self.notes += surroundings.lost(parts, here)

    def load(self, file: Path) -> list[str]:
        """Load a dump; return what failed, one line each."""
        return guest.load(self._server, DATABASE, file, self._schemas)

    def carry(self, statistics: Iterable[extended.Stored]) -> None:
        """Fill the CREATE STATISTICS objects that were loaded; what is impossible becomes a doubt."""
        with self._admin() as admin, self._guest() as loader:
            self.unproven += extended.carry(admin, loader, statistics)

    def prepare(self, toasted: Collection[tuple[str, str]]) -> None:
        """Read what was loaded, and give every file the size recorded in the statistics.

        ``toasted`` are the target's tables with values out of line.
        """
        with self._admin() as connection:
            connection.execute(
                "update pg_class set relispopulated = true where relkind = 'm'"
                " and not relispopulated"
            )
            with self._guest() as reader:
                self.catalog = catalogs.with_toast(catalogs.read(reader), toasted)
            if not self._has(Features.has_tests_of_null_left_out):
                connection.execute(queries.composed("lab", "forget_not_null"))
            paths = _paths(connection)
            self._name_apart(connection)
            for slot in range(1, self._sessions.slots):
                twins.mark(connection, slot)
            # pages that the build left in shared buffers would hide what is written to the files
            connection.execute(guest.call("select {lab}.pg_buffercache_evict_all()"))
        self._existing_by_name = {f"pgwx_{oid}": oid for oid in self.catalog.indexes}
        for oid, path in paths.items():
            self._stretch(oid, self._server.data / path)

    def _name_apart(self, connection: psycopg.Connection[Any]) -> None:
        """Give indexes names that are unique across schemas: EXPLAIN does not show the schema."""
        connection.execute(
            "update pg_class set relname = 'pgwx_' || oid where oid = any(%s)",
            [list(self.catalog.indexes)],
        )

    def _stretch(self, oid: int, path: Path) -> None:
        table = self.catalog.tables.get(oid)
        if table is not None:
            pages.resize(path, table.pages, self._owner)
            return
        index = self.catalog.indexes.get(oid)
        if index is None:
            return
        if index.method == "btree":
            keys = estimates.widths(self.catalog, index)
            pages.resize(path, max(1, index.pages), self._owner)
            pages.write_btree(path, btree.height_of(index.pages, keys))
        elif index.pages > 1:
            pages.resize(path, index.pages, self._owner)

    # Candidates

    def add(self, indexes: Iterable[Candidate]) -> None:
        """Build the candidates that are new: empty, but with the size that they would have.

        Those that the server refuses are remembered: see :meth:`refusal`.
        """
        new = [i for i in dict.fromkeys(indexes) if i not in self._built and i not in self._refused]
        tables: dict[CatalogTable, list[Candidate]] = {}
        for index in new:
            table = self.catalog.by_name.get((index.schema, index.table))
            if table is None:
                self._refused[index] = f"table {index.schema}.{index.table} does not exist"
            else:
                tables.setdefault(table, []).append(index)
        if tables:
            self._build(tables)

    def refusal(self, index: Candidate) -> str | None:
        """Return why the server refuses an index, or None."""
        return self._refused.get(index)

    def size(self, index: Candidate) -> int:
        """Return the size that a candidate would have if it were really built."""
        return self._built[index].size_bytes

    def type_of(self, table: CatalogTable, text: str) -> ValueType | None:
        """Return the type of an expression over a table's columns, or None if the server refuses it."""
        if (table.oid, text) not in self._types:
            self._types[table.oid, text] = None
            name = sql.Identifier(table.schema, table.name)
            asked = queries.composed(
                "lab", "typed_expression", expression=sql.SQL(text), table=name
            )
            with self._guest() as reader, suppress(psycopg.Error), self._searching(reader):
                described = reader.execute(asked)
                oid = described.description[0].type_code if described.description else 0
                kind = reader.execute(queries.composed("lab", "value_type"), {"type": oid})
                self._types[table.oid, text] = kind.fetchone()
        return self._types[table.oid, text]

    def usual_values(self, table: CatalogTable, column: str) -> Sequence[tuple[str, float]]:
        """Return values of a column with their shares of the rows, or 0 where that is not known."""
        known = (table.oid, column)
        if known not in self._usual:
            wanted = {"schema": table.schema, "table": table.name, "column": column}
            with self._guest() as reader:
                row = reader.execute(queries.composed("lab", "usual_values"), wanted).fetchone()
            common, shares, bounds = (None, None, None) if row is None else row
            self._usual[known] = (
                *zip(common or (), shares or (), strict=False),
                *((b, 0.0) for b in bounds or ()),
            )
        return self._usual[known]

    def document_paths(self, table: CatalogTable, column: str) -> tuple[DocumentPath, ...]:
        """Return the paths to values that most documents in a column have, as far as statistics show them."""
        found = table.columns.get(column)
        if found is None or found.base_type != "jsonb":
            return ()
        wanted = {"schema": table.schema, "table": table.name, "column": column}
        with self._guest() as reader:
            rows = reader.execute(queries.composed("lab", "document_paths"), wanted).fetchall()
        return tuple(DocumentPath(tuple(names), kind or "", share) for names, kind, share in rows)

    def _build(self, tables: Mapping[CatalogTable, Sequence[Candidate]]) -> None:
        with self._sessions.none(), self._admin() as connection, self._guest() as builder:
            for leaf in (leaf for table in tables for leaf in self.catalog.leaves(table)):
                catalogs.read_values(builder, self.catalog, leaf)
            for table, indexes in tables.items():
                self._read_expressions(builder, table, indexes)
            with self._emptied(connection, tables):
                names = self._create_all(builder, tables)
            parts = self._set_apart(connection, names)
            # pages that the build left in shared buffers would hide what is written to the files
            connection.execute(
                guest.call(
                    "select {lab}.pg_buffercache_evict_relation(x::regclass) from unnest(%s::oid[]) x"
                ),
                [[part.oid for each in parts.values() for part in each if part.kind == "i"]],
            )
            sizes: dict[int, tuple[int, float]] = {}
            built = {i: self._filled(builder, i, each, sizes) for i, each in parts.items()}
            blocks, rows = zip(*sizes.values(), strict=True) if sizes else ((), ())
            connection.execute(_SET_SIZES, [list(sizes), list(blocks), list(rows)])
            for slot in range(1, self._sessions.slots):
                built = self._with_twins(connection, built, slot)
            self._built |= built

    def _read_expressions(
        self, connection: psycopg.Connection[Any], table: CatalogTable, indexes: Iterable[Candidate]
    ) -> None:
        with self._searching(connection):
            for leaf in self.catalog.leaves(table):
                for index in indexes:
                    expressions.read(connection, self.catalog, leaf, index, self._statistics)
                    elements.read(connection, self.catalog, leaf, index)

    @contextmanager
    def _emptied(
        self, connection: psycopg.Connection[Any], tables: Iterable[CatalogTable]
    ) -> Iterator[None]:
        """Make tables look empty: otherwise building an index would read all the zeros in their files."""
        leaves = {leaf.oid: leaf for table in tables for leaf in self.catalog.leaves(table)}
        files = {
            oid: self._server.data / path for oid, path in _paths(connection, list(leaves)).items()
        }
        for file in files.values():
            pages.empty(file)
        try:
            yield
        finally:
            for oid, file in files.items():
                pages.resize(file, leaves[oid].pages, self._owner)

    def _create_all(
        self,
        connection: psycopg.Connection[Any],
        tables: Mapping[CatalogTable, Sequence[Candidate]],
    ) -> dict[str, Candidate]:
        """Create indexes and return them by name; those that the server refuses are remembered."""
        found: dict[str, Candidate] = {}
        with self._searching(connection):
            for index in (index for indexes in tables.values() for index in indexes):
                name = f"pgwc_{len(self._built) + len(self._refused) + len(found)}"
                try:
                    connection.execute(index.ddl(name).encode())
                except psycopg.Error as error:
                    self._refused[index] = said(error)
                else:
                    found[name] = index
        return found

    def _set_apart(
        self, connection: psycopg.Connection[Any], names: Mapping[str, Candidate]
    ) -> dict[Candidate, list[_Part]]:
        """Hide what was created, give it and its partitions unique names, and return everything."""
        found: dict[Candidate, list[_Part]] = {}
        renamed: dict[int, str] = {}
        for name, part in _parts(connection, names):
            parts = found.setdefault(names[name], [])
            renamed[part.oid] = f"{name}_{len(parts)}"
            self._index_by_name[renamed[part.oid]] = names[name]
            self._oid_by_name[renamed[part.oid]] = part.oid
            parts.append(part)
        connection.execute(
            "update pg_class set relname = x.name"
            " from unnest(%s::oid[], %s::text[]) x(oid, name) where pg_class.oid = x.oid",
            [list(renamed), list(renamed.values())],
        )
        connection.execute(
            "update pg_index set indislive = false, indisvalid = false where indexrelid = any(%s)",
            [list(renamed)],
        )
        return found

    def _filled(
        self,
        builder: psycopg.Connection[Any],
        index: Candidate,
        parts: Sequence[_Part],
        sizes: dict[int, tuple[int, float]],
    ) -> _Built:
        """Fill the files of a candidate, and note their blocks and rows by oid."""
        files = [part for part in parts if part.kind == "i"]
        total = sum(self._fill(builder, index, part, sizes) for part in files)
        tables = tuple({part.table_oid for part in parts})
        return _Built((tuple(part.oid for part in parts),), tables, total)

    def _with_twins(
        self, connection: psycopg.Connection[Any], built: Mapping[Candidate, _Built], slot: int
    ) -> dict[Candidate, _Built]:
        """Return candidates with what shows them in a further slot."""
        names = {oid: f"pgwt_{slot}_{oid}" for each in built.values() for oid in each.oids[0]}
        oids = twins.make(connection, names)
        self._oid_by_name |= {name: oids[oid] for oid, name in names.items()}
        self._index_by_name |= {names[o]: i for i, each in built.items() for o in each.oids[0]}
        return {
            i: replace(b, oids=(*b.oids, tuple(oids[oid] for oid in b.oids[0])))
            for i, b in built.items()
        }

    def _fill(
        self,
        builder: psycopg.Connection[Any],
        index: Candidate,
        part: _Part,
        sizes: dict[int, tuple[int, float]],
    ) -> int:
        table = self.catalog.tables[part.table_oid]
        rows = self._matching_rows(builder, table, index)
        size = estimates.size(self.catalog, table, index, rows)
        file = self._server.data / str(part.path)
        pages.resize(file, max(size.blocks, file.stat().st_size // pages.BLOCK), self._owner)
        if index.method == "btree":
            pages.write_btree(file, size.height)
        elif index.method == "brin":
            pages.write_brin(file, table.pages // estimates.BRIN_RANGE)
        elif index.method == "gin":
            pages.write_gin(file, estimates.gin(self.catalog, table, index, rows))
        sizes[part.oid] = (size.blocks, rows)
        expressions.restore(builder, self._statistics, table, index, part.oid)
        return size.bytes

    def _matching_rows(
        self, connection: psycopg.Connection[Any], table: CatalogTable, index: Candidate
    ) -> float:
        """Return how many rows of a table are in a partial index, as estimated by the planner."""
        if not index.predicate or table.rows < 1:
            return table.rows
        known = (table.oid, index.predicate)
        if known not in self._matching:
            name = sql.Identifier(table.schema, table.name)
            relation = f"select from {name.as_string()} where {index.predicate}"
            with self._searching(connection):
                self._matching[known] = _estimated_rows(connection, relation)
        return max(1.0, min(self._matching[known], table.rows))

    # Planning

    def plan(
        self,
        query: Query,
        indexes: Iterable[Candidate] = (),
        hidden: Iterable[int] = (),
        *,
        bare: bool = False,
        seconds: float | None = None,
    ) -> Plan:
        """Return the plan of a query with candidates visible and existing indexes hidden.

        ``bare`` hides every existing index. Raises :class:`PlanError`.
        """
        indexes, hidden = tuple(indexes), tuple(hidden)
        request = PlanRequest.of(query, indexes, hidden, bare=bare)
        found = self._memo.get(request)
        if found is None:
            gone = hidden if not bare else self._all_but_arbiters(query)
            with self._planning.setdefault(query.sql, Lock()):
                found = self._requested(query, indexes, gone, seconds)
            self._memo.put(request, found)
        return found

    def forget_plans(self) -> None:
        """Forget plans that were computed, so that they are computed again."""
        self._memo = PlanMemo()

    def is_bound(self, query: Query, tree: PlanNode) -> bool:
        """Tell whether row-level security binds a query's role, so that other roles get other plans."""
        return self._security.is_bound(query, tree)

    def doubts(self, query: Query, tree: PlanNode) -> tuple[str, ...]:
        """Return why the target may plan a query otherwise than this plan of it."""
        found = [*self._general, *surroundings.of_text(query.sql)]
        found += doubts.about(tree, self.catalog, self.unproven)
        found += self._security.doubts(query, tree)
        if self._features is not None:
            found += newer_paths.doubts(self._features, query.sql, tree)
        found += self._guessed(query)
        found += (
            f"{name} is set for the role that asks, and its value for {query.user or 'others'} is not visible"
            for name in self._of_roles.unknown(query.user)
        )
        return tuple(found)

    def rows_in_order(self, node: PlanNode) -> float | None:
        """Return how many rows an index scan reads to its end, including those that it excludes; None if that is not known."""
        return self._rows_of_scan(node, skips.bounds)

    def rows_meeting(self, node: PlanNode, kinds: Collection[Kind] | None = None) -> float | None:
        """Return how many rows meet the conditions of an index scan, or those of some kinds, wherever they are in it; None if that is not known."""
        return self._rows_of_scan(node, lambda each, _: skips.met(each, kinds))

    def _rows_of_scan(
        self, node: PlanNode, conditions: Callable[[PlanNode, BTree], list[str]]
    ) -> float | None:
        tree, name = self._btree(node["Index Name"]), node["Index Name"]
        table = self.catalog.table_of(node)
        if tree is None or table is None:
            return None
        candidate = self._index_by_name.get(name)
        existing = self.catalog.indexes.get(tree.oid)
        predicate = (
            candidate.predicate if candidate is not None else existing and existing.predicate
        )
        where = [*conditions(node, tree), *([predicate] if predicate else [])]
        if not where:
            return table.rows
        return self._rows(table, " and ".join(f"({text})" for text in where), candidate)

    def index_shape(self, name: str) -> IndexShape | None:
        """Return how large the index is that a plan calls so; None if that is not known."""
        can_skip = self._has(Features.has_skip_scan)
        existing = self.catalog.indexes.get(self._existing_by_name.get(name, 0))
        if existing is not None:
            return IndexShape(
                existing.pages,
                existing.rows,
                existing.method,
                tuple(map(spreads.bare, existing.keys)),
                existing.predicate or "",
                existing.keys,
                frozenset(n for n, option in enumerate(existing.options) if option & _DESCENDING),
                can_skip,
            )
        candidate = self._index_by_name.get(name)
        if candidate is None:
            return None
        leaves = list(self.catalog.leaves(self.catalog.by_name[candidate.schema, candidate.table]))
        rows = (self._matching.get((t.oid, candidate.predicate), t.rows) for t in leaves)
        common = (estimates.common_pages(self.catalog, t, candidate) for t in leaves)
        return IndexShape(
            self._built[candidate].size_bytes / pages.BLOCK,
            sum(max(0.0, each) for each in rows),
            candidate.method,
            tuple(key.column for key in candidate.keys),
            candidate.predicate,
            tuple(k.text for k in candidate.keys),
            frozenset(n for n, k in enumerate(candidate.keys) if k.order.startswith("DESC")),
            can_skip,
            max(common, default=0.0),
        )

    def _rows(
        self, table: CatalogTable, condition: str, index: Candidate | None = None
    ) -> float | None:
        """Return how many rows of a table satisfy a condition, as estimated by the planner.

        What it knows of an expression, it knows of an index on it.
        """
        has_expression = index is not None and any(k.column is None for k in index.keys)
        shown = [index] if index is not None and has_expression else []
        known = (table.oid, condition, *shown)
        if known not in self._satisfying:
            name = sql.Identifier(table.schema, table.name).as_string()
            text = f"select from {name} where {condition}"
            with self._asking() as session:
                try:
                    self._show(session, [self._built[i] for i in shown], [], None)
                    found = _estimated_rows(session.connection, text, "generic_plan, ")
                    self._satisfying[known] = found
                except psycopg.Error:
                    self._satisfying[known] = None
                finally:
                    session.connection.rollback()
        return self._satisfying[known]

    def _guessed(self, query: Query) -> Iterator[str]:
        given = self._typed.get(query.sql)
        if given is not None and given.guessed:
            types = sorted({f"${n} is {kind}" for n, kind in given.guessed.items()})
            yield f"it is assumed that {', '.join(types)}, since nothing in the statement tells"

    def bare(
        self, queries: Sequence[Query], seconds: float | None = None
    ) -> Generator[tuple[Query, Plan], None, None]:
        """Yield queries with their plans without any indexes, all in one transaction.

        Hiding hundreds of indexes takes longer than planning, so it is done only once, except for ON CONFLICT.
        """
        upserts = [q for q in queries if self._arbiters(q)]
        with self._asking() as session, self._hiding_alone(self.catalog.indexes):
            connection = session.connection
            try:
                self._show(session, [], list(self.catalog.indexes), seconds)
                for query in queries:
                    if query in upserts:
                        continue
                    with suppress(PlanError):
                        with connection.transaction():
                            plan = self._explain(connection, query)
                        self._memo.put(PlanRequest.of(query, (), (), bare=True), plan)
                        yield query, plan
            finally:
                connection.rollback()
        for query in upserts:
            with suppress(PlanError):
                yield query, self.plan(query, bare=True, seconds=seconds)

    def _arbiters(self, query: Query) -> set[int]:
        """Return the existing indexes without which ON CONFLICT is an error."""
        return {
            index.oid
            for conflict in arbiters.conflicts(query.sql)
            for index in self.catalog.indexes.values()
            if (index.is_unique or index.is_constraint) and self._is_of(index, conflict)
        }

    def _is_of(self, index: ExistingIndex, conflict: Conflict) -> bool:
        """Tell whether an index is on the table of an ON CONFLICT, or on a partition of it."""
        table = self.catalog.tables.get(index.table_oid)
        while table is not None:
            if table.name == conflict.table.name and conflict.table.schema in (None, table.schema):
                return True
            table = self.catalog.tables.get(table.parent) if table.parent is not None else None
        return False

    def _predicate(self, conflict: Conflict) -> str | None:
        """Return the predicate of the partial unique index that an ON CONFLICT selects."""
        return next(
            (
                index.predicate
                for index in self.catalog.indexes.values()
                if index.is_unique
                and index.predicate
                and set(index.keys) == {ident(c) for c in conflict.columns}
                and self._is_of(index, conflict)
            ),
            None,
        )

    def _all_but_arbiters(self, query: Query) -> list[int]:
        kept = self._arbiters(query)
        return [oid for oid in self.catalog.indexes if oid not in kept]

    def _requested(
        self,
        query: Query,
        indexes: Sequence[Candidate],
        hidden: Sequence[int],
        seconds: float | None,
    ) -> Plan:
        with self._asking(query.user) as session, self._hiding_alone(hidden):
            try:
                self._show(session, [self._built[i] for i in indexes], hidden, seconds)
                return self._explain(session.connection, query)
            except PlanError as error:
                session.connection.rollback()
                if not error.lacks_types or not self._find_types(
                    session.connection, query, seconds
                ):
                    raise
            finally:
                session.connection.rollback()
        return self._requested(query, indexes, hidden, seconds)

    def _find_types(
        self, connection: psycopg.Connection[Any], query: Query, seconds: float | None
    ) -> bool:
        """Find types for parameters that have none, once for each statement; tell whether there are new ones.

        Raises :class:`SlowPlanError` if that takes longer than ``seconds``.
        """
        if query.sql in self._typed:
            return False
        self._typed[query.sql] = None
        columns = self.catalog.types_in(statement.parse(query.sql).relations)
        end = time.monotonic() + (_MOST_PLANNING_MS / 1000 if seconds is None else seconds)

        def ask(text: str) -> Misfit | None:
            left = end - time.monotonic()
            if left <= 0:
                raise SlowPlanError("finding types for its parameters takes too long")
            self._typed[query.sql] = TypedStatement(text, {})
            # each rollback undoes the limit
            connection.execute(_LIMIT, [_limit(left)])
            try:
                self._explain(connection, query)
            except SlowPlanError:
                raise
            except PlanError as error:
                connection.rollback()
                return Misfit(str(error), error.position)
            return None

        text = arbiters.with_predicates(with_lists(query.sql), self._predicate)
        try:
            self._typed[query.sql] = typed(text, columns.get, ask)
        except SlowPlanError:
            del self._typed[query.sql]  # with more time, there may be some
            raise
        return self._typed[query.sql] is not None

    def _hiding_alone(self, hidden: Collection[int]) -> AbstractContextManager[object]:
        """Let no other session hide existing indexes meanwhile, if that may be needed a second time, for skipped keys.

        Whoever holds the entry of one would wait for the lock, and who has the lock for the entry, which no server sees.
        """
        needs_lock = hidden and not self._has(Features.has_skip_scan)
        return self._hiding if needs_lock else nullcontext()

    def _show(
        self,
        session: PlanningSession,
        shown: Sequence[_Built],
        hidden: Sequence[int],
        seconds: float | None,
    ) -> None:
        """Show and hide indexes in a transaction, in which nothing afterwards may take longer than ``seconds``.

        That is one request: on a busy machine, each waits for a processor twice.
        """
        limit = _limit(seconds)
        tables = {t for b in shown for t in b.tables}
        tables |= {self.catalog.indexes[oid].table_oid for oid in hidden}
        if not tables:
            session.connection.execute(_LIMIT, [limit])
            return
        oids = [oid for b in shown for oid in b.oids[session.slot]]
        session.connection.execute(
            guest.call(f"{_LIMIT}, {{lab}}.show(%s::oid[], %s::oid[], %s::oid[])"),
            [limit, oids, self._with_parts(hidden), sorted(tables)],
        )

    def _with_parts(self, oids: Sequence[int]) -> list[int]:
        wanted, found = set(oids), list(oids)
        for index in self.catalog.indexes.values():
            above = index.parent
            while above is not None and above not in wanted:
                above = (
                    self.catalog.indexes[above].parent if above in self.catalog.indexes else None
                )
            if above is not None and index.oid not in wanted:
                found.append(index.oid)
        return found

    def _explain(self, connection: psycopg.Connection[Any], query: Query) -> Plan:
        tree = self._planned(connection, query)
        if not self._has(Features.has_array_scans):
            tree = self._without_ordered_arrays(connection, query, tree)
        return self._plan_of(tree)

    def _planned(
        self, connection: psycopg.Connection[Any], query: Query, tested: Collection[str] = ()
    ) -> PlanNode:
        """Return a plan as of the target's version, in which lists that the columns ``tested`` are compared with are for no index."""
        tree = self._tree(connection, query, tested)
        if self._has(Features.has_skip_scan):
            return tree
        return self._without_skips(connection, query, tree, tested)

    def _without_ordered_arrays(
        self, connection: psycopg.Connection[Any], query: Query, tree: PlanNode
    ) -> PlanNode:
        """Return the plan that uses no order of an index beside an array, as a server before 17 would choose it.

        It tests the array in each row, or reads the index in no order, or another one.
        """

        def new(tree: PlanNode) -> list[OrderedArray]:
            return list(ordered_arrays.found(query.sql, tree, self.catalog, self._btree))

        arrays = new(tree)
        if not arrays:
            return tree
        tested = frozenset[str]().union(*(each.columns for each in arrays))
        possible = [self._planned(connection, query, tested)]
        with connection.transaction(force_rollback=True):
            connection.execute(_NO_ORDER)
            possible.append(self._planned(connection, query))
        with connection.transaction(force_rollback=True):
            # each session has entries of its own for candidates; for others, it would wait
            while arrays and not any(each.index in self.catalog.indexes for each in arrays):
                for each in arrays:
                    self._hide(connection, each.index, each.table)
                tree = self._planned(connection, query)
                arrays = new(tree)
            possible.append(tree)
        known = [t for t in possible if not new(t)] or possible[:1]
        return min(known, key=lambda t: float(t["Total Cost"]))

    def _without_skips(
        self,
        connection: psycopg.Connection[Any],
        query: Query,
        tree: PlanNode,
        tested: Collection[str],
    ) -> PlanNode:
        """Return the plan that rests on no skipped keys, as a server before 18 would choose it.

        Where that is known, the planner is not told of the values of the skipped columns, so that it assumes that the whole index
        is read. Where it needs them for something else, the index is hidden, as it is before 17 where each value of an
        array would read the whole index.
        """
        new = set(skips.found(tree, self.catalog, self._btree))
        if not new:
            return tree
        done: set[Skip] = set()
        # what two sessions change here is the same: they would wait for each other, and may do so for ever
        with self._hiding, connection.transaction(force_rollback=True):
            while new - done:
                for skip in sorted(new - done):
                    self._prevent(connection, query, skip, tree)
                done |= new
                tree = self._tree(connection, query, tested)
                new = set(skips.found(tree, self.catalog, self._btree))
        return tree

    def _prevent(
        self, connection: psycopg.Connection[Any], query: Query, skip: Skip, tree: PlanNode
    ) -> None:
        has_array_scans = self._has(Features.has_array_scans) and skips.has_arrays(query.sql)
        is_charged = has_array_scans or not skip.has_array
        if is_charged and skips.is_free(tree, skip.columns, self.catalog):
            relations, attributes = zip(*skip.attributes, strict=True)
            call = guest.call("select {lab}.forget(%s::oid[], %s::int[])")
            connection.execute(call, [list(relations), list(attributes)])
        else:
            self._hide(connection, skip.index, skip.table)

    @staticmethod
    def _hide(connection: psycopg.Connection[Any], index: int, table: int) -> None:
        call = guest.call("select {lab}.show('{{}}', %s::oid[], %s::oid[])")
        connection.execute(call, [[index], [table]])

    def _has(self, feature: Callable[[Features], Feature]) -> bool:
        """Tell whether the target's version has a feature."""
        return self._features is None or bool(feature(self._features))

    def _btree(self, name: str) -> BTree | None:
        """Return the B-tree that has a name in the lab."""
        existing = self.catalog.indexes.get(self._existing_by_name.get(name, 0))
        if existing is not None:
            tree = BTree(existing.oid, existing.keys, existing.pages)
            return tree if existing.method == "btree" else None
        candidate = self._index_by_name.get(name)
        if candidate is None or candidate.method != "btree":
            return None
        blocks = self._built[candidate].size_bytes / pages.BLOCK
        return BTree(self._oid_by_name[name], tuple(k.text for k in candidate.keys), blocks)

    def _tree(
        self, connection: psycopg.Connection[Any], query: Query, tested: Collection[str] = ()
    ) -> PlanNode:
        generic = "generic_plan, " if query.has_parameters else ""
        given = self._typed.get(query.sql)
        text = with_lists(query.sql) if given is None else given.text
        if tested:
            text = unindexed_lists.unindexed_lists(text, tested)
        written = Inserted.into(text, self._older_forms(text))
        before = f"explain ({generic}verbose, format json) "
        with self._counting:
            self.calls += 1
        try:
            with self._as_its_role(connection, query):
                row = connection.execute(f"{before}{written.text}".encode()).fetchone()
        except psycopg.errors.QueryCanceled as error:
            raise SlowPlanError(said(error)) from None
        except psycopg.Error as error:
            lacks_types = query.has_parameters and isinstance(error, _LACKING_TYPES)
            place = error.diag.statement_position
            raise PlanError(
                said(error),
                type(error).__name__,
                lacks_types=lacks_types,
                position=None if place is None else written.place(int(place) - 1 - len(before)),
            ) from None
        assert row is not None
        tree: PlanNode = (row[0] if isinstance(row[0], list) else json.loads(row[0]))[0]["Plan"]
        self._security.withhold(query, tree)
        is_changed = tested or written.insertions
        return unindexed_lists.as_written(tree, query.sql) if is_changed else tree

    def _older_forms(self, text: str) -> Iterator[Insertion]:
        """Yield what makes this planner plan a text as the target's version does."""
        if not self._has(Features.has_joins_of_correlated_lists):
            yield from older_forms.of_each_row(text)
        if not self._has(Features.has_arrays_of_values):
            yield from older_forms.of_values(text)

    def _plan_of(self, tree: PlanNode) -> Plan:
        names = used_names(tree)
        return Plan(
            float(tree["Total Cost"]),
            frozenset(self._index_by_name[n] for n in names if n in self._index_by_name),
            frozenset(self._existing_by_name[n] for n in names if n in self._existing_by_name),
            tree,
        )

    @contextmanager
    def _as_its_role(self, connection: psycopg.Connection[Any], query: Query) -> Iterator[None]:
        """Plan as the query's role where policies depend on it; after an error, the transaction ends anyway."""
        role = self._security.role_of(query)
        if role is None:
            yield
            return
        connection.execute(sql.SQL("set local role {}").format(sql.Identifier(role)))
        yield
        connection.execute("set local role none")

    # Connections

    def _admin(self) -> AbstractContextManager[psycopg.Connection[Any]]:
        """Connect as the superuser, who runs no code from the target."""
        return psycopg.connect(
            self._server.dsn(DATABASE), autocommit=True, options="-c search_path=pg_catalog"
        )

    def _guest(self) -> AbstractContextManager[psycopg.Connection[Any]]:
        """Connect as the owner of what comes from the target; see :meth:`_searching` for its names."""
        return psycopg.connect(
            self._server.dsn(DATABASE, guest.ROLE),
            autocommit=True,
            options="-c search_path=pg_catalog",
        )

    @contextmanager
    def _searching(self, connection: psycopg.Connection[Any]) -> Iterator[None]:
        """Look up names in the target's texts as the target does."""
        query = "select pg_catalog.set_config('search_path', %s, false)"
        connection.execute(query, [self._settings.get("search_path", "public")])
        try:
            yield
        finally:
            connection.execute(query, ["pg_catalog"])

    def _asking(self, user: str | None = None) -> AbstractContextManager[PlanningSession]:
        """Return a session with the settings of a role."""
        return self._sessions.one(self._of_roles.of(user))

    def _connect(self, slot: int, own: Mapping[str, str]) -> psycopg.Connection[Any]:
        session = psycopg.connect(
            self._server.dsn(DATABASE, guest.ROLE),
            prepare_threshold=None,
            options=f"-c pgwatch_wed.slot={slot}",
        )
        try:
            planner.apply(session, {**self._settings, **own})
            planner.without_newer_paths(session, self._settings)
            session.commit()
        except psycopg.Error:
            session.close()
            raise
        return session


def _limit(seconds: float | None) -> str:
    """Return a ``statement_timeout`` in milliseconds."""
    most = _MOST_PLANNING_MS if seconds is None else int(seconds * 1000)
    return str(max(1, min(most, _MOST_PLANNING_MS)))


def _paths(
    connection: psycopg.Connection[Any], oids: Sequence[int] | None = None
) -> dict[int, str]:
    rows = connection.execute(queries.composed("lab", "paths"), {"oids": oids})
    return {oid: path for oid, path in rows if path is not None}


def _parts(
    connection: psycopg.Connection[Any], names: Mapping[str, Candidate]
) -> Iterator[tuple[str, _Part]]:
    """Yield indexes by name, each one on a partitioned table followed by those on the partitions."""
    wanted = {"names": list(names), "schemas": [index.schema for index in names.values()]}
    rows = connection.execute(queries.composed("lab", "index_parts"), wanted)
    for name, *part in rows:
        yield name, _Part(*part)


def _estimated_rows(connection: psycopg.Connection[Any], query: str, options: str = "") -> float:
    row = connection.execute(f"explain ({options}format json) {query}".encode()).fetchone()
    assert row is not None
    return float(row[0][0]["Plan"]["Plan Rows"])
