"""pg_dump as a guest: how long it may stay, what is left of it, and whose sessions it may touch."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import psycopg
import pytest

from pgwatch_wed.embedded import server as embedded
from pgwatch_wed.postgres import statements
from pgwatch_wed.sqltext import text as statement_text
from pgwatch_wed.target.collect import collect
from pgwatch_wed.target.deadline import GRACE_S
from pgwatch_wed.whatif.lab.dump import DumpError, dumped
from tests.conftest import StartServer
from tests.psql import psql
from tests.servers import Server

# pg_dump reads it after it has locked the tables, and waits for it without any limit.
CATALOG = "pg_ts_parser"
OURS = "application_name like 'pgwatch_wed%'"
DUMPING = "application_name like 'pgwatch_wed pg_dump %'"


@contextmanager
def stuck(dsn: str) -> Iterator[psycopg.Connection]:
    """Let a dump get stuck once it has locked every table; yield a session to look from."""
    psql(dsn, "create table if not exists t (id int)")
    with psycopg.connect(dsn) as holder, psycopg.connect(dsn, autocommit=True) as looker:
        holder.execute(f"lock table pg_catalog.{CATALOG} in access exclusive mode".encode())
        yield looker


def count(looker: psycopg.Connection, condition: str) -> int:
    row = looker.execute(
        f"select count(*) from pg_stat_activity where datname = current_database() and {condition}".encode()
    ).fetchone()
    assert row is not None
    return int(row[0])


def wait(looker: psycopg.Connection, condition: str, wanted: int, seconds: float) -> float:
    """Return how long it took until so many sessions were there."""
    begun = time.monotonic()
    while count(looker, condition) != wanted:
        assert time.monotonic() - begun < seconds, condition
        time.sleep(0.05)
    return time.monotonic() - begun


def locks(looker: psycopg.Connection) -> int:
    row = looker.execute(
        "select count(*) from pg_locks where relation = 't'::regclass and granted"
    ).fetchone()
    assert row is not None
    return int(row[0])


@contextmanager
def dumping(dsn: str, seconds: float) -> Iterator[psutil.Process]:
    """Dump in a process of its own that can be stopped and killed."""
    code = (
        "import sys; from pgwatch_wed.whatif.lab.dump import dumped\n"
        "with dumped(sys.argv[1], seconds=float(sys.argv[2])): pass"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, dsn, str(seconds)], stderr=subprocess.DEVNULL
    ) as process:
        family = [psutil.Process(process.pid)]
        try:
            yield family[0]
        finally:
            family += family[0].children(recursive=True) if family[0].is_running() else []
            for each in family:
                if each.is_running():
                    each.kill()


@pytest.mark.spread(1)
@pytest.mark.pg("<= 18")
def test_a_dump_that_takes_too_long_is_ended_here_and_in_the_server(every_db: str) -> None:
    with stuck(every_db) as looker:
        begun = time.monotonic()
        with pytest.raises(DumpError, match="longer than 2 s"), dumped(every_db, seconds=2):
            pass
        assert time.monotonic() - begun < 2 + GRACE_S
        wait(looker, OURS, 0, seconds=1)
        assert locks(looker) == 0


@pytest.mark.spread(1)
@pytest.mark.pg("<= 18")
def test_the_server_ends_the_dump_of_a_client_that_is_stopped(every_db: str) -> None:
    """Ctrl-Z, or a machine that sleeps: nobody is there to keep a deadline."""
    with stuck(every_db) as looker, dumping(every_db, 3) as process:
        wait(looker, DUMPING + " and wait_event_type = 'Lock'", 1, seconds=20)
        assert locks(looker) == 1
        (program,) = (p for p in process.children() if p.name() == "pg_dump")
        program.suspend()
        process.suspend()
        assert wait(looker, DUMPING, 0, seconds=3 + GRACE_S + 2) > 1
        assert locks(looker) == 0


@pytest.mark.spread(1)
@pytest.mark.pg("<= 18")
def test_the_server_ends_the_dump_of_a_client_whose_parent_was_killed(every_db: str) -> None:
    with stuck(every_db) as looker, dumping(every_db, 3) as process:
        wait(looker, DUMPING + " and wait_event_type = 'Lock'", 1, seconds=20)
        (program,) = (p for p in process.children() if p.name() == "pg_dump")
        process.kill()
        wait(looker, OURS, 0, seconds=3 + GRACE_S + 2)
        assert locks(looker) == 0
        psutil.wait_procs([program], timeout=5)
        assert not program.is_running() or program.status() == psutil.STATUS_ZOMBIE


def test_an_interrupted_dump_is_ended_at_once(db: str) -> None:
    with stuck(db) as looker, dumping(db, 60) as process:
        wait(looker, DUMPING + " and wait_event_type = 'Lock'", 1, seconds=20)
        process.send_signal(signal.SIGINT)
        wait(looker, OURS, 0, seconds=5)
        assert locks(looker) == 0


@pytest.mark.pg("<= 18")
def test_no_timeout_of_the_server_bounds_a_dump(every_pg: Server, every_db: str) -> None:
    """Which is why a session of ours does: pg_dump sets each of them to zero."""
    names = ["statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"]
    names += ["transaction_timeout"] if every_pg.version >= 17 else []
    options = " ".join(f"-c {name}=200" for name in names)
    command = [str(embedded.bindir() / "pg_dump"), "--schema-only", "-d", every_db]
    with (
        stuck(every_db) as looker,
        subprocess.Popen(
            command, env={**os.environ, "PGOPTIONS": options}, stdout=subprocess.DEVNULL
        ) as process,
    ):
        wait(looker, "application_name = 'pg_dump' and wait_event_type = 'Lock'", 1, seconds=20)
        time.sleep(1)
        assert count(looker, "application_name = 'pg_dump'") == 1
        looker.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'pg_dump'"
        )
        process.wait(10)


@pytest.mark.pg("<= 18")
def test_a_dump_is_nobodys_session_and_nobodys_workload(every_db: str) -> None:
    psql(
        every_db, "create extension pg_stat_statements; create table t (id int primary key, a int);"
    )
    psql(every_db, "insert into t select g, g from generate_series(1, 1000) g; analyze t;")
    with stuck(every_db) as looker, dumping(every_db, 30):
        wait(looker, DUMPING + " and wait_event_type = 'Lock'", 1, seconds=20)
        names = {s.application_name for s in collect(every_db, only=["sessions"]).sessions}
        assert not [n for n in names if n and n.startswith("pgwatch_wed")]
    with dumped(every_db):
        pass
    snapshot = collect(every_db)
    texts = [s.text or "" for s in snapshot.statements]
    assert [t for t in texts if "pg_catalog.pg_class" in t], "pg_dump's queries were counted"
    mine = [s.text for s in statements.of_users(snapshot) if "'t'" not in (s.text or "")]
    left = [t for t in mine if t and not statement_text.is_utility(t)]
    assert [t for t in left if "insert into t" not in t] == []
    assert not [t for t in mine if t and "pgwatch_wed" in t]


def test_a_dump_leaves_no_error_in_the_servers_log(start_pg: StartServer) -> None:
    server = start_pg()
    psql(server.dsn(), "create table t (id int)")
    assert server.local
    for _ in range(3):
        with dumped(server.dsn()) as file:
            assert "CREATE TABLE" in file.read_text()
    log = server.local.log.read_text(errors="replace")
    assert not [line for line in log.splitlines() if "ERROR" in line or "FATAL" in line]


def test_a_deadline_whose_client_is_cut_off_goes_when_the_dump_has_gone(db: str) -> None:
    """It would else sleep on in the server, and be found there."""
    with stuck(db) as looker, dumping(db, 60) as process:
        wait(looker, DUMPING + " and wait_event_type = 'Lock'", 1, seconds=20)
        process.kill()
        looker.execute(
            f"select pg_terminate_backend(pid) from pg_stat_activity where {DUMPING}".encode()
        )
        wait(looker, OURS, 0, seconds=8)
