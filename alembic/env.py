"""Alembic's environment: which server, which schema, and our own version table.

``-x url=TARGET``, ``DATABASE_URL`` or libpq's environment variables specify the server, ``-x schema=NAME``
the schema. The objects, the version table and its rows are created in one transaction, one installation
at a time.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any

import sqlalchemy
from alembic import context
from alembic.runtime.migration import MigrationContext, MigrationInfo
from alembic.util import CommandError
from sqlalchemy.exc import DBAPIError

from pgwatch_wed import install
from pgwatch_wed.errors import Error
from pgwatch_wed.target import connect


def options(schema: str) -> dict[str, Any]:
    """Return the options for the version table, which is in the schema of the objects."""
    return {
        "version_table": install.VERSION_TABLE,
        "version_table_schema": schema,
        "transactional_ddl": True,
    }


def offline(schema: str) -> None:
    """Write a script; it makes its decisions on the server where it is run."""
    reached: list[Any] = []

    def remember(
        ctx: MigrationContext,  # noqa: ARG001 - Alembic passes all four by name
        step: MigrationInfo,  # noqa: ARG001
        heads: Collection[Any],
        run_args: Mapping[str, Any],  # noqa: ARG001
    ) -> None:
        reached[:] = heads

    context.configure(
        dialect_name="postgresql",
        # the default would double every % in a name, for a driver that is not used
        dialect_opts={"paramstyle": "named"},
        literal_binds=True,
        on_version_apply=remember,
        **options(schema),
    )
    with context.begin_transaction():
        context.static_output(install.begin(schema))
        context.run_migrations()
        context.static_output(install.finish(schema) if reached else install.clear(schema))


def online(schema: str, connection: sqlalchemy.Connection) -> None:
    """Migrate; leave nothing behind at base."""
    context.configure(connection=connection, **options(schema))
    migration = context.get_context()
    execute(connection, install.check(schema))
    connection.rollback()
    if migration.opts.get("dont_mutate"):
        context.run_migrations()
        return
    if migration.opts.get("destination_rev") == "base" and not has_version_table(
        connection, schema
    ):
        return
    with context.begin_transaction():
        execute(connection, install.begin(schema))
        context.run_migrations()
        is_there = bool(migration.get_current_heads())
        execute(connection, install.finish(schema) if is_there else install.clear(schema))


def has_version_table(connection: sqlalchemy.Connection, schema: str) -> bool:
    """Tell whether anything was installed into the schema."""
    found = sqlalchemy.inspect(connection).has_table(install.VERSION_TABLE, schema=schema)
    connection.rollback()
    return found


def execute(connection: sqlalchemy.Connection, sql: str) -> None:
    """Run a script as it is; a % in it is not a placeholder."""
    connection.exec_driver_sql(sql, execution_options={"no_parameters": True})


def said_in_one_line(act: Callable[[], None]) -> None:
    """Make ``alembic`` report errors without a traceback."""
    try:
        act()
    except (DBAPIError, Error) as error:
        reason = install.explain(error)
        raise CommandError(str(reason)) from reason


def main() -> None:
    """Run the requested command."""
    given = context.get_x_argument(as_dictionary=True)
    attributes = context.config.attributes
    schema = install.schema_name(
        str(attributes.get("schema") or given.get("schema") or install.DEFAULT_SCHEMA)
    )
    if context.is_offline_mode():
        offline(schema)
        return
    connection = attributes.get("connection")
    if connection is not None:
        online(schema, connection)
        return
    url = given.get("url")
    with install.engine(connect.resolve(str(url) if url else None)) as own:
        online(schema, own)


said_in_one_line(main)
