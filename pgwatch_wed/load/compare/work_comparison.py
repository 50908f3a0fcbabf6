"""Whether a transaction costs the server more work than before. Only blocks count, and their own noise decides.

The transactions of a block have much in common: tests on them call identical runs different.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import median

from pgwatch_wed import units
from pgwatch_wed.load.compare.measured_runs import MeasuredBlock, MeasuredScenario
from pgwatch_wed.load.compare.work_metrics import WORK_METRICS, WorkMetric, per_transaction
from pgwatch_wed.load.load_model import BlockWork
from pgwatch_wed.load.statistics.block_noise import MARGIN, noise_floor, pairs_needed
from pgwatch_wed.load.statistics.rank_sum import (
    p_shifted_beyond,
    shift_between,
    unpaired_interval,
)
from pgwatch_wed.load.statistics.signed_rank import (
    hodges_lehmann,
    least_pairs,
    p_beyond,
    shift_interval,
)
from pgwatch_wed.load.stress_report import ComparedAs, ComparedMetric

ALPHA = 0.05
_LEAST_BLOCKS = 4
_MOST_MORE_FAILURES = 0.01
_RATES_DIFFER = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkShift:
    """By how much a metric differs, in units for each transaction, before several tests are taken into account.

    ``doubt`` is why it cannot be compared at all, as a sentence; ``remark`` is added to what was found.
    """

    scenario: str
    metric: WorkMetric
    before: float | None = None
    after: float | None = None
    shift: float = 0.0
    interval: tuple[float, float] | None = None
    margin: float = MARGIN
    limit: float = 0.0
    p_value: float = 1.0
    noise: float = 0.0
    blocks: tuple[int, int] = (0, 0)
    doubt: str = ""
    remark: str = ""


def work_shifts(
    base: MeasuredScenario, current: MeasuredScenario, margin: float = MARGIN
) -> list[WorkShift]:
    """Compare the work of two runs of a scenario, by every metric that was counted in both.

    A change within the margin does not matter.
    """
    doubt = _doubt(base.blocks, current.blocks)
    some, others = _undisturbed(base.blocks), _undisturbed(current.blocks)
    shifts = []
    for metric in WORK_METRICS:
        shift = _shift(base.name, metric, some, others, margin)
        if shift is None:
            continue
        shifts.append(replace(shift, doubt=doubt or _growth(shift, metric, base, current)))
    return shifts


def compared(shift: WorkShift, p_value: float, tests: int) -> ComparedMetric:
    """Decide on a metric by its p value, corrected for so many tests."""
    result, reason = _result(shift, p_value, tests)
    ratios = _ratios(shift)
    return ComparedMetric(
        scenario=shift.scenario,
        metric=f"{shift.metric.name} per transaction",
        is_work=True,
        before=shift.before,
        after=shift.after,
        ratio=ratios[0] if ratios else None,
        interval=ratios[1] if ratios else None,
        result=result,
        reason=reason,
    )


def _shift(
    scenario: str,
    metric: WorkMetric,
    base: Sequence[MeasuredBlock],
    current: Sequence[MeasuredBlock],
    margin: float,
) -> WorkShift | None:
    found = _shift_of(scenario, metric, metric.amount, base, current, margin)
    if found is None or metric.without is None:
        return found
    rest = _shift_of(scenario, metric, metric.without, base, current, margin)
    # only what holds either way is a change of the statements
    if rest is None or found.p_value > ALPHA or rest.p_value <= found.p_value:
        return found
    remark = "" if rest.p_value <= ALPHA else f"the difference is {metric.explained_by}"
    return replace(
        found,
        p_value=rest.p_value,
        interval=rest.interval if remark else found.interval,
        remark=remark,
    )


def _shift_of(
    scenario: str,
    metric: WorkMetric,
    amount: Callable[[BlockWork], float | None],
    base: Sequence[MeasuredBlock],
    current: Sequence[MeasuredBlock],
    margin: float,
) -> WorkShift | None:
    some, others = _values(base, amount), _values(current, amount)
    if not some or not others:
        return None
    before = median(some)
    limit = max(margin * before, metric.negligible)
    shift = WorkShift(
        scenario=scenario,
        metric=metric,
        before=before,
        after=median(others),
        margin=margin,
        limit=limit,
        noise=max(noise_floor(some), noise_floor(others)),
        blocks=(len(some), len(others)),
    )
    return _paired(shift, some, others) or _unpaired(shift, some, others)


def _values(
    blocks: Sequence[MeasuredBlock], amount: Callable[[BlockWork], float | None]
) -> list[float]:
    return [v for b in blocks if (v := per_transaction(b.work, amount)) is not None]


def _unpaired(shift: WorkShift, some: list[float], others: list[float]) -> WorkShift:
    return replace(
        shift,
        shift=shift_between(some, others),
        interval=unpaired_interval(some, others),
        p_value=p_shifted_beyond(some, others, shift.limit),
    )


def _paired(shift: WorkShift, some: list[float], others: list[float]) -> WorkShift | None:
    """Compare the first block with the first, and so on, if blocks differ by what grows meanwhile in both runs alike."""
    if len(some) != len(others) or len(some) < least_pairs(len(WORK_METRICS)):
        return None
    differences = [b - a for a, b in zip(some, others, strict=True)]
    if shift.noise < shift.limit / 2 or noise_floor(differences) > shift.noise:
        return None
    return replace(
        shift,
        shift=hodges_lehmann(differences),
        interval=shift_interval(differences),
        p_value=p_beyond(differences, shift.limit),
        noise=noise_floor(differences),
    )


def _undisturbed(blocks: Sequence[MeasuredBlock]) -> Sequence[MeasuredBlock]:
    """Leave out blocks in which autovacuum worked, if enough are left: what it reads is counted, too."""
    upkeep = [bool(b.work and b.work.upkeep) for b in blocks]
    # it is counted when it ends, and may have begun in the block before
    during = [u or later for u, later in zip(upkeep, [*upkeep, False][1:], strict=True)]
    rest = [b for b, is_during in zip(blocks, during, strict=True) if not is_during]
    return rest if len(rest) >= max(_LEAST_BLOCKS, len(blocks) // 2) else blocks


def _doubt(base: Sequence[MeasuredBlock], current: Sequence[MeasuredBlock]) -> str:
    if not base or not current:
        where = "the baseline" if not base else "this run"
        return f"no block of {where} ran to its end"
    then, now = _failing(base), _failing(current)
    if abs(then - now) > _MOST_MORE_FAILURES:
        return (
            f"{units.share(now)} of the transactions failed, and {units.share(then)} before:"
            " those that failed did not do their work"
        )
    return ""


def _failing(blocks: Sequence[MeasuredBlock]) -> float:
    attempts = sum(b.transactions + b.failed for b in blocks)
    return sum(b.failed for b in blocks) / attempts if attempts else 0.0


def _growth(
    shift: WorkShift, metric: WorkMetric, base: MeasuredScenario, current: MeasuredScenario
) -> str:
    """Say that work grows with the number of transactions before, if these differ."""
    then, now = (sum(b.transactions for b in s.blocks) for s in (base, current))
    if not (base.is_writing and then and now) or abs(math.log(now / then)) < _RATES_DIFFER:
        return ""
    grown = max(abs(_trend(_values(s.blocks, metric.amount))) for s in (base, current))
    if grown <= shift.limit:
        return ""
    return (
        f"it changes as tables grow, and {units.count(now, 'transaction')} ran here,"
        f" {then:,} before; run both at the same rate"
    )


def _trend(values: Sequence[float]) -> float:
    """Return by how much values changed from the first to the last, by the median of all slopes (Theil and Sen)."""
    slopes = [(b - a) / (m - n) for m, b in enumerate(values) for n, a in enumerate(values[:m])]
    return median(slopes) * (len(values) - 1) if slopes else 0.0


def _result(shift: WorkShift, p_value: float, tests: int) -> tuple[ComparedAs, str]:
    if shift.doubt:
        return ComparedAs.UNKNOWN, shift.doubt
    least = least_blocks(tests)
    if shift.interval is None or min(shift.blocks) < _LEAST_BLOCKS:
        return ComparedAs.UNKNOWN, _too_few(shift, least)
    low, high = shift.interval
    if -shift.limit <= low and high <= shift.limit:
        return ComparedAs.SAME, shift.remark or f"it differs by less than {_limit(shift)}"
    if p_value <= ALPHA:
        result = ComparedAs.REGRESSION if shift.shift > 0 else ComparedAs.IMPROVEMENT
        return result, _changed(shift)
    if shift.remark:
        return ComparedAs.UNKNOWN, shift.remark
    if low > shift.limit or high < -shift.limit:
        return ComparedAs.UNKNOWN, _too_few(shift, max(least, max(shift.blocks) + 1))
    return ComparedAs.UNKNOWN, _noisy(shift)


def _changed(shift: WorkShift) -> str:
    assert shift.before is not None
    assert shift.after is not None
    before, after = shift.metric.shown(shift.before), shift.metric.shown(shift.after)
    return f"{after} per transaction, and {before} before"


def _limit(shift: WorkShift) -> str:
    is_share = shift.limit > shift.metric.negligible
    return (
        f"{shift.margin:.0%}" if is_share else f"{shift.metric.shown(shift.limit)} per transaction"
    )


def _too_few(shift: WorkShift, least: int) -> str:
    then, now = shift.blocks
    return f"{units.count(now, 'block')} here and {then} before are too few; {least} each would do"


def _noisy(shift: WorkShift) -> str:
    # two samples have twice the variance of pairs
    needed = pairs_needed(math.sqrt(2) * shift.noise, shift.limit)
    said = f"identical blocks differ too much to tell a change of {_limit(shift)}"
    if needed is None:
        return f"{said}, however many there are"
    return f"{said}; {max(needed, max(shift.blocks) + 1)} blocks each would do"


def least_blocks(tests: int) -> int:
    """Return how many blocks either run needs, so that so many tests at once can find anything."""
    blocks = _LEAST_BLOCKS
    while 2 / math.comb(2 * blocks, blocks) > ALPHA / max(tests, 1):
        blocks += 1
    return blocks


def _ratios(shift: WorkShift) -> tuple[float, tuple[float, float] | None] | None:
    before = shift.before
    if before is None or before <= shift.metric.negligible:
        return None
    interval = shift.interval and (
        max(1 + shift.interval[0] / before, 0.0),
        max(1 + shift.interval[1] / before, 0.0),
    )
    return max(1 + shift.shift / before, 0.0), interval
