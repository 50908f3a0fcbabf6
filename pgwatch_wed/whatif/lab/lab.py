"""The lab: a target's schema and statistics in our own PostgreSQL server, without any data.

Files have the same sizes as on the target, and indexes the same tree heights, so that the planner
behaves as it would on the target. Candidates are built once and made visible to a session by setting
``indislive`` and ``indisvalid`` in a transaction that is rolled back: every session sees its own set,
and hiding an existing index simulates dropping it.

Planning runs code from the target: functions declared IMMUTABLE, domain constraints. So everything from
the target is loaded, read and planned by a role that may do nothing else; the superuser only changes
catalogs.
"""

from collections.abc import Collection, Generator, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any

import psycopg

from pgwatch_wed.embedded import server as embedded
from pgwatch_wed.facts.features import Features
from pgwatch_wed.postgres import btree
from pgwatch_wed.sqltext.plan_trees import PlanNode
from pgwatch_wed.sqltext.terms import Kind
from pgwatch_wed.target import queries
from pgwatch_wed.whatif import catalog as catalogs
from pgwatch_wed.whatif import doubts, estimates
from pgwatch_wed.whatif.catalog import Catalog, CatalogTable, ComputedShare
from pgwatch_wed.whatif.lab import (
    arbiter_indexes,
    candidate_builds,
    collations,
    extended,
    guest,
    newer_paths,
    pages,
    role_settings,
    security,
    surroundings,
    twins,
)
from pgwatch_wed.whatif.lab.candidate_builds import CandidateBuilds
from pgwatch_wed.whatif.lab.imitated import Imitated
from pgwatch_wed.whatif.lab.lab_connections import DATABASE, LabConnections
from pgwatch_wed.whatif.lab.lab_indexes import LabIndexes
from pgwatch_wed.whatif.lab.lab_values import LabValues
from pgwatch_wed.whatif.lab.satisfying_rows import SatisfyingRows
from pgwatch_wed.whatif.lab.shown_indexes import ShownIndexes
from pgwatch_wed.whatif.lab.typed_texts import TypedTexts
from pgwatch_wed.whatif.lab.version_planner import VersionPlanner
from pgwatch_wed.whatif.model import Candidate, Doubt, Plan, PlanError, Query
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
_MOST_JOBS = 16  # each needs entries of its own for every candidate


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
        self.jobs = max(1, min(jobs, _MOST_JOBS))
        self._connections = LabConnections(server, self._settings, self.jobs)
        self._indexes, self._imitated = LabIndexes(), Imitated()
        self._shown = ShownIndexes(self._indexes)
        self._builds = CandidateBuilds(self._connections, self._indexes, server.data, self._owner)
        self._texts = TypedTexts(lambda: self.catalog)
        self._planner = VersionPlanner(self._indexes, self._shown, self._texts, self._imitated)
        self._rows = SatisfyingRows(self._connections, self._indexes, self._shown)
        self._values = LabValues(self._connections)
        self._schemas: set[str] = set()
        self._planning: dict[str, Lock] = {}
        self._memo = PlanMemo()
        self.notes: list[str] = []
        self.unproven: list[Doubt] = []
        self._general: list[str] = []
        self.is_c_collation = False
        self.text_search = settings.get("default_text_search_config", "english").removeprefix(
            "pg_catalog."
        )

    @property
    def catalog(self) -> Catalog:
        """What was loaded, as the target has it; empty before :meth:`prepare`."""
        return self._indexes.catalog

    @property
    def calls(self) -> int:
        """How often a plan was computed."""
        return self._planner.calls

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
        self._connections.sessions.forget()
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
        with self._connections.admin() as connection:
            self._schemas |= guest.add_extensions(connection, wanted)
            there = {name for (name,) in connection.execute("select extname from pg_extension")}
        missing = [name for name, _ in wanted if name not in there]
        self._general += surroundings.general(missing, self._settings)

    def add_collations(self, used: Sequence[collations.UsedCollation]) -> None:
        """Create what stands for collations that this server does not have."""
        with self._connections.admin() as admin:
            self.unproven += collations.stand_in(admin, used)
            self._schemas |= {each.schema for each in used}

    def add_roles(self, target: security.Security) -> None:
        """Create the roles that row-level security binds or names, so that policies can be loaded."""
        self._imitated.security = target
        with self._connections.admin() as admin:
            security.create_roles(admin, target)

    def secure(self) -> None:
        """Prepare the policies that were loaded, and give tables and views their owners."""
        with self._connections.admin() as admin, self._connections.guest() as loader:
            security.secure(admin, loader, self._imitated.security)

    def imitate(self, settings: role_settings.PlannerSettings, features: Features) -> None:
        """Plan with each role's settings, and doubt what the target's version does not have."""
        self._connections.of_roles, self._imitated.features = settings, features

    def place(self, tablespaces: Iterable[surroundings.Tablespace]) -> None:
        """Put relations into tablespaces that cost what the target's do."""
        with self._connections.admin() as admin:
            surroundings.place(admin, tablespaces)
            surroundings.forget_remote_servers(admin)

    def compare(self, parts: Collection[surroundings.Part]) -> None:
        """Note as doubts what the target has and the lab has not."""
        with self._connections.guest() as reader:
            here = surroundings.inventory(reader)
        self.unproven += surroundings.lacking(parts, here)
        self.notes += surroundings.lost(parts, here)

    def load(self, file: Path) -> list[str]:
        """Load a dump; return what failed, one line each."""
        return guest.load(self._server, DATABASE, file, self._schemas)

    def carry(self, statistics: Iterable[extended.Stored]) -> None:
        """Fill the CREATE STATISTICS objects that were loaded; what is impossible becomes a doubt."""
        with self._connections.admin() as admin, self._connections.guest() as loader:
            self.unproven += extended.carry(admin, loader, statistics)

    def prepare(self, toasted: Collection[tuple[str, str]]) -> None:
        """Read what was loaded, and give every file the size recorded in the statistics.

        ``toasted`` are the target's tables with values out of line.
        """
        with self._connections.admin() as connection:
            connection.execute(
                "update pg_class set relispopulated = true where relkind = 'm'"
                " and not relispopulated"
            )
            with self._connections.guest() as reader:
                catalog = catalogs.with_toast(catalogs.read(reader), toasted)
            self._indexes.read(catalog, {f"pgwx_{oid}": oid for oid in catalog.indexes})
            if not self._imitated.has(Features.has_tests_of_null_left_out):
                connection.execute(queries.composed("lab", "forget_not_null"))
            paths = candidate_builds.paths(connection)
            self._name_apart(connection)
            for slot in range(1, self._connections.sessions.slots):
                twins.mark(connection, slot)
            # pages that the build left in shared buffers would hide what is written to the files
            connection.execute(guest.call("select {lab}.pg_buffercache_evict_all()"))
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
        known = {**self._indexes.built, **self._indexes.refused}
        new = [index for index in dict.fromkeys(indexes) if index not in known]
        tables: dict[CatalogTable, list[Candidate]] = {}
        for index in new:
            table = self.catalog.by_name.get((index.schema, index.table))
            if table is None:
                self._indexes.refused[index] = f"table {index.schema}.{index.table} does not exist"
            else:
                tables.setdefault(table, []).append(index)
        if tables:
            self._builds.build(tables)

    def refusal(self, index: Candidate) -> str | None:
        """Return why the server refuses an index, or None."""
        return self._indexes.refused.get(index)

    def size(self, index: Candidate) -> int:
        """Return the size that a candidate would have if it were really built."""
        return self._indexes.built[index].size_bytes

    def type_of(self, table: CatalogTable, text: str) -> ValueType | None:
        """Return the type of an expression over a table's columns, or None if the server refuses it."""
        return self._values.type_of(table, text)

    def usual_values(self, table: CatalogTable, column: str) -> Sequence[tuple[str, float]]:
        """Return values of a column with their shares of the rows, or 0 where that is not known."""
        return self._values.usual(table, column)

    def share_meeting(
        self, table: CatalogTable, column: str, condition: str
    ) -> ComputedShare | None:
        """Return the share of rows that meet a condition on a column, if its common values are nearly all; None if not known."""
        return self._values.share_meeting(table, column, condition)

    def document_paths(self, table: CatalogTable, column: str) -> tuple[DocumentPath, ...]:
        """Return the paths to values that most documents in a column have, as far as statistics show them."""
        return self._values.document_paths(table, column)

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
            gone = hidden if not bare else arbiter_indexes.all_others(self.catalog, query)
            with self._planning.setdefault(query.sql, Lock()):
                found = self._requested(query, indexes, gone, seconds)
            self._memo.put(request, found)
        return found

    def forget_plans(self) -> None:
        """Forget plans that were computed, so that they are computed again."""
        self._memo = PlanMemo()

    def is_bound(self, query: Query, tree: PlanNode) -> bool:
        """Tell whether row-level security binds a query's role, so that other roles get other plans."""
        return self._imitated.security.is_bound(query, tree)

    def doubts(self, query: Query, tree: PlanNode) -> tuple[str, ...]:
        """Return why the target may plan a query otherwise than this plan of it."""
        found = [*self._general, *surroundings.of_text(query.sql)]
        found += doubts.about(tree, self.catalog, self.unproven)
        found += self._imitated.security.doubts(query, tree)
        if self._imitated.features is not None:
            found += newer_paths.doubts(self._imitated.features, query.sql, tree)
        guessed = self._texts.guessed(query)
        found += [guessed] if guessed else []
        found += (
            f"{name} is set for the role that asks, and its value for {query.user or 'others'} is not visible"
            for name in self._connections.of_roles.unknown(query.user)
        )
        return tuple(found)

    def rows_in_order(self, node: PlanNode) -> float | None:
        """Return how many rows an index scan reads to its end, including those that it excludes; None if that is not known."""
        return self._rows.in_order(node)

    def rows_meeting(self, node: PlanNode, kinds: Collection[Kind] | None = None) -> float | None:
        """Return how many rows meet the conditions of an index scan, or those of some kinds, wherever they are in it; None if that is not known."""
        return self._rows.meeting(node, kinds)

    def index_shape(self, name: str) -> IndexShape | None:
        """Return how large the index is that a plan calls so; None if that is not known."""
        found = self._indexes.shape(name)
        return found and replace(
            found,
            skips=self._imitated.has(Features.has_skip_scan),
            steps=self._imitated.has(Features.has_array_scans),
        )

    def bare(
        self, queries: Sequence[Query], seconds: float | None = None
    ) -> Generator[tuple[Query, Plan], None, None]:
        """Yield queries with their plans without any indexes, all in one transaction.

        Hiding hundreds of indexes takes longer than planning, so it is done only once, except for ON CONFLICT.
        """
        upserts = [q for q in queries if arbiter_indexes.needed(self.catalog, q)]
        with self._connections.planning() as session, self._hiding(self.catalog.indexes):
            connection = session.connection
            try:
                self._shown.show(session, [], list(self.catalog.indexes), seconds)
                for query in queries:
                    if query in upserts:
                        continue
                    with suppress(PlanError):
                        with connection.transaction():
                            plan = self._planner.explain(connection, query)
                        self._memo.put(PlanRequest.of(query, (), (), bare=True), plan)
                        yield query, plan
            finally:
                connection.rollback()
        for query in upserts:
            with suppress(PlanError):
                yield query, self.plan(query, bare=True, seconds=seconds)

    def _requested(
        self,
        query: Query,
        indexes: Sequence[Candidate],
        hidden: Sequence[int],
        seconds: float | None,
    ) -> Plan:
        with self._connections.planning(query.user) as session, self._hiding(hidden):
            try:
                shown = [self._indexes.built[i] for i in indexes]
                self._shown.show(session, shown, hidden, seconds)
                return self._planner.explain(session.connection, query)
            except PlanError as error:
                session.connection.rollback()
                if not error.lacks_types or not self._texts.find(
                    session.connection, query, seconds, self._planner.explain
                ):
                    raise
            finally:
                session.connection.rollback()
        return self._requested(query, indexes, hidden, seconds)

    def _hiding(self, hidden: Collection[int]) -> AbstractContextManager[object]:
        """Hide existing indexes; those of a target without skip scans may be hidden again while a plan is found."""
        return self._shown.alone(hidden, again=not self._imitated.has(Features.has_skip_scan))
