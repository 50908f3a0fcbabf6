"""The course of a load test with simulated blocks: what is ordered, what objectives are answered, and what ends it."""

import math
from collections.abc import Callable
from dataclasses import replace
from random import Random

import pytest

from pgwatch_wed.config import Config
from pgwatch_wed.errors import UsageError
from pgwatch_wed.load.course.block_figures import phase_figures, phase_spoilt
from pgwatch_wed.load.course.chosen_profile import (
    with_rate,
    with_scenarios,
    with_seconds,
    with_seed,
)
from pgwatch_wed.load.course.interval_analysis import LoadInterval
from pgwatch_wed.load.course.objective_answers import answered
from pgwatch_wed.load.course.phase_course import PhaseCourse
from pgwatch_wed.load.course.scenario_course import ScenarioCourse, nothing_succeeded
from pgwatch_wed.load.load_model import (
    Answer,
    Block,
    BlockRunner,
    FailureKind,
    Ground,
    LoadObjective,
    Order,
    Spoilt,
)
from pgwatch_wed.load.scenarios.load_profiles import PROFILES, LoadProfile
from pgwatch_wed.load.stress_report import PhaseKind
from tests.load.stress_samples import SCENARIO, block

P95 = LoadObjective(name="p95", limit=200.0)
ERRORS = LoadObjective(name="errors", limit=0.001)
PRESSURE = Spoilt(check="cpu-pressure", text="Others used the CPU.")
OVER = Spoilt(check="over-capacity", text="The backlog grew.")


def drawn(seed: int, typical_ms: float, number: int = 2000) -> tuple[float, ...]:
    draw = Random(seed)
    return tuple(typical_ms * draw.lognormvariate(0, 0.5) for _ in range(number))


def blocks(typical_ms: float, number: int = 4, **more: object) -> list[Block]:
    return [block(drawn(n, typical_ms), **more) for n in range(number)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("typical_ms", "answer"), [(20, Answer.PASS), (88, Answer.UNKNOWN), (400, Answer.FAIL)]
)
def test_a_percentile_passes_fails_or_is_too_near(typical_ms: float, answer: Answer) -> None:
    found = answered(P95, blocks(typical_ms))
    assert found.answer is answer
    assert found.interval is not None
    assert found.value is not None
    assert found.interval[0] <= found.value <= found.interval[1]


def test_too_few_blocks_give_a_value_but_no_answer() -> None:
    found = answered(P95, blocks(20, number=2))
    assert (found.answer, found.interval) == (Answer.UNKNOWN, None)
    assert found.value is not None
    assert answered(P95, []).answer is Answer.UNKNOWN


def test_a_spoilt_run_judges_no_time_but_errors() -> None:
    spoilt = [replace(b, spoilt=(PRESSURE,)) for b in blocks(20)]
    assert answered(P95, spoilt).value is None
    assert answered(P95, spoilt).answer is Answer.UNKNOWN
    assert answered(ERRORS, spoilt).answer is Answer.PASS
    failing = [replace(b, failures={FailureKind.DEADLOCK: 100}) for b in spoilt]
    assert answered(ERRORS, failing).answer is Answer.FAIL
    late = [replace(b, failures={FailureKind.TIMEOUT: 100}) for b in spoilt]
    assert answered(ERRORS, late).answer is Answer.UNKNOWN


def test_one_block_that_others_spoilt_is_left_out_of_the_times() -> None:
    slow = replace(block(drawn(9, 5000)), spoilt=(PRESSURE,))
    some = [*blocks(20), slow]
    assert phase_spoilt(some) == ()
    assert answered(P95, some).answer is Answer.PASS
    figures = phase_figures(some, (95.0,))
    assert figures is not None
    assert (figures.blocks, figures.believed) == (5, 4)
    assert figures.transactions == 10_000


def test_a_block_in_which_the_server_was_late_is_not_left_out() -> None:
    some = [*blocks(20), replace(block(drawn(9, 20)), spoilt=(OVER,))]
    assert [s.check for s in phase_spoilt(some)] == ["over-capacity"]
    assert answered(P95, some).answer is Answer.UNKNOWN
    all_over = [replace(b, spoilt=(OVER,)) for b in some]
    assert answered(P95, all_over).answer is Answer.FAIL


