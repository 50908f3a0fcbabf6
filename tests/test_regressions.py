"""Which statements regressed: the statistics, and what is not a regression."""

import random
import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pgwatch_wed.history import robust
from pgwatch_wed.history.hours import comparable
from pgwatch_wed.history.interval_units import Observed
from pgwatch_wed.history.level_shifts import LevelSides, RateInterval, risen
from pgwatch_wed.history.regressions import Judged, Proof, SeriesKey, Shift, Sides, judge

BEGINS = datetime(2026, 3, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)


# --- the statistics, compared with scipy ----------------------------------------------------------


@pytest.mark.parametrize("freedom", [1, 2, 3, 6, 9, 14, 60])
@pytest.mark.parametrize("t", [-3.0, 0.0, 0.4, 1.0, 2.5, 4.0, 9.0])
def test_the_tail_of_student_is_that_of_scipy(t: float, freedom: int) -> None:
    assert robust.tail(t, freedom) == pytest.approx(stats.t.sf(t, freedom), rel=1e-6, abs=1e-14)


@given(st.lists(st.floats(1e-9, 1), min_size=1, max_size=40))
def test_discoveries_are_those_of_scipy(p_values: list[float]) -> None:
    found = robust.discoveries(dict(enumerate(p_values)), 0.05)
    assert found == {
        n for n, p in enumerate(stats.false_discovery_control(p_values)) if p <= 0.05 * (1 + 1e-12)
    }


def test_the_spread_is_that_of_scipy() -> None:
    values = [random.Random(1).gauss(0, 3) for _ in range(100)]
    expected = stats.median_abs_deviation(values, scale="normal")
    assert robust.spread(values) == pytest.approx(expected, rel=1e-4)


def test_a_shift_ignores_an_outlier_on_either_side() -> None:
    assert robust.shift_of([0, 0.1, -0.1, 0, 50], [1, 1.1, 0.9]) == pytest.approx(1, abs=0.1)
    assert robust.shift_of([0, 0.1, -0.1, 0.05], [1, 1.1, 90]) == pytest.approx(1, abs=0.2)


def test_of_large_samples_quantiles_are_enough() -> None:
    chance = random.Random(7)
    base, current = ([chance.gauss(m, 1) for _ in range(n)] for m, n in ((0, 500), (0.5, 90)))
    exact = statistics.median(c - b for c in current for b in base)
    assert robust.shift_of(base, current) == pytest.approx(exact, abs=0.02)


def test_the_parts_of_a_base_show_its_own_episode() -> None:
    base = [0.0] * 6 + [1.0] * 3 + [0.0] * 6
    assert max(robust.own_shifts(base, 3)) == 1.0


# --- workloads --------------------------------------------------------------------------------------


Change = Callable[[Observed, int], Observed]


def server(
    seed: int = 1, base: int = 48, current: int = 6, statements: int = 20
) -> dict[SeriesKey, Sides]:
    """Return statements of equal load, with a noise of 5%, in intervals of an hour."""
    chance = random.Random(seed)
    found: dict[SeriesKey, Sides] = {}
    for key in range(statements):
        series = [
            Observed(
                BEGINS + n * HOUR,
                BEGINS + (n + 1) * HOUR,
                calls=1_000,
                exec_ms=10_000 * chance.lognormvariate(0, 0.05),
                rows=1_000,
                blocks=50_000 * chance.lognormvariate(0, 0.02),
                deviation_ms=20,
            )
            for n in range(base + current)
        ]
        found[key] = Sides(tuple(series[:base]), tuple(series[base:]))
    return found


def slower(factor: float, blocks: float = 1, rows: float = 1) -> Callable[[Observed], Observed]:
    def change(i: Observed) -> Observed:
        return replace(
            i,
            exec_ms=i.exec_ms * factor,
            blocks=(i.blocks or 0) * blocks,
            rows=(i.rows or 0) * rows,
            deviation_ms=(i.deviation_ms or 0) * factor,
        )

    return change


