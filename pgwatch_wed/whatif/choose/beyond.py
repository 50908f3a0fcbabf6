"""What a larger budget would be worth, by the plans that are known."""

from collections import defaultdict
from collections.abc import Mapping

from pgwatch_wed.whatif.choose.answer import BeyondBudget
from pgwatch_wed.whatif.choose.costs import Costs
from pgwatch_wed.whatif.model import Configuration, Query

_LEAST_SHARE = 0.02  # of the present cost; less is not worth to be told
_TRIED = 30
_NEARLY = 0.5  # of the most that could be gained


def beyond(
    costs: Costs, chosen: Configuration, budget: int, unplanned: float = 0.0
) -> BeyondBudget | None:
    """Return the cheapest of the most useful indexes that do not fit into the budget beside the chosen ones.

    ``unplanned`` is what statements without a plan cost: what is saved is a share of all.
    """
    size, total = costs.oracle.size, costs.total + unplanned
    room = budget - sum(map(size, chosen))
    present = {q.name: _value(costs, q, chosen) for q in costs.queries}
    found: list[BeyondBudget] = []
    for more, queries in _candidates(costs, chosen, present).items():
        lacking = sum(map(size, more)) - room
        if lacking <= 0:
            continue
        gains = (present[q.name] - _value(costs, q, chosen | more) for q in queries)
        gain = sum(gains) - (costs.of_writes(chosen | more) - costs.of_writes(chosen))
        if gain >= _LEAST_SHARE * total > 0:
            names = tuple(i.ddl() for i in sorted(more))
            found.append(BeyondBudget(lacking, gain / total, names))
    most = max((b.saved for b in found), default=0.0)
    useful = [b for b in found if b.saved >= _NEARLY * most]
    return max(useful, key=lambda b: (b.saved / b.bytes, b.indexes), default=None)


def _value(costs: Costs, query: Query, chosen: Configuration) -> float:
    known = costs.known(query, chosen)
    return query.weight * (costs.base[query.name] if known is None else known.value)


def _candidates(
    costs: Costs, chosen: Configuration, present: Mapping[str, float]
) -> Mapping[Configuration, list[Query]]:
    """Return what known plans use beside the chosen indexes, with the queries that it helps; the most useful first."""
    gains: dict[Configuration, float] = defaultdict(float)
    helped: dict[Configuration, dict[str, Query]] = defaultdict(dict)
    least = costs.least_gain
    for query in costs.queries:
        for known in costs.pool.known(query):
            gain = present[query.name] - query.weight * known.value
            more = known.used - chosen
            if more and gain > least:
                gains[more] = max(gains[more], gain)
                helped[more][query.name] = query
    first = sorted(gains, key=lambda more: (-gains[more], sorted(more)))[:_TRIED]
    return {more: list(helped[more].values()) for more in first}
