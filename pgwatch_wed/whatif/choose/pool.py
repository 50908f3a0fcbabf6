"""Known plans, and what they tell about configurations that were never planned.

A plan computed for a set is also the plan for every subset that contains the indexes it uses: the
planner would find the same best plan among fewer. And it is available, at its cost, to every set that
contains the indexes it uses, which gives an upper bound.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from pgwatch_wed.whatif.model import Candidate, Configuration, Plan, Query


@dataclass(frozen=True, slots=True)
class Known:
    """A plan and the set it was requested for; ``value`` is its cost including the penalty for its risk."""

    asked: Configuration
    used: Configuration
    cost: float
    value: float


class Pool:
    """All known plans of each query, and the oracle that finds more."""

    def __init__(
        self,
        ask: Callable[[Query, Configuration], Plan],
        judge: Callable[[Query, Plan], float],
    ) -> None:
        self._ask = ask
        self._judge = judge
        self._known: dict[str, list[Known]] = {}
        self._tables: dict[str, frozenset[tuple[str, str]]] = {}
        self.calls = 0

    def relevant(self, query: Query, indexes: Iterable[Candidate]) -> Configuration:
        """Return the indexes on tables that a query reads."""
        tables = self._tables.get(query.name)
        if tables is None:
            return frozenset(indexes)
        return frozenset(i for i in indexes if (i.schema, i.table) in tables)

    def restrict(self, query: Query, tables: Iterable[tuple[str, str]]) -> None:
        """Set the tables that a query reads."""
        self._tables[query.name] = frozenset(tables)

    def known(self, query: Query) -> Sequence[Known]:
        """Return all plans of a query, cheapest first."""
        return self._known.get(query.name, ())

    def exact(self, query: Query, asked: Configuration) -> Known | None:
        """Return the plan for a set if it follows from known plans."""
        asked = self.relevant(query, asked)
        for known in self._known.get(query.name, ()):
            if known.used <= asked <= known.asked:
                return known
        return None

    def plan(self, query: Query, asked: Configuration) -> Known:
        """Return the plan for a set, calling the oracle only if known plans do not tell."""
        found = self.exact(query, asked)
        if found is not None:
            return found
        relevant = self.relevant(query, asked)
        self.calls += 1
        return self.put(query, relevant, self._ask(query, relevant))

    def put(self, query: Query, relevant: Configuration, plan: Plan) -> Known:
        """Store a plan that was requested."""
        known = Known(relevant, plan.used, plan.cost, self._judge(query, plan))
        every = self._known.setdefault(query.name, [])
        every.append(known)
        every.sort(key=lambda k: k.cost)
        return known

    def bound(self, query: Query, asked: Configuration) -> Known | None:
        """Return the cheapest known plan that is certainly possible with a set."""
        return next((k for k in self._known.get(query.name, ()) if k.used <= asked), None)
