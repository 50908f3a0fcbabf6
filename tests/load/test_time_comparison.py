"""Interleaved blocks: identical servers are not called different, slower ones are, and noise is no answer."""

import math
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from pgwatch_wed.errors import CollectError, Error, UsageError
from pgwatch_wed.load.compare.against import AgainstServer, AgainstSettings, read_against
from pgwatch_wed.load.compare.interleaved import (
    ComparedSide,
    InterleavedPair,
    identical_neighbors,
    pairs_for,
    run_interleaved,
)
from pgwatch_wed.load.compare.pair_comparison import compare_pairs
from pgwatch_wed.load.load_model import Block, Order, Spoilt
from pgwatch_wed.load.stress_report import ComparedAs, ComparedMetric, StressComparison
from pgwatch_wed.progress import silent
from tests.load.stress_samples import block

SEED = 20260110
MS = tuple(0.1 * n for n in range(1, 201))


class Simulated:
    """A machine that gets slower and faster meanwhile, with two servers on it."""

    def __init__(self, rng: random.Random, sd: float, drift: float = 0.0) -> None:
        self.rng, self.sd, self.drift = rng, sd, drift
        self.level = 0.0
        self.ran: list[str] = []

    def side(self, name: str, factor: float = 1.0, **more: object) -> ComparedSide:
        def run(order: Order) -> Block:
            self.ran.append(name)
            self.level += self.drift
            t = self.rng.gauss(0, 1) / math.sqrt(
                sum(self.rng.gauss(0, 1) ** 2 for _ in range(3)) / 3
            )
            slow = factor * math.exp(self.level + self.sd * t / math.sqrt(3))
            made = block(ms=tuple(ms * slow for ms in MS), rate=order.rate)
            return replace(made, order=order, **more)  # type: ignore[arg-type]

        return ComparedSide(run=run)


def pairs_of(
    machine: Simulated, factor: float = 1.0, pairs: int = 8, **more: object
) -> list[InterleavedPair]:
    order = replace(block().order, rate=100.0)
    base, current = machine.side("A"), machine.side("B", factor, **more)
    return run_interleaved(order, base, current, pairs, stop=str, progress=silent)


def times(comparison: StressComparison) -> dict[str, ComparedMetric]:
    return {m.metric: m for m in comparison.metrics if not m.is_work}


def compared(pairs: Sequence[InterleavedPair]) -> dict[str, ComparedMetric]:
    return times(compare_pairs({"transfers": pairs}, "the other"))


def test_the_sides_take_turns() -> None:
    machine = Simulated(random.Random(SEED), 0.01)
    pairs = pairs_of(machine, pairs=4)
    assert "".join(machine.ran) == "ABBAABBA"
    assert [p.base.order.seed for p in pairs] == [p.current.order.seed for p in pairs]
    assert len({p.base.order.seed for p in pairs}) == 4
    neighbors = identical_neighbors(pairs)
    assert neighbors[0] == (pairs[0].current, pairs[1].current)
    assert neighbors[1] == (pairs[1].base, pairs[2].base)
    assert pairs_for(1) == 8
    assert pairs_for(6) == 9


def test_a_slower_server_is_a_regression_though_the_machine_gets_slower_too() -> None:
    rng = random.Random(SEED)
    found = compared(pairs_of(Simulated(rng, 0.02, drift=0.03), 1.3))
    assert found["p50"].result is ComparedAs.REGRESSION
    assert found["p50"].ratio == pytest.approx(1.3, rel=0.05)
    assert found["p95"].result is ComparedAs.REGRESSION
    assert compared(pairs_of(Simulated(rng, 0.02), 1 / 1.3))["p50"].result is ComparedAs.IMPROVEMENT
    assert compared(pairs_of(Simulated(rng, 0.01, 0.03)))["p50"].result is ComparedAs.SAME


@pytest.mark.parametrize("sd", [0.02, 0.2])
def test_identical_servers_are_not_called_different(sd: float) -> None:
    rng = random.Random(SEED)
    runs = 60
    wrong = 0
    for _ in range(runs):
        found = compared(pairs_of(Simulated(rng, sd, drift=rng.gauss(0, 0.02))))
        wrong += any(
            m.result in (ComparedAs.REGRESSION, ComparedAs.IMPROVEMENT) for m in found.values()
        )
    assert wrong / runs <= 0.05


def test_noise_is_unknown_and_says_how_many_pairs_would_do() -> None:
    rng = random.Random(SEED)
    found = compared(pairs_of(Simulated(rng, 0.15), 1.1))["p50"]
    assert found.result is ComparedAs.UNKNOWN
    assert "more pairs would do" in found.reason
    assert found.pairs_needed
    assert found.pairs_needed > 20


