"""Extend (Schlosser, Kossmann, Boissier, ICDE 2019), to compare with: greedy, one column at a time.

Written after the paper. Candidates are all columns that a query reads; each step adds a new index
of one column or one column to a chosen index, whichever saves most for each byte.
"""

from collections.abc import Iterator

from pgwatch_wed.whatif import existing, usage
from pgwatch_wed.whatif.model import Configuration, Index, Key, Oracle, Query

_MIN_GAIN = 1.003


class Extend:
    """One run; ``calls`` counts EXPLAINs, with a cache by the indexes on the query's tables.

    ``strict`` keeps it from taking what an existing index covers, which as published it does.
    """

    def __init__(
        self, oracle: Oracle, queries: tuple[Query, ...], max_width: int = 2, *, strict: bool = True
    ) -> None:
        self._oracle = oracle
        self._queries = queries
        self._max_width = max_width
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

    def run(self, budget: int) -> Configuration:
        """Return the set that it chooses for a budget in bytes."""
        chosen: Configuration = frozenset()
        cost = self.cost(chosen)
        while True:
            steps = [s for s in self._steps(chosen) if self._bytes(s) <= budget]
            self._oracle.add(i for s in steps for i in s)
            rated = [(self._rate(s, chosen, cost), s) for s in steps]
            rate, best = max(rated, key=lambda r: r[0], default=(0.0, chosen))
            if rate <= 0:
                return chosen
            chosen, cost = best, self.cost(best)

    def _rate(self, step: Configuration, chosen: Configuration, cost: float) -> float:
        after = self.cost(step)
        if cost / after < _MIN_GAIN:
            return 0.0
        return (cost - after) / max(1, self._bytes(step) - self._bytes(chosen))

    def _bytes(self, chosen: Configuration) -> int:
        self._oracle.add(chosen)
        return sum(
            self._oracle.size(i) if self._oracle.refusal(i) is None else 1 << 60 for i in chosen
        )

    def _steps(self, chosen: Configuration) -> Iterator[Configuration]:
        columns = sorted({c for each in self._columns.values() for c in each})
        for schema, table, column in columns:
            single = Index(schema, table, (Key.of(column),))
            if single not in chosen and not self._is_copy(single):
                yield chosen | {single}
            for index in chosen:
                longer = Index(schema, table, (*index.keys, Key.of(column)))
                if (
                    (index.schema, index.table) == (schema, table)
                    and column not in index.columns
                    and index.width < self._max_width
                    and not self._is_copy(longer)
                ):
                    yield chosen - {index} | {longer}

    def _is_copy(self, index: Index) -> bool:
        return self._strict and existing.covering(self._oracle.catalog, index) is not None

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
