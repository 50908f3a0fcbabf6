"""Blocks of load on a real server."""

import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from pgwatch_wed.errors import Error
from pgwatch_wed.load.engine.block_runner import runner
from pgwatch_wed.load.ground.embedded_ground import EmbeddedGround
from pgwatch_wed.load.load_model import ALL_LOST, FailureKind, LoadScript, Order
from tests.load.grounds import own_ground

__all__ = ["own_ground"]
ONE = LoadScript(name="one", text="select 1;")
BAD = LoadScript(name="bad", text="select 1 / 0;")


def order(*scripts: LoadScript, rate: float | None = 200, seconds: float = 1.4) -> Order:
    return Order(scripts=scripts or (ONE,), clients=4, rate=rate, seconds=seconds, warmup_s=0.5)


def test_a_block_tells_what_ran_and_what_the_server_did(own_ground: EmbeddedGround) -> None:
    with psycopg.connect(own_ground.ground.conninfo, autocommit=True) as connection:
        connection.execute("create table made (id bigserial)")
    writing = LoadScript(name="write", text="insert into made default values;", weight=3)
    # the rate must not depend on how fast the disk is
    quick = replace(order(ONE, writing), settings={"synchronous_commit": "off"})
    block = runner(own_ground.ground)(quick)
    assert block.transactions == pytest.approx(200 * block.seconds, rel=0.3)
    assert (dict(block.failures), block.errors, block.ended_early) == ({}, (), "")
    assert block.spent.latency.count == block.transactions
    assert block.spent.lag is not None
    counts = {name: spent.latency.count for name, spent in block.by_script.items()}
    assert sum(counts.values()) == block.transactions
    assert counts["write"] == pytest.approx(3 * counts["one"], rel=0.4)
    with psycopg.connect(own_ground.ground.conninfo) as connection:
        row = connection.execute("select count(*) from made").fetchone()
    assert block.work is not None
    assert block.work.transactions > block.transactions  # with warm-up, as the counters have it
    assert row is not None
    assert block.work.rows_changed == row[0]
    assert block.work.wal_records
    assert block.work.cpu_ms is not None


def test_errors_end_clients_and_a_block_without_clients_ends(own_ground: EmbeddedGround) -> None:
    began = time.monotonic()
    block = runner(own_ground.ground)(order(ONE, BAD, seconds=20))
    assert time.monotonic() - began < 15
    assert block.failures[FailureKind.LOST_CLIENT] == 4
    assert block.ended_early == ALL_LOST
    assert block.errors == ("bad: ERROR: division by zero",)
    assert block.work is None or block.work.transactions


def test_a_stall_shows_in_an_open_loop_and_hides_in_a_closed_one(
    own_ground: EmbeddedGround,
) -> None:
    with psycopg.connect(own_ground.ground.conninfo, autocommit=True) as connection:
        connection.execute("create table stalled as select 1 as id")
    reads = LoadScript(name="read", text="select * from stalled;")
    found = {}
    for rate in (150.0, None):
        stall = threading.Timer(1.2, lock, (own_ground.ground.conninfo,))
        stall.start()
        block = runner(own_ground.ground)(order(reads, rate=rate, seconds=5))
        stall.join()
        found[rate] = block.spent.latency.percentile(95)
    opened, closed = found[150.0], found[None]
    assert opened is not None
    assert closed is not None
    assert opened > 1000
    assert closed < 500


def lock(conninfo: str) -> None:
    with psycopg.connect(conninfo) as connection:
        connection.execute("lock table stalled in access exclusive mode")
        time.sleep(2)


def test_over_capacity_there_is_no_percentile(own_ground: EmbeddedGround) -> None:
    slow = LoadScript(name="slow", text="select pg_sleep(0.1);")
    late = FailureKind.TIMEOUT  # all but the first few
    block = runner(own_ground.ground)(replace(order(slow, rate=2000), timeout_s=0.15))
    assert block.spent.latency.percentile(50) is None
    assert "over-capacity" in {s.check for s in block.spoilt}
    served = block.transactions + block.failures[late]
    assert served == pytest.approx(40 * block.seconds, rel=0.3)
    assert block.failures[late] > block.transactions
    assert block.attempts == pytest.approx(2000 * block.seconds, rel=0.01)


def test_logs_are_removed_those_of_a_killed_process_too(
    own_ground: EmbeddedGround, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    left = Path(tempfile.mkdtemp(prefix="pgwedtmp-load-"))
    (left / "log.1").write_text("0 1 2")
    runner(own_ground.ground)(order(seconds=0.3))
    assert list(tmp_path.iterdir()) == []


def test_a_reason_to_stop_ends_a_block_and_its_sessions(own_ground: EmbeddedGround) -> None:
    asked: list[float] = []  # when, from the start of the block

    def stop() -> str:
        asked.append(time.monotonic())
        return "the disk is nearly full" if asked[-1] > asked[0] + 1.5 else ""

    slow = LoadScript(name="slow", text="select pg_sleep(0.02);")
    block = runner(own_ground.ground, stop=stop)(order(slow, rate=50, seconds=20))
    assert block.ended_early == "the disk is nearly full"
    assert 0 < block.seconds < 5
    assert block.transactions > 0
    assert not block.failures
    assert block.work is None
    with psycopg.connect(own_ground.ground.conninfo) as connection:
        left = connection.execute(
            "select query from pg_stat_activity where application_name like %s", ["%stress %"]
        ).fetchall()
    assert left == []


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (Order(scripts=(), clients=1, rate=1), "at least one script"),
        (Order(scripts=(ONE,), clients=0, rate=1), "at least one client"),
        (Order(scripts=(ONE,) * 129, clients=1, rate=1), "at most 128 scripts, and these are 129"),
        (Order(scripts=(ONE,), clients=1, rate=0), "rate must be above zero"),
        (Order(scripts=(ONE,), clients=1, rate=1, seconds=0), "time must be above zero"),
        (Order(scripts=(ONE,), clients=101, rate=1), "room for"),
    ],
)
def test_what_cannot_run_is_one_line(
    own_ground: EmbeddedGround, wrong: Order, message: str
) -> None:
    with pytest.raises(Error, match=message):
        runner(own_ground.ground)(wrong)
