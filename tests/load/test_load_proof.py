"""What pairs of blocks prove, and the chain of bottlenecks: on blocks that nobody ran."""

import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import psycopg
import pytest

from pgwatch_wed.errors import CollectError
from pgwatch_wed.findings import Finding, Grade, Object, Remedy, Severity
from pgwatch_wed.load.engine.block_run import INTERRUPTED
from pgwatch_wed.load.load_model import (
    Answer,
    Block,
    BlockRunner,
    LoadObjective,
    LoadScript,
    ObjectiveResult,
    Order,
    Proven,
)
from pgwatch_wed.load.proof.bottleneck_chain import Diagnosis, ProofLimits, prove
from pgwatch_wed.load.proof.hot_rows import hot_updates
from pgwatch_wed.load.proof.index_levers import index_definitions
from pgwatch_wed.load.proof.load_probes import (
    LoadProbe,
    LoadProbeKind,
    NotTriedError,
    ProbeLever,
)
from pgwatch_wed.load.proof.probe_choice import probes
from pgwatch_wed.load.proof.proof_bench import ProofBench, StandingProbe, with_settings
from pgwatch_wed.load.proof.proof_pairs import TrialPair, judged, run_pairs
from pgwatch_wed.load.proof.setting_levers import session_lever
from pgwatch_wed.load.proof.trial_metrics import TrialMetric, metric_for
from pgwatch_wed.load.sampling.load_causes import CauseQuery, LoadCause, LoadCauseKind
from pgwatch_wed.load.stress_report import ProofChain
from pgwatch_wed.progress import silent
from tests.load.proof_blocks import GROUND, ORDER, SimulatedLoad, block, reported

P50 = TrialMetric("p50")
FAST = ProofLimits(block_s=1.0, warmup_s=0.0)


def probe(name: str, cause: str = "") -> LoadProbe:
    return LoadProbe(
        kind=LoadProbeKind.WORK_MEM,
        about=name,
        tried=f"{name} on",
        cause=cause or name,
        lever=lambda _bench, _order: session_lever(**{name: "on"}),
    )


def cause(kind: LoadCauseKind, share: float = 0.5, **rest: object) -> LoadCause:
    known = {"direct": share, "interval": None, "queries": (), "text": str(kind), "grade": Grade.B}
    return LoadCause(kind=kind, share=share, **(known | rest))  # type: ignore[arg-type]


def finding(rule: str, remedy: str = "", schema: str | None = "public", name: str = "t") -> Finding:
    return Finding(
        object=Object("table", name, "d", schema),
        severity=Severity.WARNING,
        grade=Grade.A,
        title=f"{rule} of {name}",
        detail="",
        remedy=(Remedy(remedy),) if remedy else (),
        rule=rule,
    )


def trial(load: BlockRunner, name: str = "guilty", pairs: int = 6) -> list[TrialPair]:
    bench = ProofBench(GROUND, load)
    arm = bench.set_up(probe(name), ORDER)
    return run_pairs(bench, arm, ORDER, pairs, silent)


def slowed(**factors: float) -> Callable[[Order], float]:
    """Return a load that is so many times faster with each setting."""

    def ms(order: Order) -> float:
        return 10.0 * math.prod(f for name, f in factors.items() if name in order.settings)

    return ms


def test_pairs_run_in_the_order_abba_and_both_blocks_of_a_pair_draw_the_same_keys() -> None:
    load = SimulatedLoad(slowed())
    trial(load)
    with_it = ["guilty" in order.settings for order in load.orders]
    assert with_it == [False, True, True, False] * 3
    seeds = [order.seed for order in load.orders]
    assert seeds[::2] == seeds[1::2] == [1, 2, 3, 4, 5, 6]


def test_a_guilty_cause_is_proven_and_an_innocent_one_is_refuted() -> None:
    load = SimulatedLoad(slowed(guilty=0.5), noise=0.01)
    guilty = judged(trial(load), P50)
    assert guilty.shows is Proven.PROVEN
    assert guilty.verdict is not None
    assert guilty.verdict.interval is not None
    assert guilty.verdict.interval[0] < 0.5 < guilty.verdict.interval[1] < 0.6
    innocent = judged(trial(load, "innocent"), P50)
    assert innocent.shows is Proven.REFUTED
    assert len(guilty.before) == len(guilty.after) == 6


