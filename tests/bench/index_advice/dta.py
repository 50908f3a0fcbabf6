"""Anytime DTA (Chaudhuri and Narasayya, 2020), to compare with: greedy from every candidate as a seed.

Written after its description in Kossmann, Halfpap, Jankrift and Schlosser, "Magic mirror in my hand"
(VLDB 2020). A query's candidates are what its plan uses of all indexes of up to ``max_width`` of its
columns; pairs on one table are merged. Its what-if calls are many, so it has a time limit.
"""

import time
from collections.abc import Iterable, Iterator
from itertools import combinations, permutations

from pgwatch_wed.whatif.model import Candidate, Configuration, Key, PlanError, Query
from pgwatch_wed.whatif.oracle import Oracle
from tests.bench.index_advice.peer import Peer

_MERGED_WIDTH = 4


class Dta(Peer):
    """One run."""

    def __init__(
        self,
        oracle: Oracle,
        queries: tuple[Query, ...],
        max_width: int = 2,
        *,
        strict: bool = True,
        seconds: float = 120.0,
    ) -> None:
        super().__init__(oracle, queries, strict=strict)
        self._seconds = seconds
        useful = {index for q in queries for index in self._used(q, max_width)}
        merged = {m for a, b in permutations(sorted(useful), 2) if (m := _merged(a, b)) is not None}
        found = [i for i in sorted(useful | merged) if not self._is_copy(i)]
        oracle.add(found)
        self._candidates = [i for i in found if oracle.refusal(i) is None]

    def run(self, budget: int) -> Configuration:
        """Return the best set found within a budget in bytes, and in time."""
        deadline = time.monotonic() + self._seconds
        fitting = [i for i in self._candidates if self._oracle.size(i) <= budget]
        seeds: list[Configuration] = [frozenset([i]) for i in fitting]
        seeds.sort(key=self.cost)
        best = min([frozenset[Candidate](), *seeds], key=self.cost)
        for seed in seeds:
            if time.monotonic() > deadline:
                break
            best = min(best, self._greedy(seed, fitting, budget, deadline), key=self.cost)
        return best

    def _greedy(
        self, chosen: Configuration, fitting: Iterable[Candidate], budget: int, deadline: float
    ) -> Configuration:
        while time.monotonic() < deadline:
            room = budget - self._bytes(chosen)
            steps = [
                chosen | {i} for i in fitting if i not in chosen and self._oracle.size(i) <= room
            ]
            step = min(steps, key=self.cost, default=chosen)
            if self.cost(step) >= self.cost(chosen):
                break
            chosen = step
        return chosen

    def _used(self, query: Query, max_width: int) -> Configuration:
        possible = [i for i in self._possible(query, max_width) if not self._is_copy(i)]
        self._oracle.add(possible)
        shown = [i for i in possible if self._oracle.refusal(i) is None]
        self.calls += 1
        try:
            return self._oracle.plan(query, shown).used
        except PlanError:
            return frozenset()

    def _possible(self, query: Query, max_width: int) -> Iterator[Candidate]:
        tables: dict[tuple[str, str], list[str]] = {}
        for schema, table, column in sorted(self._columns[query.name]):
            tables.setdefault((schema, table), []).append(column)
        for (schema, table), columns in tables.items():
            for width in range(1, max_width + 1):
                for subset in combinations(columns, width):
                    for order in permutations(subset):
                        yield Candidate(schema, table, tuple(map(Key.of, order)))


def _merged(one: Candidate, other: Candidate) -> Candidate | None:
    """Return an index of the keys of one and then what the other has more."""
    if (one.schema, one.table) != (other.schema, other.table):
        return None
    more = tuple(key for key in other.keys if key not in one.keys)
    if not more or one.width + len(more) > _MERGED_WIDTH:
        return None
    return Candidate(one.schema, one.table, (*one.keys, *more))
