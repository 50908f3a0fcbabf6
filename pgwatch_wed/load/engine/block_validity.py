"""Whether the times of a block can be believed: facts of a block → what spoilt it."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

from pgwatch_wed.load.load_model import FailureKind, Machine, Order, Spoilt, TimeSpent, Watched

_GROWN = 0.05  # of the time of a block: a lag of that much that only grew is a backlog
_GROWN_AT_LEAST_S = 0.05
_MEASURED = 0.9  # of the time that was ordered


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockFacts:
    """What is known of a block. ``least_lags_s``: the shortest lag in each fifth of the measured part."""

    order: Order
    seconds: float
    transactions: int
    ended_inside: int
    failures: Mapping[FailureKind, int]
    spent: TimeSpent
    machine: Machine
    threads: int
    least_lags_s: tuple[float | None, ...]
    connecting_s: float | None
    watched: Watched | None = None
    ended_early: str = ""


def spoilt(facts: BlockFacts) -> tuple[Spoilt, ...]:
    """Return everything that makes the times of a block unfit to be evaluated."""
    return tuple(_found(facts))


def _found(facts: BlockFacts) -> Iterator[Spoilt]:
    if facts.ended_early:
        yield Spoilt(check="interrupted", text=f"The block ended early: {facts.ended_early}.")
    elif facts.seconds < _MEASURED * facts.order.seconds:
        took = "an unknown time" if facts.connecting_s is None else f"{facts.connecting_s:.1f} s"
        yield Spoilt(
            check="connecting",
            text=f"Connecting took {took}, which left {facts.seconds:.1f} s of {facts.order.seconds:g} s.",
        )
    if is_over_capacity(facts):
        yield _over_capacity(facts)


def is_over_capacity(facts: BlockFacts) -> bool:
    """Tell whether more was due all the time than was served, so that the backlog only grew.

    Then no transaction begins on time, and each part of the block begins later than the one before. A stall is
    different: before it, or after it, transactions begin on time.
    """
    rate = facts.order.rate
    if (
        rate is None
        or facts.ended_early
        or facts.seconds <= 0
        or rate * facts.seconds < 5 * len(facts.least_lags_s)
    ):
        return False
    lags = [math.inf if lag is None else lag for lag in facts.least_lags_s]
    grows = all(a < b or a == b == math.inf for a, b in pairwise(lags))
    return grows and lags[-1] > max(_GROWN * facts.seconds, _GROWN_AT_LEAST_S)


def _over_capacity(facts: BlockFacts) -> Spoilt:
    order = facts.order
    return Spoilt(
        check="over-capacity",
        text=f"Of {order.rate:,.0f} transactions due each second, {facts.ended_inside / facts.seconds:,.0f} "
        f"ended with {order.clients:,} clients: the backlog grew all the time, and latency only tells how long "
        "the block ran.",
    )
