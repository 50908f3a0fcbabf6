"""What surprises users of pgbench, on a real one: each is shown, or cannot happen here."""

import os
import shutil
import signal
import socket
import stat
import subprocess
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import LiteralString

import psycopg
import pytest

from pgwatch_wed.embedded import server as embedded
from pgwatch_wed.errors import Error
from pgwatch_wed.load.engine import block_limits, pgbench_program
from pgwatch_wed.load.engine.block_run import INTERRUPTED
from pgwatch_wed.load.engine.block_runner import runner
from pgwatch_wed.load.ground.embedded_ground import EmbeddedGround
from pgwatch_wed.load.load_model import FailureKind, LoadScript, Order
from tests.load.grounds import own_ground

__all__ = ["own_ground"]
ONE = LoadScript(name="one", text="select 1;")
HOT = LoadScript(
    name="hot",
    text="begin isolation level repeatable read;\nselect sum(n) from hot;\nselect pg_sleep(0.002);\n"
    "update hot set n = n + 1;\nend;",
)


def order(*scripts: LoadScript, rate: float | None = 100, seconds: float = 1.4) -> Order:
    return Order(scripts=scripts or (ONE,), clients=4, rate=rate, seconds=seconds, warmup_s=0.5)


def test_pauses_in_a_script_count_as_latency(own_ground: EmbeddedGround) -> None:
    pausing = LoadScript(name="pausing", text="\\sleep 100 ms\nselect 1;")
    mean = runner(own_ground.ground)(order(pausing, rate=20)).spent.service.mean()
    assert mean is not None
    assert mean > 100


def test_a_transaction_that_is_tried_again_is_one_and_one_that_is_given_up_has_failed(
    own_ground: EmbeddedGround,
) -> None:
    with psycopg.connect(own_ground.ground.conninfo, autocommit=True) as connection:
        connection.execute("create table hot as select 0 as n")
    once = runner(own_ground.ground)(order(HOT, rate=None))
    assert once.failures[FailureKind.SERIALIZATION] > 0
    assert once.retries == 0
    often = runner(own_ground.ground)(replace(order(HOT, rate=None), max_tries=100))
    assert dict(often.failures) == {}
    assert often.retries > 0


def test_a_session_that_the_server_ends_is_a_lost_client(own_ground: EmbeddedGround) -> None:
    end = threading.Thread(target=end_a_session, args=(own_ground.ground.conninfo,))
    end.start()
    block = runner(own_ground.ground)(order(LoadScript(name="slow", text="select pg_sleep(0.01);")))
    end.join()
    assert dict(block.failures) == {FailureKind.LOST_CLIENT: 1}
    assert block.transactions > 20  # the others went on
    assert len(block.errors) == 1
    assert not block.ended_early


def end_a_session(conninfo: str) -> None:
    until_it_runs(
        conninfo,
        "select pg_terminate_backend(pid) from pg_stat_activity where application_name like "
        "'%stress%' and query like '%pg_sleep%' limit 1",
    )


def until_it_runs(conninfo: str, query: LiteralString) -> None:
    """Repeat a query until it returns a row: how long a block takes to begin depends on the machine."""
    with psycopg.connect(conninfo, autocommit=True) as connection:
        for _ in range(600):
            if connection.execute(query).fetchone() is not None:
                return
            time.sleep(0.05)


def test_settings_and_variables_hold_in_the_sessions(own_ground: EmbeddedGround) -> None:
    text = "select 1 / (current_setting('work_mem') = '64kB' and :given = 'it''s a')::int;"
    block = runner(own_ground.ground)(
        replace(
            order(LoadScript(name="asks", text=text)),
            settings={"work_mem": "64kB", "search_path": r"public, \x"},
            variables={"given": "it's a"},
        )
    )
    assert block.errors == ()
    assert block.transactions > 50


def test_what_takes_longer_than_the_timeout_has_failed(own_ground: EmbeddedGround) -> None:
    slow = LoadScript(name="slow", text="select pg_sleep(0.1);")
    block = runner(own_ground.ground)(replace(order(slow, rate=10), timeout_s=0.05))
    assert block.transactions == 0
    assert block.failures[FailureKind.TIMEOUT] == block.attempts > 0


def test_a_text_that_pgbench_would_misread_is_refused_before_it_runs(
    own_ground: EmbeddedGround,
) -> None:
    with pytest.raises(
        Error, match="script wrong, line 1: pgbench would take :aid inside a literal"
    ):
        runner(own_ground.ground)(order(LoadScript(name="wrong", text="select 'x:aid y';")))


