"""Load on somebody's server: who says so, what is refused, and that only what bears our mark is ever dropped."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from pgwatch_wed.embedded import server as embedded
from pgwatch_wed.errors import CollectError, ConnectError, Error, UsageError
from pgwatch_wed.load.ground.ground_connection import connected
from pgwatch_wed.load.ground.ground_refusals import OthersTraffic, busy, by_state
from pgwatch_wed.load.ground.server_answer import GroundServer, spelled
from pgwatch_wed.load.ground.stop_conditions import StopLimits, stop_conditions
from pgwatch_wed.load.ground.stress_mark import StressMark, limit_of, mark_of, new_name
from pgwatch_wed.load.ground.target_ground import TargetGround, target_ground
from tests.proxy import proxied
from tests.psql import psql

SHORT: dict[str, Any] = {"watched_s": 0.0}


@pytest.fixture(scope="module")
def somebody() -> Iterator[embedded.EmbeddedServer]:
    with embedded.start({"wal_level": "logical"}, tcp=True) as server:
        psql(server.dsn(), "create database app")
        psql(server.dsn("app"), "create table precious as select 1 as a")
        yield server


@pytest.fixture
def app(somebody: embedded.EmbeddedServer) -> str:
    settle(somebody)
    return somebody.dsn("app", tcp=True)


def settle(server: embedded.EmbeddedServer) -> None:
    """Nobody else is there."""
    with psycopg.connect(server.dsn(), autocommit=True) as session:
        session.execute("select pg_stat_clear_snapshot()")


def confirmed(target: str) -> str:
    """What the refusal says that the owner must spell."""
    with pytest.raises(UsageError) as refused, target_ground(target, "", **SHORT):
        pass
    assert "load is refused: the server answers" in refused.value.message
    return refused.value.hint.rpartition("--i-own-this-server ")[2]


def opened(target: str, **more: Any) -> Any:
    return target_ground(target, confirmed(target), frozenset({"busy"}), **{**SHORT, **more})


def databases(server: embedded.EmbeddedServer) -> set[str]:
    with psycopg.connect(server.dsn()) as session:
        return {row[0] for row in session.execute("select datname from pg_database")}


def survives(server: embedded.EmbeddedServer) -> None:
    with psycopg.connect(server.dsn("app")) as session:
        assert session.execute("select a from precious").fetchall() == [(1,)]


def test_a_database_of_our_own_is_made_and_dropped(
    somebody: embedded.EmbeddedServer, app: str
) -> None:
    before = databases(somebody)
    with opened(app) as made:
        assert databases(somebody) - before == {made.ground.database}
        with connected(made.ground) as session:
            assert session.info.dbname == made.ground.database
            assert session.execute("show temp_file_limit").fetchone() == ("1GB",)
        assert made.ground.data_directory == somebody.data
    assert databases(somebody) == before
    assert made.left == []
    survives(somebody)


def test_another_spelling_is_refused_and_loopback_is_no_proof(
    somebody: embedded.EmbeddedServer, app: str
) -> None:
    host, _, name = confirmed(app).partition("/")
    assert name == "app"
    assert host.split(".")[0].isdecimal()
    assert len(host.split(".")[0]) > 12, "an identifier, since everybody's loopback is 127.0.0.1"
    for wrong in (
        "127.0.0.1/app",
        f"127.0.0.1:{somebody.port}/app",
        "localhost/app",
        f"{host}/postgres",
    ):
        with pytest.raises(UsageError, match="not "), target_ground(app, wrong, **SHORT):
            pass
    with proxied(app) as (_, tunnel):
        assert confirmed(tunnel) == f"{host}/app"


def test_the_environment_does_not_choose_a_server(
    somebody: embedded.EmbeddedServer, app: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGHOST", str(somebody.root))
    monkeypatch.setenv("PGDATABASE", "app")
    monkeypatch.setenv("DATABASE_URL", app)
    for vague in ("", "dbname=app", f"host={somebody.root}"):
        with (
            pytest.raises(UsageError, match=r"no TARGET|names no"),
            target_ground(vague, "", **SHORT),
        ):
            pass
    monkeypatch.setenv("PGHOSTADDR", "192.0.2.1")
    monkeypatch.setenv("PGSERVICE", "production")
    assert confirmed(app).endswith("/app")


def test_others_are_noticed_and_may_be_waved_aside(
    somebody: embedded.EmbeddedServer, app: str
) -> None:
    owned = confirmed(app)
    with psycopg.connect(app, application_name="shop", autocommit=True) as other:
        other.execute("select 1")
        with (
            pytest.raises(UsageError, match="active in the last 10 s") as refused,
            target_ground(app, owned),
        ):
            pass
    assert "--even-if busy" in refused.value.hint
    with pytest.raises(UsageError, match="--even-if does not know"):
        target_ground(app, owned, frozenset({"standby"})).__enter__()


OTHERS = "select count(*) from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()"


def test_nobody_else_is_no_refusal() -> None:
    # A server of its own: sessions of other tests may still be ending.
    with (
        embedded.start({"autovacuum": "off"}, tcp=True) as server,
        psycopg.connect(server.dsn(), autocommit=True, application_name="pgwatch_wed") as session,
    ):
        owned = confirmed(server.dsn(tcp=True))
        deadline = time.monotonic() + 60
        while session.execute(OTHERS).fetchone() != (0,):  # a session that ends reports its work
            assert time.monotonic() < deadline
            time.sleep(0.05)
        with target_ground(server.dsn(tcp=True), owned, watched_s=2.5) as made:
            assert made.left == []


@contextmanager
def hurrying(dsn: str) -> Iterator[None]:
    """Somebody runs one transaction after the other."""
    done = threading.Event()

    def run() -> None:
        with psycopg.connect(dsn, autocommit=True) as session:
            while not done.is_set():
                session.execute("select 1")

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def test_others_whom_a_role_cannot_see_are_counted(
    somebody: embedded.EmbeddedServer, modest: str
) -> None:
    owned = confirmed(modest)
    with hurrying(somebody.dsn("app")), pytest.raises(UsageError, match=r"others have run"):
        target_ground(modest, owned, watched_s=8.0).__enter__()


def test_a_slot_is_a_refusal_of_its_own_name(somebody: embedded.EmbeddedServer, app: str) -> None:
    owned = confirmed(app)
    psql(somebody.dsn(), "select pg_create_physical_replication_slot('held')")
    try:
        with pytest.raises(UsageError, match="1 replication slot:") as refused:
            target_ground(app, owned, frozenset({"busy"}), **SHORT).__enter__()
        assert "--even-if replicated" in refused.value.hint
        both = frozenset({"busy", "replicated"})
        with target_ground(app, owned, both, **SHORT) as made:
            assert any("replication slot" in note for note in made.ground.notes)
    finally:
        psql(somebody.dsn(), "select pg_drop_replication_slot('held')")


IDLE = GroundServer(None, None, "app", False, 0.0, True, True, 0, 0, False, "me", None)


def test_a_standby_cannot_be_waved_aside_and_archiving_matters_when_writing() -> None:
    assert [r.name for r in by_state(replace(IDLE, is_standby=True), writing=False)] == [""]
    archiving = replace(IDLE, is_archiving=True)
    assert [r.name for r in by_state(archiving, writing=True)] == ["archived"]
    assert list(by_state(archiving, writing=False)) == []


def test_our_own_and_autovacuums_transactions_are_not_those_of_others() -> None:
    before = OthersTraffic(1000, 10, 3, 0, 0)
    assert busy(before, OthersTraffic(1021, 11, 3, 0, 0), 5) is None
    for other in (
        OthersTraffic(1200, 11, 3, 0, 0),
        OthersTraffic(1001, 12, 3, 0, 0),
        OthersTraffic(1001, 11, 3, 1, 0),
    ):
        assert busy(before, other, 5) is not None


def test_names_that_cannot_be_copied_are_written_so_that_they_can() -> None:
    assert spelled("a b\n%\u202e") == "a%20b%0A%25%E2%80%AE"
    assert spelled("Bücher-1") == "Bücher-1"


# What is left over, and what never is


def test_only_what_bears_the_mark_is_dropped(somebody: embedded.EmbeddedServer, app: str) -> None:
    names = {
        "pgwatch_wed_stress_000000000001": "null",  # named like ours
        "pgwatch_wed_stress_000000000002": "'pgwatch_wed load test; dropped by the next one'",
        "pgwatch_wed_stress_000000000003": "mark",
        "pgwatch_wed_stress_000000000004": "mark of another oid",
        "pgwatch_wed_stress_'; drop database app; --": "null",
    }
    with psycopg.connect(somebody.dsn(), autocommit=True) as session:
        for name, comment in names.items():
            session.execute(f'create database "{name}"')
            oid = session.execute(
                "select oid::int8 from pg_database where datname = %s", [name]
            ).fetchone()
            assert oid is not None
            mark = StressMark(name, oid[0] + ("another" in comment), "00000000000000ff")
            text = f"'{mark.comment}'" if "mark" in comment else comment
            session.execute(f'comment on database "{name}" is {text}')
    with opened(app) as made:
        left = databases(somebody) & names.keys()
        assert left == names.keys() - {"pgwatch_wed_stress_000000000003"}
        assert sum("not our mark" in note for note in made.ground.notes) == 3
    with psycopg.connect(somebody.dsn(), autocommit=True) as session:
        for name in left:
            session.execute(f'drop database "{name}"')
    survives(somebody)


def test_a_renamed_or_copied_database_bears_the_mark_no_longer() -> None:
    mark = StressMark("pgwatch_wed_stress_0123456789ab", 5, "0123456789abcdef")
    assert mark_of(mark.name, 5, mark.comment) == mark
    assert mark_of("pgwatch_wed_stress_0123456789ac", 5, mark.comment) is None
    assert mark_of(mark.name, 6, mark.comment) is None
    assert mark_of(mark.name, 5, mark.comment + "\n") is None
    assert mark_of(mark.name, 5, None) is None


def test_a_database_without_its_comment_is_dropped_only_as_it_was_created(
    somebody: embedded.EmbeddedServer, app: str
) -> None:
    changes = (
        "comment on database {0} is 'ours now'",
        "alter database {0} connection limit -1",
        "alter database {0} set work_mem = '7MB'",
        "alter database {0} owner to somebody_else",
        "alter database {0} rename to pgwatch_wed_stress_00000000000a",
        "\\c {0}\ncreate table t ()",
    )
    before = databases(somebody)
    psql(somebody.dsn(), "create role somebody_else")
    names = [new_name() for _ in (*changes, "")]
    for name, change in zip(names, (*changes, ""), strict=True):
        psql(somebody.dsn(), f"create database {name} connection limit {limit_of(name)}")
        psql(somebody.dsn(), change.format(name))
    theirs = databases(somebody) - before - {names[-1]}
    assert len(theirs) == len(changes)
    with opened(app) as made:
        assert databases(somebody) - before - {made.ground.database} == theirs
        assert sum("not our mark" in note for note in made.ground.notes) == len(theirs)
    for name in theirs:
        psql(somebody.dsn(), f"drop database {name}")
    psql(somebody.dsn(), "drop role somebody_else")
    survives(somebody)


KILLED = """
import os, signal
from pgwatch_wed.load.ground.stress_mark import StressMark
StressMark.comment = property(lambda self: os.kill(os.getpid(), signal.SIGKILL))
"""


def test_kill_9_between_a_database_and_its_comment_leaves_nothing_after_the_next_start(
    somebody: embedded.EmbeddedServer, app: str
) -> None:
    before = databases(somebody)
    with started(app, KILLED) as run:
        assert run.wait(60) == -signal.SIGKILL
    (left,) = databases(somebody) - before
    wait_until_gone(somebody)
    with opened(app) as made:
        assert databases(somebody) - before == {made.ground.database}
        assert left != made.ground.database
        assert made.ground.notes == ()
    assert databases(somebody) == before
    survives(somebody)


RUN = """
import sys, time
from pgwatch_wed.load.ground.target_ground import target_ground
with target_ground(sys.argv[1], sys.argv[2], frozenset({"busy"}), watched_s=0.0) as made:
    print(made.ground.database, flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("blow", [signal.SIGINT, signal.SIGKILL])
def test_ctrl_c_drops_and_after_kill_9_the_next_start_does(
    somebody: embedded.EmbeddedServer, app: str, blow: signal.Signals
) -> None:
    before = databases(somebody)
    with started(app) as run:
        assert run.stdout
        name = run.stdout.readline().strip()
        with opened(app):  # a run that lives keeps what it has
            assert name in databases(somebody)
        run.send_signal(blow)
        run.wait(60)
    assert (name in databases(somebody)) == (blow is signal.SIGKILL)
    wait_until_gone(somebody)
    with opened(app):
        assert name not in databases(somebody)
    assert databases(somebody) == before
    survives(somebody)


def started(app: str, before: str = "") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", before + RUN, app, confirmed(app)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path.cwd())},
    )


