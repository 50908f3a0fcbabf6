"""A needless index is found by its work, identical runs are not called different, and what cannot be compared is said."""

import json
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pgwatch_wed.errors import UsageError
from pgwatch_wed.load.compare.measured_runs import (
    MeasuredBlock,
    MeasuredRun,
    NoStressDocumentError,
    failed_in_part,
    measured_run,
)
from pgwatch_wed.load.compare.run_comparison import (
    compare_runs,
    has_regressed,
    judged_work,
    measured_report,
)
from pgwatch_wed.load.compare.stress_baselines import read_baseline, save_baseline
from pgwatch_wed.load.compare.work_comparison import least_blocks, work_shifts
from pgwatch_wed.load.load_json import render_stress
from pgwatch_wed.load.load_model import BlockWork, FailureKind
from pgwatch_wed.load.stress_report import ComparedAs, ComparedMetric, StressComparison
from tests.load.stress_samples import sample_report

SEED = 20260110
N = 2000


def run_of(blocks: Sequence[MeasuredBlock]) -> MeasuredRun:
    run = measured_report(sample_report())
    (scenario,) = run.scenarios.values()
    return replace(run, scenarios={scenario.name: replace(scenario, blocks=tuple(blocks))})


def block(
    blocks: float = 20, records: float = 4, temp: float = 0, images: float = 0.1, **more: Any
) -> MeasuredBlock:
    """Return a block whose transactions did so much each."""
    work = BlockWork(
        transactions=N,
        blocks_hit=round(blocks * N),
        blocks_read=0,
        rows_changed=2 * N,
        temp_bytes=round(temp * N),
        wal_records=round(records * N),
        wal_full_page_images=round(images * N),
        upkeep=more.pop("upkeep", 0),
        plans=more.pop("plans", {}),
    )
    return replace(MeasuredBlock(transactions=N, failed=0, rate=200.0, work=work), **more)


def noisy(rng: random.Random, number: int, factor: float = 1.0, sd: float = 0.004) -> list[Any]:
    """Return blocks as a busy machine makes them: work varies little, but with heavy tails."""

    def around(value: float) -> float:
        t = rng.gauss(0, 1) / math.sqrt(sum(rng.gauss(0, 1) ** 2 for _ in range(3)) / 3)
        return value * math.exp(sd * t / math.sqrt(3))

    return [
        block(around(20 * factor), around(4 * factor), images=rng.expovariate(4))
        for _ in range(number)
    ]


def compared(
    base: Sequence[MeasuredBlock], current: Sequence[MeasuredBlock]
) -> dict[str, ComparedMetric]:
    comparison = compare_runs(run_of(base), run_of(current), "baseline")
    return {m.metric.removesuffix(" per transaction"): m for m in comparison.metrics}


def notes(base: MeasuredRun, current: MeasuredRun) -> str:
    return "\n".join(compare_runs(base, current, "baseline").notes)


def test_a_needless_index_is_found_by_its_work() -> None:
    rng = random.Random(SEED)
    found = compared(noisy(rng, 5), noisy(rng, 5, 1.63))
    assert found["blocks touched"].result is ComparedAs.REGRESSION
    assert found["blocks touched"].ratio == pytest.approx(1.63, rel=0.02)
    assert found["WAL records"].result is ComparedAs.REGRESSION
    assert found["rows changed"].result is ComparedAs.SAME
    assert found["temporary files"].result is ComparedAs.SAME
    better = compared(noisy(rng, 5, 1.63), noisy(rng, 5))
    assert better["blocks touched"].result is ComparedAs.IMPROVEMENT


@pytest.mark.parametrize(("number", "sd"), [(5, 0.004), (5, 0.1), (6, 0.3)])
def test_identical_runs_are_the_same_or_unknown(number: int, sd: float) -> None:
    rng = random.Random(SEED)
    runs = 60
    wrong = 0
    for _ in range(runs):
        base, current = (run_of(noisy(rng, number, sd=sd)).scenarios["transfers"] for _ in "AB")
        metrics = judged_work(work_shifts(base, current))
        results = {m.result for m in metrics}
        wrong += bool(results & {ComparedAs.REGRESSION, ComparedAs.IMPROVEMENT})
    assert wrong / runs <= 0.05


