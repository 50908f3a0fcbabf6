"""Incidents that are planted on a real server, for tests of causes and for the drill's cases."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from threading import Thread
from typing import Any

import psycopg


@dataclass
class Planter:
    """Sessions on a server that do what they should not."""

    dsn: str
    stack: ExitStack
    threads: dict[int, Thread] = field(default_factory=dict)

    def session(self, name: str, *, autocommit: bool = False) -> psycopg.Connection[Any]:
        session = psycopg.connect(self.dsn, application_name=name, autocommit=autocommit)
        self.stack.callback(self._end, session)
        return session

    def _end(self, session: psycopg.Connection[Any]) -> None:
        if (thread := self.threads.pop(id(session), None)) is not None:
            session.cancel_safe(timeout=2)
            thread.join(5)
        session.close()

    def run(self, sql: str) -> None:
        with psycopg.connect(self.dsn, autocommit=True) as session:
            session.execute(sql)

    def value(self, sql: str) -> Any:
        with psycopg.connect(self.dsn, autocommit=True) as session:
            row = session.execute(sql).fetchone()
            return row[0] if row else None

    def waits(self, name: str, sql: str) -> None:
        """Run in a thread what will have to wait."""
        session = self.session(name)

        def wait() -> None:
            with suppress(psycopg.Error):
                session.execute(sql)

        thread = Thread(target=wait, daemon=True)
        self.threads[id(session)] = thread
        thread.start()

    def until(self, sql: str, seconds: float = 20) -> None:
        end = time.monotonic() + seconds
        while not self.value(sql):
            assert time.monotonic() < end, f"never true: {sql}"
            time.sleep(0.05)

    def waiting(self, number: int) -> None:
        self.until(
            f"select count(*) >= {number} from pg_stat_activity where wait_event_type = 'Lock'"
        )


@contextmanager
def planter(dsn: str) -> Iterator[Planter]:
    with ExitStack() as stack:
        yield Planter(dsn, stack)


Plant = Callable[[Planter], str]


def idle_blocker(p: Planter) -> str:
    p.run("create table accounts (id int primary key, sum int); insert into accounts values (1, 0)")
    holder = p.session("till")
    holder.execute("update accounts set sum = 1")
    for i in range(4):
        p.waits(f"web-{i}", "update accounts set sum = 2")
    p.waiting(4)
    return f"Session {holder.info.backend_pid} "


def ddl_queue(p: Planter) -> str:
    p.run("create table orders (id int)")
    report = p.session("report")
    report.execute("select count(*) from orders")
    p.waits("migration", "alter table orders add column x int")
    p.waiting(1)
    for i in range(3):
        p.waits(f"web-{i}", "select * from orders")
    p.waiting(4)
    return f"Session {report.info.backend_pid} "


def prepared(p: Planter) -> str:
    p.run("create table parts (id int primary key)")
    session = p.session("coordinator")
    session.execute("lock table parts; prepare transaction 'left over'")
    session.commit()
    p.stack.callback(lambda: p.run("rollback prepared 'left over'"))
    for i in range(3):
        p.waits(f"web-{i}", "select * from parts")
    p.waiting(3)
    return "left over"


def many_idle(p: Planter) -> str:
    for _ in range(24):
        p.session("greedy-pool", autocommit=True)
    return "greedy-pool"


def connections_by_lock(p: Planter) -> str:
    p.run("create table stock (id int primary key)")
    holder = p.session("till")
    holder.execute("lock table stock")
    for i in range(22):
        p.waits(f"web-{i % 3}", "select * from stock")
    p.waiting(22)
    return f"Session {holder.info.backend_pid} "


def idle_in_transaction(p: Planter) -> str:
    p.run("create table notes (id int)")
    session = p.session("forgotten")
    session.execute("insert into notes values (1)")
    p.waits("migration", "lock table notes")
    p.waiting(1)
    return f"Session {session.info.backend_pid} "


def abandoned_slot(p: Planter) -> str:
    p.run("select pg_create_physical_replication_slot('old_standby', true)")
    p.stack.callback(lambda: p.run("select pg_drop_replication_slot('old_standby')"))
    p.run(
        "create table filler as select g, repeat('x', 500) from generate_series(1, 20000) g; select pg_switch_wal()"
    )
    return "old_standby"


def archive_fails(p: Planter) -> str:
    def mend() -> None:
        p.run("alter system reset archive_command")
        p.run("select pg_reload_conf()")
        p.until("select last_archived_time > last_failed_time from pg_stat_archiver", 90)

    p.stack.callback(mend)
    p.run("alter system set archive_command = 'false'")
    p.run("select pg_reload_conf()")
    p.run("create table archived (id int); insert into archived values (1); select pg_switch_wal()")
    p.until("select failed_count > 0 from pg_stat_archiver")
    return "WAL archiving fails"


def horizon(p: Planter) -> str:
    p.run(
        "create table events (id int, v int) with (autovacuum_enabled = true); insert into events select g, 0 from generate_series(1, 20000) g"
    )
    session = p.session("nightly-report")
    session.execute(
        "set transaction isolation level repeatable read; select count(*) from pg_class"
    )
    p.run("update events set v = 1")
    p.run("delete from events where id > 10000")
    time.sleep(1.2)
    return f"{session.info.backend_pid}"


def autovacuum_off(p: Planter) -> str:
    p.run(
        "create table queue (id int, v int) with (autovacuum_enabled = false); insert into queue select g, 0 from generate_series(1, 50000) g"
    )
    p.run("update queue set v = 1")
    time.sleep(1.2)
    return "queue"


def long_transaction(p: Planter) -> str:
    session = p.session("export")
    session.execute(
        "set transaction isolation level repeatable read; select count(*) from pg_class"
    )
    p.waits("export-2", "select pg_sleep(30)")
    time.sleep(1)
    return f"Session {session.info.backend_pid} "