def wait_until_gone(server: embedded.EmbeddedServer) -> None:
    """The server has noticed that the keeper is gone, and given up its lock."""
    with psycopg.connect(server.dsn(), autocommit=True) as session:
        for _ in range(600):
            if (
                session.execute("select from pg_locks where locktype = 'advisory'").fetchone()
                is None
            ):
                return
            time.sleep(0.05)
    raise AssertionError("the lock of a run that is gone is still held")


# A role that may not create databases


@pytest.fixture
def modest(somebody: embedded.EmbeddedServer, app: str) -> Iterator[str]:
    psql(
        somebody.dsn("app"),
        "create role modest login password 'x'; grant create on database app to modest",
    )
    yield make_conninfo(app, user="modest", password="x")
    psql(somebody.dsn("app"), "revoke create on database app from modest; drop role modest")


def tables(server: embedded.EmbeddedServer) -> set[tuple[str, str]]:
    query = "select schemaname, tablename from pg_tables where schemaname !~ '^(pg_|inf)'"
    with psycopg.connect(server.dsn("app")) as session:
        return {(row[0], row[1]) for row in session.execute(query)}


def test_without_createdb_a_schema_is_made_and_dropped(
    somebody: embedded.EmbeddedServer, modest: str
) -> None:
    with opened(modest) as made:
        assert made.ground.database == "app"
        with connected(made.ground) as session:
            session.execute("create table t (a int)")
        assert tables(somebody) == {("public", "precious"), (made.ground.schema, "t")}
        with pytest.raises(CollectError, match="another load test"):
            opened(modest).__enter__()
    assert tables(somebody) == {("public", "precious")}
    assert made.left == []


