"""Filling the pool for all queries: each with its own candidates, then with those of the others."""

from collections.abc import Mapping

from pgwatch_wed.progress import Progress
from pgwatch_wed.whatif.choose import candidates, existing
from pgwatch_wed.whatif.choose.costs import Costs
from pgwatch_wed.whatif.choose.explore import explore
from pgwatch_wed.whatif.choose.suggested import EXPLORE_SHARE, Suggested
from pgwatch_wed.whatif.choose.time_left import TimeLeft
from pgwatch_wed.whatif.model import Candidate, Configuration, Query

_CALLS_A_QUERY = 34
_SLOW = 1.0  # seconds of planning


class Filling:
    """One run; ``plan_seconds`` says how long each query takes to plan."""

    def __init__(
        self, costs: Costs, budget: int, left: TimeLeft, plan_seconds: Mapping[str, float]
    ) -> None:
        self._costs = costs
        self._budget = budget
        self._left = left
        self._plan_seconds = plan_seconds
        self.explored: set[str] = set()

    def fill(self, suggested: Mapping[str, Suggested], progress: Progress) -> None:
        """Request plans, as far as there is time."""
        self._share(self._explore(suggested, progress))

    def _explore(self, suggested: Mapping[str, Suggested], progress: Progress) -> Configuration:
        found: set[Candidate] = set()
        queries = self._costs.queries
        for number, query in enumerate(queries):
            if self._left.until(EXPLORE_SHARE) <= 0:
                break
            if query.name not in suggested:
                continue
            self.explored.add(query.name)
            progress("trying indexes", 0.3 + 0.3 * number / len(queries))
            found |= explore(
                self._costs.pool,
                query,
                suggested[query.name].indexes,
                self._costs.oracle.size,
                self._budget,
                self._calls(query, len(queries) - number),
            )
        return frozenset(found)

    def _calls(self, query: Query, waiting: int) -> int:
        share = self._costs.present(query) / (self._costs.total or 1.0)
        wanted = int(_CALLS_A_QUERY * len(self._costs.queries) * share)
        calls = max(6, min(_CALLS_A_QUERY, wanted))
        # a query with many joins may take seconds to plan, and must not use up the time of others
        fair = self._left.until(EXPLORE_SHARE) * max(share, 1 / waiting)
        return min(calls, max(2, int(fair / max(self._plan_seconds[query.name], 1e-6))))

    def _share(self, found: Configuration) -> None:
        """Try for every query the indexes that others use, and those merged from them."""
        costs = self._costs
        everything = found | costs.accepted(self._mergers(found))
        for query in costs.queries:
            if self._left.until(EXPLORE_SHARE + 0.15) <= 0:
                return
            visible = costs.pool.relevant(query, everything)
            if visible and self._plan_seconds[query.name] < _SLOW:
                explore(costs.pool, query, visible, costs.oracle.size, self._budget, 6)

    def _mergers(self, found: Configuration) -> Configuration:
        made = {
            merged
            for one in found
            for other in found
            if one < other and (merged := candidates.merged(one, other)) is not None
        }
        catalog = self._costs.oracle.catalog
        return frozenset(i for i in made if existing.covering(catalog, i) is None)