def after(
    w: dict[SeriesKey, Sides],
    change: Callable[[Observed], Observed],
    keys: Sequence[SeriesKey] = (0,),
) -> dict[SeriesKey, Sides]:
    return {
        k: Sides(s.base, tuple(map(change, s.current))) if k in keys else s for k, s in w.items()
    }


def verdict(w: dict[SeriesKey, Sides], key: SeriesKey = 0) -> Shift:
    return next(s for s in judge(w, Proof()).shifts if s.key == key)


def others(w: dict[SeriesKey, Sides], key: SeriesKey = 0) -> set[Judged]:
    return {s.outcome for s in judge(w, Proof()).shifts if s.key != key}


def test_an_unchanged_workload_has_no_regression() -> None:
    for seed in range(20):
        assert {s.outcome for s in judge(server(seed), Proof()).shifts} == {Judged.STEADY}


def test_a_statement_that_takes_twice_as_long_regressed_and_no_other() -> None:
    w = after(server(), slower(2))
    found = verdict(w)
    assert found.outcome is Judged.REGRESSED
    assert found.grade == "C"
    assert found.ratio == pytest.approx(2, rel=0.1)
    assert found.ms_before == pytest.approx(10, rel=0.05)
    assert found.ms_after == pytest.approx(20, rel=0.05)
    assert found.extra_ms_per_day == pytest.approx(240_000, rel=0.1)
    assert found.p_value < 0.001
    assert (found.base_units, found.current_units) == (20, 6)  # of the same hours
    assert (found.base_calls, found.current_calls) == (20_000, 6_000)
    assert found.load_share == pytest.approx(2 / 21, rel=0.1)
    assert found.rows_ratio == 1
    assert others(w) == {Judged.STEADY}


def test_blocks_that_rose_too_raise_the_grade() -> None:
    found = verdict(after(server(), slower(2, blocks=2)))
    assert (found.outcome, found.grade) == (Judged.REGRESSED, "B")
    assert found.blocks_ratio == pytest.approx(2, rel=0.05)


def test_a_new_generic_plan_with_more_blocks_is_the_best_evidence() -> None:
    w = server()
    w[0] = Sides(
        tuple(replace(i, plan="a") for i in w[0].base),
        tuple(replace(i, plan="b") for i in w[0].current),
    )
    found = verdict(after(w, slower(2, blocks=2)))
    assert (found.outcome, found.grade, found.is_new_plan) == (Judged.REGRESSED, "A", True)


def test_a_plan_that_the_base_had_before_is_not_new() -> None:
    w = server()
    base = tuple(replace(i, plan="b" if n < 5 else "a") for n, i in enumerate(w[0].base))
    w[0] = Sides(base, tuple(replace(i, plan="b") for i in w[0].current))
    assert not verdict(after(w, slower(2, blocks=2))).is_new_plan


def test_a_server_that_became_slower_is_one_finding_and_no_statement_is() -> None:
    w = server()
    found = judge(after(w, slower(2), list(w)), Proof())
    assert found.is_server_slower
    assert found.server_ratio == pytest.approx(2, rel=0.1)
    assert {s.outcome for s in found.shifts} == {Judged.SERVER}


def test_what_is_slower_than_the_slower_server_regressed() -> None:
    w = server()
    found = verdict(after(after(w, slower(1.5), list(w)), slower(3)))
    assert found.outcome is Judged.REGRESSED
    assert found.ratio == pytest.approx(3, rel=0.15)


def test_a_statement_that_returns_more_rows_in_step_has_grown() -> None:
    assert verdict(after(server(), slower(3, rows=3, blocks=3))).outcome is Judged.GROWN


def test_rows_where_there_were_none_are_growth() -> None:
    w = server()
    w[0] = Sides(tuple(replace(i, rows=0) for i in w[0].base), w[0].current)
    assert verdict(after(w, slower(3, rows=5))).outcome is Judged.GROWN
    assert verdict(after(w, slower(3, rows=0))).outcome is Judged.REGRESSED


