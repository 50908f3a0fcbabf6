"""How much a server can do, from blocks of increasing rates: an interval, never a single number.

A closed loop tells about where the capacity is. Then each step is a block in an open loop: it holds if throughput
follows the rate and the objectives are met. The capacity is between the highest rate that held and the lowest that
broke. Nothing here runs anything: :func:`next_rate` says what to try next.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from pgwatch_wed.load.load_model import Answer, Block

# Shares of the estimate. A closed loop without think time is above what holds an objective, sometimes far.
FIRST = 0.5
GROWTH = 1.5
# Narrower than this, the noise of blocks of ten seconds decides.
WIDTH = 1.15
# A schedule of n transactions varies by the root of n; beyond that, and 3%, transactions are left behind.
_LEFT_BEHIND = 0.03
_MAX_REPEATS = 2
# With fewer steps than this, each is needed for another rate.
_STEPS_TO_CONFIRM = 12
_OVER_CAPACITY = "over-capacity"


@dataclass(frozen=True, slots=True, kw_only=True)
class RampStep:
    """A block of the ramp: whether the server held this rate. Unknown: the block says nothing about the server."""

    rate: float
    answer: Answer
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """Transactions a second that hold: at least ``low``, less than ``high``; None where no step told.

    ``is_consistent`` is false if a rate broke, and the same or a higher one held: then most blocks decide.
    """

    low: float | None
    high: float | None
    is_consistent: bool
    reason: str

    def soak_rate(self, share: float) -> float | None:
        """Return the rate for a soak: below everything that broke."""
        return self.low * share if self.low is not None else None


def step_of(block: Block, objectives: Sequence[tuple[str, Answer]] = ()) -> RampStep:
    """Tell whether a block in an open loop held its rate. ``objectives``: each as text, and what came of it in this block."""
    rate = block.order.rate
    if rate is None:
        raise ValueError("a step of the ramp needs a rate")
    answer, reason = _judged(block, rate, objectives)
    return RampStep(rate=rate, answer=answer, reason=reason)


def _judged(
    block: Block, rate: float, objectives: Sequence[tuple[str, Answer]]
) -> tuple[Answer, str]:
    if block.ended_early:
        return Answer.UNKNOWN, block.ended_early
    # What spoils times spoils the answer, but for the one that is the server's own.
    for spoilt in block.spoilt:
        if spoilt.check != _OVER_CAPACITY:
            return Answer.UNKNOWN, spoilt.text
    if not follows(rate, block.transactions, block.seconds):
        return Answer.FAIL, f"only {block.tps:,.0f} of {rate:,.0f} transactions/s were done"
    if block.spoilt:
        return Answer.FAIL, block.spoilt[0].text
    for text, answer in objectives:
        if answer is Answer.FAIL:
            return Answer.FAIL, f"{text} was not met"
    for text, answer in objectives:
        if answer is Answer.UNKNOWN:
            return Answer.UNKNOWN, f"{text} cannot be told from one block"
    return Answer.PASS, "throughput followed the rate, and all objectives were met"


def follows(rate: float, transactions: int, seconds: float) -> bool:
    """Tell whether so many transactions are what a random schedule of this rate brings."""
    due = rate * seconds
    return transactions >= due * (1 - _LEFT_BEHIND) - 3 * math.sqrt(due)


def next_rate(steps: Sequence[RampStep], estimate: float, most_steps: int) -> float | None:
    """Return the rate to try next; None if the interval is narrow, or ``most_steps`` are done.

    ``estimate`` is the throughput of a closed loop. A step that told nothing is repeated, twice at most.
    """
    if len(steps) >= most_steps or estimate <= 0:
        return None
    if not steps:
        return estimate * FIRST
    last = steps[-1]
    if last.answer is Answer.UNKNOWN:
        again = sum(1 for s in steps if s.rate == last.rate and s.answer is Answer.UNKNOWN)
        return last.rate if again <= _MAX_REPEATS else None
    if most_steps >= _STEPS_TO_CONFIRM and _is_in_doubt(steps, last.rate):
        return last.rate
    found = _between(*_bounds(steps), estimate)
    return None if any(s.rate == found for s in steps) else found


def _is_in_doubt(steps: Sequence[RampStep], rate: float) -> bool:
    """Tell whether a rate broke in one block only, which may have met a bad moment: the best of three decides."""
    answers = [s.answer for s in steps if s.rate == rate]
    broke, held = answers.count(Answer.FAIL), answers.count(Answer.PASS)
    return broke == 1 and held <= 1


def _between(low: float | None, high: float | None, estimate: float) -> float | None:
    if high is None:
        return None if low is None else low * _growth(low, estimate)
    if low is None:
        return high / 2 if high / 2 >= estimate / 1000 else None
    return math.sqrt(low * high) if high / low > WIDTH else None


def _growth(low: float, estimate: float) -> float:
    """Return the factor of the next step: smaller near the estimate, so that it is not jumped over."""
    return GROWTH if low * GROWTH <= estimate * 0.9 else 1.2


def _bounds(steps: Sequence[RampStep]) -> tuple[float | None, float | None]:
    """Return the rates around the capacity that contradicts the fewest steps; around all if there are several."""
    rates = sorted({s.rate for s in steps if s.answer is not Answer.UNKNOWN})
    gaps = list(pairwise([None, *rates, None]))
    least = min(_contradictions(steps, low) for low, _ in gaps)
    best = [gap for gap in gaps if _contradictions(steps, gap[0]) == least]
    return best[0][0], best[-1][1]


def _contradictions(steps: Sequence[RampStep], low: float | None) -> int:
    """Count the steps that a capacity just above ``low`` does not explain."""
    return sum(s.answer is (Answer.FAIL if s.rate <= (low or 0.0) else Answer.PASS) for s in steps)


def capacity(steps: Sequence[RampStep]) -> Capacity:
    """Return what the steps say about the capacity."""
    low, high = _bounds(steps)
    is_consistent = _contradictions(steps, low) == 0
    reason = _reason(steps, low, high, is_consistent)
    return Capacity(low=low, high=high, is_consistent=is_consistent, reason=reason)


def _reason(
    steps: Sequence[RampStep], low: float | None, high: float | None, is_consistent: bool
) -> str:
    if not steps:
        return "no rate was tried"
    if all(s.answer is Answer.UNKNOWN for s in steps):
        return f"no step could be evaluated: {steps[-1].reason}"
    if not is_consistent:
        return "a rate held once, but the same or a lower one did not: the server or the machine was not steady"
    if high is None:
        return f"the highest rate that was tried, {low:,.0f}/s, still held"
    first_broken = next(s for s in steps if s.answer is Answer.FAIL and s.rate == high)
    above = f"at {high:,.0f}/s {first_broken.reason}"
    return (
        f"{low:,.0f}/s held, {above}"
        if low is not None
        else f"no rate that was tried held: {above}"
    )
