"""What the advisor knows of tables, columns and existing indexes, read from the lab or a target."""

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, LiteralString

import psycopg
from psycopg.rows import dict_row

from pgwatch_wed.whatif.model import Key
from pgwatch_wed.whatif.sizes.layout import Width, sizes_about
from pgwatch_wed.whatif.sizes.postings import Content

_TABLES: LiteralString = """
select c.oid::int8 as oid, n.nspname as schema, c.relname as name, c.relkind::text as kind,
       greatest(c.reltuples, 0)::float8 as rows, c.relpages as pages,
       (select i.inhparent::int8 from pg_inherits i where i.inhrelid = c.oid limit 1) as parent,
       c.relispartition as is_partition,
       c.relpersistence = 't' as is_temporary
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p', 'm') and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
"""

# whether the base type b of something lets B-trees put equal values together
DEDUPLICATES: LiteralString = """
exists (select from pg_opclass o join pg_am m on m.oid = o.opcmethod and m.amname = 'btree'
               join pg_amproc p on p.amprocfamily = o.opcfamily and p.amprocnum = 4
                    and p.amproclefttype = o.opcintype
               where o.opcdefault and (o.opcintype = b.oid
                     or b.typname = 'varchar' and o.opcintype = 'text'::regtype
                     or b.typcategory = 'E' and o.opcintype = 'anyenum'::regtype))
"""

_COLUMNS: LiteralString = f"""
select a.attrelid::int8 as table_oid, a.attname as name, a.attnum as number,
       format_type(a.atttypid, a.atttypmod) as type_name, b.typname as base_type,
       b.typcategory::text as category,
       a.attlen as type_length, a.attalign::text as alignment, a.attnotnull as is_not_null,
       to_jsonb(a) ->> 'attgenerated' = 'v' as is_virtual,
       s.avg_width, s.null_frac, s.n_distinct, s.correlation,
       array_length(s.histogram_bounds, 1) - 1 as bins,
       {DEDUPLICATES} as deduplicates
from pg_attribute a
join pg_class c on c.oid = a.attrelid and c.relkind in ('r', 'p', 'm')
join pg_namespace n on n.oid = c.relnamespace
join pg_type t on t.oid = a.atttypid
join pg_type b on b.oid = case when t.typtype = 'd' then t.typbasetype else t.oid end
left join lateral (
  select * from pg_stats s where s.schemaname = n.nspname and s.tablename = c.relname
     and s.attname = a.attname order by s.inherited = (c.relkind = 'p') desc limit 1) s on true
where a.attnum > 0 and not a.attisdropped
  and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
"""  # noqa: S608 - of our own text alone

_INDEXES: LiteralString = """
select i.indexrelid::int8 as oid, n.nspname as schema, x.relname as name,
       i.indrelid::int8 as table_oid, m.amname as method, x.relkind = 'I' as is_partitioned,
       array(select pg_get_indexdef(i.indexrelid, k, true)
             from generate_series(1, i.indnkeyatts) k) as keys,
       array(select pg_get_indexdef(i.indexrelid, k, true)
             from generate_series(i.indnkeyatts + 1, i.indnatts) k) as include,
       array(select coalesce(case when o.opcdefault then '' else o.opcname end, '')
             from unnest(i.indclass::oid[]) with ordinality c(oid, k)
             join pg_opclass o on o.oid = c.oid order by k) as operator_classes,
       i.indoption::int2[] as options,
       pg_get_expr(i.indpred, i.indrelid, true) as predicate,
       i.indisunique as is_unique, i.indisvalid and i.indisready as is_valid,
       i.indisprimary or i.indisexclusion or i.indisreplident
         or exists (select from pg_constraint k where k.conindid = i.indexrelid) as is_constraint,
       pg_get_indexdef(i.indexrelid) as definition, x.relpages as pages, x.reltuples as rows,
       (select h.inhparent::int8 from pg_inherits h where h.inhrelid = i.indexrelid) as parent
from pg_index i
join pg_class x on x.oid = i.indexrelid
join pg_class c on c.oid = i.indrelid and c.relkind in ('r', 'p', 'm')
join pg_namespace n on n.oid = x.relnamespace
join pg_am m on m.oid = x.relam
where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
"""