def two_classes(share: float, slow_ms: float = 100, wait_ms: float = 0) -> Change:
    """Return calls of 1 ms and of another time, of which each may wait as long."""
    mean = share * slow_ms + (1 - share) + wait_ms
    deviation = (slow_ms - 1) * (share * (1 - share)) ** 0.5
    return lambda i, _: replace(i, exec_ms=i.exec_ms / 10 * mean, deviation_ms=deviation)


@pytest.mark.parametrize(
    ("after_change", "outcome"),
    [
        (two_classes(0.15), Judged.MIXED),
        (two_classes(0.6), Judged.MIXED),
        (two_classes(0.05, slow_ms=300), Judged.REGRESSED),
        (two_classes(0.05, wait_ms=20), Judged.REGRESSED),
    ],
    ids=["three times as many slow calls", "mostly slow calls", "slower slow calls", "all wait"],
)
def test_more_slow_calls_are_a_mix_and_slower_ones_are_not(
    after_change: Change, outcome: Judged
) -> None:
    """Calls are of two kinds with the same minimum before and after: 5% of them take 100 ms, the others 1."""
    w = server()
    before = two_classes(0.05)
    w[0] = Sides(
        tuple(before(i, 0) for i in w[0].base), tuple(after_change(i, 0) for i in w[0].current)
    )
    assert verdict(w).outcome is outcome


def test_calls_that_all_became_slow_are_no_mix() -> None:
    """Without its index, a statement whose calls took 0.2 to 40 ms takes 60 ms, whatever it looks for."""
    w = server()
    w[0] = Sides(
        tuple(replace(i, deviation_ms=25) for i in w[0].base),
        tuple(replace(i, exec_ms=i.exec_ms * 6, deviation_ms=8) for i in w[0].current),
    )
    assert verdict(w).outcome is Judged.REGRESSED


def heavy(times: float, seed: int) -> Sides:
    """Return a statement of which a few calls take very long, in intervals of 100 calls."""
    chance = random.Random(seed)

    def interval(n: int, factor: float) -> Observed:
        calls = [chance.paretovariate(1.3) * factor for _ in range(100)]
        deviation = statistics.pstdev(calls)
        begins = BEGINS + n * HOUR
        return Observed(begins, begins + HOUR, 100, sum(calls) * 20, deviation_ms=deviation * 20)

    series = [interval(n, times if n >= 24 else 1) for n in range(28)]
    return Sides(tuple(series[:24]), tuple(series[24:]))


def test_a_few_long_calls_do_not_hide_that_all_became_slower() -> None:
    def found(times: float) -> int:
        worlds = ({**server(seed, 24, 4), 0: heavy(times, seed)} for seed in range(20))
        return sum(verdict(w).outcome is Judged.REGRESSED for w in worlds)

    assert found(1.5) >= 14  # by the mean alone: none
    assert found(1) == 0


def test_an_outlier_of_the_base_neither_hides_a_regression_nor_is_one() -> None:
    w = server()
    base = tuple(slower(40)(i) if n == 20 else i for n, i in enumerate(w[0].base))
    w[0] = Sides(base, w[0].current)
    assert verdict(w).outcome is Judged.STEADY
    assert verdict(after(w, slower(2))).outcome is Judged.REGRESSED
    assert verdict(after(w, slower(2))).ratio == pytest.approx(2, rel=0.1)


def test_calls_after_a_start_prove_nothing() -> None:
    w = after(server(), slower(5))
    w[0] = Sides(w[0].base, tuple(replace(i, is_cold=True) for i in w[0].current))
    assert verdict(w).outcome is Judged.COLD


def test_what_was_as_slow_before_is_not_reported() -> None:
    w = server()
    base = tuple(
        replace(i, exec_ms=i.exec_ms * 2.2) if 20 <= n < 27 else i for n, i in enumerate(w[0].base)
    )
    w[0] = Sides(base, w[0].current)
    assert verdict(after(w, slower(2))).outcome in (Judged.BEFORE, Judged.STEADY)


def test_one_slow_interval_is_no_regression() -> None:
    w = server()
    w[0] = Sides(w[0].base, (slower(50)(w[0].current[0]), *w[0].current[1:]))
    assert verdict(w).outcome is Judged.STEADY


