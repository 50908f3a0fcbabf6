"""Lanes: what may run at the same time, and what has to wait."""

import threading
import time
from collections.abc import Iterable

from pgwatch_wed.fleet.lanes import Lane, LaneLimits, LaneTask


class Meter:
    """Counts how many tasks run at the same time; each waits a moment for others to join it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.now = self.most = self.done = 0
        self.both = threading.Event()

    def work(self) -> None:
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
            if self.now > 1:
                self.both.set()
        self.both.wait(0.05)
        with self.lock:
            self.now -= 1
            self.done += 1


def wait(event: threading.Event) -> None:
    assert event.wait(20)


def finished(lane: Lane, tasks: Iterable[LaneTask]) -> None:
    for task in tasks:
        lane.add(task)
    until = time.monotonic() + 20
    while not lane.is_idle:
        assert time.monotonic() < until
        time.sleep(0.005)


def test_tasks_with_the_same_key_run_one_after_another() -> None:
    meter = Meter()
    finished(
        Lane(LaneLimits(), 8, print), [LaneTask(meter.work, frozenset({"a"})) for _ in range(5)]
    )
    assert (meter.most, meter.done) == (1, 5)


def test_a_key_holds_over_all_lanes() -> None:
    meter, limits = Meter(), LaneLimits()
    other = Lane(limits, 2, print)
    other.add(LaneTask(meter.work, frozenset({"a"})))
    finished(Lane(limits, 2, print), [LaneTask(meter.work, frozenset({"a", "b"}))] * 3)
    while not other.is_idle:
        time.sleep(0.005)
    assert (meter.most, meter.done) == (1, 4)


def test_of_a_host_no_more_run_than_the_limit_allows() -> None:
    meter = Meter()
    lane = Lane(LaneLimits({"host": 2}), 8, print)
    finished(lane, [LaneTask(meter.work, counted=(("host", "db1"),)) for _ in range(6)])
    assert (meter.most, meter.done) == (2, 6)


def test_other_hosts_do_not_wait_for_it() -> None:
    held, other = threading.Event(), threading.Event()
    lane = Lane(LaneLimits({"host": 1}), 2, print)
    lane.add(LaneTask(lambda: wait(held), counted=(("host", "db1"),)))
    lane.add(LaneTask(lambda: None, counted=(("host", "db1"),)))
    lane.add(LaneTask(other.set, counted=(("host", "db2"),)))
    assert other.wait(20)
    held.set()


def test_what_fails_is_told_and_costs_no_thread() -> None:
    said: list[BaseException] = []

    def fail() -> None:
        raise ValueError("broken")

    lane = Lane(LaneLimits(), 1, said.append)
    meter = Meter()
    finished(lane, [LaneTask(fail), LaneTask(meter.work)])
    assert ([str(each) for each in said], meter.done) == (["broken"], 1)


def test_a_closed_lane_returns_what_has_not_begun() -> None:
    held = threading.Event()
    lane = Lane(LaneLimits(), 1, print)
    first, second = LaneTask(lambda: wait(held)), LaneTask(lambda: None)
    lane.add(first)
    while lane.is_settled(0) is False:
        time.sleep(0.005)
    lane.add(second, delay_s=60)
    assert lane.close() == [second]
    held.set()
