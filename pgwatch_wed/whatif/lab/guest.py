"""The role that owns everything from a target in the lab, and may do nothing else.

Loading and planning run code from the target: functions declared IMMUTABLE, domain constraints, index
expressions. As a superuser, it could access files and programs on this machine.
"""

import re
import subprocess
from collections.abc import Collection, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from pgwatch_wed.embedded import server as embedded
from pgwatch_wed.target import queries

ROLE = "pgwatch_wed_guest"
SCHEMA = "pgwatch_wed_lab"
_SUPERUSER_ONLY = re.compile(r"must be superuser to create (an? [a-z ]+)")
# A guest that cannot change the server, but owns whatever comes from the target.
_CREATE_GUEST = f"create role {ROLE} login bypassrls in role pg_read_all_data, pg_write_all_data"

# Functions of the target may take advisory locks, and two sessions of ours would wait for each other.
_PATIENCE = f"alter role {ROLE} set lock_timeout = '1s'"


def call(text: str) -> sql.Composed:
    """Return SQL in which ``{lab}`` is the schema of what the role was given."""
    return sql.SQL(text).format(lab=sql.Identifier(SCHEMA))


def create_database(server: embedded.EmbeddedServer, name: str, locale: str | None) -> None:
    """Create a database that the role owns, with what it needs for what-if requests."""
    owned = sql.SQL("create database {} owner {} template template0 {}").format(
        sql.Identifier(name),
        sql.Identifier(ROLE),
        sql.SQL("locale {}").format(locale) if locale else sql.SQL(""),
    )
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute(_CREATE_GUEST)
        connection.execute(_PATIENCE)
        connection.execute(owned)
    with psycopg.connect(server.dsn(name), autocommit=True) as connection:
        names = {"schema": sql.Identifier(SCHEMA), "guest": sql.Identifier(ROLE)}
        connection.execute(queries.composed("lab", "furnish", **names))


def add_extensions(
    admin: psycopg.Connection[Any], extensions: Iterable[tuple[str, str]]
) -> set[str]:
    """Create extensions, by name and schema, and return the schemas.

    The role itself may create few of them; loading the dump tells what is missing.
    """
    schemas: set[str] = set()
    role = sql.Identifier(ROLE)
    for name, schema in extensions:
        schemas.add(schema)
        place = sql.Identifier(schema)
        make = sql.SQL("create schema if not exists {} authorization {}")
        extend = sql.SQL("create extension if not exists {} schema {}")
        with suppress(psycopg.Error), admin.transaction():
            admin.execute(make.format(place, role))
            admin.execute(extend.format(sql.Identifier(name), place))
    grant = sql.SQL("grant usage on foreign data wrapper {} to {}")
    for (wrapper,) in admin.execute("select fdwname from pg_foreign_data_wrapper"):
        admin.execute(grant.format(sql.Identifier(wrapper), role))
    return schemas


def load(
    server: embedded.EmbeddedServer, name: str, file: Path, schemas: Collection[str]
) -> list[str]:
    """Load a dump as the role; return what failed, one line each.

    Existing ``schemas`` are not failures, nor is what no plan depends on.
    """
    done = subprocess.run(  # noqa: S603 - our own binary, arguments are a list
        [str(server.bindir / "psql"), "-X", "-q", "-f", str(file)],
        env=server.environment(name) | {"PGUSER": ROLE},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        check=False,
    )
    known = {f'schema "{schema}" already exists' for schema in schemas}
    return [x for x in _failures(done.stderr) if x not in known and not _is_harmless(x)]


def _is_harmless(failure: str) -> bool:
    """Tell whether no plan depends on it: event triggers, collations for which others stand, storage options of forks.

    A table that could not be created because of such an option is named by :meth:`Lab.compare`.
    """
    is_there = failure.startswith('collation "') and failure.endswith("already exists")
    is_other = failure.startswith(("ICU is not supported", "unrecognized parameter"))
    return is_there or is_other or "event trigger" in failure


def _failures(said: str) -> list[str]:
    """Return psql's errors without position and repetition."""
    lines = (line.partition("ERROR:")[2].strip() for line in said.splitlines() if "ERROR:" in line)
    return list(
        dict.fromkeys(_SUPERUSER_ONLY.sub(r"\1 of the target is not in the lab", x) for x in lines)
    )
