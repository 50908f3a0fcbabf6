"""Values of a column from its statistics, to which expressions and operator classes are applied."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from psycopg import sql

from pgwatch_wed.target import queries
from pgwatch_wed.whatif.catalog import CatalogColumn, CatalogTable
from pgwatch_wed.whatif.interpolation import BETWEEN

MOST_COLUMNS = 3
"""Of so many columns at most, values can be combined."""
_TIMEOUT = "2s"
_RISING = ("D", "N")  # categories of types
# Of places in the order of a column, so that the columns' orders have nothing to do with each other.
_STRIDES = (1, 617, 389)


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


def sampled_together(
    connection: psycopg.Connection[Any], table: CatalogTable, columns: Sequence[CatalogColumn]
) -> sql.Composed:
    """Return the same for several columns, whose values have the names ``value1``, ``value2``, … in it.

    Times of the same type, and numbers, are assumed to rise together, as the beginning and the end of a period do, with nulls among the
    latest; others to be independent.
    """
    kinds = {c.base_type for c in columns}
    rise = len(kinds) == 1 and columns[0].category in _RISING
    strides = [1 if rise else each for each in _STRIDES[: len(columns)]]
    places = [
        queries.fragment(
            "lab",
            "places",
            sampled=sampled(connection, table, column, between=True),
            stride=sql.Literal(stride),
        )
        for column, stride in zip(columns, strides, strict=True)
    ]
    names = [sql.Identifier(f"value{n}") for n, _ in enumerate(columns, 1)]
    joined = sql.SQL(" join ").join(
        sql.SQL("{} as {} (place, {}, {})").format(
            part, sql.Identifier(f"column{n}"), name, sql.Identifier(f"is_common{n}")
        )
        + (sql.SQL(" using (place)") if n > 1 else sql.SQL(""))
        for n, (part, name) in enumerate(zip(places, names, strict=True), 1)
    )
    common = (sql.Identifier(f"is_common{n}") for n, _ in enumerate(columns, 1))
    return queries.fragment(
        "lab",
        "together",
        columns=sql.SQL(", ").join(names),
        are_common=sql.SQL(" and ").join(common),
        places=joined,
    )


def _type(connection: psycopg.Connection[Any], table: CatalogTable, column: CatalogColumn) -> str:
    row = connection.execute(
        "select format_type(atttypid, -1) from pg_attribute where attrelid = %s and attname = %s",
        [table.oid, column.name],
    ).fetchone()
    assert row is not None
    return str(row[0])
