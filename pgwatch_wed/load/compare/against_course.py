"""The run of ``--against``: both sides get the same data, and each scenario its load in interleaved blocks."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from pgwatch_wed.errors import Error
from pgwatch_wed.load.compare.against import AgainstGrounds
from pgwatch_wed.load.compare.even_ground import clean_up
from pgwatch_wed.load.compare.interleaved import (
    ComparedSide,
    InterleavedPair,
    pairs_for,
    run_interleaved,
)
from pgwatch_wed.load.compare.pair_comparison import compare_pairs
from pgwatch_wed.load.compare.plan_shapes import PlannedBlocks
from pgwatch_wed.load.compare.run_comparison import WRITING_MARGIN
from pgwatch_wed.load.engine.block_run import INTERRUPTED
from pgwatch_wed.load.engine.block_runner import never, runner
from pgwatch_wed.load.load_model import Ground, Order, Scenario
from pgwatch_wed.load.statistics.block_noise import MARGIN
from pgwatch_wed.load.stress_report import StressComparison
from pgwatch_wed.progress import Progress, silent

_WARMING_SHARE = 0.5


def compare_against(
    grounds: AgainstGrounds,
    planned: Sequence[tuple[Scenario, Order]],
    prepare: Callable[[Ground, Scenario], None],
    *,
    pairs: int | None = None,
    stop: Callable[[], str] = never,
    progress: Progress = silent,
) -> StressComparison:
    """Run each scenario with its order on both sides in turn, and compare them."""
    number = pairs or pairs_for(len(planned))
    found: dict[str, list[InterleavedPair]] = {}
    notes: list[str] = []
    ended = ""
    for scenario, order in planned:
        if ended := ended or stop():
            notes.append(f"{scenario.name} was not compared: {ended}")
            continue
        if scenario.pooler or order.conninfo is not None:
            notes.append(f"{scenario.name} was not compared: it runs through a pooler")
            continue
        failures: list[Error] = []
        pairs_run = _run(grounds, scenario, order, prepare, number, stop, progress, failures)
        found[scenario.name] = pairs_run
        if len(pairs_run) < number:
            ended = stop() or next((e.message for e in failures), INTERRUPTED)
            how = "compared only in part" if pairs_run else "not compared"
            notes.append(f"{scenario.name} was {how}: {ended}")
    # of a schema among others' tables, see clean_up
    margin = WRITING_MARGIN if grounds.base.schema or grounds.current.schema else MARGIN
    compared = compare_pairs(
        found, grounds.label, margin=margin, no_times=grounds.no_times, notes=notes
    )
    return replace(compared, ended_early=ended)


def _run(
    grounds: AgainstGrounds,
    scenario: Scenario,
    order: Order,
    prepare: Callable[[Ground, Scenario], None],
    pairs: int,
    stop: Callable[[], str],
    progress: Progress,
    failures: list[Error],
) -> list[InterleavedPair]:
    current, base = _side(grounds.current, stop), _side(grounds.base, stop)
    base = replace(base, settings=grounds.settings)
    try:
        progress(f"{scenario.name}: filling tables to compare", 0.0)
        for ground in {g.conninfo: g for g in (grounds.base, grounds.current)}.values():
            prepare(ground, scenario)
        # what is touched for the first time costs more, on both sides
        warming = replace(order, seconds=order.seconds * _WARMING_SHARE)
        for side in (base, current):
            side.block(warming)
    except Error as error:
        failures.append(error)
        return []
    return run_interleaved(
        order,
        base,
        current,
        pairs,
        stop=stop,
        progress=lambda what, share: progress(f"{scenario.name}, compared: {what}", share),
        failed=failures.append,
    )


def _side(ground: Ground, stop: Callable[[], str]) -> ComparedSide:
    run = PlannedBlocks(ground, runner(ground, stop=stop))
    return ComparedSide(run=run, before=partial(clean_up, ground))