def test_sessions_that_the_role_cannot_see_are_not_taken_for_idle(
    somebody: embedded.EmbeddedServer, modest: str
) -> None:
    owned = confirmed(modest)
    with (
        psycopg.connect(somebody.dsn("app")),
        pytest.raises(UsageError, match="cannot be seen") as refused,
    ):
        target_ground(modest, owned, **SHORT).__enter__()
    assert "pg_read_all_stats" in refused.value.hint
    assert "--even-if busy" in refused.value.hint


def test_what_others_built_on_our_schema_keeps_it(
    somebody: embedded.EmbeddedServer, modest: str
) -> None:
    with opened(modest) as made:
        with connected(made.ground) as session:
            session.execute("create table t (a int)")
        psql(somebody.dsn("app"), f"create view theirs as select * from {made.ground.schema}.t")
    assert "depends on it" in made.left[0]
    assert (made.ground.schema, "t") in tables(somebody)
    psql(somebody.dsn("app"), "drop view theirs")
    with opened(modest):  # the next start
        assert (made.ground.schema, "t") not in tables(somebody)


def test_a_role_that_may_create_nothing_is_told_so_in_one_line(
    somebody: embedded.EmbeddedServer, modest: str
) -> None:
    psql(somebody.dsn("app"), "revoke create on database app from modest")
    with pytest.raises(UsageError, match="neither databases nor schemas"):
        opened(modest).__enter__()


