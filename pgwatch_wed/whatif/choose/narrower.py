"""Chosen indexes that begin another chosen one: kept only where the wider one would read much more.

An index that has fewer columns has fewer pages, so that the planner prefers it wherever it is enough. That is seldom worth
a second index with the same rows: nobody builds one on ``(a)`` beside one on ``(a, b)``.
"""

from collections.abc import Iterator

from pgwatch_wed.whatif.choose import existing
from pgwatch_wed.whatif.choose.costs import Costs
from pgwatch_wed.whatif.model import Candidate, Configuration

_MORE = 0.1  # of what the workload costs with the set
_MOST_TIMES = 2.0


def without_narrower(costs: Costs, chosen: Configuration) -> Configuration:
    """Return a set without the indexes that wider ones in it serve as well, as far as the workload costs little more."""
    most = (1 + _MORE) * costs.objective(chosen)
    while found := [each for each in _tried(costs, chosen) if each[0] <= most]:
        _, narrow = min(found)
        chosen -= {narrow}
    return chosen


def _tried(costs: Costs, chosen: Configuration) -> Iterator[tuple[float, Candidate]]:
    """Yield what the workload costs without each index that a wider one can replace."""
    users = costs.users(chosen)
    for narrow in sorted(chosen):
        rest = chosen - {narrow}
        wider = frozenset(i for i in rest if existing.does_all(i, narrow))
        if not wider:
            continue
        costs.ask_all((query, rest) for query in users[narrow])
        for query in users[narrow]:
            known = costs.pool.exact(query, rest)
            if known is None or known.used.isdisjoint(wider):
                break
            if costs.valued(query, rest) > _MOST_TIMES * costs.valued(query, chosen):
                break
        else:
            yield costs.objective(rest), narrow
