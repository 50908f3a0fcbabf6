"""What a larger budget would be worth, by the plans that are known."""

from collections.abc import Iterator

from pgwatch_wed.whatif.choose.answer import BeyondBudget
from pgwatch_wed.whatif.choose.costs import Costs
from pgwatch_wed.whatif.model import Configuration

_LEAST_SHARE = 0.02  # of the present cost; less is not worth to be told
_TRIED = 30
_NEARLY = 0.5  # of the most that could be gained


def beyond(costs: Costs, chosen: Configuration, budget: int) -> BeyondBudget | None:
    """Return the cheapest of the most useful indexes that do not fit into the budget beside the chosen ones."""
    now = costs.objective(chosen)
    size = costs.oracle.size
    room = budget - sum(map(size, chosen))
    found: list[BeyondBudget] = []
    for more in _candidates(costs, chosen):
        lacking = sum(map(size, more)) - room
        saved = (now - costs.objective(chosen | more)) / max(costs.total, 1e-9)
        if lacking > 0 and saved >= _LEAST_SHARE:
            found.append(BeyondBudget(lacking, saved, tuple(i.ddl() for i in sorted(more))))
    most = max((b.saved for b in found), default=0.0)
    useful = [b for b in found if b.saved >= _NEARLY * most]
    return max(useful, key=lambda b: (b.saved / b.bytes, b.indexes), default=None)


def _candidates(costs: Costs, chosen: Configuration) -> Iterator[Configuration]:
    """Yield what known plans use beside the chosen indexes, what helps single queries most first."""
    gains: dict[Configuration, float] = {}
    for query in costs.queries:
        present = costs.known(query, chosen)
        value = costs.base[query.name] if present is None else present.value
        for known in costs.pool.known(query):
            gain = query.weight * (value - known.value)
            if known.used - chosen and gain > costs.least_gain:
                gains[known.used - chosen] = gains.get(known.used - chosen, 0.0) + gain
    yield from sorted(gains, key=lambda more: (-gains[more], sorted(more)))[:_TRIED]