_FOREIGN_KEYS: LiteralString = """
select conrelid::int8 as table_oid, confrelid::int8 as referenced_oid,
       array(select a.attname::text from unnest(conkey) k join pg_attribute a
             on a.attrelid = conrelid and a.attnum = k) as columns
from pg_constraint where contype = 'f'
"""


_SHARES: LiteralString = """
select distinct on (s.attname) s.attname, s.most_common_freqs::float8[]
from pg_stats s
where s.schemaname = %s and s.tablename = %s and s.most_common_freqs is not null
order by s.attname, s.inherited = %s desc
"""

# Values in statistics have a header of four bytes, stored ones of one. Texts are as long as they
# read, numbers are counted by the server; what other types store is not known from their text.
# A histogram's outermost bounds stand for half a bin.
_SIZES: LiteralString = """
with found as (
  select a.attname as name, b.typname as type, s.null_frac, s.most_common_freqs as shares,
         s.most_common_vals::text::text[] as common, s.histogram_bounds::text::text[] as bounds
  from pg_attribute a
  join pg_class c on c.oid = a.attrelid
  join pg_namespace n on n.oid = c.relnamespace
  join pg_type t on t.oid = a.atttypid
  join pg_type b on b.oid = case when t.typtype = 'd' then t.typbasetype else t.oid end
  join lateral (
    select * from pg_stats s where s.schemaname = n.nspname and s.tablename = c.relname
       and s.attname = a.attname order by s.inherited = (c.relkind = 'p') desc limit 1) s on true
  where a.attrelid = %s and b.typname in ('text', 'varchar', 'bpchar', 'numeric')
), valued as (
  select name, type, value, share::float8 as share from found, unnest(common, shares) u(value, share)
  union all
  select name, type, value,
         greatest(0, 1 - null_frac - coalesce((select sum(x) from unnest(shares) x), 0))
         * case when place in (1, cardinality(bounds)) then 0.5 else 1 end / nullif(cardinality(bounds) - 1, 0)
  from found, unnest(bounds) with ordinality u(value, place)
)
select name, size, sum(share)::float8 as share
from valued, lateral (
  select greatest(1, case type when 'numeric' then pg_column_size(value::numeric)
                               else octet_length(value) + 4 end - 3) as size) x
group by name, size order by name, size
"""


@dataclass(frozen=True, slots=True)
class CatalogColumn:
    """A column with what its statistics say; ``distinct`` is a number of values, never negative.

    ``bins`` are those of its histogram, as many as the statistics target where values abound.
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

    @property
    def width(self) -> Width:
        """What it takes in an index."""
        return Width(self.type_length, self.alignment, self.mean_width, self.null_fraction)


@dataclass(frozen=True, slots=True)
class CatalogTable:
    """A table, partitioned table or materialized view."""

    oid: int
    schema: str
    name: str
    kind: str
    rows: float
    pages: int
    parent: int | None
    is_partition: bool
    is_temporary: bool
    columns: Mapping[str, CatalogColumn] = field(default_factory=dict, hash=False, repr=False)


@dataclass(frozen=True, slots=True)
class ExistingIndex:
    """An index that the target has. ``keys`` are deparsed columns or expressions."""

    oid: int
    schema: str
    name: str
    table_oid: int
    method: str
    is_partitioned: bool
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
    """Columns whose combinations are at most the referenced table's rows."""

    table_oid: int
    referenced_oid: int
    columns: frozenset[str]


