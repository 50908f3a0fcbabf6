"""What a change did to queries: told right where it can be, and not at all where it cannot."""

import math
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from pgwatch_wed.facts.advice_words import AdviceOutcome
from pgwatch_wed.history import effects
from pgwatch_wed.history.effects import (
    ChangeTimes,
    Doings,
    ObservedWork,
    Work,
    measure,
)
from tests.bench.closed_loop import WORLDS, World, trial

DAY = timedelta(days=1)
START = datetime(2026, 1, 1, tzinfo=UTC)
TRIALS = 12


def times(before: int, after: int) -> ChangeTimes:
    """The change is made in the interval number ``before``."""
    spans = [(START + n * DAY, START + (n + 1) * DAY) for n in range(before + 1 + after)]
    return ChangeTimes(spans, spans[before][0], spans[before][1])


def level(n: int, before: int, after: int, at: int, calls: int = 100) -> Doings:
    """A statement whose calls take ``before`` blocks and milliseconds, then ``after``."""
    wobble = (0.98, 1.0, 1.02, 1.01)
    each = (before if k < at else after for k in range(n))
    return {k: Work(calls, calls * v, calls * v * wobble[k % 4]) for k, v in enumerate(each)}


def controls(n: int) -> dict[int, Doings]:
    return {100 + c: level(n, 7, 7, n) for c in range(4)}


@pytest.mark.parametrize("world", WORLDS, ids=lambda w: w.name)
def test_most_verdicts_of_a_simulation_are_right_and_wrong_ones_are_rare(world: World) -> None:
    said = [trial(world, seed).outcome.value for seed in range(TRIALS)]
    assert said.count(world.truth) >= 0.7 * TRIALS, said


def test_what_was_saved_is_what_the_calls_would_have_taken() -> None:
    n = 6 + 1 + 4
    found = measure(times(6, 4), ObservedWork({1: level(n, 100, 10, 6, 1000)}, controls(n)))
    assert found.outcome is AdviceOutcome.HELPED
    assert found.blocks_ratio == pytest.approx(0.1, abs=0.01)
    assert found.time_ratio == pytest.approx(0.1, abs=0.02)
    assert found.saved_ms_per_day == pytest.approx(90_000, rel=0.05)
    assert found.saved_blocks_per_day == pytest.approx(90_000, rel=0.01)
    assert found.lost_ms_per_day == 0
    assert (found.intervals_before, found.intervals_after) == (6, 3)


def test_a_loss_of_others_is_named_and_weighed_against_the_gain() -> None:
    n = 12 + 1 + 5
    treated = {1: level(n, 100, 10, 12, 1000)}
    slow, slower = {2: level(n, 50, 75, 12, 1000)}, {2: level(n, 50, 250, 12, 1000)}
    helped = measure(times(12, 5), ObservedWork(treated, controls(n), slow))
    harmed = measure(times(12, 5), ObservedWork(treated, controls(n), slower))
    assert helped.outcome is AdviceOutcome.HELPED
    assert [(h.statement, round(h.ratio, 1)) for h in helped.harms] == [(2, 1.5)]
    assert harmed.outcome is AdviceOutcome.HARMED
    assert harmed.lost_ms_per_day == pytest.approx(200_000, rel=0.05)


def test_writes_that_read_more_blocks_are_slower_though_times_vary_as_on_a_busy_machine() -> None:
    # recorded: time of a call, relative to the usual, in 14 intervals before an index was built, one skipped, and 3 after
    recorded = [0.03, -0.41, 0.17, -0.33, 0.14, -0.09, -0.47, 0.0, 0.34, 0.04, -0.29, 0.16, -0.37]
    logs = [*recorded, -0.04, 0.4, 0.4, 0.47, 0.43, 0.48]
    calls = 100_000

    def wrote(blocks: float) -> dict[int, Doings]:
        each = enumerate(logs)
        return {
            9: {
                n: Work(calls, calls * 5.6 * (blocks if n >= 14 else 1), calls * math.exp(log))
                for n, log in each
            }
        }

    n = len(logs)
    treated = {1: level(n, 10, 1, 14)}
    same = measure(times(14, 4), ObservedWork(treated, controls(n), {}, wrote(1.0)))
    more = measure(times(14, 4), ObservedWork(treated, controls(n), {}, wrote(1.8)))
    assert (same.outcome, same.harms) == (AdviceOutcome.HELPED, ())
    assert more.outcome is AdviceOutcome.HARMED
    assert [round(h.ratio, 1) for h in more.harms] == [1.6]


