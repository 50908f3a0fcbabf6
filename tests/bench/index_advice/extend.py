"""Extend (Schlosser, Kossmann, Boissier, ICDE 2019), to compare with: greedy, one column at a time.

Written after the paper. Candidates are all columns that a query reads; each step adds a new index
of one column or one column to a chosen index, whichever saves most for each byte.
"""

from collections.abc import Iterator

from pgwatch_wed.whatif.model import Candidate, Configuration, Key, Query
from pgwatch_wed.whatif.oracle import Oracle
from tests.bench.index_advice.peer import Peer

_MIN_GAIN = 1.003


class Extend(Peer):
    """One run."""

    def __init__(
        self, oracle: Oracle, queries: tuple[Query, ...], max_width: int = 2, *, strict: bool = True
    ) -> None:
        super().__init__(oracle, queries, strict=strict)
        self._max_width = max_width

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

    def _steps(self, chosen: Configuration) -> Iterator[Configuration]:
        columns = sorted({c for each in self._columns.values() for c in each})
        for schema, table, column in columns:
            single = Candidate(schema, table, (Key.of(column),))
            if single not in chosen and not self._is_copy(single):
                yield chosen | {single}
            for index in chosen:
                longer = Candidate(schema, table, (*index.keys, Key.of(column)))
                if (
                    (index.schema, index.table) == (schema, table)
                    and column not in index.columns
                    and index.width < self._max_width
                    and not self._is_copy(longer)
                ):
                    yield chosen - {index} | {longer}
