"""Wider indexes in place of chosen ones, and those with the same columns in other places: what they are worth is only known once they are planned for all that the chosen one serves.

Beside the narrower one, the planner may prefer that, although it reads more if rows come late. And of two that serve as well, one
would be chosen only because the other was not planned for some query.
"""

from collections import defaultdict

from pgwatch_wed.whatif.choose.costs import Costs
from pgwatch_wed.whatif.model import Candidate, Configuration

_MOST = 20


def replacements(costs: Costs, chosen: Configuration) -> list[tuple[Candidate, Candidate]]:
    """Return chosen indexes, each with one that has more keys, or as many columns, and helps some query more; the most useful first."""
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
                if _replaces(wider, index) or _is_twin(wider, index):
                    gaps[index, wider] += gap
    least = costs.least_gain
    # a twin takes no more room, so that it may gain as little as it will
    useful = sorted((-gap, pair) for pair, gap in gaps.items() if gap > least or _is_twin(*pair))
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


def _is_twin(one: Candidate, other: Candidate) -> bool:
    """Tell whether two B-trees have the same columns, one or the other only stored."""
    same, as_other = ((i.schema, i.table, i.method, i.predicate, i.width) for i in (one, other))
    return same == as_other and one.method == "btree" and _columns(one) == _columns(other)


def _columns(index: Candidate) -> frozenset[str]:
    return frozenset({*(k.column or k.text for k in index.keys), *index.include})
