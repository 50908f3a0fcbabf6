"""What the advisor knows about tables, columns and existing indexes, from the lab or a target."""

import math
from collections.abc import Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from pgwatch_wed.postgres.btree import Width
from pgwatch_wed.sqltext import terms
from pgwatch_wed.sqltext.plan_trees import PlanNode
from pgwatch_wed.sqltext.reading import QualifiedName
from pgwatch_wed.target import queries
from pgwatch_wed.whatif.model import Key
from pgwatch_wed.whatif.operator_classes import OperatorClass
from pgwatch_wed.whatif.sizes.layout import sizes_about
from pgwatch_wed.whatif.sizes.postings import Content


@dataclass(frozen=True, slots=True)
class CatalogColumn:
    """A column and its statistics; ``distinct`` is a number of values, never negative.

    ``bins`` are those of its histogram: as many as the statistics target, if there are enough values. ``has_values`` is false
    if its statistics contain no values: ANALYZE leaves out those of more than 1 kB.
    """

    name: str
    number: int
    type_name: str
    base_type: str
    category: str
    type_length: int
    alignment: str
    is_not_null: bool
    is_virtual: bool
    mean_width: float
    null_fraction: float
    distinct: float
    correlation: float | None
    deduplicates: bool
    bins: int | None = None
    has_values: bool = True

    @property
    def width(self) -> Width:
        """The space that it takes in an index."""
        return Width(self.type_length, self.alignment, self.mean_width, self.null_fraction)


@dataclass(frozen=True, slots=True)
class CatalogTable:
    """A table, partitioned table or materialized view; ``has_toast``: some of its values are stored out of line.

    ``has_triggers``: other than those of foreign keys.
    """

    oid: int
    schema: str
    name: str
    kind: str
    rows: float
    pages: int
    parent: int | None
    is_partition: bool
    is_temporary: bool
    has_toast: bool = False
    has_triggers: bool = False
    columns: Mapping[str, CatalogColumn] = field(default_factory=dict, hash=False, repr=False)


@dataclass(frozen=True, slots=True)
class ExistingIndex:
    """An existing index of the target. ``keys`` are deparsed columns or expressions."""

    oid: int
    schema: str
    name: str
    table_oid: int
    method: str
    keys: tuple[str, ...]
    include: tuple[str, ...]
    operator_classes: tuple[str, ...]
    options: tuple[int, ...]
    predicate: str | None
    is_unique: bool
    is_valid: bool
    is_constraint: bool
    definition: str
    pages: int
    rows: float
    parent: int | None


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """Columns with at most as many combinations as the referenced table has rows.

    ``cascades``: rows that refer to a deleted one are deleted, too. ``is_checked``: they are looked for by the columns' equality.
    """

    table_oid: int
    referenced_oid: int
    columns: frozenset[str]
    cascades: bool = False
    is_checked: bool = True


@dataclass(frozen=True, slots=True)
class TimesSeen:
    """The first and the last value of a column of times, and the bounds of its histogram, in seconds."""

    first: float
    last: float
    bounds: tuple[float, ...]

    def before(self, moment: float) -> float:
        """Return the share of rows before a moment."""
        parts = (
            1.0 if moment >= high else max(0.0, moment - low) / (high - low)
            for low, high in pairwise(self.bounds)
        )
        return sum(parts) / (len(self.bounds) - 1)


@dataclass(frozen=True, slots=True)
class BeginningsSeen:
    """The bounds of the histogram of a column of texts or of paths in a tree, and its most common values with their shares."""

    bounds: tuple[str, ...]
    common: tuple[str, ...]
    shares: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class ComputedShare:
    """The share of a table's rows that meet a condition, by the values of its column, and that which the planner expects."""

    real: float
    planned: float


