"""Values of a column from its statistics, to which expressions and operator classes are applied."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from psycopg import sql

from pgwatch_wed.target import queries
from pgwatch_wed.whatif.catalog import CatalogColumn, CatalogTable

_TIMEOUT = "2s"

# Values between a histogram's bounds can be interpolated if the type supports it. Of other types, there
# are only the bounds, the outermost of which represent half a bin.
BETWEEN = {
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


@contextmanager
def attempt(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """Evaluate something from the target that may fail or take long: then it stays unknown."""
    with suppress(psycopg.Error), connection.transaction():
        connection.execute(
            "select pg_catalog.set_config('statement_timeout', %s, true)", [_TIMEOUT]
        )
        yield


def sampled(
    connection: psycopg.Connection[Any],
    table: CatalogTable,
    column: CatalogColumn,
    *,
    between: bool = False,
) -> sql.Composed:
    """Return common table expressions that end in ``sampled(value, share, is_common)``, without WITH.

    ``between`` interpolates values inside a histogram's bins, if the type allows it.
    """
    made_up = BETWEEN.get(column.base_type) if between else None
    kind = sql.SQL(_type(connection, table, column))
    rest = queries.fragment("lab", "bounds", type=kind)
    if made_up is not None:
        rest = queries.fragment("lab", "between_bounds", type=kind, between=sql.SQL(made_up))
    return queries.fragment(
        "lab",
        "sampled",
        schema=sql.Literal(table.schema),
        table=sql.Literal(table.name),
        column=sql.Literal(column.name),
        is_parent=sql.Literal(table.kind == "p"),
        type=kind,
        rest=rest,
    )


def _type(connection: psycopg.Connection[Any], table: CatalogTable, column: CatalogColumn) -> str:
    row = connection.execute(
        "select format_type(atttypid, -1) from pg_attribute where attrelid = %s and attname = %s",
        [table.oid, column.name],
    ).fetchone()
    assert row is not None
    return str(row[0])
