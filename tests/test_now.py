"""`db-analyze now`: the tree of waits, what to do once, and what a role cannot see, on real servers in trouble."""

import json
import os
import pty
import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner
from psycopg.conninfo import conninfo_to_dict

from pgwatch_wed.cli import cli
from pgwatch_wed.errors import ConnectError
from pgwatch_wed.facts.server_moment import ServerMoment
from pgwatch_wed.facts.watched import watched
from pgwatch_wed.findings import Severity
from pgwatch_wed.gather.moment import FACTS, look, watching
from pgwatch_wed.render import now_text, now_view
from pgwatch_wed.render.now_view import NowStep, NowView
from pgwatch_wed.target.collect import ORDER
from pgwatch_wed.target.connect import APPLICATION_NAME
from tests import servers
from tests.psql import psql
from tests.rules.test_lock import Crowd, crowded
from tests.rules.waiting import ask, eventually, later
from tests.servers import Server
from tests.test_cli import PROGRAM

TABLE = "create table orders (id int primary key, n int); insert into orders values (1, 0), (2, 0);"
OURS = (
    "select count(*) from pg_stat_activity"
    f" where application_name = '{APPLICATION_NAME}' and datname = current_database()"
)


@pytest.fixture
def crowd(db: str) -> Iterator[Crowd]:
    psql(db, TABLE)
    with crowded(db) as found:
        yield found


def moment(dsn: str) -> ServerMoment:
    with watching(dsn) as watch:
        return look(watch)


def seen(dsn: str, minutes: float = 10) -> NowView:
    """Return what is seen, as if it had lasted for some time."""
    now = moment(dsn)
    return now_view.view(replace(now, snapshot=later(now.snapshot, minutes=minutes)))


def shown(view: NowView) -> str:
    text = now_text.text(view, "db:5432/shop")
    pasted = {line for s in view.steps for r in s.remedies for line in r.sql.splitlines()}
    too_long = [x for x in text.splitlines() if len(x) > 80 and x.strip() not in pasted]
    assert not too_long, "it is read in 80 columns"
    return text


def step(view: NowView, rule: str) -> NowStep:
    (found,) = [s for s in view.steps if s.rule == rule]
    return found


def run(dsn: str, what: NowStep) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        for remedy in what.remedies:
            connection.execute(remedy.sql.encode())


# What the whole world has met at night


def test_ddl_behind_an_idle_transaction_stops_everybody(crowd: Crowd) -> None:
    holder = crowd.holds("update orders set n = 1 where id = 1", name="billing")
    ddl = crowd.waits("alter table orders add column note text", name="deploy")
    readers = {crowd.waits("select count(*) from orders where n = 5", name="web") for _ in range(3)}
    view = seen(crowd.dsn)
    (root,) = view.roots
    assert (root.pid, root.waiting_sessions) == (holder, 4)
    assert root.query == "update orders set n = ? where id = ?"
    assert "idle in transaction" in root.doing
    (waiting,) = root.behind
    assert (waiting.pid, waiting.mode, waiting.relation) == (
        ddl,
        "ACCESS EXCLUSIVE",
        "public.orders",
    )
    assert {each.pid for each in waiting.behind} == readers
    text = shown(view)
    assert f"{holder} " in text
    assert "last: update orders set n = ?" in text
    assert "and 2 more wait up to" in text, "sessions of one kind are one line"
    short = replace(view, steps=(), longest_wait_seconds=2.0)
    assert "nothing yet, waits of less than 5 s" in shown(short)
    assert "What to do once: nothing\n" in shown(replace(view, steps=()))
    every = [r.sql for s in view.steps for r in s.remedies]
    assert len(every) == len(set(every)) == 2, "each is said once"
    assert view.steps[0].rule == "lock-ddl-queue"
    run(crowd.dsn, view.steps[0])
    assert all(crowd.over(n) for n in (1, 2, 3)), "the readers got through"
    run(crowd.dsn, step(view, "lock-idle-in-transaction"))
    assert eventually(lambda: not seen(crowd.dsn).steps)


