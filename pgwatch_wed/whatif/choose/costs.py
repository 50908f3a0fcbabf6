"""What queries cost with sets of indexes: by plans that are known, or requested now."""

from collections.abc import Iterable, Mapping

from pgwatch_wed.whatif.choose import writes
from pgwatch_wed.whatif.choose.measured import with_measured_rows
from pgwatch_wed.whatif.choose.pool import Pool
from pgwatch_wed.whatif.choose.risk import Judge
from pgwatch_wed.whatif.choose.writes import Write
from pgwatch_wed.whatif.model import Candidate, Configuration, Plan, PlanError, Query
from pgwatch_wed.whatif.oracle import Oracle

_MIN_GAIN = 0.0005


class Costs:
    """The queries that can be planned with their weights, and what is known of their plans and writes.

    ``queries`` are sorted by what they cost now, the costliest first.
    """

    def __init__(self, oracle: Oracle, *, guard: bool) -> None:
        self.oracle = oracle
        self.queries: list[Query] = []
        self.base: dict[str, float] = {}
        self._judge = Judge(oracle.catalog, oracle.rows_in_order, is_on=guard)
        self._writes: dict[str, list[Write]] = {}
        self.pool = Pool(self.plan, self._judge)

    def plan(self, query: Query, indexes: Configuration = frozenset()) -> Plan:
        """Return a plan at the cost of the rows that were counted. Raises :class:`PlanError`."""
        return with_measured_rows(self.oracle.plan(query, indexes), query, self.oracle.catalog)

    def begin(self, query: Query, plan: Plan) -> None:
        """Take a query with its weight and its plan without changes."""
        self._judge.begin(query, plan)
        self.base[query.name] = plan.cost
        if changes := writes.writes(query, plan.tree, self.oracle.catalog):
            self._writes[query.name] = changes
        self.pool.put(query, frozenset(), plan)
        self.queries.append(query)
        self.queries.sort(key=lambda q: -self.present(q))

    def doubts(self, query: Query, chosen: Configuration) -> tuple[str, ...]:
        """Return why the target may plan a query otherwise, or its plan may cost more. Raises :class:`PlanError`."""
        plan = self.oracle.plan(query, chosen)
        return (*self.oracle.doubts(query, plan.tree), *self._judge.doubts(query, plan))

    def present(self, query: Query) -> float:
        """Return the weighted cost without changes."""
        return query.weight * self.base[query.name]

    @property
    def total(self) -> float:
        """The weighted cost of all queries without changes."""
        return sum(map(self.present, self.queries))

    @property
    def least_gain(self) -> float:
        """What an index must gain, or it is not worth to be kept."""
        return _MIN_GAIN * self.total

    def ask(self, query: Query, chosen: Configuration) -> float:
        """Return the cost of a query with a set; if it cannot be planned, the original cost."""
        try:
            return self.pool.plan(query, chosen).cost
        except PlanError:
            return self.base[query.name]

    def weighted(self, query: Query, chosen: Configuration) -> float:
        """Return the same, weighted."""
        return query.weight * self.ask(query, chosen)

    def valued(self, query: Query, chosen: Configuration) -> float:
        """Return the weighted cost of a query with a set, including the risk of its plan, as the search counts it."""
        try:
            return query.weight * self.pool.plan(query, chosen).value
        except PlanError:
            return self.present(query)

    def objective(self, chosen: Configuration) -> float:
        """Return the cost of a set by plans that were requested: reads including risk, and writes."""
        reads = 0.0
        for query in self.queries:
            known = self.pool.exact(query, chosen) or self.pool.bound(query, chosen)
            reads += query.weight * (self.base[query.name] if known is None else known.value)
        return reads + sum(map(self.of_writes, chosen))

    @property
    def changed(self) -> dict[tuple[str, str], frozenset[str]]:
        """The columns by table that queries set."""
        return writes.changed(self._writes)

    def of_writes(self, index: Candidate) -> float:
        """Return what keeping an index up to date costs."""
        weights = {q.name: q.weight for q in self.queries}
        measured = {q.name: q.total_ms for q in self.queries if q.total_ms is not None}
        return writes.cost(index, self.oracle.catalog, self._writes, weights, measured)

    def users(self, chosen: Configuration) -> Mapping[Candidate, list[Query]]:
        """Return the queries that use each index in a set."""
        found: dict[Candidate, list[Query]] = {index: [] for index in chosen}
        for query in self.queries:
            known = self.pool.exact(query, chosen)
            for index in known.used if known is not None else ():
                found[index].append(query)
        return found

    def without_idlers(self, chosen: Configuration) -> Configuration:
        """Return a set without the indexes that no plan uses."""
        return frozenset(index for index, users in self.users(chosen).items() if users)

    def accepted(self, indexes: Iterable[Candidate]) -> Configuration:
        """Add candidates, and return those that the server accepts."""
        every = frozenset(indexes)
        self.oracle.add(sorted(every))
        return frozenset(i for i in every if self.oracle.refusal(i) is None)
