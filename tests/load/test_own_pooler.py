"""PgBouncer of ours: users through it, nothing of it left, and what it cannot do is one line."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import psycopg
import pytest

from pgwatch_wed.embedded import server as embedded
from pgwatch_wed.errors import CollectError, Error, UsageError
from pgwatch_wed.load.engine.block_runner import runner
from pgwatch_wed.load.ground.embedded_ground import EmbeddedGround, embedded_ground
from pgwatch_wed.load.ground.ground_connection import connected
from pgwatch_wed.load.load_model import FailureKind, Order, QueryProtocol
from pgwatch_wed.load.scenarios.known_scenarios import scenario
from pgwatch_wed.load.users import own_pooler, pooler_config
from pgwatch_wed.load.users.many_users import costs, rate_of, with_users
from pgwatch_wed.load.users.own_pooler import OwnPooler
from pgwatch_wed.load.users.pooler_config import PoolerPlan

needs_pgbouncer = pytest.mark.skipif(
    shutil.which("pgbouncer") is None, reason="no PgBouncer on this machine"
)
OWNER = """
import sys, time, psycopg
from pgwatch_wed.load.users.own_pooler import own_pooler
with psycopg.connect(sys.argv[1], autocommit=True) as session, own_pooler(session, clients=5) as pooler:
    print(pooler.pid, pooler.conninfo, flush=True)
    time.sleep(60)