@dataclass(frozen=True)
class Catalog:
    """Tables, indexes and foreign keys of a database."""

    tables: Mapping[int, CatalogTable]
    indexes: Mapping[int, ExistingIndex]
    foreign_keys: tuple[ForeignKey, ...]
    tried: set[Hashable] = field(default_factory=set)
    value_sizes: dict[tuple[int, str], tuple[tuple[int, float], ...]] = field(default_factory=dict)
    common_shares: dict[tuple[int, str], tuple[float, ...]] = field(default_factory=dict)
    expressions: dict[tuple[int, str], CatalogColumn] = field(default_factory=dict)
    contents: dict[tuple[int, Key], Content] = field(default_factory=dict)

    def is_first_try(self, *what: Hashable) -> bool:
        """Tell whether something is about to be read for the first time; a failure is a try, too."""
        is_first = what not in self.tried
        self.tried.add(what)
        return is_first

    def width(self, table: CatalogTable, column: CatalogColumn) -> Width:
        """Return what a column takes in an index; exact sizes count once they were read."""
        known = self.value_sizes.get((table.oid, column.name), ())
        return replace(column.width, known=known)

    def common(self, table: CatalogTable, column: CatalogColumn) -> tuple[float, ...]:
        """Return the shares of a column's most common values, as far as they were read."""
        return self.common_shares.get((table.oid, column.name), ())

    def column(self, table: CatalogTable, key: Key) -> CatalogColumn | None:
        """Return the column that a key is, or what is known of its expression."""
        if key.column is not None:
            return table.columns.get(key.column)
        return self.expressions.get((table.oid, key.text))

    @cached_property
    def by_name(self) -> Mapping[tuple[str, str], CatalogTable]:
        """Tables by schema and name."""
        return {(t.schema, t.name): t for t in self.tables.values()}

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
        """Return the partitioned table that a partition belongs to, at the top; else the table."""
        while table.is_partition and table.parent is not None and table.parent in self.tables:
            table = self.tables[table.parent]
        return table

    def leaves(self, table: CatalogTable) -> tuple[CatalogTable, ...]:
        """Return the tables with storage below a partitioned table, or the table itself."""
        if table.kind != "p":
            return (table,)
        below = self.children.get(table.oid, ())
        return tuple(leaf for child in below for leaf in self.leaves(child))

    def rows(self, table: CatalogTable) -> float:
        """Return the rows of a table with its partitions."""
        return sum(max(leaf.rows, 0.0) for leaf in self.leaves(table))

    def pages(self, table: CatalogTable) -> int:
        """Return the blocks of a table with its partitions."""
        return sum(leaf.pages for leaf in self.leaves(table))


def read(connection: psycopg.Connection[Any]) -> Catalog:
    """Read the catalog of the connection's database, leaving out PostgreSQL's own schemas."""
    with connection.cursor(row_factory=dict_row) as cursor:
        columns: dict[int, list[dict[str, Any]]] = {}
        for row in cursor.execute(_COLUMNS):
            columns.setdefault(row.pop("table_oid"), []).append(row)
        tables = {
            row["oid"]: CatalogTable(
                **row, columns=_columns(columns.get(row["oid"], ()), row["rows"])
            )
            for row in cursor.execute(_TABLES).fetchall()
        }
        indexes = {row["oid"]: _index(row) for row in cursor.execute(_INDEXES).fetchall()}
        keys = tuple(
            ForeignKey(row["table_oid"], row["referenced_oid"], frozenset(row["columns"]))
            for row in cursor.execute(_FOREIGN_KEYS).fetchall()
        )
    return Catalog(tables, indexes, keys)


def read_values(connection: psycopg.Connection[Any], catalog: Catalog, table: CatalogTable) -> None:
    """Add what statistics say of the values of a table's columns: their sizes, the most common's shares.

    Of all tables it would be too much to keep. More than one try is free.
    """
    if not catalog.is_first_try("values", table.oid):
        return
    for name, shares in connection.execute(_SHARES, [table.schema, table.name, table.kind == "p"]):
        catalog.common_shares[table.oid, name] = tuple(shares)
    found: dict[str, list[tuple[int, float]]] = {}
    for name, size, share in connection.execute(_SIZES, [table.oid]):
        found.setdefault(name, []).append((int(size), float(share)))
    for name, sizes in found.items():
        if any(share > 0 for _, share in sizes):
            catalog.value_sizes[table.oid, name] = sizes_about(
                sizes, table.columns[name].mean_width
            )


def _columns(rows: Iterable[dict[str, Any]], table_rows: float) -> dict[str, CatalogColumn]:
    return {row["name"]: _column(row, table_rows) for row in rows}


def _column(row: dict[str, Any], table_rows: float) -> CatalogColumn:
    length = row["type_length"]
    width = row.pop("avg_width") or (length if length > 0 else 32)
    stated = row.pop("n_distinct")
    nulls = row.pop("null_frac") or 0.0
    # without statistics the planner assumes 200 values; a negative number is a share of the rows
    distinct = 200.0 if stated is None else stated if stated >= 0 else -stated * table_rows
    return CatalogColumn(
        **row,
        mean_width=float(length if length > 0 else width),
        null_fraction=float(nulls),
        distinct=max(1.0, float(distinct)),
    )


def _index(row: dict[str, Any]) -> ExistingIndex:
    for name in ("keys", "include", "operator_classes", "options"):
        row[name] = tuple(row[name])
    return ExistingIndex(**row)
