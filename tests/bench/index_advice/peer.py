"""What other advisors have in common here: the columns of queries, and costs that are remembered."""

from pgwatch_wed.whatif import usage
from pgwatch_wed.whatif.choose import existing
from pgwatch_wed.whatif.model import Candidate, Configuration, Query
from pgwatch_wed.whatif.oracle import Oracle

_UNBUILDABLE = 1 << 60


class Peer:
    """An advisor to compare with; ``calls`` counts EXPLAINs.

    Costs are remembered by the indexes that begin with a column of the query. ``strict`` keeps a
    peer from taking what an existing index covers, which as published they do.
    """

    def __init__(self, oracle: Oracle, queries: tuple[Query, ...], *, strict: bool = True) -> None:
        self._oracle = oracle
        self._queries = queries
        self._strict = strict
        self._columns: dict[str, set[tuple[str, str, str]]] = {}
        self._cache: dict[tuple[str, Configuration], float] = {}
        self.calls = 0
        for query in queries:
            tree = oracle.plan(query, bare=True).tree
            self._columns[query.name] = {
                (u.table.schema, u.table.name, column)
                for u in usage.uses(tree, oracle.catalog)
                for column in u.needed
            }

    def cost(self, chosen: Configuration) -> float:
        """Return the workload's weighted cost under a set."""
        return sum(q.weight * self._cost_of(q, chosen) for q in self._queries)

    def _cost_of(self, query: Query, chosen: Configuration) -> float:
        columns = self._columns[query.name]
        relevant = frozenset(i for i in chosen if (i.schema, i.table, i.keys[0].column) in columns)
        key = (query.name, relevant)
        if key not in self._cache:
            self.calls += 1
            self._cache[key] = self._oracle.plan(query, relevant).cost
        return self._cache[key]

    def _bytes(self, chosen: Configuration) -> int:
        self._oracle.add(chosen)
        return sum(
            self._oracle.size(i) if self._oracle.refusal(i) is None else _UNBUILDABLE
            for i in chosen
        )

    def _is_copy(self, index: Candidate) -> bool:
        return self._strict and existing.covering(self._oracle.catalog, index) is not None