@pytest.mark.parametrize(
    ("check", "result"),
    [
        ("cpu-pressure", ComparedAs.REGRESSION),  # it meets both sides
        ("generator-cpu", ComparedAs.UNKNOWN),
        ("over-capacity", ComparedAs.UNKNOWN),
    ],
)
def test_what_spoils_one_side_alone_is_not_judged(check: str, result: ComparedAs) -> None:
    machine = Simulated(random.Random(SEED), 0.01)
    spoilt = (Spoilt(check=check, text="it was"),)
    pairs = pairs_of(machine, 1.5, spoilt=spoilt)
    comparison = compare_pairs({"transfers": pairs}, "the other")
    assert times(comparison)["p50"].result is result
    assert any("Others used" in n for n in comparison.notes) == (check == "cpu-pressure")
    if result is ComparedAs.UNKNOWN:
        assert check in times(comparison)["p50"].reason


def test_too_few_pairs_and_times_of_two_machines_are_not_judged() -> None:
    pairs = pairs_of(Simulated(random.Random(SEED), 0.01), 2.0, pairs=5)
    assert compared(pairs)["p50"].reason == "5 pairs ran, and 6 are needed"
    comparison = compare_pairs({"transfers": pairs}, "the other", no_times="two machines")
    assert times(comparison) == {}
    assert "two machines" in comparison.notes


def test_a_percentile_with_too_few_transactions_beyond_it_is_not_judged() -> None:
    few = [replace(p, base=block(ms=MS[:100])) for p in pairs_of(Simulated(random.Random(SEED), 0))]
    assert "run longer blocks" in compared(few)["p95"].reason


def test_an_interruption_leaves_whole_pairs() -> None:
    machine = Simulated(random.Random(SEED), 0.01)
    spoilt = (Spoilt(check="interrupted", text="Ctrl-C"),)
    assert pairs_of(machine, spoilt=spoilt) == []
    order = block().order
    base, current = machine.side("A"), machine.side("B")
    never_begins = run_interleaved(
        order, base, current, 3, stop=lambda: "out of disk", progress=silent
    )
    assert never_begins == []


def test_a_block_that_cannot_run_leaves_the_pairs_before_it() -> None:
    machine = Simulated(random.Random(SEED), 0.01)
    base, whole = machine.side("A"), machine.side("B")

    def dying(order: Order) -> Block:
        if len(machine.ran) > 5:
            raise CollectError("pgbench failed")
        return whole.run(order)

    said: list[Error] = []
    found = run_interleaved(
        block().order,
        base,
        ComparedSide(run=dying),
        8,
        stop=str,
        progress=silent,
        failed=said.append,
    )
    assert len(found) == 3
    assert [e.message for e in said] == ["pgbench failed"]


def test_settings_of_a_side_are_of_its_sessions() -> None:
    seen: list[dict[str, str]] = []

    def run(order: Order) -> Block:
        seen.append(dict(order.settings))
        return replace(block(), order=order)

    base = ComparedSide(run=run, settings={"work_mem": "64MB"})
    run_interleaved(block().order, base, ComparedSide(run=run), 1, stop=str, progress=silent)
    assert seen == [{"work_mem": "64MB"}, {}]


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("work_mem=64MB", {"work_mem": "64MB"}),
        ("work_mem = 64MB, jit=off", {"work_mem": "64MB", "jit": "off"}),
        ("search_path='a, b',jit=on", {"search_path": "a, b", "jit": "on"}),
        ("pg_stat_statements.track=none", {"pg_stat_statements.track": "none"}),
    ],
)
def test_settings_are_told_from_servers(text: str, settings: dict[str, str]) -> None:
    found = read_against(text)
    assert isinstance(found, AgainstSettings)
    assert found.settings == settings


@pytest.mark.parametrize(
    "text", ["host=there dbname=shop", "dbname=shop", "postgresql://there/shop", "a_service"]
)
def test_a_target_is_a_server(text: str) -> None:
    assert read_against(text) == AgainstServer(text)


def test_a_file_of_settings_is_read_as_postgresql_conf(tmp_path: Path) -> None:
    file = tmp_path / "more.conf"
    file.write_text("# memory\nwork_mem = '64MB'  # each\n\nshared_buffers 256MB\nunit='it''s'\n")
    assert read_against(str(file)) == AgainstSettings(
        {"work_mem": "64MB", "shared_buffers": "256MB", "unit": "it's"}, "more.conf"
    )
    for wrong in ("", "# nothing\n", "just some words here\n"):
        file.write_text(wrong)
        with pytest.raises(UsageError):
            read_against(str(file))
    with pytest.raises(UsageError, match="empty"):
        read_against(" ")