def test_a_forgotten_prepared_transaction_is_named_with_who_may_end_it(crowd: Crowd) -> None:
    with psycopg.connect(crowd.dsn, autocommit=True) as connection:
        connection.execute("begin; update orders set n = 2 where id = 1")
        connection.execute("prepare transaction 'xa forgotten'")
    try:
        waiting = crowd.waits("update orders set n = 3 where id = 1", name="web")
        view = seen(crowd.dsn)
        (root,) = view.roots
        assert (root.gid, root.pid, root.behind[0].pid) == ("xa forgotten", None, waiting)
        text = shown(view)
        assert "prepared transaction xa forgotten" in text
        assert text.count("ROLLBACK PREPARED") == 1
        (ending,) = view.steps
        assert any("transaction manager" in caveat for caveat in ending.caveats)
        assert view.holders[0].who == "prepared transaction xa forgotten"
    finally:
        psql(crowd.dsn, "rollback prepared 'xa forgotten'")
    assert crowd.over(0)


def test_an_advisory_lock_left_in_a_pool_is_information_with_a_warning(crowd: Crowd) -> None:
    pooled = psycopg.connect(crowd.dsn, autocommit=True, application_name="pool")
    crowd.stuck.append(pooled)
    pooled.execute("select pg_advisory_lock(1000)")
    crowd.waits("select pg_advisory_lock(1000)", name="migrate")
    view = seen(crowd.dsn)
    (root,) = view.roots
    assert root.pid == pooled.info.backend_pid
    assert "keeps a lock until its connection ends" in root.doing
    blocked = step(view, "lock-blocked")
    assert blocked.severity is Severity.INFO
    assert any("on purpose" in caveat for caveat in blocked.caveats)
    assert "EXCLUSIVE (advisory)" in shown(view)
    now = moment(crowd.dsn)
    (wait,) = now.snapshot.lock_waits
    begun = wait.wait_start or now.snapshot.now
    short = replace(now.snapshot.server, taken_at=begun + timedelta(seconds=1))
    brief = now_view.view(replace(now, snapshot=replace(now.snapshot, server=short)))
    assert brief.steps == (), "a short wait is nobody's business"
    run(crowd.dsn, blocked)
    assert crowd.over(0)


@pytest.fixture(scope="module")
def small() -> Iterator[Server]:
    server = servers.start(
        servers.embedded_spec(),
        {
            "max_connections": "16",
            "superuser_reserved_connections": "4",
            "autovacuum_naptime": "1s",
            "autovacuum": "on",
        },
    )
    try:
        yield server
    finally:
        server.stop()


def test_a_vacuum_to_prevent_wraparound_is_left_to_finish(small: Server) -> None:
    dsn = small.dsn()
    psql(
        dsn,
        """
        create table big (id int, filler text) with (fillfactor = 10, autovacuum_freeze_max_age = 100000,
            autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1);
        insert into big select g, repeat('x', 500) from generate_series(1, 400) g;
        """,
    )
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("set synchronous_commit = off")
        connection.execute(
            "do $$ begin for i in 1..101000 loop perform pg_current_xact_id(); commit; end loop; end $$"
        )
    worker = (
        "select min(pid) from pg_stat_activity where backend_type = 'autovacuum worker'"
        " and query ~ 'big.*to prevent wraparound'"
    )
    pid = eventually(lambda: ask(dsn, worker), 60)
    with crowded(dsn) as crowd:
        crowd.waits("alter table big add column note text", name="deploy")
        view = seen(dsn)
        (root,) = view.roots
        assert root.pid == pid
        assert "autovacuum worker" in root.who
        blocked = step(view, "lock-blocked")
        assert blocked.remedies == ()
        assert any("let it finish" in caveat for caveat in blocked.caveats)
        assert "to prevent wraparound" in shown(view)
        crowd.waits("select count(*) from big", name="web")
        view = seen(dsn)
        assert "pg_cancel_backend" in step(view, "lock-ddl-queue").remedies[0].sql
        run(dsn, step(view, "lock-ddl-queue"))
        assert crowd.over(1)
        assert ask(dsn, worker) == pid, "the vacuum goes on"