def test_a_slow_base_does_not_make_an_improvement_a_regression() -> None:
    assert verdict(after(server(), slower(0.3))).outcome is Judged.STEADY


def test_little_time_is_not_worth_a_report() -> None:
    w = {
        k: Sides(
            *(tuple(replace(i, exec_ms=i.exec_ms / 1e4) for i in p) for p in (s.base, s.current))
        )
        for k, s in server().items()
    }
    assert verdict(after(w, slower(3))).outcome is Judged.SMALL


def test_few_calls_or_few_intervals_prove_nothing() -> None:
    w = after(server(), slower(3))
    w[0] = Sides(w[0].base, tuple(replace(i, calls=4, exec_ms=900_000) for i in w[0].current))
    assert verdict(w).outcome is Judged.TOO_LITTLE
    assert verdict(after(server(base=1, current=1), slower(9))).outcome is Judged.TOO_LITTLE


def test_nothing_is_judged_of_nothing() -> None:
    assert judge({}, Proof()).shifts == ()
    assert judge({1: Sides((), ())}, Proof()).shifts[0].outcome is Judged.SMALL


def test_few_statements_do_not_tell_about_the_server_but_are_judged() -> None:
    w = after(server(statements=2), slower(2))
    assert judge(w, Proof()).server_ratio is None
    assert verdict(w).outcome is Judged.REGRESSED


# --- comparable hours -------------------------------------------------------------------------------


def hours(first: int, count: int) -> list[Observed]:
    return [
        Observed(BEGINS + n * HOUR, BEGINS + (n + 1) * HOUR, 10, 10)
        for n in range(first, first + count)
    ]


def test_the_same_hours_of_earlier_days_are_compared() -> None:
    found = comparable(hours(0, 24 * 7), hours(24 * 7 + 9, 3))
    assert {i.begins.hour for i in found} == set(range(7, 14))


def test_working_days_are_compared_with_working_days() -> None:
    found = comparable(hours(0, 24 * 7), hours(24 * 7 + 9, 3))
    assert {i.begins.weekday() for i in found} == set(range(5))


def test_a_short_base_of_other_hours_is_not_comparable() -> None:
    assert comparable(hours(0, 8), hours(12, 3)) == ()


def test_midnight_is_near_both_days() -> None:
    assert comparable(hours(20, 4), hours(24, 1))


def test_days_are_compared_with_days() -> None:
    days = [
        Observed(BEGINS + n * 24 * HOUR, BEGINS + (n + 1) * 24 * HOUR, 10, 10) for n in range(20)
    ]
    assert len(comparable(days[:16], days[16:])) == 16


# --- amounts per day --------------------------------------------------------------------------------


def levels(values: Sequence[float], first: int = 0) -> list[RateInterval]:
    return [
        RateInterval(BEGINS + n * HOUR, BEGINS + (n + 1) * HOUR, v)
        for n, v in enumerate(values, first)
    ]


def rose(before: Sequence[float], after: Sequence[float], least: float = 10) -> list[SeriesKey]:
    sides: dict[SeriesKey, LevelSides] = {
        1: LevelSides(levels(before), levels(after, len(before)), least)
    }
    return [r.key for r in risen(sides, Proof(), 2)]


def test_an_amount_that_rose_is_told_and_one_burst_or_a_rhythm_is_not() -> None:
    chance = random.Random(3)
    noise = [100 + chance.gauss(0, 5) for _ in range(48)]
    rhythm = [100 + 80 * (n % 24 > 12) for n in range(48)]
    assert rose(noise, [300] * 6) == [1]
    assert rose([0.0] * 48, [300] * 6) == [1]
    assert rose(noise, [105] * 6) == []
    assert rose(noise, [100, 3000, 100, 100]) == []
    assert rose(rhythm, [180] * 6) == []
    assert rose([0.0] * 48, [5] * 6) == [], "it is little"
    assert rose(noise[:5], [300] * 6) == [], "there is no base"
