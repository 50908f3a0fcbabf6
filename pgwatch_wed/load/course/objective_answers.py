"""Objectives and blocks → pass, fail or unknown, with interval and reason. Pure."""

import math
from collections.abc import Sequence

from pgwatch_wed.load.course.block_figures import (
    OVER_CAPACITY,
    believed,
    error_interval,
    error_share,
    phase_spoilt,
    throughput,
    throughput_interval,
)
from pgwatch_wed.load.load_model import (
    Answer,
    Block,
    FailureKind,
    LoadObjective,
    ObjectiveResult,
)
from pgwatch_wed.load.load_words import ERRORS, TPS, TRANSACTION
from pgwatch_wed.load.statistics.block_percentiles import percentile_interval, pooled
from pgwatch_wed.load.statistics.proportions import share_interval
from pgwatch_wed.load.stress_report import Bounds

# Failures that a slow generator or a busy machine can cause, too.
_OF_TIME = frozenset(
    {
        FailureKind.TIMEOUT,
        FailureKind.SKIPPED,
        FailureKind.NOT_CONNECTED,
        FailureKind.LOST_CLIENT,
    }
)
_BELIEF = "the times cannot be believed"


def answered(
    objective: LoadObjective, blocks: Sequence[Block], what: str = TRANSACTION
) -> ObjectiveResult:
    """Answer one objective from the blocks of a phase; ``what`` they count."""
    if not blocks:
        return _result(objective, Answer.UNKNOWN, None, None, "nothing was measured")
    if objective.name == ERRORS:
        return _errors(objective, blocks, what)
    spoilt = phase_spoilt(blocks)
    if objective.name == TPS:
        return _tps(objective, blocks, is_spoilt=any(s.check != OVER_CAPACITY for s in spoilt))
    if any(s.check not in (OVER_CAPACITY, "interrupted") for s in spoilt):
        return _result(objective, Answer.UNKNOWN, None, None, _BELIEF)
    if spoilt and not any(_is_over(b) for b in blocks):
        return _result(objective, Answer.UNKNOWN, None, None, "too few blocks ran to their end")
    if spoilt and all(_is_over(b) for b in blocks if not b.ended_early):
        reason = "the server did not keep up with what was due, so latency only grew"
        return _result(objective, Answer.FAIL, None, None, reason)
    if spoilt:
        reason = "the server did not always keep up with what was due"
        return _result(objective, Answer.UNKNOWN, None, None, reason)
    return _percentile(objective, believed(blocks), what)


def percent_of(objective: LoadObjective) -> float | None:
    """Return 95.0 for ``p95``; None if the objective is not about a percentile."""
    is_percentile = objective.name.startswith("p")
    return float(objective.name[1:]) if is_percentile else None


def in_one_block(objective: LoadObjective, block: Block) -> Answer | None:
    """Answer as far as one block of a ramp tells: by the value, without an interval; None if it does not."""
    percent = percent_of(objective)
    if objective.name == ERRORS:
        failed = sum(block.failures.values())
        low, _ = share_interval(failed, block.attempts)
        return Answer.FAIL if low > objective.limit else Answer.PASS
    if percent is None:
        return None
    value = block.spent.latency.percentile(percent)
    if value is None:
        return None
    return Answer.PASS if value <= objective.limit else Answer.FAIL


def _is_over(block: Block) -> bool:
    return any(s.check == OVER_CAPACITY for s in block.spoilt)


def _errors(objective: LoadObjective, blocks: Sequence[Block], what: str) -> ObjectiveResult:
    share, interval = error_share(blocks), error_interval(blocks)
    if share is None or interval is None:
        return _result(objective, Answer.UNKNOWN, None, None, f"no {what} was due")
    outside = any(s.check != OVER_CAPACITY for s in phase_spoilt(blocks))
    if outside and any(b.failures.get(kind) for b in blocks for kind in _OF_TIME):
        certain = error_interval(blocks, _OF_TIME)
        if certain is None or certain[0] <= objective.limit:
            reason = f"{_BELIEF}, and neither can timeouts and {what}s that were not begun"
            return _result(objective, Answer.UNKNOWN, share, interval, reason)
    answer, reason = _compared(interval, objective.limit)
    due = sum(b.attempts for b in blocks)
    if answer is Answer.UNKNOWN and share == 0:
        needed = math.ceil(3 / objective.limit)
        reason = f"none of {due:,} failed, but that takes {needed:,} {what}s to show"
    return _result(objective, answer, share, interval, reason)


def _percentile(objective: LoadObjective, blocks: Sequence[Block], what: str) -> ObjectiveResult:
    percent = percent_of(objective)
    times = [b.spent.latency for b in blocks]
    value = pooled(times).percentile(percent) if percent is not None and times else None
    if percent is None or value is None:
        reason = f"fewer than 10 {what}s are beyond it: more {what}s would tell"
        return _result(objective, Answer.UNKNOWN, None, None, reason)
    interval = percentile_interval(times, percent)
    if interval is None:
        reason = "three blocks at least tell how much blocks differ: run longer"
        return _result(objective, Answer.UNKNOWN, value, None, reason)
    answer, reason = _compared(interval, objective.limit)
    return _result(objective, answer, value, interval, reason)


def _tps(objective: LoadObjective, blocks: Sequence[Block], *, is_spoilt: bool) -> ObjectiveResult:
    if is_spoilt:
        return _result(objective, Answer.UNKNOWN, None, None, _BELIEF)
    # a block in which the server did not keep up is what this is about
    good = [b for b in blocks if all(s.check == OVER_CAPACITY for s in b.spoilt)] or list(blocks)
    value, interval = throughput(good), throughput_interval(good)
    rate = blocks[-1].order.rate
    if rate is not None and rate < objective.limit:
        reason = f"only {rate:,.0f}/s were due: set a higher rate"
        return _result(objective, Answer.UNKNOWN, value, interval, reason)
    if interval is None:
        reason = "three blocks at least tell how much blocks differ: run longer"
        return _result(objective, Answer.UNKNOWN, value, None, reason)
    low, high = interval
    if low >= objective.limit:
        return _result(objective, Answer.PASS, value, interval, "the interval is above the limit")
    if high < objective.limit:
        return _result(objective, Answer.FAIL, value, interval, "the interval is below the limit")
    return _result(objective, Answer.UNKNOWN, value, interval, "the interval contains the limit")


def _compared(interval: Bounds, limit: float) -> tuple[Answer, str]:
    low, high = interval
    if high <= limit:
        return Answer.PASS, "the interval is below the limit"
    if low > limit:
        return Answer.FAIL, "the interval is above the limit"
    return Answer.UNKNOWN, "the interval contains the limit"


def _result(
    objective: LoadObjective,
    answer: Answer,
    value: float | None,
    interval: Bounds | None,
    reason: str,
) -> ObjectiveResult:
    return ObjectiveResult(
        objective=objective, answer=answer, value=value, interval=interval, reason=reason
    )
