"""A database in which somebody who may create objects waits for a mighty role to come and read it.

Every function, operator, view and type that our SQL names has a double, in a schema that the role's own
``search_path`` finds first, or with argument types that fit better than PostgreSQL's own. Whichever of
them runs calls ``trap.harm``, which does what an attacker would; ``track_functions`` counts its calls,
also those of a transaction that could not write, or was rolled back.
"""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from pgwatch_wed.whatif.lab import dump
from tests.servers import Server

ROOT = Path(__file__).parent.parent.parent
SCRIPTS = Path(__file__).parent
EXTENSIONS = ("pg_stat_statements", "pgstattuple", "hypopg")
_AVAILABLE = "select name from pg_available_extensions where name = any (%s)"

Connection = psycopg.Connection[Any]


@dataclass(frozen=True)
class World:
    """Where the doubles are, which path finds them, and who reads the database."""

    name: str
    schema: str  # ``{role}`` is the role's own, which "$user" finds
    path: str | None
    reader: str

    def schema_of(self, role: str) -> str:
        """Name the schema of the doubles."""
        return self.schema.format(role=role)


# A path that ends with pg_catalog prefers every double; the default path those that fit better.
WORLDS = (
    World("superuser-public", "public", "public, pg_catalog", "superuser"),
    World("superuser-own-schema", "{role}", None, "superuser"),
    World("owner-public", "public", '"$user", public, pg_catalog', "owner"),
)


@dataclass(frozen=True)
class Planted:
    """A hostile database: how the reader and the superuser connect to it."""

    server: Server
    world: World
    dsn: str
    admin: str
    copy: str
    mallory: str

    def can(self, engine: str) -> bool:
        """Tell whether an engine of what-if answers for this server, or whether a superuser reads it."""
        if engine == "superuser":
            return self.world.reader == engine
        if engine == "lab":
            return self.server.version <= dump.major()
        return not engine or engine in self.server.spec.extensions

    def harm(self) -> int:
        """Count the calls of hostile code so far, in the database and its copy."""
        for dsn in (self.admin, self.copy):
            while _one(dsn, _OTHERS)[0]:  # a session that ends has told what it counted
                time.sleep(0.02)
        if self.server.version < 15:
            time.sleep(1.2)  # the statistics collector takes its time
        return sum(int(_one(dsn, _HARM)[0] or 0) for dsn in (self.admin, self.copy))

    def state(self) -> dict[str, object]:
        """Return what hostile code would change: its calls, witnesses, roles and catalogs."""
        found: dict[str, object] = {"harm": self.harm()}
        for where, dsn in (("", self.admin), ("copy: ", self.copy)):
            found[f"{where}witness"] = _one(dsn, _WITNESS)
            with psycopg.connect(dsn, autocommit=True) as admin:
                admin.execute("set search_path = pg_catalog")
                found |= {f"{where}{name}": rows for name, rows in catalogs(admin).items()}
        return found

    def made_superuser(self) -> bool:
        """Tell whether the attacker has become a superuser, and end that."""
        with psycopg.connect(self.admin, autocommit=True) as admin:
            admin.execute("set search_path = pg_catalog")
            query = "select rolsuper from pg_authid where rolname = %s"
            is_super = admin.execute(query, [self.mallory]).fetchone() == (True,)
            name = sql.Identifier(self.mallory)
            admin.execute(sql.SQL("alter role {} nosuperuser").format(name))
        return is_super


_HARM = (
    "select sum(calls) from pg_stat_user_functions where schemaname = 'trap' and funcname = 'harm'"
)
_OTHERS = """
    select count(*) from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'
"""
_WITNESS = "select (select count(*) from trap.witness), (select is_called from trap.witnessed)"


def _one(dsn: str, query: LiteralString) -> tuple[Any, ...]:
    with psycopg.connect(dsn, autocommit=True) as admin:
        admin.execute("set search_path = pg_catalog")
        row = admin.execute(query).fetchone()
    assert row is not None
    return row


