"""Alembic's environment for the history, which has a branch and a version table of its own.

The connection is that of the program, in a transaction; see pgwatch_wed/history/migrate.py.
"""

from typing import Any

from alembic import context

from pgwatch_wed.history.schema import SCHEMA, VERSION_TABLE, metadata

connection = context.config.attributes["connection"]
options: dict[str, Any] = {"version_table": VERSION_TABLE}
if connection.dialect.name == "postgresql":
    options["version_table_schema"] = SCHEMA
context.configure(connection=connection, target_metadata=metadata, **options)
context.run_migrations()
