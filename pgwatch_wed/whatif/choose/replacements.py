"""Wider indexes in place of chosen ones: only by planning them for all that the narrower one serves is it known what they are worth.

Beside the narrower one, the planner may prefer that, although it reads more if rows come late.
"""

from collections import defaultdict

from pgwatch_wed.whatif.choose.costs import Costs
from pgwatch_wed.whatif.model import Candidate, Configuration

_MOST = 20


def replacements(costs: Costs, chosen: Configuration) -> list[tuple[Candidate, Candidate]]:
    """Return chosen indexes, each with one that has more keys and helps some query more; the most useful first."""
    gaps: dict[tuple[Candidate, Candidate], float] = defaultdict(float)
    for query in costs.queries:
        present = costs.valued(query, chosen)
        saved: dict[Candidate, float] = {}
        for known in costs.pool.known(query):
            gap = present - query.weight * known.value
            if gap > 0:
                saved |= {i: max(gap, saved.get(i, 0.0)) for i in known.used - chosen}
        for wider, gap in saved.items():
            for index in chosen:
                if _replaces(wider, index):
                    gaps[index, wider] += gap
    least = costs.least_gain
    useful = sorted((-gap, pair) for pair, gap in gaps.items() if gap > least)
    return [pair for _, pair in useful[:_MOST]]


def _replaces(wider: Candidate, index: Candidate) -> bool:
    """Tell whether a B-tree begins as another, has its other keys, too, and as many rows."""
    one, other = ((i.schema, i.table, i.method, i.options, i.keys[0]) for i in (wider, index))
    return (
        one == other
        and wider.method == "btree"
        and wider.predicate in ("", index.predicate)
        and set(index.keys) < set(wider.keys)
    )