"""


@pytest.fixture(scope="module")
def ground() -> Iterator[EmbeddedGround]:
    with embedded_ground() as found, connected(found.ground) as session:
        for statement in scenario("connection-storm").prepare:
            session.execute(statement.encode())
        yield found


@contextmanager
def pooled(ground: EmbeddedGround, clients: int, **more: object) -> Iterator[OwnPooler]:
    with (
        connected(ground.ground) as session,
        own_pooler.own_pooler(session, clients=clients, **more) as found,  # type: ignore[arg-type]
    ):
        yield found


def folder_of(conninfo: str) -> Path:
    return Path(str(psycopg.conninfo.conninfo_to_dict(conninfo)["host"]))


def lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_until_gone(pid: int, folder: Path) -> None:
    deadline = time.monotonic() + 20
    while lives(pid) or folder.exists():
        assert time.monotonic() < deadline, "the pooler or its directory stayed"
        time.sleep(0.05)


@needs_pgbouncer
def test_users_are_connections_at_the_rate_of_their_think_time(ground: EmbeddedGround) -> None:
    users = with_users(scenario("connection-storm"), 300, 1.5)
    assert rate_of(users) == 200
    with pooled(ground, users.clients) as pooler, costs(pooler) as watch:
        protocol, note = pooler.protocol(users.protocol)
        assert protocol is QueryProtocol.EXTENDED  # 300 clients, 20 sessions
        assert "extended protocol" in note
        order = Order(
            scripts=users.scripts,
            clients=users.clients,
            rate=rate_of(users),
            seconds=2,
            warmup_s=0.5,
            protocol=protocol,
            conninfo=pooler.conninfo,
        )
        block = runner(ground.ground)(order)
        cost = watch.cost()
    # a busy machine may be late with any number of them, but loses none; due are about 400
    assert set(block.failures) <= {FailureKind.SKIPPED}
    due = block.transactions + block.failures.get(FailureKind.SKIPPED, 0)
    assert 250 < due < 550
    assert block.transactions > 0
    assert cost.connected
    assert cost.connected >= 300
    assert cost.pooler_bytes
    assert cost.generator_bytes
    assert cost.seconds_of_cpu is not None


@needs_pgbouncer
def test_prepared_statements_are_used_where_the_pooler_follows_them_and_refused_where_not(
    ground: EmbeddedGround,
) -> None:
    with pooled(ground, 4, pool=4) as pooler, pooler.console.session() as console:
        known = {row[0]: row[1] for row in console.execute("SHOW CONFIG")}
        assert pooler.has_prepared == ("max_prepared_statements" in known)
        assert known.get("query_wait_notify", "0") == "0"
        protocol, note = pooler.protocol(QueryProtocol.PREPARED)
        assert note.count("\n") == 0
        assert pooler.has_prepared or "does not support prepared statements" in note
        # of two clients on one session of the server, each with its own names
        with (
            psycopg.connect(pooler.conninfo, autocommit=True, prepare_threshold=0) as one,
            psycopg.connect(pooler.conninfo, autocommit=True, prepare_threshold=0) as two,
        ):
            try:
                found = [
                    c.execute("select %s::int", [n]).fetchone() for c in (one, two) for n in (1, 2)
                ]
            except psycopg.Error:
                found = []
    assert (
        (found == [(1,), (2,)] * 2) == pooler.has_prepared == (protocol is QueryProtocol.PREPARED)
    )


@needs_pgbouncer
def test_a_storm_connects_to_the_pooler_for_each_transaction(ground: EmbeddedGround) -> None:
    storm = scenario("connection-storm-pooled")
    with pooled(ground, storm.clients, pool=3, settings={"work_mem": "7MB"}) as pooler:
        order = Order(
            scripts=storm.scripts,
            clients=8,
            rate=None,
            seconds=1,
            warmup_s=0.2,
            protocol=pooler.protocol(storm.protocol)[0],
            reconnects=storm.reconnects,
            conninfo=pooler.conninfo,
        )
        block = runner(ground.ground)(order)
        with psycopg.connect(pooler.conninfo, prepare_threshold=None) as client:
            assert client.execute("show work_mem").fetchone() == ("7MB",)
        with connected(ground.ground) as session:
            query = "select count(*) from pg_stat_activity where datname = current_database() and backend_type = 'client backend'"
            assert session.execute(query).fetchone() <= (5,)  # type: ignore[operator]  # the pool, this one, the fixture's
    assert block.transactions > 0
    assert not block.failures


@needs_pgbouncer
def test_nothing_stays_and_nobody_else_can_enter(ground: EmbeddedGround) -> None:
    with pooled(ground, 5) as pooler:
        folder = folder_of(pooler.conninfo)
        assert folder.stat().st_mode & 0o077 == 0
        assert "password" not in pooler.conninfo
        assert psutil.Process(pooler.pid).uids().real != 0
        assert pooler.version.startswith("PgBouncer")
    assert not psutil.pid_exists(pooler.pid)
    assert not folder.exists()


@needs_pgbouncer
@pytest.mark.parametrize("with_guard", [False, True])
def test_nothing_stays_after_kill_9(ground: EmbeddedGround, with_guard: bool) -> None:
    command = [sys.executable, "-c", OWNER, ground.ground.conninfo]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout
        pid, conninfo = owner.stdout.readline().split(" ", 1)
        victims = [owner.pid]
        if with_guard:
            guard = psutil.Process(int(pid)).ppid()
            victims = [guard, owner.pid]
        for victim in victims:
            os.kill(victim, signal.SIGKILL)
    folder = folder_of(conninfo)
    if with_guard:
        assert lives(int(pid))
        assert folder.exists()
        own_pooler.sweep()
    wait_until_gone(int(pid), folder)


@needs_pgbouncer
def test_too_few_descriptors_are_one_line_before_anything_connects(ground: EmbeddedGround) -> None:
    with pytest.raises(Error) as caught, pooled(ground, 2_000_000_000):
        pass
    assert "PgBouncer needs 2,000,000,104 file descriptors" in caught.value.message
    assert "ulimit -Hn" in caught.value.hint


@needs_pgbouncer
def test_a_server_that_refuses_the_pooler_is_one_line() -> None:
    with embedded.start(tcp=True) as server, psycopg.connect(server.dsn(tcp=True)) as session:
        session.autocommit = True
        session.execute("alter role postgres password 'another'")
        with (
            pytest.raises(CollectError, match="PgBouncer cannot connect to the server") as caught,
            own_pooler.own_pooler(session, clients=5),
        ):
            pass
        assert "password authentication failed" in caught.value.message
        assert server.password not in str(caught.value)


def test_a_guard_that_is_gone_is_one_line(tmp_path: Path) -> None:
    guard = subprocess.Popen(
        [sys.executable, "-c", ""], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    guard.wait()
    with pytest.raises(Error, match="could not be started: its guard ended"):
        own_pooler._pid(guard, Path("pgbouncer"), tmp_path / "ini", PLAN, None)
    own_pooler._dismiss(guard)


def test_without_pgbouncer_it_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name, path=None: None)
    with pytest.raises(Error, match="there is no pgbouncer on this machine"):
        own_pooler.program()


@pytest.mark.parametrize(("users", "think"), [(0, 5), (-1, 5), (5, 0), (5, -1), (5, float("inf"))])
def test_senseless_users_are_refused(users: int, think: float) -> None:
    with pytest.raises(UsageError):
        with_users(scenario("tpcb-like"), users, think)


PLAN = PoolerPlan(10, 2, {"search_path": "o'clock, b"})
PLACE = {"host": "db.example", "port": "5432", "dbname": "it's", "user": "me"}


def test_the_line_to_the_server_is_no_weaker_than_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    ca = tmp_path / "ca.crt"
    ca.write_text("a certificate")

    def config(**more: str) -> str:
        return pooler_config.written({**PLACE, **more}, "sec'ret", PLAN, tmp_path).read_text()

    plain = config()
    assert "server_tls_sslmode" not in plain
    assert "dbname='it''s'" in plain
    assert "password='sec''ret'" in plain
    assert (tmp_path / "pgbouncer.ini").stat().st_mode & 0o077 == 0
    # from 1.24 on, nobody is an administrator with auth_type = any
    assert "auth_type = trust" in plain
    assert f"admin_users = {pooler_config.USER}" in plain
    assert (tmp_path / "users").read_text() == f'"{pooler_config.USER}" ""\n'
    assert "server_tls_sslmode = require" in config(sslmode="require", gssencmode="disable")
    full = config(sslmode="verify-full", sslrootcert=str(ca))
    assert "server_tls_sslmode = verify-full" in full
    assert f"server_tls_ca_file = {tmp_path}/sslrootcert" in full
    assert (tmp_path / "sslrootcert").read_text() == "a certificate"
    # as libpq: with a root certificate, require verifies, too
    assert "server_tls_sslmode = verify-ca" in config(sslmode="require", sslrootcert=str(ca))
    (tmp_path / ".postgresql").mkdir()
    (tmp_path / ".postgresql" / "root.crt").write_text("another")
    assert "server_tls_sslmode = verify-ca" in config(sslmode="require")
    assert (tmp_path / "sslrootcert").read_text() == "another"
    for unknown in ({"gssencmode": "require"}, {"channel_binding": "require"}, {"sslcrl": "x"}):
        with pytest.raises(CollectError, match="as safely as we do"):
            config(**unknown)
    with pytest.raises(CollectError, match="could not be read for PgBouncer"):
        config(sslmode="verify-full", sslrootcert=str(tmp_path / "none"))
    with pytest.raises(CollectError, match="line break"):
        config(user="a\nb")