def test_without_a_free_slot_superusers_still_get_in_and_others_are_told(small: Server) -> None:
    psql(small.dsn(), "create role shop login")
    with ExitStack() as stack:
        with suppress(psycopg.OperationalError):
            for _ in range(20):
                stack.enter_context(psycopg.connect(small.dsn(user="shop"), application_name="web"))
        with pytest.raises(ConnectError) as caught:
            moment(small.dsn(user="shop"))
        assert "connect as a superuser" in caught.value.hint
        view = now_view.view(moment(small.dsn()))
        assert view.connections.used == view.connections.available == 12
        assert view.connections.reserved == 4
        assert view.connections.by_application == (("shop@postgres (web)", 12),)
        (noted,) = [f for f in view.noted if f.rule == "connection-usage"]
        assert noted.severity is Severity.CRITICAL
        assert "Connections: 12 of 12 (100%), 4 more reserved" in shown(view)


# Roles


def test_a_monitoring_role_sees_all_and_another_is_told_what_it_does_not_see(
    crowd: Crowd, pg: Server
) -> None:
    holder = crowd.holds("update orders set n = 1 where id = 1", name="billing")
    crowd.waits("update orders set n = 2 where id = 1", name="web")
    for role, group in (("now_watcher", "in role pg_monitor"), ("now_nobody", "")):
        if not ask(crowd.dsn, f"select count(*) from pg_roles where rolname = '{role}'"):
            psql(crowd.dsn, f"create role {role} login {group}")
    database = conninfo_to_dict(crowd.dsn)["dbname"]
    watcher = seen(pg.dsn(str(database), user="now_watcher"))
    assert watcher.lacking == ()
    assert watcher.wal is not None
    assert watcher.wal.bytes >= 16 * 2**20
    blocked = step(watcher, "lock-blocked")
    assert "superuser" in blocked.remedies[0].run_as, "who may, if this role may not"
    nobody = seen(pg.dsn(str(database), user="now_nobody"))
    (root,) = nobody.roots
    assert (root.pid, root.query) == (holder, None)
    assert "may not see" in root.doing
    assert nobody.wal is None
    mends = " ".join(mend for _, mend in nobody.lacking)
    assert "GRANT pg_read_all_stats TO now_nobody;" in mends
    assert "GRANT pg_monitor TO now_nobody;" in mends
    assert "Not visible" in shown(nobody)
    with watching(pg.dsn(str(database), user="now_nobody")) as watch:
        first, second = look(watch), look(watch)
    asked_once = {"system", "extensions", "wal_directory"}
    asked = {cost.name for cost in first.snapshot.query_costs}
    assert asked_once <= asked | {"wal_directory"}
    assert "birth" not in asked, "what this role may not run is an error in the server's log"
    assert not asked_once & {cost.name for cost in watch.reader.costs}
    assert second.wal == first.wal
    assert second.queries == first.queries - len(asked_once)
    assert second.snapshot.server.taken_at > first.snapshot.server.taken_at


# What it costs, and what it leaves


def test_rules_look_at_nothing_that_is_not_read(crowd: Crowd) -> None:
    crowd.holds("update orders set n = 1 where id = 1", name="billing")
    crowd.waits("alter table orders add column note text", name="deploy")
    crowd.waits("select count(*) from orders", name="web")
    then = later(moment(crowd.dsn).snapshot, days=2)
    view = watched(then)
    for each in now_view.rules(then):
        list(each.check(view, each.limits()))
    of_tables = {"tables", "table_activity", "indexes", "system_tables", "other_relations"}
    assert view.looked & set(ORDER) - of_tables - {"checkpoints", "wal"} <= FACTS
    assert not any(name in then.missing for name in FACTS)


