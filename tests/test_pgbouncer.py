"""Behind PgBouncer, in each of its modes."""

import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from pgwatch_wed.analyse import analyse
from pgwatch_wed.config import parse
from pgwatch_wed.embedded import server as embedded
from pgwatch_wed.errors import Error
from pgwatch_wed.target import pooler
from pgwatch_wed.target.collect import collect
from pgwatch_wed.whatif.lab.dump import dumped
from tests.psql import psql
from tests.test_cli import db_analyze

PGBOUNCER = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
pytestmark = pytest.mark.skipif(PGBOUNCER is None, reason="no PgBouncer on this machine")
SETTINGS = """
[databases]
* = host=127.0.0.1 port={port} user=postgres password={password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {own}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
default_pool_size = 2
logfile = {log}
"""
FAULTS = """
create table t (id int primary key, a int);
insert into t select g, g from generate_series(1, 100000) g;
create index t_a on t (a); create index t_a_copy on t (a);
analyze t;
"""


@pytest.fixture(scope="module")
def server() -> Iterator[embedded.EmbeddedServer]:
    with embedded.start(tcp=True) as found:
        psql(found.dsn(), "create extension pg_stat_statements;" + FAULTS)
        yield found


@contextmanager
def pooled(server: embedded.EmbeddedServer, mode: str) -> Iterator[str]:
    """Run a pooler before the server; as root it runs as nobody, as it demands."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        own = embedded.free_port()
        path = Path(folder) / "pgbouncer.ini"
        values = {"port": server.port, "password": server.password, "own": own, "mode": mode}
        path.write_text(SETTINGS.format(**values, log=Path(folder) / "log"))
        path.chmod(0o644)
        user = ["-u", "nobody"] if os.geteuid() == 0 else []
        assert PGBOUNCER
        with subprocess.Popen([PGBOUNCER, "-q", *user, str(path)]) as pooler:
            try:
                wait(own)
                yield f"host=127.0.0.1 port={own} dbname=postgres user=postgres"
            finally:
                pooler.terminate()


def wait(port: int) -> None:
    for _ in range(100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("the pooler does not listen")


@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_everything_is_read_and_nothing_stays_in_the_pooled_sessions(
    server: embedded.EmbeddedServer, mode: str
) -> None:
    with pooled(server, mode) as dsn:
        snapshot = collect(dsn)
        report = analyse([snapshot], parse({"only": ["index-duplicate"]}, "test"))
        assert len(report.findings) == 1
        direct = collect(server.dsn())
        assert snapshot.missing.keys() == direct.missing.keys()
        assert len(snapshot.tables) == len(direct.tables)
        with psycopg.connect(dsn, autocommit=True, prepare_threshold=None) as next_client:
            for name in ("statement_timeout", "lock_timeout", "search_path", "jit"):
                now = next_client.execute(f"show {name}".encode()).fetchone()
                with psycopg.connect(server.dsn()) as fresh:
                    assert now == fresh.execute(f"show {name}".encode()).fetchone(), name


def test_where_transactions_are_forbidden_it_is_one_clear_line(
    server: embedded.EmbeddedServer,
) -> None:
    with pooled(server, "statement") as dsn:
        with pytest.raises(Error) as caught:
            collect(dsn)
        assert "statement pooling" in caught.value.message
        assert "directly" in caught.value.hint
        done = db_analyze("run", dsn, "--format", "text")
        assert done.returncode == 3
        assert len(done.stderr.strip().splitlines()) <= 2


def test_a_whole_run_goes_through_a_transaction_pooler(
    server: embedded.EmbeddedServer, tmp_path: Path
) -> None:
    with pooled(server, "transaction") as dsn:
        done = db_analyze("run", dsn, "-o", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "t_a_copy" in done.stdout
    assert "Traceback" not in done.stderr


@contextmanager
def busy(dsn: str) -> Iterator[Counter[str]]:
    """Let four clients ask for their table meanwhile; yield what they were told instead."""
    told: Counter[str] = Counter()
    done = threading.Event()

    def work() -> None:
        with psycopg.connect(dsn, autocommit=True, prepare_threshold=None) as client:
            while not done.is_set():
                try:
                    client.execute("select a from t where id = 3")
                except psycopg.Error as error:
                    told[str(error)] += 1

    clients = [threading.Thread(target=work) for _ in range(4)]
    for client in clients:
        client.start()
    try:
        yield told
    finally:
        done.set()
        for client in clients:
            client.join()


def test_no_dump_goes_where_its_settings_would_reach_other_clients(
    server: embedded.EmbeddedServer, tmp_path: Path
) -> None:
    """It empties the search_path of its session, which here is the next client's."""
    with pooled(server, "transaction") as dsn, busy(dsn) as told:
        for _ in range(5):
            with pytest.raises(Error, match="pooler") as caught, dumped(dsn):
                pass
            assert "session mode" in caught.value.hint
        done = db_analyze("run", dsn, "-o", str(tmp_path))
        assert done.returncode == 0, done.stderr
        (path,) = tmp_path.glob("*.json")
        assert "pg_dump would leave its settings" in path.read_text(encoding="utf-8")
    assert told == {}


def test_an_idle_pool_of_transactions_is_recognised_too(server: embedded.EmbeddedServer) -> None:
    with pooled(server, "transaction") as dsn:
        for _ in range(10):
            assert pooler.shares_sessions(dsn)


def test_in_session_mode_the_dump_has_a_session_for_itself(server: embedded.EmbeddedServer) -> None:
    with pooled(server, "session") as dsn:
        for _ in range(3):
            assert not pooler.shares_sessions(dsn)
            with dumped(dsn) as file:
                assert "CREATE TABLE public.t" in file.read_text()
        with psycopg.connect(dsn, autocommit=True) as next_client:
            assert next_client.execute("select a from t where id = 3").fetchone() == (3,)


def test_no_pooler_is_seen_where_none_is(server: embedded.EmbeddedServer) -> None:
    with psycopg.connect(server.dsn(tcp=True)) as connection:
        assert not pooler.is_between(connection)
