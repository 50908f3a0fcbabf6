"""The one place that finds PostgreSQL servers for tests."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psycopg
from psycopg import conninfo, sql

from pgwatch_wed import embedded


@dataclass(slots=True)
class Server:
    """A running server that tests may use as superuser."""

    name: str
    version: int
    conninfo: str
    local: embedded.Server | None = field(default=None, repr=False)

    def dsn(self, dbname: str = "postgres", user: str | None = None) -> str:
        """Return a conninfo for a database of this server."""
        return conninfo.make_conninfo(
            self.conninfo, dbname=dbname, **({"user": user} if user else {})
        )

    @contextmanager
    def database(self) -> Iterator[str]:
        """Yield the conninfo of a new, empty database and drop it afterwards."""
        name = f"t_{os.getpid()}_{secrets.token_hex(4)}"
        self._execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
        try:
            yield self.dsn(name)
        finally:
            self._execute(
                sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
            )

    def _execute(self, statement: sql.Composed) -> None:
        with psycopg.connect(self.dsn(), autocommit=True) as connection:
            connection.execute(statement)


@contextmanager
def running() -> Iterator[Server]:
    """Run the embedded server."""
    with embedded.start() as own, psycopg.connect(own.dsn()) as connection:
        version = connection.info.server_version // 10000
        connection.close()
        yield Server("embedded", version, own.dsn(), own)
