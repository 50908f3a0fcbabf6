"""Twins of candidates: further entries in the catalogs for the same files, one set for each further session that plans.

A session shows candidates by changing their entries in a transaction that it rolls back. Two sessions cannot change the
same entry at once: the second would wait until the first has planned. So each has its own. What else makes sessions wait for each
other is a table's own entry, which is changed so that its list of indexes is read again; a further session
changes an entry of its own that belongs to the table: that of a system column, which no statement can name.
"""

from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg import sql

Connection = psycopg.Connection[Any]

# Catalogs with the column that holds the oid of the index.
_CATALOGS = (
    ("pg_class", "oid"),
    ("pg_index", "indexrelid"),
    ("pg_attribute", "attrelid"),
    ("pg_statistic", "starelid"),
)
_COLUMNS = (
    "select attname from pg_attribute where attrelid = %s::regclass and attnum > 0"
    " and not attisdropped and attgenerated = '' order by attnum"
)
_NEW_OIDS = (
    "select old, pg_nextoid('pg_class', 'oid', 'pg_class_oid_index') from unnest(%s::oid[]) old"
)
# numbers of system columns are negative; PostgreSQL itself has six
_MARK = (
    "insert into pg_attribute ({columns}) select {values} from pg_attribute a join pg_class c on c.oid = a.attrelid"
    " where a.attnum = -1 and c.relkind in ('r', 'p', 'm') and c.oid >= 16384"
)


def mark(admin: Connection, slot: int) -> None:
    """Give every table the entry that a further session changes."""
    columns = _columns(admin, "pg_attribute")
    own = {
        "attname": sql.Literal(f"pgwatch_wed_slot_{slot}"),
        "attnum": sql.Literal(-100 - slot),
    }
    admin.execute(
        sql.SQL(_MARK).format(
            columns=_joined(columns),
            values=sql.SQL(", ").join(own.get(c, sql.Identifier("a", c)) for c in columns),
        )
    )


def make(admin: Connection, names: Mapping[int, str]) -> dict[int, int]:
    """Make twins of indexes, by oid, with these names; return their oids."""
    oids = {int(old): int(new) for old, new in admin.execute(_NEW_OIDS, [list(names)])}
    given = [list(names), [oids[old] for old in names], list(names.values())]
    for catalog, key in _CATALOGS:
        columns = _columns(admin, catalog)
        own = {key: sql.Identifier("x", "new"), "relname": sql.Identifier("x", "name")}
        copy = sql.SQL(
            "insert into {table} ({columns}) select {values} from {table} t"
            " join unnest(%s::oid[], %s::oid[], %s::name[]) x (old, new, name) on t.{key} = x.old"
        ).format(
            table=sql.Identifier(catalog),
            columns=_joined(columns),
            values=sql.SQL(", ").join(own.get(c, sql.Identifier("t", c)) for c in columns),
            key=sql.Identifier(key),
        )
        admin.execute(copy, given)
    return oids


def _columns(admin: Connection, catalog: str) -> list[str]:
    return [str(name) for (name,) in admin.execute(_COLUMNS, [catalog])]


def _joined(names: list[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, names))
