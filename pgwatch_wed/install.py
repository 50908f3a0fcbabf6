"""What Alembic installs: runs frozen SQL files inside migrations, and Alembic from the CLI.

``sql/install/<object>.v<N>.sql`` contains the complete, re-runnable definition of one function or
view, and is named after it. A merged file never changes: copy it to the next number, edit that, and
add a migration with ``run("get_table_stats", 2)`` up and ``restore("get_table_stats", 1)`` down. If the
columns of a function change, PostgreSQL requires it to be dropped first, and the views on it, too:
``remove()`` them, then ``run()`` or ``restore()`` all of them again.

``sql/install/steps/`` contains what surrounds these files. All of it is plain SQL that decides on
the server, so that a script generated offline does exactly what an online migration does. The
schema's name is ``@schema@`` in the frozen files; the steps get it as a setting and quote it.
Everything runs with a pinned search_path: in a schema where others may create objects, an operator
that matches better than PostgreSQL's own would end up in our views.
"""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psycopg
import sqlalchemy
from alembic import command, op
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.util import CommandError
from psycopg import sql
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from pgwatch_wed import assets, quote
from pgwatch_wed.errors import Error, InstallError, UsageError
from pgwatch_wed.target import door, wire

VERSION_TABLE = "pgwatch_wed_alembic_version"
DEFAULT_SCHEMA = "public"

_OURS = """
    select p.proname::text from pg_catalog.pg_proc p
    join pg_catalog.pg_namespace n on n.oid = p.pronamespace
    where n.nspname = %s and pg_catalog.strpos(pg_catalog.obj_description(p.oid, 'pg_proc'),
        'Installed by pgwatch_wed: ' || p.proname || ' v') > 0
    union all
    select c.relname::text from pg_catalog.pg_class c
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where n.nspname = %s and pg_catalog.strpos(pg_catalog.obj_description(c.oid, 'pg_class'),
        'Installed by pgwatch_wed: ' || c.relname || ' v') > 0
"""

_PIN = "select /* pgwatch_wed:install */ pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true)"
_IS_TABLE = "select from pg_class c where c.oid = to_regclass(%s::text) and c.relkind = 'r'"
_FILE = re.compile(r"(?P<name>\w+)\.v(?P<version>\d+)\.sql")
_MAX_NAME_BYTES = 63


@dataclass(frozen=True, slots=True)
class Installed:
    """A function or view of ours; ``max_arguments`` is -1 for a view."""

    name: str
    max_arguments: int = 0

    @property
    def is_view(self) -> bool:
        """Whether it is a view."""
        return self.max_arguments < 0


# In the order in which they can be created: views come after what they read.
OBJECTS = (
    Installed("get_table_stats"),
    Installed("get_index_stats"),
    Installed("index_usage_stats", -1),
    Installed("get_statement_stats", 2),
    Installed("get_slow_queries", 2),
    Installed("get_cache_stats"),
    Installed("get_lock_stats"),
    Installed("get_server_stats"),
    Installed("wedsync_performance_summary", -1),
)
_BY_NAME = {each.name: each for each in OBJECTS}


@dataclass(slots=True)
class Outcome:
    """What an installation or removal did: revisions before and after, and what the server said.

    ``put_back`` names objects that had been dropped since they were installed.
    """

    schema: str
    before: str | None = None
    after: str | None = None
    put_back: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)

    @property
    def is_changed(self) -> bool:
        """Whether anything was done."""
        return self.before != self.after or bool(self.put_back)


# Called by migrations.


def run(name: str, version: int) -> None:
    """Create or replace one object from its frozen file, inside a migration."""
    _emit(statements(name, version, _schema_of_migration()))


def restore(name: str, version: int) -> None:
    """Go back to an earlier version of one object, unless all of them are about to be removed."""
    if op.get_context().opts.get("destination_rev") != "base":
        run(name, version)


def remove(name: str) -> None:
    """Drop one object, if it is ours, inside a migration."""
    parts = [_settings(_schema_of_migration(), _BY_NAME[name]), _step("remove")]
    _emit("\n".join([f"-- {name}: removed", *parts]))


def statements(name: str, version: int, schema: str) -> str:
    """Return the SQL that creates or replaces one object in a schema and sets its privileges."""
    parts = (
        f"-- {name}, version {version}",
        _settings(schema, _BY_NAME[name]),
        _step("guard"),
        _step("owner"),
        definition(name, version, schema),
        _step("privileges"),
    )
    return "\n".join(parts)


def definition(name: str, version: int, schema: str) -> str:
    """Return the text of a frozen file for a schema."""
    text = assets.text("sql", "install", f"{name}.v{version}.sql").rstrip()
    return text.replace("@schema@", quote.ident(schema))


