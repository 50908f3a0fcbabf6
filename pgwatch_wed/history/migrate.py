"""Bring the tables of a history up to date with Alembic, on a branch and a version table of its own."""

import threading
from enum import StrEnum

import sqlalchemy
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError

from pgwatch_wed import assets
from pgwatch_wed.errors import HistoryError
from pgwatch_wed.history import access, turns
from pgwatch_wed.history.schema import SCHEMA, VERSION_TABLE
from pgwatch_wed.history.turns import Turn

_one_at_a_time = threading.Lock()  # Alembic keeps its state in globals


class StoredForm(StrEnum):
    """Whose tables a history has."""

    NONE = "none"  # it has yet to begin
    OLDER = "older"
    CURRENT = "current"


def form_of(engine: sqlalchemy.Engine) -> StoredForm:
    """Tell which version wrote a history, changing nothing; raises :class:`HistoryError` if that was a newer one."""
    with engine.connect() as connection, connection.begin():
        revision = _revision(connection)
    if revision is None:
        return StoredForm.NONE
    if revision == _head():
        return StoredForm.CURRENT
    _check(revision)
    return StoredForm.OLDER


def upgrade(engine: sqlalchemy.Engine) -> None:
    """Create the tables, or bring them up to date; in one transaction.

    Raises :class:`HistoryError` if a newer version has written the history.
    """
    if form_of(engine) is StoredForm.CURRENT:
        return
    with _one_at_a_time, engine.connect() as plain:
        connection = plain.execution_options(pgwatch_wed_writes=True)
        with connection.begin():
            if connection.dialect.name == "postgresql":
                turns.wait_for(connection, Turn.FORM)
                access.become(connection, access.owner_to_be(connection))
                if not sqlalchemy.inspect(connection).has_schema(SCHEMA):
                    connection.exec_driver_sql(f"CREATE SCHEMA {SCHEMA}")
            _check(_revision(connection))
            config = _config()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")


def _check(revision: str | None) -> None:
    if revision is None:
        return
    try:
        ScriptDirectory.from_config(_config()).get_revision(revision)
    except CommandError:
        raise HistoryError(
            "the history was written by a newer version of pgwatch_wed", "upgrade pgwatch-wed"
        ) from None


def _revision(connection: sqlalchemy.Connection) -> str | None:
    is_postgres = connection.dialect.name == "postgresql"
    options = {"version_table": VERSION_TABLE}
    if is_postgres:
        options["version_table_schema"] = SCHEMA
    return MigrationContext.configure(connection, opts=options).get_current_revision()


def _head() -> str | None:
    return ScriptDirectory.from_config(_config()).get_current_head()


def _config() -> Config:
    config = Config()
    location = str(assets.asset("alembic") / "history").replace("%", "%%")
    config.set_main_option("script_location", location)
    config.set_main_option("path_separator", "os")
    return config


def run(name: str) -> None:
    """Run the statements of sql/history/NAME for the kind of server that the history is in.

    Called by migrations.
    """
    from alembic import op

    kind = op.get_bind().dialect.name
    text = assets.text("sql", "history", f"{name}.{kind}.sql")
    for statement in filter(None, map(str.strip, text.split(";\n"))):
        op.get_bind().exec_driver_sql(statement)
