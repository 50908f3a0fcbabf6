"""Filling the pool: each query with its own candidates, the costliest first, then with those of the others.

Planning, making candidates and trying them take turns, so that whenever the time is up, what was tried is what matters most.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from pgwatch_wed.progress import Progress
from pgwatch_wed.whatif import refusals, usage
from pgwatch_wed.whatif.choose import (
    assumed,
    candidates,
    existing,
    key_lookups,
    lists,
    open_keys,
    parts,
    workers,
)
from pgwatch_wed.whatif.choose.costs import Costs
from pgwatch_wed.whatif.choose.explore import explore
from pgwatch_wed.whatif.choose.likely_costs import likely_costs
from pgwatch_wed.whatif.choose.suggested import Suggested, suggested
from pgwatch_wed.whatif.choose.time_left import ASKED, EXPLORED, SHARED
from pgwatch_wed.whatif.choose.untried import openings
from pgwatch_wed.whatif.choose.varying import varying
from pgwatch_wed.whatif.model import Candidate, Configuration, Plan, PlanError, Query, SlowPlanError

_CALLS_A_QUERY = 34
_FIRST_CALLS = 4
_CALLS_TO_SHARE = 6
_SLOW = 1.0  # seconds of planning
_FIRST_SLICE = 0.15
_SLICE = 0.05
_TOGETHER = 20
_MATTERS = 0.01  # of the time of all; less where there are fewer statements, to each of which more time is left
_MANY = 100
LATE = "out of time before it was considered; increase --seconds"


class Filling:
    """One run: ``suggested`` and ``explored`` tell how far it got, ``unplanned`` why queries have no plan."""

    def __init__(self, costs: Costs, budget: int, max_width: int) -> None:
        self._costs = costs
        self._budget = budget
        self._max_width = max_width
        self._waiting: list[Query] = []
        self._likely: dict[str, float] = {}
        self._varying: Mapping[str, frozenset[str]] = {}
        self._texts: Sequence[str] = ()
        self._begun: set[str] = set()
        self.suggested: dict[str, Suggested] = {}
        self.explored: set[str] = set()
        self.unplanned: dict[str, str] = {}

    def fill(self, queries: Sequence[Query], progress: Progress) -> None:
        """Request plans, as far as there is time."""
        self._likely = likely_costs(queries, self._costs.oracle.catalog)
        self._varying = varying(q.whole for q in queries)
        self._texts = [q.sql for q in queries]
        self._waiting = self._in_order(queries)
        found: Configuration = frozenset()
        wave, slice_ = 1, _FIRST_SLICE
        while self._has_time():
            progress("planning the workload", 0.1 + 0.5 * self._done(queries))
            self._plan_some(self._costs.left.taken / self._costs.left.seconds + slice_)
            some = self._next(wave)
            if not some and not self._waiting:
                break
            progress("trying indexes", 0.1 + 0.5 * self._done(queries))
            found |= self._tried(some)
            wave, slice_ = min(2 * wave, _TOGETHER), _SLICE
        self.unplanned |= {q.name: LATE for q in self._waiting}
        found |= self._deepened()
        progress("sharing indexes", 0.6)
        self._share(found)

    def _in_order(self, queries: Sequence[Query]) -> list[Query]:
        """Return the costliest first, then what changes data, which decides what may be advised at all."""
        ordered = sorted(queries, key=lambda q: -self._likely[q.name])
        return [*ordered[:1], *sorted(ordered[1:], key=lambda q: not q.is_write)]

    def _has_time(self) -> bool:
        is_first = not self._costs.queries and not self.unplanned
        return is_first or not self._is_late(EXPLORED)

    def _is_late(self, share: float) -> bool:
        """Tell whether a share of the time is over; as long as no query has a plan, nearly all of it."""
        return self._costs.left.is_over(share if self._costs.queries else ASKED)

    def _done(self, queries: Sequence[Query]) -> float:
        return len(self.explored) / max(1, len(queries))

    # Planning

    def _plan_some(self, until: float) -> None:
        """Plan queries without changes until a share of the time is over, and at least as many as have threads."""
        jobs = self._costs.oracle.jobs
        while self._waiting:
            some, self._waiting = self._waiting[:jobs], self._waiting[jobs:]
            # all of them, since what follows may build candidates, for which the others would have to wait
            bases = list(workers.each(self._base, some, jobs))
            for query, base in zip(some, bases, strict=True):
                if isinstance(base, str):
                    self.unplanned[query.name] = base
                else:
                    matters = self._likely[query.name] >= self._least_likely
                    for one, plan in self._with_keys(*base):
                        self._begin(one, plan, matters=matters)
            if self._is_late(min(until, EXPLORED)):
                return

    def _begin(self, query: Query, plan: Plan, *, matters: bool) -> None:
        """Take a query or its parts, and what PostgreSQL runs for the rows that it deletes."""
        own: float = 1.0
        lookups: Sequence[tuple[Query, Plan]] = ()
        if matters or query.total_ms is None:
            own, lookups = key_lookups.divided(self._costs, query, plan, self._texts)
        for part, its_plan in self._parts(query, plan, matters=matters):
            self._costs.begin(replace(part, weight=part.weight * own), its_plan)
        for lookup, its_plan in lookups:
            self._costs.begin(lookup, its_plan)

    @property
    def _least_likely(self) -> float:
        """What a statement must cost to be divided into parts."""
        few = min(1.0, len(self._likely) / _MANY)
        return few * _MATTERS * sum(self._likely.values())

    def _base(self, query: Query) -> tuple[Query, Plan] | str:
        """Return a query with what can be assumed of its parameters, and its plan; or why it has none."""
        patience = self._costs.left.patience
        oracle = self._costs.oracle
        more = assumed.completed(oracle, lists.with_few_elements(oracle, query))
        try:
            if more is not query:
                with suppress(PlanError):
                    return more, self._costs.plan(more)
            return query, self._costs.plan(query)
        except SlowPlanError:
            return f"planning it takes longer than {patience:.2g} s; increase --seconds"
        except PlanError as error:
            words = refusals.told(error)
            return f"it cannot be planned: {error}" + (f"; {words}" if words != str(error) else "")

    def _with_keys(self, query: Query, plan: Plan) -> Sequence[tuple[Query, Plan]]:
        """Return a query with the keys of documents that can be inferred, and its plan; two if either of two keys is likely."""
        if not query.has_parameters or query.rows is None:
            return [(query, plan)]
        oracle = self._costs.oracle
        found: Sequence[Query] = (query,)
        for opening in openings(plan.tree, usage.uses(plan.tree, oracle.catalog)):
            if opening.operand.keys and self._has_time() and len(found) == 1:
                found = open_keys.inferred(oracle, found[0], opening)
        if found == (query,):
            return [(query, plan)]
        try:
            return [(one, self._costs.plan(one)) for one in found]
        except PlanError:
            return [(query, plan)]

    def _parts(self, query: Query, plan: Plan, *, matters: bool) -> Sequence[tuple[Query, Plan]]:
        """Return a query and its plan, weighted; or the parts that it consists of if it matters."""
        if query.of is not None:
            return parts.only(self._costs, query, plan)
        found = parts.parts(self._costs, query, plan) if matters and query.has_parameters else ()
        return found or [(parts.weighted(query, self._costs.expected(query, plan)), plan)]

    # Trying

    def _next(self, number: int) -> list[Query]:
        """Return the costliest queries that were not tried yet."""
        left = (q for q in self._costs.queries if q.name not in self._begun)
        return [query for query, _ in zip(left, range(number), strict=False)]

    def _tried(self, some: Sequence[Query]) -> Configuration:
        """Make candidates for queries, and try them; return those that helped."""
        self._begun |= {q.name for q in some}
        new = suggested(self._costs, some, self._max_width, self._varying)
        self.suggested |= new
        made = [q for q in some if q.name in new]
        found: Configuration = frozenset()
        for query, used in zip(
            made, workers.each(self._explored, made, self._costs.oracle.jobs), strict=True
        ):
            if used is not None:
                self.explored.add(query.name)
                found |= used
        return found

    def _explored(self, query: Query) -> Configuration | None:
        """Request a few plans of a query: all have their first ones before any has more."""
        if not self._has_time() and self.explored:
            return None
        return self._explore(query, _FIRST_CALLS)

    def _deepened(self) -> Configuration:
        """Request more plans of the queries that were tried, the costliest first."""
        some = [q for q in self._costs.queries if q.name in self.explored]
        asked = [(q, len(some) - number) for number, q in enumerate(some)]
        return frozenset().union(*workers.each(self._deeper, asked, self._costs.oracle.jobs))

    def _deeper(self, asked: tuple[Query, int]) -> Configuration:
        query, waiting = asked
        if self._costs.left.is_over(EXPLORED):
            return frozenset()
        return self._explore(query, self._calls(query, waiting), beyond=True)

    def _explore(self, query: Query, calls: int, *, beyond: bool = False) -> Configuration:
        one = self.suggested[query.name]
        budget, ordered = self._budget, one.ordered
        return explore(
            self._costs, query, one.indexes, budget, calls, EXPLORED, ordered=ordered, beyond=beyond
        )

    def _calls(self, query: Query, waiting: int) -> int:
        """Return how many plans of a query may be requested: the more, the more it costs."""
        costs = self._costs
        share = costs.present(query) / (costs.total or 1.0)
        wanted = int(_CALLS_A_QUERY * len(costs.queries) * share)
        calls = max(6, min(_CALLS_A_QUERY, wanted))
        # a query with many joins may take seconds to plan, and must not use up the time of others
        fair = costs.left.until(EXPLORED) * costs.oracle.jobs * max(share, 1 / waiting)
        more = int(fair / max(costs.plan_seconds[query.name], 1e-6))
        return min(calls, costs.pool.calls_of(query) + more)

    # Sharing

    def _share(self, found: Configuration) -> None:
        """Try for every query the indexes that others use, and those merged from them."""
        merged = self._costs.build(self._mergers(found), SHARED)
        visible = [(q, self._costs.pool.relevant(q, found | merged)) for q in self._costs.queries]
        wanted = [each for each in visible if each[1] and self._is_quick(each[0])]
        for _ in workers.each(self._shared, wanted, self._costs.oracle.jobs):
            pass

    def _is_quick(self, query: Query) -> bool:
        return self._costs.plan_seconds[query.name] < _SLOW

    def _shared(self, wanted: tuple[Query, Configuration]) -> None:
        query, visible = wanted
        if not self._costs.left.is_over(SHARED):
            most = self._costs.pool.calls_of(query) + _CALLS_TO_SHARE
            explore(self._costs, query, visible, self._budget, most, SHARED)

    def _mergers(self, found: Configuration) -> Sequence[Candidate]:
        made = {
            merged
            for one in found
            for other in found
            if one < other and (merged := candidates.merged(one, other)) is not None
        }
        catalog = self._costs.oracle.catalog
        return sorted(i for i in made if existing.covering(catalog, i) is None)
