"""Load on a server of our own, which survives a crash as users' servers do: with fsync."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from psycopg import sql
from psycopg.conninfo import make_conninfo

from pgwatch_wed.embedded import server as embedded
from pgwatch_wed.load.ground.ground_connection import connected, writing_session
from pgwatch_wed.load.ground.server_environment import without_chosen_server
from pgwatch_wed.load.ground.stress_mark import StressMark, new_name, run_of
from pgwatch_wed.load.load_model import Ground

STRESS_SETTINGS: Mapping[str, str] = {
    "fsync": "on",
    "compute_query_id": "on",
    "log_min_messages": "fatal",  # else failing transactions under load fill the disk
    "log_min_error_statement": "panic",
}


@dataclass(frozen=True, slots=True)
class EmbeddedGround:
    """A ground on a server of our own, with what may be done to the server."""

    ground: Ground
    server: embedded.EmbeddedServer

    def restart(self, settings: Mapping[str, str] | None = None) -> None:
        """Restart the server, with more settings if given. All sessions end; the conninfo stays valid."""
        self.server.restart(settings)

    def reload(self, settings: Mapping[str, str]) -> None:
        """Change settings for which no restart is needed, of all sessions."""
        self.server.settings |= settings
        self.server.configure()
        with connected(self.ground, dbname="postgres") as connection:
            connection.execute("select pg_catalog.pg_reload_conf()")


@contextmanager
def embedded_ground(settings: Mapping[str, str] | None = None) -> Iterator[EmbeddedGround]:
    """Start a server for load, with a database of our own; stop and remove it afterwards.

    What the environment says about other servers does not count in the meantime.
    """
    with (
        without_chosen_server(keep_harmless=False),
        embedded.running({**STRESS_SETTINGS, **(settings or {})}) as server,
    ):
        yield EmbeddedGround(_prepared(server), server)


def _prepared(server: embedded.EmbeddedServer) -> Ground:
    name = new_name()
    with writing_session(server.dsn()) as connection:
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        found = connection.execute(
            "select oid::int8 from pg_catalog.pg_database where datname = %s", [name]
        ).fetchone()
        assert found is not None
        comment = StressMark(name, found[0], run_of(name)).comment
        connection.execute(
            sql.SQL("comment on database {} is {}").format(sql.Identifier(name), comment)
        )
        version = connection.info.server_version
    ground = Ground(
        conninfo=make_conninfo(server.dsn(name)),
        shown=f"embedded/{name}",
        database=name,
        server_version=version,
        is_embedded=True,
        data_directory=server.data,
    )
    with connected(ground) as connection:
        connection.execute("create extension pg_stat_statements")
    return ground
