"""A database with one of everything that a fact can be about, on any server."""

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
from psycopg import sql

from tests.servers import Server

SCRIPT = (Path(__file__).parent / "zoo.sql").read_text(encoding="utf-8")

Connection = psycopg.Connection[tuple[object, ...]]


@contextmanager
def zoo(server: Server) -> Iterator[str]:
    """Yield the conninfo of a database in which nothing moves."""
    with server.database() as dsn:
        with psycopg.connect(dsn, autocommit=True) as admin:
            admin.execute(SCRIPT)
        if server.version < 15:
            time.sleep(1.5)  # the statistics collector takes its time
        try:
            yield dsn
        finally:
            with psycopg.connect(dsn, autocommit=True) as admin:
                admin.execute("drop subscription if exists sub")


@contextmanager
def in_motion(server: Server, dsn: str) -> Iterator[None]:
    """Keep locks, waits, a vacuum, an index build, slots and prepared transactions while it lasts."""
    with ExitStack() as stack:
        admin = stack.enter_context(psycopg.connect(dsn, autocommit=True))
        stack.callback(_settle, admin)
        holder = stack.enter_context(psycopg.connect(dsn))
        _prepare(admin)
        # the index build waits for whoever has written its table
        holder.execute("lock table app.customers in row exclusive mode")
        holder.execute("lock table app.base in share row exclusive mode")
        holder.execute("savepoint one; insert into app.unlogged_one default values")
        for statement in (
            "alter table app.base add column late int",
            "set vacuum_cost_delay = '100ms'; set vacuum_cost_limit = 1; vacuum (disable_page_skipping) app.orders",
            "create index concurrently late_idx on app.customers (score)",
        ):
            stack.enter_context(_running(dsn, statement))
        _wait_for(admin)
        yield


def _prepare(admin: Connection) -> None:
    # first: it waits for transactions that have an id, prepared ones as well
    admin.execute("select pg_create_logical_replication_slot('zoo_logical', 'pgoutput')")
    admin.execute("begin; create table app.prepared (); prepare transaction 'zoo'")
    admin.execute("select pg_create_physical_replication_slot('zoo', true)")
    admin.execute(
        sql.SQL("alter database {} set work_mem = '5MB'").format(sql.Identifier(admin.info.dbname))
    )


def _settle(admin: Connection) -> None:
    admin.execute("rollback prepared 'zoo'")
    admin.execute("select pg_drop_replication_slot('zoo')")
    admin.execute("select pg_drop_replication_slot('zoo_logical')")
    admin.execute("drop index if exists app.late_idx")


@contextmanager
def _running(dsn: str, statement: str) -> Iterator[None]:
    """Run a statement in a thread; cancel it at the end."""
    connection = psycopg.connect(dsn, autocommit=True)

    def work() -> None:
        try:
            for part in statement.split("; "):
                connection.execute(part)
        except psycopg.errors.QueryCanceled:
            pass

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        connection.cancel_safe()
        thread.join()
        connection.close()


def _wait_for(admin: Connection) -> None:
    """Wait until all of them are to be seen."""
    query = """
        select exists (select from pg_locks where not granted)
            and exists (select from pg_stat_progress_vacuum)
            and exists (select from pg_stat_progress_create_index)"""
    for _ in range(200):
        if admin.execute(query).fetchone() == (True,):
            return
        time.sleep(0.05)
    raise AssertionError("the zoo does not move")
