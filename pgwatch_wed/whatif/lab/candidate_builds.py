"""Building candidates in the lab: empty, but with the size and the height that they would have on the target."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from pgwatch_wed.errors import said
from pgwatch_wed.target import queries
from pgwatch_wed.whatif import catalog as catalogs
from pgwatch_wed.whatif import estimates
from pgwatch_wed.whatif.catalog import CatalogTable
from pgwatch_wed.whatif.lab import elements, expressions, guest, pages, satisfying_rows, twins
from pgwatch_wed.whatif.lab.lab_connections import LabConnections
from pgwatch_wed.whatif.lab.lab_indexes import BuiltIndex, LabIndexes
from pgwatch_wed.whatif.model import Candidate

_SET_SIZES = (
    "update pg_class set relpages = x.blocks, reltuples = x.rows"
    " from unnest(%s::oid[], %s::int[], %s::float8[]) x (oid, blocks, rows) where pg_class.oid = x.oid"
)


@dataclass(frozen=True, slots=True)
class _Part:
    """An index relation: of a table, a partitioned table, or a partition."""

    oid: int
    table_oid: int
    kind: str
    path: str | None


class CandidateBuilds:
    """Builds candidates, and enters them in ``indexes``.

    ``data`` is the server's data directory, ``owner`` who owns the files there, if that is not who runs this.
    """

    def __init__(
        self,
        connections: LabConnections,
        indexes: LabIndexes,
        data: Path,
        owner: pages.Owner | None,
    ) -> None:
        self._connections, self._indexes = connections, indexes
        self._data, self._owner = data, owner
        self._statistics: dict[expressions.Where, expressions.ExpressionStatistics] = {}

    def build(self, tables: Mapping[CatalogTable, Sequence[Candidate]]) -> None:
        """Build new candidates by table; those that the server refuses are remembered."""
        connections, sessions = self._connections, self._connections.sessions
        catalog = self._indexes.catalog
        with sessions.none(), connections.admin() as admin, connections.guest() as builder:
            for leaf in (leaf for table in tables for leaf in catalog.leaves(table)):
                catalogs.read_values(builder, catalog, leaf)
            for table, indexes in tables.items():
                self._read_expressions(builder, table, indexes)
            with self._emptied(admin, tables):
                names = self._create_all(builder, tables)
            parts = self._set_apart(admin, names)
            # pages that the build left in shared buffers would hide what is written to the files
            admin.execute(
                guest.call(
                    "select {lab}.pg_buffercache_evict_relation(x::regclass) from unnest(%s::oid[]) x"
                ),
                [[part.oid for each in parts.values() for part in each if part.kind == "i"]],
            )
            sizes: dict[int, tuple[int, float]] = {}
            built = {i: self._filled(builder, i, each, sizes) for i, each in parts.items()}
            blocks, rows = zip(*sizes.values(), strict=True) if sizes else ((), ())
            admin.execute(_SET_SIZES, [list(sizes), list(blocks), list(rows)])
            for slot in range(1, sessions.slots):
                built = self._with_twins(admin, built, slot)
            self._indexes.built |= built

    def _read_expressions(
        self, connection: psycopg.Connection[Any], table: CatalogTable, indexes: Iterable[Candidate]
    ) -> None:
        catalog = self._indexes.catalog
        with self._connections.searching(connection):
            for leaf in catalog.leaves(table):
                for index in indexes:
                    expressions.read(connection, catalog, leaf, index, self._statistics)
                    elements.read(connection, catalog, leaf, index)

    @contextmanager
    def _emptied(
        self, connection: psycopg.Connection[Any], tables: Iterable[CatalogTable]
    ) -> Iterator[None]:
        """Make tables look empty: otherwise building an index would read all the zeros in their files."""
        leaves = {
            leaf.oid: leaf for table in tables for leaf in self._indexes.catalog.leaves(table)
        }
        files = {oid: self._data / path for oid, path in paths(connection, list(leaves)).items()}
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
        built, refused = self._indexes.built, self._indexes.refused
        found: dict[str, Candidate] = {}
        with self._connections.searching(connection):
            for index in (index for indexes in tables.values() for index in indexes):
                name = f"pgwc_{len(built) + len(refused) + len(found)}"
                try:
                    connection.execute(index.ddl(name).encode())
                except psycopg.Error as error:
                    refused[index] = said(error)
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
            self._indexes.call(renamed[part.oid], part.oid, names[name])
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
    ) -> BuiltIndex:
        """Fill the files of a candidate, and note their blocks and rows by oid."""
        files = [part for part in parts if part.kind == "i"]
        total = sum(self._fill(builder, index, part, sizes) for part in files)
        tables = tuple({part.table_oid for part in parts})
        return BuiltIndex((tuple(part.oid for part in parts),), tables, total)

    def _with_twins(
        self, connection: psycopg.Connection[Any], built: Mapping[Candidate, BuiltIndex], slot: int
    ) -> dict[Candidate, BuiltIndex]:
        """Return candidates with what shows them in a further slot."""
        names = {oid: f"pgwt_{slot}_{oid}" for each in built.values() for oid in each.oids[0]}
        oids = twins.make(connection, names)
        for index, each in built.items():
            for oid in each.oids[0]:
                self._indexes.call(names[oid], oids[oid], index)
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
        catalog = self._indexes.catalog
        table = catalog.tables[part.table_oid]
        rows = self._matching_rows(builder, table, index)
        size = estimates.size(catalog, table, index, rows)
        file = self._data / str(part.path)
        pages.resize(file, max(size.blocks, file.stat().st_size // pages.BLOCK), self._owner)
        if index.method == "btree":
            pages.write_btree(file, size.height)
        elif index.method == "brin":
            pages.write_brin(file, table.pages // estimates.BRIN_RANGE)
        elif index.method == "gin":
            pages.write_gin(file, estimates.gin(catalog, table, index, rows))
        sizes[part.oid] = (size.blocks, rows)
        expressions.restore(builder, self._statistics, table, index, part.oid)
        return size.bytes

    def _matching_rows(
        self, connection: psycopg.Connection[Any], table: CatalogTable, index: Candidate
    ) -> float:
        """Return how many rows of a table are in a partial index, as estimated by the planner."""
        if not index.predicate or table.rows < 1:
            return table.rows
        known, rows = (table.oid, index.predicate), self._indexes.rows
        if known not in rows:
            name = sql.Identifier(table.schema, table.name)
            relation = f"select from {name.as_string()} where {index.predicate}"
            with self._connections.searching(connection):
                planned = satisfying_rows.estimated(connection, relation)
            times = self._indexes.catalog.times_in(table, index.predicate)
            rows[known] = planned * times
        return max(1.0, min(rows[known], table.rows))


def paths(connection: psycopg.Connection[Any], oids: Sequence[int] | None = None) -> dict[int, str]:
    """Return the files of relations, or of all, in the data directory."""
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