def newest() -> dict[str, int]:
    """Return the highest version of each object, in the order in which they can be created."""
    found: dict[str, int] = {}
    for path in (assets.asset("sql") / "install").iterdir():
        if match := _FILE.fullmatch(path.name):
            name, version = match["name"], int(match["version"])
            found[name] = max(found.get(name, 0), version)
    return {each.name: found[each.name] for each in OBJECTS if each.name in found}


# Called by Alembic's env.py.


def schema_name(name: str) -> str:
    """Return a schema's name if objects can be created there; raise :class:`UsageError` if not."""
    reason = ""
    if not name or "\0" in name:
        reason = "it is empty" if not name else "it contains a null byte"
    elif len(name.encode("utf-8", "surrogateescape")) > _MAX_NAME_BYTES:
        reason = f"it is longer than {_MAX_NAME_BYTES} bytes"
    elif name.startswith("pg_") or name == "information_schema":
        reason = "it is reserved for PostgreSQL"
    if reason:
        raise UsageError(f"invalid schema name {name[:80]!r}: {reason}", "specify another --schema")
    return name


def begin(schema: str) -> str:
    """Return the SQL that comes before the first migration: take the lock, create the schema."""
    return "\n".join((_settings(schema), _step("begin"), _step("version_table")))


def check(schema: str) -> str:
    """Return the SQL that refuses a version table that is not ours, before it is read."""
    patience = "set local lock_timeout to '10s';"
    return "\n".join((_settings(schema), patience, _step("version_table")))


def finish(schema: str) -> str:
    """Return the SQL that comes after the last migration: the version table's privileges."""
    return "\n".join((_settings(schema, Installed(VERSION_TABLE, -1)), _step("privileges")))


def clear(schema: str) -> str:
    """Return the SQL that drops the rest: the version table, and the schema if we created it."""
    return "\n".join((_settings(schema), _step("end")))


@contextmanager
def engine(conninfo: str) -> Iterator[sqlalchemy.Connection]:
    """Connect for writing; raise :class:`ConnectError` with a one-line reason."""
    raw = _connect(conninfo)
    with _sqlalchemy(raw) as connection:
        yield connection


def explain(error: BaseException) -> Error:
    """Turn an error of the server or Alembic into one line and a hint."""
    if isinstance(error, Error):
        return error
    said = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(said, psycopg.Error):
        return _explain_server(said)
    text = str(error)
    if "Can't locate revision" in text or "No such revision" in text:
        return InstallError(
            "the objects were installed by a newer pgwatch_wed", "upgrade pgwatch-wed"
        )
    return InstallError(text)


# Called by the command line.


def upgrade(conninfo: str, schema: str) -> Outcome:
    """Bring a database to the newest revision."""
    return _migrate(conninfo, schema, "head")


def downgrade(conninfo: str, schema: str) -> Outcome:
    """Remove everything that was installed into a schema."""
    return _migrate(conninfo, schema, "base")


def script(schema: str, target: str, *, conninfo: str | None = None) -> str:
    """Return the SQL that leads to ``head`` or ``base`` as a script for psql.

    It starts from nothing (or from everything), or with ``conninfo`` from what that database has.
    """
    start = "base" if target == "head" else "head"
    if conninfo is not None:
        start = _revision_of(conninfo, schema) or "base"
    buffer = io.StringIO()
    config = _config(schema, buffer)
    with _alembic_errors():
        if start == target or (target == "head" and start == _head(config)):
            return f"-- nothing to do: schema {quote.ident(schema)} is at {target}\n"
        act = command.upgrade if target == "head" else command.downgrade
        act(config, f"{start}:{target}", sql=True)
    return buffer.getvalue()


def _migrate(conninfo: str, schema: str, target: str) -> Outcome:
    outcome = Outcome(schema_name(schema))
    raw = _connect(conninfo)
    raw.add_notice_handler(lambda said: outcome.notices.append(_notice(said)))
    with _sqlalchemy(raw) as connection, _alembic_errors():
        outcome.before = _revision(connection, schema)
        config = _config(schema)
        config.attributes["connection"] = connection
        (command.upgrade if target == "head" else command.downgrade)(config, target)
        outcome.after = _revision(connection, schema)
        if target == "head" and outcome.before == outcome.after:
            outcome.put_back = _put_back(connection, schema)
    return outcome