def test_noise_leaves_it_open_and_the_number_of_pairs_that_would_do_is_told() -> None:
    found = judged(trial(SimulatedLoad(slowed(guilty=0.9), noise=0.2)), P50)
    assert found.shows is Proven.NOT_PROVEN
    assert found.verdict is not None
    assert (found.verdict.needed or 0) > 6


def test_no_innocent_cause_is_proven_in_a_hundred_noisy_trials() -> None:
    shown = [
        judged(trial(SimulatedLoad(slowed(), noise=0.2, seed=n), "innocent"), P50).shows
        for n in range(100)
    ]
    assert shown.count(Proven.PROVEN) <= 3  # of the expected 3% beyond zero, fewer are beyond 5%
    assert Proven.NOT_PROVEN in shown


def test_what_is_worse_without_it_is_not_its_cause() -> None:
    found = judged(trial(SimulatedLoad(slowed(guilty=1.5), noise=0.01)), P50)
    assert (found.shows, found.reason) == (Proven.REFUTED, "without it, p50 is worse")


def test_more_throughput_is_better_and_more_latency_is_not() -> None:
    pairs = trial(lambda order: block(order, 10, tps=200 if order.settings else 100))
    assert judged(pairs, TrialMetric("tps")).shows is Proven.PROVEN
    pairs = trial(lambda order: block(order, 10, tps=100 if order.settings else 200))
    assert judged(pairs, TrialMetric("tps")).shows is Proven.REFUTED


def test_faster_because_transactions_fail_proves_nothing() -> None:
    pairs = trial(
        lambda order: block(
            order, 5 if order.settings else 10, failed=0.2 if order.settings else 0.0
        )
    )
    found = judged(pairs, P50)
    assert found.shows is Proven.NOT_PROVEN
    assert "20.0% more" not in found.reason
    assert "16.7% more of the transactions fail" in found.reason


def test_nothing_is_refuted_where_the_generator_was_the_limit() -> None:
    found = judged(trial(lambda order: block(order, 10, spoilt=("generator-cpu",))), P50)
    assert found.shows is Proven.NOT_PROVEN
    assert "generator" in found.reason


def test_a_block_that_ended_early_is_run_again_and_too_many_of_them_prove_nothing() -> None:
    load = SimulatedLoad(slowed(guilty=0.5))

    def stumbling(order: Order) -> Block:
        found = load(order)
        return replace(found, ended_early="the disk is full") if len(load.orders) == 3 else found

    assert len(trial(stumbling)) == 6
    assert len(load.orders) == 14
    pairs = trial(lambda order: block(order, 10, ended_early="the disk is full"))
    assert pairs == []
    assert judged(pairs, P50).shows is Proven.NOT_PROVEN


def test_work_is_judged_beside_time() -> None:
    found = judged(trial(lambda order: block(order, 10, blocks=5 if order.settings else 1000)), P50)
    assert found.shows is Proven.REFUTED
    work = {w.name: w for w in found.work}
    assert work["blocks"].shows is Proven.PROVEN
    assert work["blocks"].ratio == pytest.approx(0.005, rel=0.01)
    assert work["temp bytes"].shows is Proven.REFUTED


def test_the_metric_is_the_objectives_percentile_where_enough_transactions_are_beyond_it() -> None:
    many, closed = block(ORDER, 10, tps=5000), block(replace(ORDER, rate=None), 10)
    p99 = LoadObjective(name="p99", limit=200)
    assert metric_for(many, [p99]).name == "p99"
    assert metric_for(many, []).name == "p95"
    assert metric_for(block(ORDER, 10), [p99]).name == "p95"
    assert metric_for(closed, [p99]).name == "tps"
    assert metric_for(block(ORDER, 10, spoilt=("over-capacity",)), [p99]).name == "tps"


# The chain


def chain(
    load: BlockRunner,
    found: list[LoadProbe],
    monkeypatch: pytest.MonkeyPatch,
    limits: ProofLimits = FAST,
    objectives: Callable[[Order], tuple[ObjectiveResult, ...]] = lambda _order: (),
) -> ProofChain:
    import pgwatch_wed.load.proof.bottleneck_chain as module

    monkeypatch.setattr(module, "probes", lambda _causes, _report: tuple(found))
    return prove(
        ProofBench(GROUND, load),
        ORDER,
        Diagnosis(causes=(), objectives=objectives(ORDER)),
        lambda order: Diagnosis(causes=(), objectives=objectives(order)),
        limits,
    )


