"""Why queries have no index."""

from collections.abc import Collection
from contextlib import suppress

from pgwatch_wed import units
from pgwatch_wed.whatif.choose import open_keys
from pgwatch_wed.whatif.choose.costs import Costs
from pgwatch_wed.whatif.choose.filling import LATE
from pgwatch_wed.whatif.choose.suggested import Suggested
from pgwatch_wed.whatif.choose.time_left import ASKED
from pgwatch_wed.whatif.choose.untried import Opening, few
from pgwatch_wed.whatif.model import PlanError, Query

_USEFUL = 0.995
_LITTLE = 0.1
_MOST_OPENINGS = 10


class Reasons:
    """The reasons of one run. ``tries_keys``: keys of documents that are parameters are tried."""

    def __init__(self, costs: Costs, budget: int, *, tries_keys: bool) -> None:
        self._costs = costs
        self._budget = budget
        self._tries_keys = tries_keys
        self._told_openings: dict[tuple[str, Opening], str] = {}

    def why_not(self, query: Query, one: Suggested | None, explored: Collection[str]) -> str:
        """Return why a query has no index, and of which of its expressions none could be tried."""
        if one is None:
            return LATE
        reason = self._reason(query, one, explored) if one.indexes else one.untried.reason
        openings = (self._told(query, opening) for opening in one.untried.openings)
        return "; ".join(filter(None, (reason, *openings)))

    def _told(self, query: Query, opening: Opening) -> str:
        if (query.name, opening) not in self._told_openings:
            is_among_first = len(self._told_openings) < _MOST_OPENINGS
            is_late = self._costs.left.is_over(ASKED)
            has_time = self._tries_keys and is_among_first and not is_late
            said = open_keys.told(self._costs.oracle, query.whole, opening, has_time=has_time)
            self._told_openings[query.name, opening] = said
        return self._told_openings[query.name, opening]

    def _in_use(self, query: Query) -> str:
        """Name the existing indexes that a query uses, as the beginning of a sentence; nothing if there are none."""
        with suppress(PlanError):  # HypoPG asks again, and may have to wait for a lock now
            indexes = self._costs.oracle.catalog.indexes
            used = self._costs.oracle.plan(query).used_existing
            names = sorted(indexes[oid].name for oid in used if oid in indexes)
            if names:
                return f"it uses {few(names)}, and "
        return ""

    def _reason(self, query: Query, one: Suggested, explored: Collection[str]) -> str:
        if query.name not in explored:
            return LATE
        base, size = self._costs.base[query.name], self._costs.oracle.size
        known = self._costs.pool.known(query)
        helpful = [k for k in known if k.used and k.cost < _USEFUL * base]
        if not helpful and self._costs.pool.is_slow(query):
            return "planning it with more indexes takes too long; increase --seconds"
        if not helpful:
            why = one.untried.refused or one.untried.paging or one.untried.hindrance
            return f"{self._in_use(query)}none of the indexes tried lowers its cost{why and f': {why}'}"
        if all(k.value >= base for k in helpful):
            return "indexes would lower its estimated cost, but the plans risk being slower"
        least = min(sum(map(size, k.used)) for k in helpful)
        if one.untried.covered and least > self._budget:
            return one.untried.reason
        gain = 1 - helpful[0].cost / base
        if gain < _LITTLE:
            return f"the best of the indexes tried would lower its cost by only {units.share(gain)}"
        if least > self._budget:
            return (
                f"the smallest index that helps it takes {units.size(least)}, more than the budget"
            )
        return "indexes that would help it gain less than others within the budget, or too little"
