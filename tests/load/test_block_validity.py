"""Whether the times of a block can be believed, from facts alone."""

from dataclasses import replace

import pytest

from pgwatch_wed.load.engine.block_validity import BlockFacts, spoilt
from pgwatch_wed.load.engine.hdr_latencies import HdrLatencies
from pgwatch_wed.load.load_model import (
    FailureKind,
    LoadScript,
    Machine,
    Order,
    TimeSpent,
    Watched,
)

ONE = LoadScript(name="one", text="select 1;")
QUIET = Machine(
    cores=4, generator_cpu=0.1, generator_pressure=0.0005, others_cpu=0.05, pressure=0.02, steal=0.0
)


def times(latency_ms: float, lag_ms: float = 0.05) -> TimeSpent:
    latency, lag = int(latency_ms * 1000), int(lag_ms * 1000)
    return TimeSpent(
        latency=HdrLatencies({latency: 2000}),
        lag=HdrLatencies({lag: 2000}),
        service=HdrLatencies({latency - lag: 2000}),
    )


# 200 a second of 20 ms: 4 sessions are busy
GOOD = BlockFacts(
    order=Order(scripts=(ONE,), clients=20, rate=200),
    seconds=10,
    transactions=2000,
    ended_inside=2000,
    failures={},
    spent=times(20),
    machine=QUIET,
    threads=1,
    least_lags_s=(0.0001,) * 5,
    connecting_s=0.1,
    is_server_visible=True,
    watched=Watched(busy_sessions=4.1, busy_error=0.1, largest_gap_s=0.2),
)


def checks(facts: BlockFacts) -> list[str]:
    return [one.check for one in spoilt(facts)]


def test_a_quiet_block_is_believed() -> None:
    assert spoilt(GOOD) == ()


def test_what_is_not_known_spoils_nothing() -> None:
    assert checks(replace(GOOD, machine=Machine(cores=4), watched=None)) == []
    assert checks(replace(GOOD, watched=Watched())) == []


@pytest.mark.parametrize(
    ("machine", "check"),
    [
        (replace(QUIET, generator_cpu=0.9), "generator-cpu"),
        (replace(QUIET, generator_pressure=0.5), "generator-lag"),  # 2.5 ms of each
        (replace(QUIET, others_cpu=1.5, pressure=0.6), "cpu-pressure"),
        (replace(QUIET, others_cpu=2.5, pressure=None), "cpu-pressure"),
        (replace(QUIET, steal=0.05), "steal"),
    ],
)
def test_the_machine_spoils_a_block(machine: Machine, check: str) -> None:
    assert checks(replace(GOOD, machine=machine)) == [check]


def test_a_generator_that_waits_for_the_cpu_that_it_needs_is_as_slow_as_one_that_has_it() -> None:
    closed = replace(GOOD, order=replace(GOOD.order, rate=None), watched=None)
    starved = replace(QUIET, generator_cpu=0.47, generator_pressure=0.44)
    assert checks(replace(closed, machine=starved)) == ["generator-cpu"]
    assert checks(replace(closed, machine=starved, threads=2)) == []


def test_pressure_without_others_is_our_own_and_others_without_pressure_do_no_harm() -> None:
    assert checks(replace(GOOD, machine=replace(QUIET, pressure=0.97))) == []
    assert checks(replace(GOOD, machine=replace(QUIET, others_cpu=1.5))) == []


def test_a_generator_that_begins_late_although_clients_are_free_is_seen_without_the_kernel() -> (
    None
):
    machine = Machine(cores=4)
    late = replace(GOOD, machine=machine, spent=times(20, 8), watched=None)
    assert checks(late) == ["generator-lag"]
    busy = replace(late, order=replace(GOOD.order, clients=4))
    assert checks(busy) == []  # the clients were not free
    assert checks(replace(late, order=replace(GOOD.order, reconnects=True))) == []


def test_the_sessions_that_are_seen_must_be_those_of_littles_law() -> None:
    def seen(number: float, error: float = 0.05) -> list[str]:
        return checks(replace(GOOD, watched=Watched(busy_sessions=number, busy_error=error)))

    assert seen(2.0) == ["littles-law"]
    assert seen(7.0) == ["littles-law"]
    assert seen(3.7) == []
    assert seen(2.0, error=1.2) == []  # too few samples to tell
    rare = replace(GOOD, order=replace(GOOD.order, rate=5, seconds=2), ended_inside=10, seconds=2)
    assert checks(replace(rare, watched=Watched(busy_sessions=0.0, busy_error=0.0))) == []
    text = spoilt(replace(GOOD, watched=Watched(busy_sessions=1.0)))[0].text
    assert "200 transactions a second of 19.9 ms make 4.0 busy sessions, and 1.0 were seen" in text


def test_pauses_and_failures_are_no_breach_of_the_law() -> None:
    wrong = replace(GOOD, watched=Watched(busy_sessions=1.0))
    pausing = LoadScript(name="p", text="\\sleep 15 ms\nselect 1;")
    assert checks(replace(wrong, order=replace(GOOD.order, scripts=(pausing,)))) == []
    assert checks(replace(wrong, failures={FailureKind.DEADLOCK: 500})) == []


def test_a_sampler_that_saw_nothing_for_long_is_told() -> None:
    assert checks(replace(GOOD, watched=Watched(largest_gap_s=0.9))) == []
    assert checks(replace(GOOD, watched=Watched(largest_gap_s=2.0))) == ["sampler-gaps"]


def test_a_backlog_that_only_grows_is_over_capacity_and_a_stall_is_not() -> None:
    def lags(*seconds: float | None) -> list[str]:
        return checks(replace(GOOD, least_lags_s=seconds))

    assert lags(0.4, 0.8, 1.2, 1.6, 2.0) == ["over-capacity"]
    assert lags(3.0, None, None, None, None) == ["over-capacity"]
    assert lags(0.0, 0.0, 1.4, 0.3, 0.0) == []  # a stall in the middle
    assert lags(0.0, 0.0, 0.0, 0.0, None) == []  # one at the end
    assert lags(0.001, 0.002, 0.003, 0.004, 0.005) == []
    closed = replace(GOOD, order=replace(GOOD.order, rate=None), least_lags_s=(None,) * 5)
    assert checks(closed) == []


def test_a_block_cut_short_is_told_with_the_reason() -> None:
    assert checks(replace(GOOD, seconds=4.0, ended_early="interrupted", watched=None)) == [
        "interrupted"
    ]
    short = replace(GOOD, seconds=7.3, ended_inside=1460, connecting_s=4.4)
    assert [(s.check, s.text) for s in spoilt(short)] == [
        ("connecting", "Connecting took 4.4 s, which left 7.3 s of 10 s.")
    ]