def test_runs_that_write_differ_by_what_autovacuum_did() -> None:
    found = compared([block(20)] * 6, [block(23)] * 6)["blocks touched"]
    assert found.result is ComparedAs.SAME
    assert "20%" in found.reason
    base = run_of([block(20)] * 6)
    reading = {"transfers": replace(base.scenarios["transfers"], is_writing=False)}
    more = replace(base.scenarios["transfers"], blocks=(block(23),) * 6, is_writing=False)
    comparison = compare_runs(
        replace(base, scenarios=reading), replace(base, scenarios={"transfers": more}), "baseline"
    )
    assert comparison.count(ComparedAs.REGRESSION) == 1


def test_too_few_blocks_say_how_many_would_do() -> None:
    rng = random.Random(SEED)
    found = compared(noisy(rng, 3), noisy(rng, 3, 1.63))["blocks touched"]
    assert found.result is ComparedAs.UNKNOWN
    assert "5 each would do" in found.reason
    assert least_blocks(1) == 4
    assert least_blocks(4) == 5


def test_noise_says_how_many_blocks_would_do() -> None:
    rng = random.Random(SEED)
    found = compared(noisy(rng, 6, sd=0.5), noisy(rng, 6, 1.2, sd=0.5))["blocks touched"]
    assert found.result is ComparedAs.UNKNOWN
    assert "blocks each would do" in found.reason


def test_new_temporary_files_are_a_regression_without_a_ratio() -> None:
    found = compared([block()] * 5, [block(temp=4_000_000)] * 5)["temporary files"]
    assert found.result is ComparedAs.REGRESSION
    assert found.ratio is None
    assert found.reason == "3.8 MB per transaction, and 0 B before"
    trace = compared([block()] * 5, [block(temp=50)] * 5)["temporary files"]
    assert trace.result is ComparedAs.SAME


def test_records_of_checkpoints_are_no_regression() -> None:
    found = compared([block(records=4)] * 5, [block(records=5, images=1.1)] * 5)["WAL records"]
    assert found.result is not ComparedAs.REGRESSION
    assert "checkpoints" in found.reason
    both = compared([block(records=4)] * 5, [block(records=6, images=1.1)] * 5)["WAL records"]
    assert both.result is ComparedAs.REGRESSION


def test_blocks_in_which_autovacuum_worked_are_left_out() -> None:
    disturbed = [block(), block(60), block(60, upkeep=1), block(), block(), block(), block()]
    found = compared([block()] * 7, disturbed)["blocks touched"]
    assert found.result is ComparedAs.SAME
    assert found.after == 20
    always = compared([block()] * 5, [block(60, upkeep=1)] * 5)["blocks touched"]
    assert always.result is ComparedAs.REGRESSION  # it belongs to the load


def test_what_grows_meanwhile_in_both_is_compared_at_the_same_time() -> None:
    rng = random.Random(SEED)

    def growing(factor: float = 1.0) -> list[MeasuredBlock]:
        levels = [20 * factor * (1 + 0.1 * n) * rng.gauss(1, 0.002) for n in range(8)]
        return [block(level) for level in levels]

    assert compared(growing(), growing())["blocks touched"].result is ComparedAs.SAME
    assert compared(growing(), growing(1.4))["blocks touched"].result is ComparedAs.REGRESSION


def test_growth_by_another_number_of_transactions_is_no_regression() -> None:
    slow = [block(20 + 0.2 * n) for n in range(8)]
    fast = [replace(block(24 + n), transactions=5 * N) for n in range(8)]
    found = compared(slow, fast)["blocks touched"]
    assert found.result is ComparedAs.UNKNOWN
    assert "at the same rate" in found.reason


