"""Filling the pool: for each query, the plans that its candidates allow, large and small."""

import heapq
from collections.abc import Callable, Iterable, Sequence
from itertools import count

from pgwatch_wed.whatif.choose.pool import Known, Pool
from pgwatch_wed.whatif.model import Candidate, Configuration, PlanError, Query

_USEFUL = 0.995  # a plan must be cheaper than this fraction of the cost without candidates
_LADDER = (1.0, 0.5, 0.25, 0.12, 0.06, 0.03)


def explore(
    pool: Pool,
    query: Query,
    candidates: Iterable[Candidate],
    size: Callable[[Candidate], int],
    budget: int,
    max_calls: int,
) -> Configuration:
    """Request plans with all candidates, with smaller ones, and without those that were used.

    Returns the indexes that a cheaper plan used.
    """
    everything = frozenset(candidates)
    calls_before = pool.calls
    base = pool.plan(query, frozenset())
    found: set[Candidate] = set()
    tie = count()
    # whole sets first; then parts of what was used, cheapest plan first; then everything except a part
    heap = [(0, 0.0, next(tie), start) for start in _starts(everything, size, budget)]
    seen: set[Configuration] = set()
    while heap and pool.calls - calls_before < max_calls:
        _, _, _, asked = heapq.heappop(heap)
        if asked in seen or not asked:
            continue
        seen.add(asked)
        known = _plan(pool, query, asked)
        if known is None or known.cost > _USEFUL * base.cost:
            continue
        found |= known.used
        for used in sorted(known.used, key=size, reverse=True):
            heapq.heappush(heap, (1, known.cost, next(tie), known.used - {used}))
            heapq.heappush(heap, (2, known.cost, next(tie), asked - {used}))
    return frozenset(found)


def _starts(
    everything: Configuration, size: Callable[[Candidate], int], budget: int
) -> Sequence[Configuration]:
    slim = frozenset(i for i in everything if not i.include and not i.predicate)
    single = frozenset(i for i in slim if i.width == 1)
    sizes = (frozenset(i for i in everything if size(i) <= budget * part) for part in _LADDER)
    return list(dict.fromkeys((everything, slim, single, *sizes)))


def _plan(pool: Pool, query: Query, asked: Configuration) -> Known | None:
    try:
        return pool.plan(query, asked)
    except PlanError:
        return None