def test_the_first_that_is_proven_stays_away_and_shows_the_one_behind_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def ms(order: Order) -> float:  # the second matters only when the first is gone
        if "first" not in order.settings:
            return 40.0
        return 10.0 if "second" in order.settings else 20.0

    found = chain(
        SimulatedLoad(ms, noise=0.005),
        [probe("innocent"), probe("second"), probe("first")],
        monkeypatch,
    )
    assert [(s.cause, s.result) for s in found.steps] == [
        ("innocent", Proven.REFUTED),
        ("second", Proven.REFUTED),
        ("first", Proven.PROVEN),
        ("innocent", Proven.REFUTED),
        ("second", Proven.PROVEN),
        ("innocent", Proven.REFUTED),
    ]
    assert found.ended == "nothing else was proven"
    kept = [s for s in found.steps if s.remains]
    assert found.capacity == pytest.approx(25, rel=0.05)
    assert [s.capacity_after for s in kept] == [
        pytest.approx(50, rel=0.05),
        pytest.approx(100, rel=0.05),
    ]
    for step in kept:
        assert step.capacity_interval is not None
        assert step.capacity_after is not None
        assert step.capacity_interval[0] <= step.capacity_after <= step.capacity_interval[1]


def test_the_chain_ends_when_the_objectives_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    def objectives(order: Order) -> tuple[ObjectiveResult, ...]:
        answer = Answer.PASS if "first" in order.settings else Answer.FAIL
        limit = LoadObjective(name="p50", limit=15)
        return (ObjectiveResult(objective=limit, answer=answer, value=1, interval=None, reason=""),)

    found = chain(
        SimulatedLoad(slowed(first=0.5, second=0.5), noise=0.005),
        [probe("first"), probe("second")],
        monkeypatch,
        objectives=objectives,
    )
    assert [s.cause for s in found.steps] == ["first"]
    assert found.ended == "the objectives hold"
    assert found.steps[0].metric == "p50"


def test_the_first_is_sought_even_if_the_objectives_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    limit = LoadObjective(name="p50", limit=15)
    held = ObjectiveResult(objective=limit, answer=Answer.PASS, value=1, interval=None, reason="")
    found = chain(
        SimulatedLoad(slowed(first=0.5, second=0.5), noise=0.005),
        [probe("first"), probe("second")],
        monkeypatch,
        objectives=lambda _order: (held,),
    )
    assert [(s.cause, s.result) for s in found.steps] == [("first", Proven.PROVEN)]
    assert found.ended == "the objectives hold"


def test_what_cannot_be_tried_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def impossible(_bench: ProofBench, _order: Order) -> ProbeLever:
        raise NotTriedError("the table has triggers")

    def slow(_bench: ProofBench, _order: Order) -> ProbeLever:
        return ProbeLever(least_block_s=300)

    def of_the_server(_bench: ProofBench, _order: Order) -> ProbeLever:
        return ProbeLever(server_settings={"max_wal_size": "1GB"})

    levers = (impossible, slow, of_the_server)
    found = chain(
        SimulatedLoad(slowed()),
        [replace(probe(f"p{n}"), lever=lever) for n, lever in enumerate(levers)],
        monkeypatch,
    )
    assert {s.result for s in found.steps} == {Proven.NOT_TRIED}
    reasons = [s.reason for s in found.steps]
    assert reasons[0] == "the table has triggers"
    assert "300 s, two cycles" in reasons[1]
    assert "max_wal_size belongs to the whole server" in reasons[2]
    assert found.ended == "nothing was proven"