@dataclass(frozen=True)
class Catalog:
    """Tables, indexes and foreign keys of a database."""

    tables: Mapping[int, CatalogTable]
    indexes: Mapping[int, ExistingIndex]
    foreign_keys: tuple[ForeignKey, ...]
    operator_classes: tuple[OperatorClass, ...] = ()
    tried: set[Hashable] = field(default_factory=set)
    value_sizes: dict[tuple[int, str], tuple[tuple[int, float], ...]] = field(default_factory=dict)
    common_shares: dict[tuple[int, str], tuple[float, ...]] = field(default_factory=dict)
    times: dict[tuple[int, str], TimesSeen] = field(default_factory=dict)
    beginnings: dict[tuple[int, str], BeginningsSeen] = field(default_factory=dict)
    computed: dict[tuple[int, str], ComputedShare] = field(default_factory=dict)
    expressions: dict[tuple[int, str], CatalogColumn] = field(default_factory=dict)
    contents: dict[tuple[int, Key], Content] = field(default_factory=dict)

    def is_first_try(self, *what: Hashable) -> bool:
        """Tell whether something is read for the first time; a failure counts, too."""
        is_first = what not in self.tried
        self.tried.add(what)
        return is_first

    def width(self, table: CatalogTable, column: CatalogColumn) -> Width:
        """Return the space that a column takes in an index; exact sizes once they have been read."""
        known = self.value_sizes.get((table.oid, column.name), ())
        return replace(column.width, known=known)

    def common(self, table: CatalogTable, column: CatalogColumn) -> tuple[float, ...]:
        """Return the shares of a column's most common values, if they have been read."""
        return self.common_shares.get((table.oid, column.name), ())

    def times_in(self, table: CatalogTable, predicate: str) -> float:
        """Return how many times the planner's rows meet a predicate, as far as it is on values that are computed from those of a column."""
        found = (
            self.computed.get((table.oid, each.text)) for each in terms.conditions(predicate).terms
        )
        return math.prod(each.real / each.planned for each in found if each is not None)

    def column(self, table: CatalogTable, key: Key) -> CatalogColumn | None:
        """Return the column of a key, or what is known about its expression."""
        if key.column is not None:
            return table.columns.get(key.column)
        return self.expressions.get((table.oid, key.text))

    @cached_property
    def by_name(self) -> Mapping[tuple[str, str], CatalogTable]:
        """Tables by schema and name."""
        return {(t.schema, t.name): t for t in self.tables.values()}

    def table_of(self, node: PlanNode) -> CatalogTable | None:
        """Return the table that a node of a plan reads or changes, if it is one that is known."""
        return self.by_name.get((node.get("Schema", ""), node.get("Relation Name", "")))

    @cached_property
    def indexes_of(self) -> Mapping[int, tuple[ExistingIndex, ...]]:
        """Existing indexes by table."""
        found: dict[int, list[ExistingIndex]] = {}
        for index in self.indexes.values():
            found.setdefault(index.table_oid, []).append(index)
        return {oid: tuple(each) for oid, each in found.items()}

    @cached_property
    def children(self) -> Mapping[int, tuple[CatalogTable, ...]]:
        """Partitions or inheriting tables by parent."""
        found: dict[int, list[CatalogTable]] = {}
        for table in self.tables.values():
            if table.parent is not None:
                found.setdefault(table.parent, []).append(table)
        return {oid: tuple(each) for oid, each in found.items()}

    def root(self, table: CatalogTable) -> CatalogTable:
        """Return the topmost partitioned table that a partition belongs to, or the table itself."""
        while table.is_partition and table.parent is not None and table.parent in self.tables:
            table = self.tables[table.parent]
        return table

    def leaves(self, table: CatalogTable) -> tuple[CatalogTable, ...]:
        """Return the tables with storage below a partitioned table, or the table itself."""
        if table.kind != "p":
            return (table,)
        below = self.children.get(table.oid, ())
        return tuple(leaf for child in below for leaf in self.leaves(child))

    def types_in(self, relations: Iterable[QualifiedName]) -> Mapping[str, str]:
        """Return the types of the columns of relations by name, except for names with several types."""
        found: dict[str, set[str]] = {}
        for relation in relations:
            for table in self.tables.values():
                if table.name == relation.name and relation.schema in (None, table.schema):
                    for name, column in table.columns.items():
                        found.setdefault(name, set()).add(column.type_name)
        return {name: next(iter(types)) for name, types in found.items() if len(types) == 1}

    def rows(self, table: CatalogTable) -> float:
        """Return the rows of a table including its partitions."""
        return sum(max(leaf.rows, 0.0) for leaf in self.leaves(table))

    def has_toast(self, table: CatalogTable) -> bool:
        """Tell whether a table or one of its partitions has values out of line."""
        return any(leaf.has_toast for leaf in self.leaves(table))

    def pages(self, table: CatalogTable) -> int:
        """Return the blocks of a table including its partitions."""
        return sum(leaf.pages for leaf in self.leaves(table))


