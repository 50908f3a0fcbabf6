"""Filling the pool: for each query the plans that its candidates allow, large and small."""

import heapq
from collections.abc import Callable, Iterable, Sequence
from itertools import count

from pgwatch_wed.whatif.model import Configuration, Index, PlanError, Query
from pgwatch_wed.whatif.pool import Known, Pool

_USEFUL = 0.995  # a plan must be cheaper than this part of the cost without candidates
_LADDER = (1.0, 0.5, 0.25, 0.12, 0.06, 0.03)


def explore(
    pool: Pool,
    query: Query,
    candidates: Iterable[Index],
    size: Callable[[Index], int],
    budget: int,
    max_calls: int,
) -> Configuration:
    """Ask for plans with all candidates, with smaller ones, and without those that were used.

    Returns the indexes that some cheaper plan used.
    """
    everything = frozenset(candidates)
    calls_before = pool.calls
    base = pool.plan(query, frozenset())
    found: set[Index] = set()
    starts = _starts(everything, size, budget)
    tie = count()
    # the cheapest plan first: what it used is then taken away
    heap = [(0.0, next(tie), start) for start in starts]
    seen: set[Configuration] = set()
    while heap and pool.calls - calls_before < max_calls:
        _, _, asked = heapq.heappop(heap)
        if asked in seen:
            continue
        seen.add(asked)
        known = _plan(pool, query, asked)
        if known is None or known.cost > _USEFUL * base.cost:
            continue
        found |= known.used
        for used in sorted(known.used, key=size, reverse=True):
            heapq.heappush(heap, (known.cost, next(tie), asked - {used}))
    return frozenset(found)


def alone(pool: Pool, query: Query, indexes: Iterable[Index], max_calls: int) -> None:
    """Ask what each index is worth without any other."""
    calls_before = pool.calls
    for index in indexes:
        if pool.calls - calls_before >= max_calls:
            return
        _plan(pool, query, frozenset((index,)))


def _starts(
    everything: Configuration, size: Callable[[Index], int], budget: int
) -> Sequence[Configuration]:
    slim = frozenset(i for i in everything if not i.include)
    sizes = (frozenset(i for i in everything if size(i) <= budget * part) for part in _LADDER)
    return list(dict.fromkeys((everything, *sizes, slim)))


def _plan(pool: Pool, query: Query, asked: Configuration) -> Known | None:
    try:
        return pool.plan(query, asked)
    except PlanError:
        return None
