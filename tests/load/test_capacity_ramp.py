"""The capacity is an interval that contains the truth, also where blocks are noisy."""

import random
from dataclasses import replace

import pytest

from pgwatch_wed.load.load_model import Answer, Block, LoadScript, Machine, Order, Spoilt, TimeSpent
from pgwatch_wed.load.scenarios.capacity_ramp import (
    WIDTH,
    RampStep,
    capacity,
    follows,
    next_rate,
    step_of,
)
from pgwatch_wed.load.scenarios.soak_length import soak_length

NO_LATENCY: TimeSpent = None  # type: ignore[assignment]  # nothing here looks at it


def block(rate: float, done: float, **more: object) -> Block:
    order = Order(scripts=(LoadScript(name="a", text="select 1;"),), clients=4, rate=rate)
    found = Block(
        order=order,
        began=0,
        seconds=10,
        transactions=int(done * 10),
        failures={},
        retries=0,
        spent=NO_LATENCY,
        by_script={},
        work=None,
        machine=Machine(cores=2),
    )
    return replace(found, **more)  # type: ignore[arg-type]


def ramped(
    true: float, estimate: float, most: int, noise: float, chance: random.Random
) -> list[RampStep]:
    """Let a server do ``true`` transactions a second, more or less: one block in ten meets a bad moment."""
    steps: list[RampStep] = []
    while (rate := next_rate(steps, estimate, most)) is not None:
        able = true * chance.gauss(1, noise) * (0.6 if noise and chance.random() < 0.1 else 1)
        steps.append(step_of(block(rate, min(rate, able))))
    return steps


@pytest.mark.parametrize("factor", [0.05, 0.4, 0.7, 1.0, 1.3])
def test_a_steady_server_is_found_exactly_wherever_the_closed_loop_put_it(factor: float) -> None:
    steps = ramped(1000 * factor, 1000, 40, 0, random.Random(1))
    found = capacity(steps)
    assert found.low
    assert found.high
    # 3% and three roots may be left behind, so a little above the truth still holds
    assert found.low <= 1000 * factor * 1.2
    assert found.high >= 1000 * factor
    assert found.high / found.low <= WIDTH
    assert found.is_consistent
    assert "held, at" in found.reason


def test_of_noisy_servers_nearly_all_are_found_and_none_is_soaked_above_its_capacity() -> None:
    inside = 0
    for seed in range(200):
        found = capacity(ramped(800, 1000, 30, 0.03, random.Random(seed)))
        assert found.low
        soak = found.soak_rate(0.7)
        assert soak
        assert soak < 800
        inside += found.low <= 860 and found.high is not None and found.high >= 760
    assert inside >= 190


def test_the_interval_is_honest_if_there_were_too_few_steps() -> None:
    steps = ramped(2000, 1000, 2, 0, random.Random(1))
    found = capacity(steps)
    assert found.high is None
    assert found.low == steps[-1].rate
    assert "still held" in found.reason


def test_nothing_holds() -> None:
    found = capacity([RampStep(rate=500, answer=Answer.FAIL, reason="errors < 0.1% was not met")])
    assert (found.low, found.high) == (None, 500)
    assert found.soak_rate(0.7) is None
    assert found.reason == "no rate that was tried held: at 500/s errors < 0.1% was not met"
    assert next_rate([], 0, 10) is None


def test_a_spoilt_block_says_nothing_and_is_repeated_twice_at_most() -> None:
    bad = Spoilt(check="generator-cpu", text="pgbench waited for a core")
    step = step_of(block(500, 300, spoilt=(bad,)))
    assert step.answer is Answer.UNKNOWN
    steps = [step]
    while (rate := next_rate(steps, 1000, 20)) is not None:
        steps.append(replace(step, rate=rate))
    assert [s.rate for s in steps] == [500] * 3
    found = capacity(steps)
    assert (found.low, found.high) == (None, None)
    assert "pgbench waited" in found.reason


def test_over_capacity_is_what_is_sought_and_spoils_nothing() -> None:
    over = Spoilt(check="over-capacity", text="the queue grew to the end")
    assert step_of(block(500, 500, spoilt=(over,))).answer is Answer.FAIL


def test_an_objective_breaks_a_step_and_one_that_cannot_be_told_does_not() -> None:
    fine = block(500, 500)
    assert step_of(fine, [("p95 < 200 ms", Answer.FAIL)]).reason == "p95 < 200 ms was not met"
    assert step_of(fine, [("p95 < 200 ms", Answer.UNKNOWN)]).answer is Answer.UNKNOWN
    assert step_of(fine, [("p95 < 200 ms", Answer.PASS)]).answer is Answer.PASS


def test_a_rate_that_held_and_broke_makes_the_interval_wide() -> None:
    answers = {500: [Answer.PASS], 700: [Answer.FAIL, Answer.PASS], 900: [Answer.FAIL]}
    found = capacity(
        [RampStep(rate=r, answer=a, reason="") for r, each in answers.items() for a in each]
    )
    assert (found.low, found.high, found.is_consistent) == (500, 900, False)


def test_a_random_schedule_is_not_taken_for_being_behind() -> None:
    chance = random.Random(3)
    for rate in (3, 50, 2000):
        due = [chance.gauss(rate * 10, (rate * 10) ** 0.5) for _ in range(300)]
        assert sum(follows(rate, int(d), 10) for d in due) >= 298
    assert not follows(1000, 9_399, 10)


def test_a_soak_lasts_three_checkpoints_or_says_what_to_set() -> None:
    assert soak_length(300, 1800).checkpoints == 6
    assert soak_length(600, 1800).note == ""
    short = soak_length(1800, 1800)
    assert short.checkpoints == 1
    assert "soak for 90 min" in short.note or "soak for 1.5 h" in short.note
    assert "checkpoint_timeout is 30 min" in short.note