@pytest.mark.parametrize("whole", [0, 1])
def test_a_run_that_was_ended_does_not_tell_that_the_server_was_late(whole: int) -> None:
    ended = Spoilt(check="interrupted", text="The block ended early: interrupted.")
    last = block(drawn(9, 20, 300), spoilt=(ended,), ended_early="interrupted")
    found = answered(P95, [*blocks(20, number=whole), last])
    assert (found.answer, found.reason) == (Answer.UNKNOWN, "too few blocks ran to their end")


def test_a_throughput_counts_the_blocks_in_which_the_server_did_not_keep_up() -> None:
    wanted = LoadObjective(name="tps", limit=350)
    late = replace(block(drawn(9, 20, 500), rate=400.0), spoilt=(OVER,))
    some = [*blocks(20, rate=400.0), late]
    assert answered(wanted, some[:-1]).answer is Answer.PASS
    found = answered(wanted, some)
    assert found.value == pytest.approx((4 * 2000 + 500) / 25)
    assert found.answer is Answer.UNKNOWN


def test_without_a_time_no_number_of_transactions_would_tell_a_percentile() -> None:
    figures = phase_figures([block((), spoilt=(OVER,))], (95.0,))
    assert figures is not None
    assert figures.latency[0].reason == "no time can be evaluated"


@pytest.mark.parametrize(("number", "answer"), [(2_900, Answer.UNKNOWN), (3_100, Answer.PASS)])
def test_no_error_shows_less_than_a_thousandth_from_3000_transactions(
    number: int, answer: Answer
) -> None:
    found = answered(ERRORS, [block((1.0,) * number)])
    assert found.answer is answer
    assert found.interval is not None
    assert found.interval[1] == pytest.approx(3 / number, rel=0.01)


def test_a_throughput_above_what_was_due_cannot_be_shown() -> None:
    wanted = LoadObjective(name="tps", limit=300)
    steady = blocks(20, rate=400.0, seconds=5.0)
    assert answered(wanted, steady).answer is Answer.PASS
    assert answered(replace(wanted, limit=500), steady).answer is Answer.UNKNOWN
    closed = blocks(20, rate=None, seconds=5.0)
    assert answered(replace(wanted, limit=500), closed).answer is Answer.FAIL


# What is ordered


class SimulatedServer:
    """Does ``capacity`` a second in 10 ms each; above that, the backlog grows."""

    def __init__(self, capacity: float) -> None:
        self.capacity = capacity
        self.orders: list[Order] = []

    def __call__(self, order: Order) -> Block:
        self.orders.append(order)
        done = min(order.rate or math.inf, self.capacity) * order.seconds
        over = order.rate is not None and order.rate > self.capacity
        made = block(drawn(len(self.orders), 10, int(done)), rate=order.rate)
        return replace(made, order=order, seconds=order.seconds, spoilt=(OVER,) if over else ())


def course(profile: LoadProfile, server: BlockRunner, stop: Callable[[], str]) -> PhaseCourse:
    found = PhaseCourse(
        scenario=SCENARIO, profile=profile, run_block=server, stop=stop, told=lambda _: None
    )
    (planned,) = with_scenarios(profile, (SCENARIO.name,)).planned()
    found.run(planned.phases)
    return found


def test_quick_measures_the_capacity_and_then_loads_a_part_of_it() -> None:
    server = SimulatedServer(200.0)
    found = course(PROFILES["quick"], server, lambda: "")
    rates = [o.rate for o in server.orders]
    assert rates == [None, *[pytest.approx(140.0)] * 4]
    assert len({o.seed for o in server.orders}) == 5
    assert [p.kind for p in found.phases] == [PhaseKind.RAMP, PhaseKind.STEADY]
    assert found.knee is not None
    assert not found.knee.is_open


def test_the_ramp_finds_the_knee_and_the_soak_stays_below_it() -> None:
    server = SimulatedServer(200.0)
    profile = replace(PROFILES["heavy"], seconds={PhaseKind.RAMP: 180, PhaseKind.SOAK: 60})
    found = course(profile, server, lambda: "")
    assert found.knee is not None
    assert found.knee.is_open
    assert found.knee.tps is not None
    assert 150 < found.knee.tps <= 200
    soak = found.phases[-1]
    assert soak.kind is PhaseKind.SOAK
    assert all((o.rate or 0) < 150 for o in (b.order for b in soak.blocks))