def test_an_interrupt_gives_the_block_of_what_ran(own_ground: EmbeddedGround) -> None:
    slow = LoadScript(name="slow", text="select pg_sleep(0.02);")
    interrupt = threading.Thread(target=press_ctrl_c, args=(own_ground.ground.conninfo,))
    interrupt.start()
    block = runner(own_ground.ground)(order(slow, seconds=20))
    interrupt.join()
    assert block.ended_early == INTERRUPTED
    assert block.spoilt[0].check == "interrupted"
    assert block.transactions > 10
    with psycopg.connect(own_ground.ground.conninfo) as connection:
        left = connection.execute(
            "select query from pg_stat_activity where query like '%pg_sleep%' and "
            "pid <> pg_backend_pid()"
        ).fetchall()
    assert left == []


def press_ctrl_c(conninfo: str) -> None:
    # before the block runs, this would end the test run
    until_it_runs(
        conninfo,
        "select from pg_stat_activity where application_name like '%stress%' and query like '%pg_sleep%'",
    )
    time.sleep(1.5)
    os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.skipif(shutil.which("pgbench") is None, reason="no pgbench in PATH")
def test_another_pgbench_does_as_well(own_ground: EmbeddedGround) -> None:
    other = shutil.which("pgbench")
    assert other is not None
    block = runner(own_ground.ground, program=Path(other))(order())
    assert block.transactions == pytest.approx(100 * block.seconds, rel=0.4)
    assert dict(block.failures) == {}


def test_connecting_does_not_hang(own_ground: EmbeddedGround) -> None:
    """pgbench's time does not bound it, and libpq waits forever by default."""
    able = pgbench_program.abilities(embedded.wheel_bindir() / "pgbench")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        place = pgbench_program.conninfo(f"host=127.0.0.1 port={port}", order())
        began = time.monotonic()
        command = [str(able.program), "-n", "-T", "1", f"{place} connect_timeout=2"]
        done = subprocess.run(command, capture_output=True, check=False, timeout=60)
    assert done.returncode == 1
    assert time.monotonic() - began < 10
    assert f"connect_timeout='{pgbench_program.CONNECT_TIMEOUT_S}'" in place


def test_an_old_pgbench_says_what_it_lacks(own_ground: EmbeddedGround, tmp_path: Path) -> None:
    older = program(tmp_path / "older", "--rate=NUM --log-prefix=P --random-seed=S --connect")
    with pytest.raises(Error, match="cannot try a transaction again"):
        runner(own_ground.ground, program=older)(replace(order(), max_tries=3))
    ancient = program(tmp_path / "ancient", "--connect")
    with pytest.raises(Error, match="is too old: it has no --rate"):
        runner(own_ground.ground, program=ancient)(order())


def program(path: Path, options: str) -> Path:
    path.write_text(
        f"#!/bin/sh\ncase $1 in --version) echo 'pgbench (PostgreSQL) 9.6.1';; *) echo '{options}';; esac\n"
    )
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_options_are_used_where_pgbench_has_them(tmp_path: Path) -> None:
    def given(options: set[str]) -> list[str]:
        able = pgbench_program.Abilities(Path("pgbench"), frozenset(options))
        return list(
            pgbench_program.arguments(
                order(), able, conninfo="", prefix=tmp_path / "log", threads=1, run_s=3
            )
        )

    later = given({"--max-tries", "--failures-detailed", "--continue-on-error"})
    assert {"--failures-detailed", "--continue-on-error", "--verbose-errors"} <= set(later)
    assert not [a for a in later if "aggregate" in a]  # whose columns depend on the version
    assert not [a for a in given(set()) if a.startswith(("--failures", "--continue", "--max"))]


def test_too_few_descriptors_are_told_before_anybody_connects(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda _: (1024, 4096))
    with pytest.raises(
        Error, match=r"10,000 clients need 10,064 file descriptors, .* may open 4,096"
    ):
        block_limits.allow_descriptors(10_000)
    raised: list[tuple[int, int]] = []
    monkeypatch.setattr("resource.setrlimit", lambda _, both: raised.append(both))
    block_limits.allow_descriptors(2000)
    block_limits.allow_descriptors(10)
    assert raised == [(2064, 4096)]
