"""Of sets that are nearly as good by measured times, the one that reads far fewer blocks.

Statements are weighted by the times that were measured, which differ twofold and more from run to run where the machine is busy. The
blocks that their calls touched do not. So a set that leaves half of the blocks or less is taken instead of one that is better only if times
are exact.
"""

from collections import defaultdict

from pgwatch_wed.whatif.choose.answer import QueryGain
from pgwatch_wed.whatif.choose.costs import Costs
from pgwatch_wed.whatif.choose.gains import Gains
from pgwatch_wed.whatif.choose.narrower import without_narrower
from pgwatch_wed.whatif.choose.time_left import SEARCHED
from pgwatch_wed.whatif.model import Configuration

_INEXACT = 2.0  # times by which what statements save and lose together may be mistaken
_PART = 0.5
_MORE = 1.1  # times as many blocks, from which on a statement is slower
_MOST = 5


def with_fewer_blocks(costs: Costs, chosen: Configuration, budget: int) -> Configuration:
    """Return a set with what it lacks of the best plan of some query, if that saves far more blocks than it costs more time; else the same set."""
    wholes = {q.whole for q in costs.queries}
    if any(q.total_ms is None or q.blocks is None or not q.calls for q in wholes):
        return chosen
    for missed in _missed(costs, chosen)[:_MOST]:
        more = chosen | missed
        if costs.left.is_over(SEARCHED):
            break
        if sum(map(costs.oracle.size, more)) <= budget and _is_near(costs, chosen, more):
            more = without_narrower(costs, costs.without_idlers(more))
            if _has_fewer(costs, chosen, more):
                chosen = more
    return chosen


def _missed(costs: Costs, chosen: Configuration) -> list[Configuration]:
    """Return the indexes of the best plans that the set does not allow, those that would save most first."""
    gaps: dict[Configuration, float] = defaultdict(float)
    for query in costs.queries:
        best = min(costs.pool.known(query), key=lambda known: known.value)
        gap = costs.valued(query, chosen) - query.weight * best.value
        if gap > 0 and best.used - chosen:
            gaps[best.used - chosen] += gap
    return sorted(gaps, key=lambda missed: (-gaps[missed], sorted(missed)))


def _is_near(costs: Costs, chosen: Configuration, more: Configuration) -> bool:
    """Tell whether a set is better if times are mistaken, though entries do not cost more than it saves, and no query may be slower than now."""
    costs.ask_all((query, more) for query in costs.queries)
    saved, lost = 0.0, costs.of_writes(more) - costs.of_writes(chosen)
    for query in costs.queries:
        now, then = costs.valued(query, chosen), costs.valued(query, more)
        if then > max(now, costs.present(query)):
            return False
        saved += max(0.0, now - then)
        lost += max(0.0, then - now) / _INEXACT
    return saved > lost


def _has_fewer(costs: Costs, chosen: Configuration, more: Configuration) -> bool:
    """Tell whether a set leaves far fewer blocks, and no query that reads more of them than with the other set and without any."""
    writes = {q.whole.name for q in costs.queries if q.is_write}
    now = then = 0.0
    for one, other in zip(_gains(costs, chosen), _gains(costs, more), strict=True):
        blocks = (one.blocks_before, one.blocks_after, other.blocks_after)
        if None in blocks:
            return False
        before, with_chosen, with_more = (each or 0.0 for each in blocks)
        if one.name not in writes and with_more > _MORE * max(before, with_chosen):
            return False
        now += (one.calls or 0.0) * with_chosen
        then += (one.calls or 0.0) * with_more
    return then <= _PART * now


def _gains(costs: Costs, chosen: Configuration) -> tuple[QueryGain, ...]:
    return Gains(costs, {index: index.ddl() for index in chosen}).of_queries()
