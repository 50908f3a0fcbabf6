"""Values of a column from its statistics, to which expressions and operator classes are applied."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from psycopg import sql

from pgwatch_wed.target import queries
from pgwatch_wed.whatif.catalog import CatalogColumn, CatalogTable
from pgwatch_wed.whatif.interpolation import BETWEEN

_TIMEOUT = "2s"


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
