"""Known plans, and what they tell about configurations that were never planned.

A plan computed for a set is also the plan for every subset that contains the indexes it uses: the
planner would find the same best plan among fewer. And it is available, at its cost, to every set that
contains the indexes it uses, which gives an upper bound.
"""

import math
from bisect import insort
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from pgwatch_wed.whatif.choose.risk import ExpectedCost
from pgwatch_wed.whatif.model import Candidate, Configuration, Plan, PlanError, Query, SlowPlanError


@dataclass(frozen=True, slots=True)
class Known:
    """A plan and the set it was requested for.

    ``cost`` is the planner's, by which it chooses, ``expected`` what is really expected, and ``value`` includes the penalty for its risk.
    """

    asked: Configuration
    used: Configuration
    cost: float
    expected: float
    value: float


class Pool:
    """All known plans of each query, and the oracle that finds more.

    Several threads may use it, each for other queries.
    """

    def __init__(
        self,
        ask: Callable[[Query, Configuration], Plan],
        judge: Callable[[Query, Plan], ExpectedCost],
    ) -> None:
        self._ask = ask
        self._judge = judge
        self._by_value: set[str] = set()
        self._known: dict[str, list[Known]] = {}
        self._failed: dict[tuple[str, Configuration], PlanError] = {}
        self._slow: dict[str, int] = {}
        self._tables: dict[str, frozenset[tuple[str, str]]] = {}
        self._calls: dict[str, int] = {}

    @property
    def calls(self) -> int:
        """The number of plans that were requested."""
        return sum(self._calls.values())

    def calls_of(self, query: Query) -> int:
        """Return how many plans of a query were requested."""
        return self._calls.get(query.name, 0)

    def relevant(self, query: Query, indexes: Iterable[Candidate]) -> Configuration:
        """Return the indexes on tables that a query reads."""
        tables = self._tables.get(query.name)
        if tables is None:
            return frozenset(indexes)
        return frozenset(i for i in indexes if (i.schema, i.table) in tables)

    def restrict(self, query: Query, tables: Iterable[tuple[str, str]]) -> None:
        """Set the tables that a query reads."""
        self._tables[query.name] = frozenset(tables)

    def choose_by_value(self, query: Query) -> None:
        """Take the plans of a query by their values, since the server knows more of it than the planner was told."""
        self._by_value.add(query.name)

    def is_by_value(self, query: Query) -> bool:
        """Tell whether the plans of a query are taken by their values, and not by the planner's costs."""
        return query.name in self._by_value

    def known(self, query: Query) -> Sequence[Known]:
        """Return all plans of a query in the order in which the server prefers them, which is that of their costs."""
        return self._known.get(query.name, ())

    def is_slow(self, query: Query) -> bool:
        """Tell whether planning a query took too long with some set."""
        return query.name in self._slow

    def exact(self, query: Query, asked: Configuration) -> Known | None:
        """Return the plan for a set if it follows from known plans."""
        asked = self.relevant(query, asked)
        for known in self._known.get(query.name, ()):
            if known.used <= asked <= known.asked:
                return known
        return None

    def plan(self, query: Query, asked: Configuration) -> Known:
        """Return the plan for a set, calling the oracle only if known plans do not tell.

        Raises :class:`PlanError`, for the same set again without a call. If a set was too slow, so are others as large.
        """
        found = self.exact(query, asked)
        if found is not None:
            return found
        relevant = self.relevant(query, asked)
        if len(relevant) >= self._slow.get(query.name, math.inf):
            raise SlowPlanError("it takes too long with as many indexes")
        if failed := self._failed.get((query.name, relevant)):
            raise failed
        self._calls[query.name] = self.calls_of(query) + 1
        try:
            return self.put(query, relevant, self._ask(query, relevant))
        except SlowPlanError:
            self._slow[query.name] = len(relevant)
            raise
        except PlanError as error:
            self._failed[query.name, relevant] = error
            raise

    def put(self, query: Query, relevant: Configuration, plan: Plan) -> Known:
        """Store a plan that was requested."""
        judged = self._judge(query, plan)
        known = Known(relevant, plan.used, plan.cost, judged.expected, judged.value)
        key = _value if self.is_by_value(query) else _cost
        insort(self._known.setdefault(query.name, []), known, key=key)
        return known

    def bound(self, query: Query, asked: Configuration) -> Known | None:
        """Return the cheapest known plan that is certainly possible with a set."""
        return next((k for k in self._known.get(query.name, ()) if k.used <= asked), None)


def _value(known: Known) -> float:
    return known.value


def _cost(known: Known) -> float:
    return known.cost