def test_failed_transactions_did_not_do_their_work() -> None:
    found = compared([block()] * 5, [block(10, failed=N // 10)] * 5)["blocks touched"]
    assert found.result is ComparedAs.UNKNOWN
    assert "failed" in found.reason


def test_what_never_began_or_came_late_hides_no_change_of_work() -> None:
    assert failed_in_part({FailureKind.ERROR: 2, FailureKind.SKIPPED: 7, "timeout": 5}) == 2
    document = json.loads(render_stress(sample_report()))
    for phase in document["runs"][0]["phases"]:
        for each in phase["blocks"]:
            each["failures"] = {"skipped": 10_000, "deadlock": 3}
    (scenario,) = measured_run(document).scenarios.values()
    assert {b.failed for b in scenario.blocks} == {3}


def test_work_that_was_not_counted_is_not_the_same() -> None:
    none = [replace(block(), work=None)] * 5
    base, current = run_of([block()] * 5), run_of(none)
    assert compare_runs(base, current, "baseline").metrics == ()
    assert "was not counted" in notes(base, current)
    assert "no whole block" in notes(base, run_of([]))


def test_another_plan_is_named() -> None:
    base = run_of([block(plans={"transfer": "Index Scan"})] * 5)
    current = run_of([block(plans={"transfer": "Seq Scan"})] * 5)
    assert "transfer is planned otherwise: Seq Scan, and Index Scan before" in notes(base, current)
    assert "planned" not in notes(base, base)


def test_settings_and_versions_that_differ_are_said_and_compared() -> None:
    base = run_of([block()] * 5)
    current = replace(
        base,
        settings={**base.settings, "work_mem": "64MB"},
        differs={**base.differs, "server version": "19.0"},
        machine="another",
    )
    base = replace(base, settings={**base.settings, "work_mem": "4MB"})
    said = notes(base, current)
    assert "The setting work_mem differs: 64MB, and 4MB before." in said
    assert "The server version differs: 19.0" in said
    assert "another machine" in said
    assert "another time" in notes(base, base)


@pytest.mark.parametrize("what", ["the scripts", "the data (scale)", "the seed", "the protocol"])
def test_other_work_is_refused(what: str) -> None:
    base = run_of([block()] * 5)
    scenario = base.scenarios["transfers"]
    other = replace(scenario, same={**scenario.same, what: "another"})
    with pytest.raises(UsageError, match=what.partition(" (")[0]):
        compare_runs(base, replace(base, scenarios={"transfers": other}), "baseline")
    with pytest.raises(UsageError, match="it ran transfers"):
        compare_runs(base, replace(base, scenarios={"hot-row": other}), "baseline")
    some = replace(base, scenarios={"transfers": other, "more": scenario, "new": scenario})
    both = replace(base, scenarios={"transfers": scenario, "more": scenario})
    said = notes(both, some)
    assert f"transfers was not compared: {what} differs" in said
    assert "new was not compared: the baseline does not have it" in said


def test_a_document_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    report = sample_report()
    file = save_baseline("main", render_stress(report), tmp_path)
    assert read_baseline("main", tmp_path) == measured_report(report)
    assert read_baseline(str(file)) == measured_report(report)
    assert len(read_baseline("main", tmp_path).scenarios["transfers"].blocks) == 3
    with pytest.raises(UsageError, match="known are main"):
        read_baseline("other", tmp_path)
    with pytest.raises(UsageError, match="no file"):
        read_baseline("no/such.json", tmp_path)
    with pytest.raises(UsageError, match="name"):
        save_baseline("../etc", "{}", tmp_path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schema_version": 2}, "schema version is 2, and 1 is expected"),
        ({"kind": "analysis"}, "not a JSON report"),
        ({"runs": 5}, "damaged"),
        ({"target": {}}, "damaged"),
        ({"generated_at": "yesterday"}, "damaged"),
    ],
)
def test_a_file_that_is_no_baseline_is_one_line(
    tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    document = json.loads(render_stress(sample_report()))
    file = tmp_path / "run.json"
    file.write_text(json.dumps({**document, **change}))
    with pytest.raises(UsageError, match=said) as raised:
        read_baseline(str(file))
    assert "\n" not in str(raised.value)


def test_text_that_is_no_json_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "run.json"
    for text in ("", "nonsense", "[" * 100_000, "[]"):
        file.write_text(text)
        with pytest.raises(UsageError, match=r"not JSON|not a JSON report"):
            read_baseline(str(file))
    with pytest.raises(UsageError, match="directory"):
        read_baseline(str(tmp_path))


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if at:
        yield at
    if isinstance(value, dict):
        for key in value:
            yield from places(value[key], (*at, key))
    elif isinstance(value, list) and value:
        yield from places(value[0], (*at, 0))


@pytest.mark.parametrize("damage", [None, [], "nonsense", -1, {}])
def test_a_document_may_be_damaged_anywhere(damage: object) -> None:
    text = render_stress(sample_report())
    refused = 0
    for place in places(json.loads(text)):
        document = json.loads(text)
        part = document
        for key in place[:-1]:
            part = part[key]
        part[place[-1]] = damage
        try:
            compare_runs(run_of([block()] * 5), measured_run(document), "baseline")
        except NoStressDocumentError:
            refused += 1
        except UsageError:
            pass  # it says what differs
    assert refused


def test_only_a_regression_fails() -> None:
    comparison = sample_report().comparison
    assert comparison is not None
    assert has_regressed(comparison)
    assert not has_regressed(None)
    assert not has_regressed(StressComparison(label="", taken_at=None, metrics=()))