_CATALOGS = """
    select c.relname from pg_class c
    where c.relnamespace = 'pg_catalog'::regnamespace and c.relkind = 'r'
        and c.relname not in ('pg_statistic', 'pg_statistic_ext_data')
    order by 1
"""
_ROWS = "select count(*), md5(string_agg(t::text, ',' order by t::text)) from pg_catalog.{} t"
# What VACUUM and ANALYZE note of a relation is nobody's doing.
_KEPT_UP = {
    "pg_class": "{relpages,reltuples,relallvisible,relallfrozen,relfrozenxid,relminmxid,relhasindex}",
    "pg_database": "{datfrozenxid,datminmxid}",
}
_OTHER_ROWS = "select count(*), md5(string_agg(x, ',' order by x)) from (select (to_jsonb(t) - {}::text[])::text from pg_catalog.{} t) s(x)"


def catalogs(admin: Connection) -> dict[str, object]:
    """Return a fingerprint of every catalog; the path must be pg_catalog."""
    names = [str(name) for (name,) in admin.execute(_CATALOGS).fetchall()]
    return {name: admin.execute(_rows(name)).fetchone() for name in names}


def _rows(catalog: str) -> sql.Composed:
    name = sql.Identifier(catalog)
    if catalog in _KEPT_UP:
        return sql.SQL(_OTHER_ROWS).format(_KEPT_UP[catalog], name)
    return sql.SQL(_ROWS).format(name)


@contextmanager
def planted(server: Server, world: World) -> Iterator[Planted]:
    """Yield a hostile database, and drop it and its roles afterwards."""
    with (
        server.role() as owner,
        server.role() as mallory,  # goes first, with everything that is in her name
        server.database() as admin,
        server.database() as copy,
    ):
        role = "postgres" if world.reader == "superuser" else owner
        name = str(psycopg.conninfo.conninfo_to_dict(admin)["dbname"])
        for dsn in (admin, copy):
            _plant(server, world, dsn, owner, role, mallory)
        reader = server.dsn(name, owner) if world.reader == "owner" else admin
        yield Planted(server, world, reader, admin, copy, mallory)


def _plant(server: Server, world: World, dsn: str, owner: str, role: str, mallory: str) -> None:
    schema = world.schema_of(role)
    values = {
        "database": sql.Identifier(str(psycopg.conninfo.conninfo_to_dict(dsn)["dbname"])),
        "owner": sql.Identifier(owner),
        "schema": sql.Identifier(schema),
        "schema_name": sql.Literal(schema),
        "functions": sql.Literal(sorted(named())),
        "mallory": sql.Identifier(mallory),
    }
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(_script("house.sql", values))
        extend = sql.SQL("create extension {} schema tools")
        for (extension,) in connection.execute(_AVAILABLE, [[*EXTENSIONS]]).fetchall():
            connection.execute(extend.format(sql.Identifier(extension)))
        connection.execute(_script("work.sql", values))
        connection.execute(_script("doubles.sql", values))
        connection.execute(_script("tables.sql", values))
        if world.path is not None:
            path = sql.SQL("alter database {database} set search_path = {path}")
            connection.execute(path.format(**values, path=sql.SQL(world.path)))


def _script(name: str, values: dict[str, sql.Composable]) -> sql.Composed:
    return sql.SQL((SCRIPTS / name).read_text(encoding="utf-8")).format(**values)


@cache
def named() -> frozenset[str]:
    """Return every word of our SQL: what of them is a function or a relation gets a double."""
    files = [*(ROOT / "sql").rglob("*.sql"), *(ROOT / "pgwatch_wed").rglob("*.py")]
    texts = (path.read_text(encoding="utf-8") for path in files)
    return frozenset(word for text in texts for word in re.findall(r"[a-z_][a-z_0-9]+", text))