def test_an_unreachable_target_is_one_line() -> None:
    nobody = f"host=127.0.0.1 port={embedded.free_port()} dbname=app user=x"
    with pytest.raises(ConnectError) as error:
        target_ground(nobody, "").__enter__()
    assert isinstance(error.value, Error)
    assert "\n" not in str(error.value)


@pytest.mark.skipif(
    not (shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")),
    reason="no PgBouncer on this machine",
)
@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_a_pooler_in_between_is_refused(somebody: embedded.EmbeddedServer, mode: str) -> None:
    from tests.test_pgbouncer import pooled

    with pooled(somebody, mode) as dsn, pytest.raises(UsageError, match="pooler"):
        target_ground(make_conninfo(dsn, dbname="app"), "x").__enter__()


# What stops a run


def test_a_run_stops_at_its_limits(somebody: embedded.EmbeddedServer, app: str) -> None:
    with opened(app) as made:
        ground = made.ground
        assert stopped(made, StopLimits(free_share=0.0, free_bytes=1)) == ""
        assert "time limit" in stopped(made, StopLimits(seconds=-1.0))
        assert "free" in stopped(made, StopLimits(free_bytes=2**62))
        assert "connections are in use" in stopped(
            made, StopLimits(connections=0.0, free_share=0.0, free_bytes=1)
        )
        blind = TargetGround(replace(ground, data_directory=None))
        assert stopped(blind, StopLimits()) == ""
        with stop_conditions(blind.ground, StopLimits(growth_bytes=1_000_000)) as stop:
            assert "unknown" in stop.notes[0]
            with connected(ground) as session:
                session.execute(
                    "create table big as select repeat('x', 500) from generate_series(1, 9000)"
                )
            assert "grown by" in stop()
            assert stop() == stop.reason


def stopped(made: TargetGround, limits: StopLimits) -> str:
    with stop_conditions(made.ground, limits) as stop:
        return stop()