def with_toast(catalog: Catalog, names: Collection[tuple[str, str]]) -> Catalog:
    """Return the catalog of a copy without data: ``names`` are the original's tables with values out of line."""
    tables = {
        oid: replace(t, has_toast=(t.schema, t.name) in names) for oid, t in catalog.tables.items()
    }
    return Catalog(tables, catalog.indexes, catalog.foreign_keys, catalog.operator_classes)


def read(connection: psycopg.Connection[Any]) -> Catalog:
    """Read the catalog of the connection's database, except for PostgreSQL's own schemas."""
    with connection.cursor(row_factory=dict_row) as cursor:
        columns: dict[int, list[dict[str, Any]]] = {}
        for row in cursor.execute(
            queries.composed("whatif", "columns", deduplicates=deduplicates())
        ):
            columns.setdefault(row.pop("table_oid"), []).append(row)
        tables = {
            row["oid"]: CatalogTable(
                **row, columns=_columns(columns.get(row["oid"], ()), row["rows"])
            )
            for row in cursor.execute(queries.composed("whatif", "tables")).fetchall()
        }
        rows = cursor.execute(queries.composed("whatif", "indexes")).fetchall()
        indexes = {row["oid"]: _index(row) for row in rows}
        keys = tuple(
            ForeignKey(**{**row, "columns": frozenset(row["columns"])})
            for row in cursor.execute(queries.composed("whatif", "foreign_keys")).fetchall()
        )
        classes = tuple(
            _operator_class(row)
            for row in cursor.execute(queries.composed("whatif", "operator_classes")).fetchall()
        )
    return Catalog(tables, indexes, keys, classes)


def read_values(connection: psycopg.Connection[Any], catalog: Catalog, table: CatalogTable) -> None:
    """Add what statistics tell about the values in a table's columns: sizes, shares of the most common, times, and texts.

    For all tables, it would be too much to keep. Repeated calls do nothing.
    """
    if not catalog.is_first_try("values", table.oid):
        return
    asked = {"schema": table.schema, "table": table.name, "is_parent": table.kind == "p"}
    for name, shares in connection.execute(queries.composed("whatif", "common_shares"), asked):
        catalog.common_shares[table.oid, name] = tuple(shares)
    for name, first, last, bounds in connection.execute(queries.composed("whatif", "times"), asked):
        catalog.times[table.oid, name] = TimesSeen(first, last, tuple(bounds))
    texts = connection.execute(queries.composed("whatif", "beginnings"), asked)
    for name, bounds, values, shares in texts:
        catalog.beginnings[table.oid, name] = BeginningsSeen(*map(tuple, (bounds, values, shares)))
    found: dict[str, list[tuple[int, float]]] = {}
    for name, size, share in connection.execute(
        queries.composed("whatif", "value_sizes"), {"table_oid": table.oid}
    ):
        found.setdefault(name, []).append((int(size), float(share)))
    for name, sizes in found.items():
        if any(share > 0 for _, share in sizes):
            catalog.value_sizes[table.oid, name] = sizes_about(
                sizes, table.columns[name].mean_width
            )


def deduplicates() -> sql.Composable:
    """Return SQL that tells whether B-trees deduplicate equal values of the base type ``b``."""
    return queries.fragment("whatif", "deduplicates")


def _columns(rows: Iterable[dict[str, Any]], table_rows: float) -> dict[str, CatalogColumn]:
    return {row["name"]: _column(row, table_rows) for row in rows}


def _column(row: dict[str, Any], table_rows: float) -> CatalogColumn:
    length = row["type_length"]
    width = row.pop("avg_width") or (length if length > 0 else 32)
    stated = row.pop("n_distinct")
    nulls = row.pop("null_frac") or 0.0
    # without statistics, the planner assumes 200 values; a negative number is a share of the rows
    distinct = 200.0 if stated is None else stated if stated >= 0 else -stated * table_rows
    return CatalogColumn(
        **row,
        mean_width=float(length if length > 0 else width),
        null_fraction=float(nulls),
        distinct=max(1.0, float(distinct)),
    )


def _operator_class(row: dict[str, Any]) -> OperatorClass:
    operators, orders = frozenset(row.pop("operators")), frozenset(row.pop("orders"))
    return OperatorClass(**row, operators=operators, orders=orders)


def _index(row: dict[str, Any]) -> ExistingIndex:
    for name in ("keys", "include", "operator_classes", "options"):
        row[name] = tuple(row[name])
    return ExistingIndex(**row)
