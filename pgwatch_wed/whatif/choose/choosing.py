"""The best set within a budget: searched among known plans, proven by new ones, and searched again."""

from collections import defaultdict
from collections.abc import Iterable

from pgwatch_wed.progress import Progress
from pgwatch_wed.whatif.choose import candidates, existing
from pgwatch_wed.whatif.choose.costs import Costs
from pgwatch_wed.whatif.choose.fewer_blocks import with_fewer_blocks
from pgwatch_wed.whatif.choose.narrower import without_narrower
from pgwatch_wed.whatif.choose.replacements import replacements
from pgwatch_wed.whatif.choose.search import Problem, Search
from pgwatch_wed.whatif.choose.time_left import ASKED, SEARCHED
from pgwatch_wed.whatif.model import Candidate, Configuration, Query

_ROUNDS = 20
_POLISHED = 3
_WIDENING_ROUNDS = 3
_MISSED = 20


class Choosing:
    """One run."""

    def __init__(self, costs: Costs, budget: int) -> None:
        self._costs = costs
        self._budget = budget

    def best(self, progress: Progress) -> Configuration:
        """Return the best set found in time."""
        costs = self._costs
        best: Configuration = frozenset()
        proven = {best: costs.objective(best)}
        for round_number in range(_ROUNDS):
            progress("searching", 0.7 + 0.25 * round_number / _ROUNDS)
            calls = costs.pool.calls
            best = self._searcher().best(best, polished=1 if round_number else _POLISHED)
            costs.ask_all((q, best) for q in costs.queries)
            # what looked best by the known plans may be worse by plans that were not yet known
            proven[best] = costs.objective(best)
            best = min(proven, key=lambda s: (proven[s], sorted(s)))
            if round_number < _WIDENING_ROUNDS:
                self._widen(best)
            if costs.pool.calls == calls or self._is_over():
                break
        chosen = without_narrower(costs, self._pruned(costs.without_idlers(best)))
        return with_fewer_blocks(costs, chosen, self._budget)

    def _is_over(self) -> bool:
        return self._costs.left.is_over(SEARCHED)

    def _searcher(self) -> Search:
        return Search(self._problem(), self._costs.pool, self._is_over)

    def _problem(self) -> Problem:
        costs = self._costs
        used = {i for q in costs.queries for k in costs.pool.known(q) for i in k.used}
        return Problem(
            costs.queries,
            {i: costs.oracle.size(i) for i in used},
            costs.burdens(),
            self._budget,
            costs.least_gain,
        )

    # Widening

    def _widen(self, chosen: Configuration) -> None:
        """Plan queries with chosen indexes that serve other queries, and with the most useful of the others.

        This only requests plans; the search decides whether it pays off.
        """
        users = self._costs.users(chosen)
        pairs = [(a, b, users[b]) for a in chosen for b in chosen if a < b]
        pairs += [(a, b, [q]) for q, b in self._missed(chosen) for a in chosen]
        merged: dict[Candidate, list[tuple[Candidate, Candidate, list[Query]]]] = defaultdict(list)
        for index, other, others in pairs:
            joined = candidates.merged(index, other)
            if joined is not None and joined not in chosen and self._is_new(joined):
                merged[joined].append((index, other, others))
        fitting = self._fitting(merged)
        self._costs.ask_all(
            (query, (chosen - {index, other}) | {joined})
            for joined, replaced in merged.items()
            if joined in fitting
            for index, other, others in replaced
            for query in dict.fromkeys([*users[index], *others])
        )
        self._costs.ask_all(
            (query, (chosen - {index}) | {wider})
            for index, wider in replacements(self._costs, chosen)
            for query in users[index]
        )

    def _missed(self, chosen: Configuration) -> list[tuple[Query, Candidate]]:
        """Return the indexes that would help most but are not chosen, each with the query that it helps."""
        costs = self._costs
        found, least = [], costs.least_gain
        for query in costs.queries:
            best = min(costs.pool.known(query), key=lambda k: k.value)
            gap = costs.weighted(query, chosen) - query.weight * best.value
            if gap > least:
                found += [(gap, query, index) for index in best.used - chosen]
        found.sort(key=lambda each: (-each[0], each[2]))
        return [(query, index) for _, query, index in found[:_MISSED]]

    def _is_new(self, index: Candidate) -> bool:
        return existing.covering(self._costs.oracle.catalog, index) is None

    def _fitting(self, indexes: Iterable[Candidate]) -> Configuration:
        built = self._costs.build(indexes, SEARCHED)
        return frozenset(i for i in built if self._costs.oracle.size(i) <= self._budget)

    # Pruning

    def _pruned(self, chosen: Configuration) -> Configuration:
        """Remove, least useful first, indexes whose real gain is below the minimum."""
        costs = self._costs
        users = costs.users(chosen)
        gains: dict[Candidate, float] = {}
        while chosen:
            unknown = sorted(chosen - gains.keys())
            costs.ask_all((q, chosen - {index}) for index in unknown for q in users[index])
            if costs.left.is_over(ASKED):
                return chosen
            for index in unknown:
                gains[index] = self._true_gain(index, chosen, users[index])
            worst = min(gains, key=lambda i: gains[i])
            if gains[worst] > costs.least_gain:
                break
            touched = {q.name for q in users[worst]}
            chosen = costs.without_idlers(chosen - {worst})
            users = costs.users(chosen)
            # only the gain of indexes that serve the same queries can have changed
            gains = {
                i: gain
                for i, gain in gains.items()
                if i in chosen and touched.isdisjoint(q.name for q in users[i])
            }
        return chosen

    def _true_gain(self, index: Candidate, chosen: Configuration, users: Iterable[Query]) -> float:
        """Return what an index saves in addition to the others, minus its cost for writes."""
        costs, rest = self._costs, chosen - {index}
        saved = sum(costs.valued(q, rest) - costs.valued(q, chosen) for q in users)
        return saved - (costs.of_writes(chosen) - costs.of_writes(rest))
