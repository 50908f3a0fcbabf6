"""Values of a column, taken from its statistics: what an expression or an operator class makes of them."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from psycopg import sql

from pgwatch_wed.whatif.catalog import CatalogColumn, CatalogTable

_TIMEOUT = "2s"

# Values between a histogram's bounds can be made up where values can be added and divided. Of others
# there are the bounds alone, the outermost of which stand for half a bin.
_BETWEEN = {
    "int2": "lo + round((hi - lo) * f)::int2",
    "int4": "lo + round((hi::int8 - lo) * f)::int4",
    "int8": "lo + round((hi::numeric - lo) * f::numeric)::int8",
    "numeric": "lo + (hi - lo) * f::numeric",
    "float4": "(lo + (hi - lo) * f)::float4",
    "float8": "lo + (hi - lo) * f",
    "date": "lo + round((hi - lo) * f)::int4",
    "timestamp": "lo + (hi - lo) * f",
    "timestamptz": "lo + (hi - lo) * f",
}
_MADE_UP = """
  select {between} as value, share / 30, false
  from (select value::{type} as lo, lead(value::{type}) over (order by place) as hi,
               rest / nullif(count(*) over () - 1, 0) as share
        from found, unnest(bounds) with ordinality u(value, place)) bins,
       generate_series(1, 30) k, lateral (select (k * 0.61803398875 - floor(k * 0.61803398875)) as f) x
  where hi is not null
"""
_BOUNDS = """
  select value::{type}, rest * case when place in (1, cardinality(bounds)) then 0.5 else 1 end
                        / nullif(cardinality(bounds) - 1, 0), false
  from found, unnest(bounds) with ordinality u(value, place)
"""
# A row is a value, its share of the table's rows, and whether that share was counted.
_SAMPLED = """
found as (
  select s.null_frac, s.most_common_freqs::float8[] as shares,
         s.most_common_vals::text::text[] as common, s.histogram_bounds::text::text[] as bounds,
         greatest(0, 1 - s.null_frac - coalesce((select sum(x) from unnest(s.most_common_freqs) x), 0))
           as rest
  from pg_stats s where s.schemaname = {schema} and s.tablename = {table} and s.attname = {name}
  order by s.inherited = {is_parent} desc limit 1
), sampled(value, share, is_common) as (
  select value::{type}, share, true from found, unnest(common, shares) u(value, share)
  union all
  {rest}
  union all
  select null, null_frac, false from found where null_frac > 0
)
"""


@contextmanager
def attempt(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """Evaluate something of the target's that may fail or take long: then it stays unknown."""
    with suppress(psycopg.Error), connection.transaction():
        connection.execute("select set_config('statement_timeout', %s, true)", [_TIMEOUT])
        yield


def sampled(
    connection: psycopg.Connection[Any],
    table: CatalogTable,
    column: CatalogColumn,
    *,
    between: bool = False,
) -> sql.Composed:
    """Return common table expressions that end in ``sampled(value, share, is_common)``; WITH is not part of it.

    ``between`` makes values up inside a histogram's bins, where the type allows.
    """
    made_up = _BETWEEN.get(column.base_type) if between else None
    type_name = _type(connection, table, column)
    rest = _MADE_UP.format(between=made_up, type=type_name) if made_up else _BOUNDS
    return sql.SQL(_SAMPLED).format(
        type=sql.SQL(type_name),
        schema=sql.Literal(table.schema),
        table=sql.Literal(table.name),
        name=sql.Literal(column.name),
        is_parent=sql.Literal(table.kind == "p"),
        rest=sql.SQL(rest.replace("{type}", type_name)),
    )


def _type(connection: psycopg.Connection[Any], table: CatalogTable, column: CatalogColumn) -> str:
    row = connection.execute(
        "select format_type(atttypid, -1) from pg_attribute where attrelid = %s and attname = %s",
        [table.oid, column.name],
    ).fetchone()
    assert row is not None
    return str(row[0])