def test_a_reason_to_stop_ends_it_after_the_block() -> None:
    server = SimulatedServer(200.0)
    found = course(PROFILES["quick"], server, lambda: "disk full" if len(server.orders) > 2 else "")
    assert found.ended_early == "disk full"
    assert len(server.orders) == 3
    assert found.phases[-1].ended_early == "disk full"


def test_a_server_that_does_nothing_is_not_loaded_any_longer() -> None:
    server = SimulatedServer(0.0)
    found = course(PROFILES["quick"], server, lambda: "")
    assert found.ended_early == "not one transaction succeeded in a closed loop"
    assert len(server.orders) == 1


@pytest.mark.parametrize(
    ("kind", "why"),
    [(FailureKind.DEADLOCK, "not one transaction"), (FailureKind.LOST_CLIENT, "every client")],
)
def test_where_everything_failed_the_objective_for_errors_fails(
    kind: FailureKind, why: str
) -> None:
    server = SimulatedServer(0.0)
    found = course(
        PROFILES["quick"],
        lambda order: replace(server(order), failures={kind: order.clients}),
        lambda: "",
    )
    assert found.ended_early.startswith(why)
    failed = answered(ERRORS, nothing_succeeded(found.phases, ERRORS))
    assert (failed.answer, failed.value) == (Answer.FAIL, 1.0)
    assert answered(P95, nothing_succeeded(found.phases, P95)).answer is Answer.UNKNOWN


@pytest.mark.parametrize("check", ["cpu-pressure", "over-capacity"])
def test_causes_of_a_run_that_others_disturbed_are_in_doubt(check: str) -> None:
    server = SimulatedServer(200.0)

    def disturbed(order: Order) -> Block:
        return replace(server(order), spoilt=(Spoilt(check=check, text="It was."),))

    phases = course(with_rate(PROFILES["quick"], 50.0), server, lambda: "")
    phases.run_block = disturbed
    phases.run(with_scenarios(phases.profile, (SCENARIO.name,)).planned()[0].phases)
    here = Ground(
        conninfo="", shown="here/a", database="a", server_version=180000, is_embedded=True
    )
    found = ScenarioCourse(here, phases, Config())._summed(LoadInterval(None, None))
    assert found.spoilt
    assert found.db_time is not None
    doubts = [d for d in found.db_time.doubts if d.startswith("The run was disturbed")]
    assert bool(doubts) is (check == "cpu-pressure")


# What the command line changes


def test_a_rate_takes_the_ramp_away_and_keeps_the_time() -> None:
    found = with_rate(PROFILES["quick"], 50.0)
    assert PhaseKind.RAMP not in found.seconds
    assert found.total_s == pytest.approx(PROFILES["quick"].total_s)
    server = SimulatedServer(200.0)
    course(found, server, lambda: "")
    assert [o.rate for o in server.orders] == [50.0] * 5


def test_the_seed_is_that_of_the_baseline() -> None:
    quick = PROFILES["quick"]
    assert with_seed(quick, None, None).seed == quick.seed
    assert with_seed(quick, 7, None).seed == with_seed(quick, 7, 7).seed == 7
    assert with_seed(quick, None, 7).seed == 7
    with pytest.raises(UsageError, match="other data than that of the baseline, whose seed is 7"):
        with_seed(quick, 8, 7)


@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.parametrize("seconds", [8, 20, 60, 600])
def test_shorter_runs_have_shorter_blocks(name: str, seconds: float) -> None:
    profile = PROFILES[name]
    try:
        found = with_seconds(profile, seconds)
    except UsageError as error:
        least = float(error.hint.split("at least ")[1].removesuffix(" s"))
        assert seconds < least
        found = with_seconds(profile, least + 1)
    for planned in found.planned():
        counts = {p.kind: p.blocks for p in planned.phases}
        assert all(n >= (1 if k is PhaseKind.RAMP else 3) for k, n in counts.items())
    assert found.total_s >= min(seconds, profile.total_s)
    assert found.block_s >= 1