def test_advice_has_not_helped_while_writes_may_have_lost_more() -> None:
    # milliseconds of 6,000 calls in 14 intervals before an index was built, one skipped, and 4 after
    before = [400, 67, 50, 155, 76, 163, 54, 273, 65, 61, 118, 52, 138, 175]
    spent = [*before, 147, 90, 113, 109, 131]

    def wrote(calls: int) -> dict[int, Doings]:
        each = enumerate(spent)
        return {
            9: {
                n: Work(calls, calls * (10.2 if n >= 14 else 5.6), calls * ms / 6000)
                for n, ms in each
            }
        }

    n = len(spent)
    treated = {1: level(n, 10, 1, 14)}
    few = measure(times(14, 5), ObservedWork(treated, controls(n), {}, wrote(30)))
    many = measure(times(14, 5), ObservedWork(treated, controls(n), {}, wrote(10_000_000)))
    assert few.outcome is AdviceOutcome.HELPED
    assert (many.outcome, many.harms) == (AdviceOutcome.UNCLEAR, ())
    assert "calls that write the table read more blocks" in many.detail


def test_a_loss_of_less_than_ten_seconds_a_day_is_none() -> None:
    n = 12 + 1 + 5
    found = measure(
        times(12, 5),
        ObservedWork({1: level(n, 5, 5, n)}, controls(n), {2: level(n, 50, 100, 12)}),
    )
    assert found.outcome is AdviceOutcome.NO_EFFECT


def test_too_early_says_until_when() -> None:
    n = 6 + 1 + 2
    found = measure(times(6, 2), ObservedWork({1: level(n, 100, 10, 6)}, controls(n)))
    assert found.outcome is AdviceOutcome.TOO_EARLY
    # one of three intervals is known: the first is skipped
    assert found.ready_at == START + (n + 2) * DAY
    just = measure(times(6, 0), ObservedWork({1: level(7, 100, 10, 6)}, controls(7)))
    assert just.ready_at == START + (7 + 4) * DAY
    rare = {1: level(n, 100, 10, 6, calls=6)}
    assert measure(times(6, 2), ObservedWork(rare, controls(n))).ready_at == START + (n + 4) * DAY


def test_without_a_past_nothing_is_told() -> None:
    n = 5 + 1 + 9
    found = measure(times(5, 9), ObservedWork({1: level(n, 100, 10, 5)}, controls(n)))
    assert found.outcome is AdviceOutcome.UNCLEAR
    assert found.detail.startswith("5 intervals with 500 calls of the statements are known")


def test_statements_that_stopped_prove_nothing() -> None:
    n = 8 + 1 + 6
    treated = {1: {k: w for k, w in level(n, 100, 10, 8).items() if k < 8}}
    found = measure(times(8, 6), ObservedWork(treated, controls(n)))
    assert found.outcome is AdviceOutcome.UNCLEAR
    assert found.detail == "the statements have not run since it was applied"


def test_without_controls_time_alone_proves_nothing() -> None:
    n = 8 + 1 + 6
    works = {k: Work(w.calls, 5000, w.ms) for k, w in level(n, 100, 20, 8).items()}
    found = measure(times(8, 6), ObservedWork({1: works}, {}))
    assert found.outcome is AdviceOutcome.UNCLEAR
    assert "too few statements that do not touch the table" in found.detail


def test_the_mix_of_statements_is_no_effect() -> None:
    n = 8 + 1 + 6
    cheap, dear = level(n, 1, 1, n), level(n, 100, 100, n)
    # from the change on, the dear one runs ten times less
    fewer = {k: Work(w.calls // (10 if k > 8 else 1), w.blocks, w.ms) for k, w in dear.items()}
    same = {k: Work(w.calls, w.calls * 100.0, w.calls * 100.0) for k, w in fewer.items()}
    found = measure(times(8, 6), ObservedWork({1: cheap, 2: same}, controls(n)))
    assert found.outcome is AdviceOutcome.NO_EFFECT


def test_chances_of_orders_are_exact() -> None:
    before, after = [1.0, 2.0, 3.0, 5.0], [4.0, 6.0]
    pairs = list(product(range(6), repeat=2))
    orders = [(a, b) for a, b in pairs if a < b]
    ranks = sorted((*before, *after))
    wrong = sum(a <= b for a in after for b in before)
    as_bad = 0
    for order in orders:
        theirs = [ranks[i] for i in order]
        rest = [r for r in ranks if r not in theirs]
        as_bad += sum(a <= b for a in theirs for b in rest) <= wrong
    expected = as_bad / math.comb(6, 2)
    assert effects._chance(before, after, rises=True) == pytest.approx(expected)
