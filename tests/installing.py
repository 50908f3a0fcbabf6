"""What the tests of installed objects share: fingerprints of a database, calls of the guide."""

from typing import Any

import psycopg
from psycopg import sql

from pgwatch_wed import assets, install

REVISIONS = sorted(p.name[:4] for p in (assets.asset("alembic") / "versions").glob("[0-9]*.py"))

# The calls of the monitoring guide, as written there.
GUIDE = (
    "SELECT * FROM get_table_stats();",
    "SELECT * FROM get_index_stats();",
    "SELECT * FROM wedsync_performance_summary;",
    "SELECT * FROM index_usage_stats WHERE usage_status IN ('UNUSED', 'RARELY_USED');",
    "SELECT * FROM index_usage_stats \nWHERE usage_status IN ('UNUSED', 'RARELY_USED');",
    "SELECT * FROM get_slow_queries(100);",
    "SELECT * FROM get_cache_stats();",
    "SELECT * FROM get_lock_stats();",
    "SELECT * FROM get_table_stats() WHERE n_dead_tup > n_live_tup * 0.2;",
)

_OBJECTS = """
    select p.oid::regprocedure::text, pg_get_functiondef(p.oid),
        obj_description(p.oid, 'pg_proc'), p.proacl::text, pg_get_userbyid(p.proowner)
    from pg_proc p where p.pronamespace = %(schema)s::regnamespace
    union all
    select c.oid::regclass::text,
        case when c.relkind = 'v' then pg_get_viewdef(c.oid) else c.relkind::text end,
        concat_ws(' | ', obj_description(c.oid, 'pg_class'), (
            select string_agg(concat_ws(': ', a.attname, col_description(c.oid, a.attnum)), ' | '
                order by a.attnum)
            from pg_attribute a where a.attrelid = c.oid and a.attnum > 0)),
        concat_ws(' ', c.relacl::text, c.reloptions::text), pg_get_userbyid(c.relowner)
    from pg_class c
    where c.relnamespace = %(schema)s::regnamespace and c.relname <> %(table)s
        and c.relname <> %(table)s || '_pkc'
    order by 1
"""

_EVERYTHING = """
    select 'schema', n.nspname, n.nspacl::text, obj_description(n.oid, 'pg_namespace')
    from pg_namespace n where n.nspname !~ '^pg_(toast_)?temp_'
    union all
    select 'function', p.oid::regprocedure::text, p.proacl::text, obj_description(p.oid, 'pg_proc')
    from pg_proc p where p.oid >= 16384
    union all
    select 'relation', c.oid::regclass::text, c.relacl::text, obj_description(c.oid, 'pg_class')
    from pg_class c where c.oid >= 16384
    union all
    select 'type', t.oid::regtype::text, t.typacl::text, null from pg_type t where t.oid >= 16384
    union all
    select 'description', count(*)::text, null, null from pg_description
    union all
    select 'dependency', count(*)::text, null, null from pg_depend
    order by 1, 2, 3
"""


def connect(dsn: str) -> psycopg.Connection[Any]:
    """Open a session in autocommit mode."""
    return psycopg.connect(dsn, autocommit=True)


def rows(dsn: str, query: str, *values: Any) -> list[tuple[Any, ...]]:
    """Run a query and return its rows."""
    with connect(dsn) as connection:
        return connection.execute(query.encode(), values or None).fetchall()


def run(dsn: str, *statements: str | sql.Composed) -> None:
    """Run statements, each in its own transaction."""
    with connect(dsn) as connection:
        for statement in statements:
            connection.execute(statement.encode() if isinstance(statement, str) else statement)


def objects(dsn: str, schema: str = "public") -> list[tuple[Any, ...]]:
    """Return definitions, comments, privileges and owners of what is in a schema."""
    with connect(dsn) as connection:
        values = {"schema": sql.Identifier(schema).as_string(), "table": install.VERSION_TABLE}
        return connection.execute(_OBJECTS, values).fetchall()


def everything(dsn: str) -> list[tuple[Any, ...]]:
    """Return what a database holds beyond a new one, to compare before and after."""
    return rows(dsn, _EVERYTHING)


def call(schema: str, installed: install.Installed) -> sql.Composed:
    """Return the query that reads all of an object."""
    name = sql.Identifier(schema, installed.name)
    return sql.SQL("SELECT * FROM {}{}").format(name, sql.SQL("" if installed.is_view else "()"))
