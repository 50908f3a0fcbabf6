"""Interleaved pairs → what differs: their work, their plans, and on one machine their times."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

from pgwatch_wed import units
from pgwatch_wed.load.compare.interleaved import InterleavedPair
from pgwatch_wed.load.compare.measured_runs import (
    MeasuredBlock,
    MeasuredScenario,
    failed_in_part,
)
from pgwatch_wed.load.compare.run_comparison import judged_work, plan_changes
from pgwatch_wed.load.compare.time_comparison import TimeShift, compared_time, time_shifts
from pgwatch_wed.load.compare.work_comparison import work_shifts
from pgwatch_wed.load.load_model import Block
from pgwatch_wed.load.statistics.block_noise import MARGIN
from pgwatch_wed.load.statistics.holm import holm
from pgwatch_wed.load.stress_report import ComparedMetric, StressComparison

_PRESSED = frozenset({"cpu-pressure", "steal"})


def compare_pairs(
    found: Mapping[str, Sequence[InterleavedPair]],
    label: str,
    *,
    margin: float = MARGIN,
    no_times: str = "",
    notes: Sequence[str] = (),
) -> StressComparison:
    """Compare the two sides of each scenario's pairs; ``label`` names the side that is compared with.

    ``margin``: a change of work within it does not matter. ``no_times`` says why times cannot be compared, if so.
    """
    sides = [
        (side_of(name, [p.base for p in pairs]), side_of(name, [p.current for p in pairs]))
        for name, pairs in found.items()
    ]
    work = judged_work(list(chain.from_iterable(work_shifts(a, b, margin) for a, b in sides)))
    timed = {} if no_times else found
    shifts = chain.from_iterable(time_shifts(n, pairs) for n, pairs in timed.items() if pairs)
    return StressComparison(
        label=label,
        taken_at=None,
        metrics=(*work, *_judged_times(list(shifts))),
        notes=(
            *notes,
            *(note for a, b in sides for note in plan_changes(a, b)),
            *([no_times] if no_times else _pressed(found)),
        ),
    )


def _judged_times(shifts: list[TimeShift]) -> tuple[ComparedMetric, ...]:
    tested = {n: s.verdict.p_value for n, s in enumerate(shifts) if s.verdict}
    corrected = holm(tested)
    return tuple(compared_time(s, corrected.get(n, 1.0), len(tested)) for n, s in enumerate(shifts))


def side_of(name: str, blocks: Sequence[Block]) -> MeasuredScenario:
    """Return the blocks of one side, those that ran to their end."""
    return MeasuredScenario(
        name=name,
        same={},
        is_writing=True,
        blocks=tuple(
            MeasuredBlock(
                transactions=b.transactions,
                failed=failed_in_part(b.failures),
                rate=b.order.rate,
                work=b.work,
            )
            for b in blocks
            if not b.ended_early
        ),
    )


def _pressed(found: Mapping[str, Sequence[InterleavedPair]]) -> Iterator[str]:
    blocks = [b for pairs in found.values() for p in pairs for b in (p.base, p.current)]
    pressed = sum(any(s.check in _PRESSED for s in b.spoilt) for b in blocks)
    if pressed:
        yield (
            f"Others used the machine in {pressed} of {units.count(len(blocks), 'block')}: times are"
            " compared only above what identical blocks differ by."
        )
