"""Filling the pool: for each query, the plans that its candidates allow, large and small."""

import heapq
from collections.abc import Callable, Iterable, Sequence
from itertools import count

from pgwatch_wed.whatif.choose.costs import Costs
from pgwatch_wed.whatif.choose.pool import Known
from pgwatch_wed.whatif.model import Candidate, Configuration, PlanError, Query

_USEFUL = 0.995  # a plan must be cheaper than this fraction of the cost without candidates
_BEYOND = 3  # plans with candidates larger than the budget, only to tell of them
_LADDER = (1.0, 0.5, 0.25, 0.12, 0.06, 0.03)


def explore(
    costs: Costs,
    query: Query,
    candidates: Iterable[Candidate],
    budget: int,
    most: int,
    share: float,
    *,
    ordered: Configuration = frozenset(),
    beyond: bool = False,
) -> Configuration:
    """Request plans with all candidates that fit into the budget, with smaller ones, and without those that were used.

    Ends when the query has had ``most`` plans, or a share of the time is over; continues if called again with more. Returns
    the indexes that a cheaper plan used. ``ordered`` are tried alone, too: the planner may prefer to sort what it takes for few rows.
    ``beyond``: if none helps, tries whether those that do not fit would.
    """
    size = costs.oracle.size
    everything = frozenset(candidates)
    fitting = frozenset(i for i in everything if size(i) <= budget)
    starts = _starts(fitting, size, budget)
    if ordered & fitting:
        starts.insert(3, ordered & fitting)
    found = _descend(costs, query, starts, most, share)
    if beyond and not found and fitting != everything and not costs.left.is_over(share):
        _descend(costs, query, _sets(everything), costs.pool.calls_of(query) + _BEYOND, share)
    return found


def _descend(
    costs: Costs, query: Query, starts: Sequence[Configuration], most: int, share: float
) -> Configuration:
    """Request plans with sets, then with parts of them, until the query has had as many calls."""
    size, pool = costs.oracle.size, costs.pool
    found: set[Candidate] = set()
    tie = count()
    # whole sets first; then parts of what was used, cheapest plan first; then everything except a part
    heap = [(0, 0.0, next(tie), start) for start in starts]
    seen: set[Configuration] = set()
    while heap and pool.calls_of(query) < most:
        _, _, _, asked = heapq.heappop(heap)
        if asked in seen or not asked:
            continue
        if seen and costs.left.is_over(share):
            break
        seen.add(asked)
        known = _plan(costs, query, asked)
        if known is None or known.cost > _USEFUL * costs.base[query.name]:
            continue
        found |= known.used
        for used in sorted(known.used, key=size, reverse=True):
            heapq.heappush(heap, (1, known.cost, next(tie), known.used - {used}))
            heapq.heappush(heap, (2, known.cost, next(tie), asked - {used}))
    return frozenset(found)


def _starts(
    fitting: Configuration, size: Callable[[Candidate], int], budget: int
) -> list[Configuration]:
    """Return sets to begin with: all that fits, the slim and single ones, and ever smaller ones."""
    sizes = (frozenset(i for i in fitting if size(i) <= budget * part) for part in _LADDER)
    return list(dict.fromkeys((*_sets(fitting), *sizes)))


def _sets(everything: Configuration) -> list[Configuration]:
    slim = frozenset(i for i in everything if not i.include and not i.predicate)
    single = frozenset(i for i in slim if i.width == 1)
    return [everything, slim, single]


def _plan(costs: Costs, query: Query, asked: Configuration) -> Known | None:
    try:
        return costs.pool.plan(query, asked)
    except PlanError:
        return None