def test_no_trial_begins_when_the_time_is_used_up(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = replace(FAST, seconds=5.0)
    found = chain(SimulatedLoad(slowed(first=0.5)), [probe("first")], monkeypatch, limits)
    assert found.steps[0].result is Proven.NOT_TRIED
    assert "it would take 12 s" in found.steps[0].reason


def test_a_trial_that_fails_costs_only_that_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    load = SimulatedLoad(slowed(second=0.5), noise=0.005)

    def failing(order: Order) -> Block:
        if "first" in order.settings:
            raise CollectError("the server of the load test failed: out of memory")
        return load(order)

    found = chain(failing, [probe("first"), probe("second")], monkeypatch)
    assert [(s.cause, s.result) for s in found.steps][:2] == [
        ("first", Proven.NOT_TRIED),
        ("second", Proven.PROVEN),
    ]
    assert "out of memory" in found.steps[0].reason


def test_a_server_that_is_gone_ends_the_proof_with_what_was_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    load = SimulatedLoad(slowed(), noise=0.005)

    def dying(order: Order) -> Block:
        if len(load.orders) > 6 + 1 + 12:
            raise CollectError("the server of the load test failed: gone")
        return load(order)

    found = chain(dying, [probe("first"), probe("second")], monkeypatch)
    assert [s.result for s in found.steps] == [Proven.REFUTED, Proven.NOT_TRIED]
    assert found.ended == "nothing was proven"
    broken = chain(lambda order: dying(order), [], monkeypatch)
    assert broken.ended == "it could not go on: the server of the load test failed: gone"


def lost(*_: object) -> None:
    raise psycopg.OperationalError("server closed the connection")


@pytest.mark.parametrize("name", ["keep", "take_down"])
def test_a_server_that_is_lost_after_a_trial_does_not_cost_what_it_showed(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    load = SimulatedLoad(slowed(first=0.5), noise=0.005)
    monkeypatch.setattr(ProofBench, name, lost)
    found = chain(load, [probe("first" if name == "keep" else "innocent")], monkeypatch)
    shown = Proven.PROVEN if name == "keep" else Proven.REFUTED
    assert [(s.result, s.remains) for s in found.steps] == [(shown, False)]
    assert found.ended == "it could not go on: server closed the connection"


def test_a_capacity_that_cannot_be_measured_does_not_cost_the_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    load = SimulatedLoad(slowed(first=0.5), noise=0.005)

    def dying(order: Order) -> Block:
        if order.rate is None and "first" in order.settings:
            lost()
        return load(order)

    (step,) = chain(dying, [probe("first")], monkeypatch).steps
    assert (step.result, step.remains, step.capacity_after) == (Proven.PROVEN, True, None)
    assert step.capacity_before is not None


@pytest.mark.parametrize(("failures", "left"), [(1, []), (2, ["innocent on: gone"])])
def test_what_could_not_be_put_back_is_tried_again_at_the_end_and_told(
    monkeypatch: pytest.MonkeyPatch, failures: int, left: list[str]
) -> None:
    failing = iter([True] * failures)
    withdraw = ProofBench._withdraw

    def stumbling(bench: ProofBench, standing: StandingProbe) -> None:
        if next(failing, False):
            raise psycopg.OperationalError("gone")
        withdraw(bench, standing)

    monkeypatch.setattr(ProofBench, "_withdraw", stumbling)
    found = chain(SimulatedLoad(slowed(), noise=0.005), [probe("innocent")], monkeypatch)
    assert [s.result for s in found.steps] == [Proven.REFUTED]
    assert found.ended == "it could not go on: gone"
    assert list(found.left_behind) == left


def test_settings_of_sessions_are_not_tried_through_a_pooler() -> None:
    bench = ProofBench(GROUND, SimulatedLoad(slowed()))
    pooled = replace(ORDER, conninfo="host=pooler")
    with pytest.raises(NotTriedError, match="through a pooler"):
        bench.set_up(probe("guilty"), pooled)
    index = replace(probe("index"), lever=lambda _bench, _order: ProbeLever())
    bench.set_up(index, pooled)


@pytest.mark.parametrize("is_raised", [True, False])
def test_what_was_found_until_ctrl_c_is_returned(
    monkeypatch: pytest.MonkeyPatch, is_raised: bool
) -> None:
    load = SimulatedLoad(slowed(), noise=0.005)

    def until(order: Order) -> Block:
        found = load(order)
        if len(load.orders) > 6 + 1 + 12 + 3:
            if is_raised:
                raise KeyboardInterrupt
            return block(order, 10, spoilt=("interrupted",), ended_early=INTERRUPTED)
        return found

    held = []

    @contextmanager
    def resource() -> Iterator[None]:
        held.append("open")
        try:
            yield
        finally:
            held.append("closed")

    def holding(bench: ProofBench, _order: Order) -> ProbeLever:
        bench.hold(resource())
        return ProbeLever(changed=lambda o: with_settings(o, {"second": "on"}))

    second = replace(probe("second"), lever=holding)
    found = chain(until, [probe("first"), second], monkeypatch)
    assert found.is_interrupted
    assert found.ended == "interrupted"
    assert [(s.cause, s.result) for s in found.steps] == [("first", Proven.REFUTED)]
    assert held == ["open", "closed"]


# Which probe tries what


def test_a_cause_and_a_finding_that_lead_to_the_same_probe_are_tried_once() -> None:
    spill = finding("query-temp-spill", "ALTER ROLE app SET work_mem = '64MB';")
    found = probes(
        [cause(LoadCauseKind.TEMP_FILES, 0.4), cause(LoadCauseKind.JIT, 0.1)], reported(spill)
    )
    assert [p.kind for p in found] == [LoadProbeKind.WORK_MEM, LoadProbeKind.JIT]
    assert found[0].share == 0.4
    assert found[0].findings == (spill.id,)
    assert found[0].remedy == spill.remedy


def test_a_missing_index_is_tried_as_advised_and_the_flush_is_never_advice() -> None:
    missing = finding("index-missing", "CREATE INDEX CONCURRENTLY t_x ON public.t (x);")
    query = CauseQuery(key="1", query_id=1, text="select * from t where x = $1", share=0.9)
    found = probes(
        [
            cause(LoadCauseKind.MISSING_INDEX, 0.9, queries=(query,), concerns="t"),
            cause(LoadCauseKind.FLUSH),
        ],
        reported(missing),
    )
    assert [p.kind for p in found] == [LoadProbeKind.INDEX, LoadProbeKind.FLUSH]
    assert re.fullmatch(r"CREATE INDEX pgwatch_wed_proof_\w{8} ON public.t \(x\)", found[0].about)
    assert found[0].share == 0.9
    assert "only to see" in found[1].tried


def test_new_statistics_are_tried_before_a_rebuilt_copy_which_is_compared_with_a_table_that_has_them() -> (
    None
):
    bloated = finding("table-bloat", "VACUUM FULL public.t;")
    stale = finding("analyze-stale", "ANALYZE public.t;")
    found = probes([], reported(bloated, stale))
    assert [p.kind for p in found] == [LoadProbeKind.STATISTICS, LoadProbeKind.REBUILD]


def test_causes_that_no_probe_takes_away_are_told() -> None:
    found = probes([cause(LoadCauseKind.VACUUM), cause(LoadCauseKind.QUERY_CPU)], reported())
    bench = ProofBench(GROUND, SimulatedLoad(slowed()))
    for one, why in zip(found, ("cycles", "nothing was found"), strict=True):
        with pytest.raises(NotTriedError, match=why):
            bench.set_up(one, ORDER)


def test_index_definitions_are_plain_and_bear_our_names() -> None:
    steps = [
        Remedy("ANALYZE t;"),
        Remedy('CREATE INDEX CONCURRENTLY IF NOT EXISTS "a b" ON s.t (lower(x)) WHERE y > 1;'),
        Remedy("CREATE INDEX z ON t (y);"),
        Remedy("-- not SQL at all ("),
    ]
    found = index_definitions(steps)
    assert [re.sub(r"_\w{8} ", " ", text) for text in found] == [
        "CREATE INDEX pgwatch_wed_proof ON s.t ((lower(x))) WHERE y > 1",
        "CREATE INDEX pgwatch_wed_proof ON t (y)",
    ]
    assert len({text.split()[2] for text in found}) == 2


def test_what_stands_there_for_the_proof_is_not_tried() -> None:
    own = finding("index-unused", name="pgwatch_wed_proof_0a1b2c3d")
    old = finding("table-bloat", name="pgwatch_wed_proof_old_77")
    assert probes([], reported(own, old)) == ()


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("\\set a 1\nupdate s.t set n = n + 1 where id = :a;", ("s.t", "id", 1, 1, ":a")),
        ("update t set n = n + 1 where id = 7;", ("t", "id", 7, 7, "7")),
        (
            "\\set b random(1, 2 * 3)\nbegin;\nupdate t set n = n + :b where t.id = :b;\nend;",
            ("t", "id", 1, 6, ":b"),
        ),
        ("\\set a random(1, 100000)\nupdate t set n = 1 where id = :a;", None),
        ("\\set a random_zipfian(1, 9, 1.1)\nupdate t set n = 1 where id = :a;", None),
        ("update t set n = 1 where id > 7;", None),
        ("select '12:30' from t where id = 7;", None),
        ("not sql at all", None),
    ],
)
def test_updates_of_few_rows_are_recognized(
    text: str, wanted: tuple[str, str, int, int, str] | None
) -> None:
    found = hot_updates([LoadScript(name="x", text=text)], clients=4)
    seen = [(u.table, u.column, u.low, u.high, u.value) for u in found]
    assert seen == ([wanted] if wanted else [])
