"""Small servers for fleets, each started when a test first asks for it, and stopped with all others.

A server takes about a second of the processor to make and 20 MB of memory. Tests share those of ``ground`` (a fixture of the
session) and ask for few of them; a benchmark makes as many as it wants.
"""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg import sql

from pgwatch_wed.embedded import server as embedded
from tests import servers
from tests.psql import psql
from tests.standby import standby_of

SMALL: Mapping[str, str] = {
    "shared_buffers": "8MB",
    "max_connections": "40",
    "max_wal_size": "64MB",
    "min_wal_size": "32MB",
    "autovacuum_naptime": "1d",
    "max_wal_senders": "4",
}
_WITHOUT_WORKERS = {"io_method": "sync"}  # from 18 on: a process that does the I/O itself

SHOP = """
create extension if not exists pg_stat_statements;
create table customers (id int primary key, city text, name text);
create table orders (id int primary key, customer_id int, placed_at timestamptz, total int);
insert into customers select g, 'c' || g % 10, 'n' || g from generate_series(1, 1000) g;
insert into orders select g, g % 1000, now() - g * interval '1 hour', g % 77 from generate_series(1, 20000) g;
create index orders_customer on orders (customer_id);
create index orders_customer_copy on orders (customer_id);
analyze;
"""
"""A small database with an index too many."""


def small(
    settings: Mapping[str, str] | None = None, binaries: Path | None = None
) -> embedded.EmbeddedServer:
    """Start a small, empty server, which also listens on 127.0.0.1; ``binaries`` are those of another major."""
    own = _WITHOUT_WORKERS if binaries is None else {}
    return embedded.start({**SMALL, **own, **(settings or {})}, tcp=True, binaries=binaries)


def older_binaries() -> Path | None:
    """Return the programs of another major than the embedded one, where a package has installed them."""
    found = [s for s in servers.system() if s.major != servers.embedded_spec().major]
    newest = max(found, key=lambda spec: spec.major, default=None)
    return Path(newest.image) if newest else None


@contextmanager
def clone_of(primary: embedded.EmbeddedServer) -> Iterator[embedded.EmbeddedServer]:
    """Run a copy that went its own way: the same system identifier, and not the same cluster."""
    with embedded.start(primary.settings, tcp=primary.tcp, binaries=primary.bindir) as copy:
        copy.halt("immediate")
        shutil.rmtree(copy.data)
        primary.run("pg_basebackup", "-D", str(copy.data), "-X", "stream", "-c", "fast")
        copy.password = primary.password  # the copy has the roles of the original
        copy.adopt()
        yield copy


def multiply(server: embedded.EmbeddedServer, number: int, script: str = SHOP) -> tuple[str, ...]:
    """Make a database of a script and ``number`` copies of it; return their names, ``tenant_000`` and so on."""
    names = tuple(f"tenant_{i:03}" for i in range(number))
    psql(server.dsn(), "create database tenant_template")
    psql(server.dsn("tenant_template"), script)
    make = sql.SQL("create database {} template tenant_template")
    with psycopg.connect(server.dsn(), autocommit=True) as session:
        for name in names:
            session.execute(make.format(sql.Identifier(name)))
        session.execute("alter database tenant_template is_template true allow_connections false")
    return names


@dataclass(slots=True)
class Ground:
    """Servers by the names that tests give them; :meth:`stop` stops them all."""

    running: dict[str, embedded.EmbeddedServer] = field(default_factory=dict)
    _stack: ExitStack = field(default_factory=ExitStack)

    def primary(self, name: str = "primary") -> embedded.EmbeddedServer:
        """Return a server with :data:`SHOP` in its database ``shop``."""
        if name not in self.running:
            server = self._keep(name, small())
            psql(server.dsn(), "create database shop")
            psql(server.dsn("shop"), SHOP)
        return self.running[name]

    def standby(self) -> embedded.EmbeddedServer:
        """Return a standby of :meth:`primary`."""
        if "standby" not in self.running:
            self._keep("standby", standby_of(self.primary()))
        return self.running["standby"]

    def clone(self) -> embedded.EmbeddedServer:
        """Return a server that was made of a base backup of :meth:`primary`, and is a primary itself."""
        if "clone" not in self.running:
            self._keep("clone", clone_of(self.primary()))
        return self.running["clone"]

    def tenants(self, number: int = 6) -> embedded.EmbeddedServer:
        """Return a server with so many equal databases, ``tenant_000`` and so on."""
        name = f"tenants {number}"
        if name not in self.running:
            multiply(self._keep(name, small()), number)
        return self.running[name]

    def older(self) -> embedded.EmbeddedServer | None:
        """Return a server of another major with :data:`SHOP`; None where none is installed."""
        binaries = older_binaries()
        if binaries is not None and "older" not in self.running:
            server = self._keep("older", small(binaries=binaries))
            psql(server.dsn(), "create database shop")
            psql(server.dsn("shop"), SHOP)
        return self.running.get("older")

    def _keep(
        self, name: str, server: AbstractContextManager[embedded.EmbeddedServer]
    ) -> embedded.EmbeddedServer:
        self.running[name] = self._stack.enter_context(server)
        return self.running[name]

    def stop(self) -> None:
        """Stop and remove them, the last first: a standby goes before its primary."""
        self.running.clear()
        self._stack.close()