def _put_back(connection: sqlalchemy.Connection, schema: str) -> list[str]:
    """Check the owners of what is there, and re-create what was dropped behind Alembic's back."""
    options = {"no_parameters": True}
    with connection.begin():
        for each in OBJECTS:
            owner = "\n".join((_settings(schema, each), _step("owner")))
            connection.exec_driver_sql(owner, execution_options=options)
        found = connection.exec_driver_sql(_OURS, (schema, schema)).scalars().all()
        missing = {name: version for name, version in newest().items() if name not in found}
        for name, version in missing.items():
            connection.exec_driver_sql(statements(name, version, schema), execution_options=options)
    return list(missing)


def _config(schema: str, output: io.StringIO | None = None) -> Config:
    config = Config(output_buffer=output) if output else Config()
    location = str(assets.asset("alembic")).replace("%", "%%")
    config.set_main_option("script_location", location)
    config.set_main_option("path_separator", "os")
    config.attributes["schema"] = schema_name(schema)
    return config


def _head(config: Config) -> str | None:
    from alembic.script import ScriptDirectory

    return ScriptDirectory.from_config(config).get_current_head()


def _revision_of(conninfo: str, schema: str) -> str | None:
    name = sql.Identifier(schema_name(schema), VERSION_TABLE)
    try:
        with door.asking(conninfo, "install") as connection:
            if connection.execute(_IS_TABLE, [name.as_string()]).fetchone() is None:
                return None
            row = connection.execute(sql.SQL("select version_num from {}").format(name)).fetchone()
            return None if row is None else str(row[0])
    except psycopg.Error as error:
        raise _explain_server(error) from None


def _revision(connection: sqlalchemy.Connection, schema: str) -> str | None:
    options = {"version_table": VERSION_TABLE, "version_table_schema": schema}
    connection.exec_driver_sql(check(schema), execution_options={"no_parameters": True})
    revision = MigrationContext.configure(connection, opts=options).get_current_revision()
    # Alembic would join an open transaction and not end it.
    connection.rollback()
    return revision


def _connect(conninfo: str) -> psycopg.Connection[tuple[object, ...]]:
    # Set nothing in the session: behind a pooler, the next client would inherit it.
    ours = psycopg.conninfo.make_conninfo(conninfo, client_encoding="UTF8")
    kind = psycopg.Connection[tuple[object, ...]]
    raw = wire.connect(ours, kind, application_name="pgwatch_wed install")
    raw.autocommit = False
    raw.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
    raw.execute(_PIN)  # for SQLAlchemy's own initial queries
    return raw


@contextmanager
def _sqlalchemy(raw: psycopg.Connection[tuple[object, ...]]) -> Iterator[sqlalchemy.Connection]:
    made = sqlalchemy.create_engine(
        "postgresql+psycopg://", creator=lambda: raw, poolclass=NullPool, use_native_hstore=False
    )
    # SQLAlchemy and Alembic do not qualify names either when they inspect the database
    event.listen(made, "begin", lambda connection: connection.exec_driver_sql(_PIN))
    try:
        with made.connect() as connection:
            yield connection
    finally:
        made.dispose()
        raw.close()


@contextmanager
def _alembic_errors() -> Iterator[None]:
    try:
        yield
    except (CommandError, DBAPIError) as error:
        raise explain(error.__cause__ or error) from None


def _explain_server(error: psycopg.Error) -> InstallError:
    said = error.diag
    message = said.message_primary or str(error)
    if said.sqlstate == "2BP01":  # dependent objects still exist
        return InstallError(
            f"{message}: {said.message_detail or ''}", "drop or change these objects first"
        )
    if said.sqlstate == "42501" and not said.message_hint:
        return InstallError(
            message,
            "the role needs CREATE on the schema (and on the database, if the schema does not exist)",
        )
    return InstallError(message, said.message_hint or "")


def _notice(said: psycopg.errors.Diagnostic) -> str:
    hint = f" ({said.message_hint})" if said.message_hint else ""
    return f"{said.message_primary or ''}{hint}"


def _schema_of_migration() -> str:
    return op.get_context().version_table_schema or DEFAULT_SCHEMA


def _emit(text: str) -> None:
    context = op.get_context()
    if context.as_sql:
        context.impl.static_output(text)
        return
    assert context.connection is not None
    # Otherwise the driver would take % for a placeholder.
    context.connection.exec_driver_sql(text, execution_options={"no_parameters": True})


def _settings(schema: str, installed: Installed | None = None) -> str:
    values = {"schema": schema}
    if installed:
        values |= {"object": installed.name, "max_arguments": str(installed.max_arguments)}
    lines = [f"set local pgwatch_wed.{name} to {quote.literal(v)};" for name, v in values.items()]
    return "\n".join(["set local search_path to pg_catalog, pg_temp;", *lines])


def _step(name: str) -> str:
    return assets.text("sql", "install", "steps", f"{name}.sql").rstrip()
