"""Signals whose exception is lost, as in a callback or a finalizer, still end a run over a fleet."""

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pgwatch_wed.cli import interrupts
from pgwatch_wed.errors import HistoryPlaceError
from pgwatch_wed.fleet import fleet_begin, fleet_engine, fleet_workers
from pgwatch_wed.fleet.fleet_engine import EngineOptions
from pgwatch_wed.fleet.members import Member
from pgwatch_wed.fleet.queue import queue_waiting
from pgwatch_wed.fleet.queue.queue_waiting import ToldToStopError
from pgwatch_wed.fleet.shards import Shard
from pgwatch_wed.history import store
from tests.fleet.networks import Network, Way

RAISES = [(signal.SIGTERM, SystemExit), (signal.SIGINT, KeyboardInterrupt)]
NOBODY = "host=127.0.0.1 port=1 user=x dbname=x"


@pytest.fixture(autouse=True)
def nothing_stays() -> Iterator[None]:
    """Leave the signals as they were, and no run to be ended by what came here."""
    before = {each: signal.getsignal(each) for each, _ in RAISES}
    yield
    interrupts.ignore()
    for each, handler in before.items():
        signal.signal(each, handler)


def send_and_lose(number: signal.Signals) -> None:
    interrupts.listen()
    try:
        signal.raise_signal(number)
    except (SystemExit, KeyboardInterrupt):
        return
    pytest.fail("nothing was raised")


@pytest.mark.parametrize(("number", "raised"), RAISES)
def test_a_run_ends_though_the_exception_was_lost(
    number: signal.Signals, raised: type[BaseException], net: Network, tmp_path: Path
) -> None:
    opened = store.open_store(str(tmp_path / "history.sqlite3"))
    silent = Member("silent", (net.through(NOBODY, Way(hangs=True)),))
    worker = fleet_workers.worker_name()
    begun = fleet_begin.begin(opened, [silent], worker, {}, shard=Shard(), resume=False)
    send_and_lose(number)
    options = EngineOptions(end_if_told=interrupts.end_if_told)
    options = replace(options, visits=replace(options.visits, connect_s=60, attempts=1))
    with pytest.raises(raised):
        fleet_engine.run(opened, begun, worker, options, lambda visit: pytest.fail(visit.member))
    opened.close()


def test_a_later_signal_ends_at_once_only_what_can_be_ended_so(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    now = time.monotonic()
    ended: list[int] = []
    monkeypatch.setattr(time, "monotonic", lambda: now)
    monkeypatch.setattr(os, "_exit", ended.append)
    send_and_lose(signal.SIGTERM)
    now += 60
    signal.raise_signal(signal.SIGTERM)
    assert ended == []
    send_and_lose(signal.SIGTERM)
    interrupts.end_at_once_when_told_again()
    now += 1
    signal.raise_signal(signal.SIGINT)  # who is impatient presses it twice
    assert ended == []
    now += 2
    signal.raise_signal(signal.SIGINT)
    assert ended == [130]
    assert capfd.readouterr().err.splitlines()[-1] == "db-analyze: interrupted"


def test_what_came_during_one_run_does_not_end_the_next() -> None:
    send_and_lose(signal.SIGTERM)
    interrupts.ignore()
    interrupts.end_if_told()


def test_a_worker_that_waits_for_the_queue_ends_though_the_exception_was_lost() -> None:
    def work() -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        except ToldToStopError:
            raise HistoryPlaceError("connection refused", "") from None

    with pytest.raises(ToldToStopError):
        queue_waiting.waited_for(work, lambda _: None, 3600)