def test_as_json_it_is_read_by_programs(crowd: Crowd) -> None:
    crowd.holds("update orders set n = 1 where id = 1", name="billing")
    crowd.waits("update orders set n = 2 where id = 1", name="web")
    done = CliRunner().invoke(cli, ["now", crowd.dsn, "--format", "json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["schema_version"] == 1
    assert found["locks"]["waiting_sessions"] == 1
    assert found["locks"]["roots"][0]["behind"][0]["relation"] == "public.orders"
    assert found["queries"] <= 24
    assert found["wal_directory"]["files"] >= 1
    assert APPLICATION_NAME not in done.stdout.replace('"name": "pgwatch_wed"', "")
    assert eventually(lambda: ask(crowd.dsn, OURS) == 0)


def _watch(dsn: str, *more: str, **how: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen([*PROGRAM, "now", dsn, "--watch", "500ms", *more], **how)


def test_watching_keeps_one_connection_and_prints_frames(db: str) -> None:
    pids: set[int] = set()
    with _watch(db, "--format", "json", stdout=subprocess.PIPE, stderr=subprocess.PIPE) as program:
        assert program.stdout is not None
        for _ in range(3):
            assert json.loads(program.stdout.readline())["schema_version"] == 1
            pids.add(ask(db, OURS.replace("count(*)", "min(pid)")))
            assert ask(db, OURS) == 1
        program.send_signal(signal.SIGINT)
        _, said = program.communicate(timeout=30)
    assert len(pids) == 1
    assert program.returncode == 130, said
    assert b"Traceback" not in said
    assert eventually(lambda: ask(db, OURS) == 0)


def test_watching_survives_a_lost_connection(db: str) -> None:
    with _watch(db, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as program:
        assert program.stdout is not None
        eventually(lambda: ask(db, OURS))
        first = program.stdout.readline()
        psql(db, OURS.replace("count(*)", "pg_terminate_backend(pid)"))
        lines = [first]
        while b"trying again" not in lines[-1]:
            lines.append(program.stdout.readline())
            assert lines[-1], "it ended"
        while b"PostgreSQL" not in lines[-1]:
            lines.append(program.stdout.readline())
        program.send_signal(signal.SIGTERM)
        program.communicate(timeout=30)
    assert b"-" * 80 + b"\n" in lines, "frames are told apart"
    assert program.returncode == 143


def test_a_terminal_is_left_as_it_was(db: str) -> None:
    screen, keyboard = pty.openpty()
    said = bytearray()

    def read() -> None:
        with suppress(OSError):  # the end of a terminal is an error
            while data := os.read(screen, 4096):
                said.extend(data)

    reader = threading.Thread(target=read)
    env = {**os.environ, "COLUMNS": "80", "LINES": "12", "TERM": "xterm"}
    with _watch(db, stdin=keyboard, stdout=keyboard, stderr=keyboard, env=env) as program:
        os.close(keyboard)
        reader.start()
        eventually(lambda: said.count(b"\x1b[J") >= 3)
        program.send_signal(signal.SIGINT)
        program.wait(30)
    reader.join(10)
    os.close(screen)
    assert program.returncode == 130
    controls = set(re.findall(rb"\x1b\[[0-9;?]*[A-Za-z]", bytes(said)))
    moves = {c for c in controls if not c.endswith(b"m")}
    assert moves == {b"\x1b[J", b"\x1b[11F"}, (
        "no other screen, no hidden cursor, nothing to restore"
    )
    assert b"more lines" in said
    assert b"Traceback" not in said


def test_a_server_that_is_not_there_is_one_line_and_status_3() -> None:
    done = CliRunner().invoke(cli, ["now", "host=127.0.0.1 port=1 dbname=x", "--watch", "1"])
    assert isinstance(done.exception, ConnectError)
    bad = CliRunner().invoke(cli, ["now", "--watch", "soon"])
    assert bad.exit_code == 2


def test_it_starts_without_what_only_other_commands_need() -> None:
    code = "import sys, pgwatch_wed.cli.now; print({'sqlalchemy', 'alembic', 'jinja2'} & sys.modules.keys())"
    done = subprocess.run(
        [PROGRAM[0], "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "set()", "at night, every second counts"
