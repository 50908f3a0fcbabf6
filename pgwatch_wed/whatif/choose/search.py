"""The best set of indexes within a budget, according to the known plans."""

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pgwatch_wed.whatif.choose.pool import Pool
from pgwatch_wed.whatif.choose.writes import Burden
from pgwatch_wed.whatif.model import Candidate, Configuration, Query

_POWERS = (1.0, 0.5, 0.0)
_MAX_SEEDS = 12
_MAX_FORCED = 60


@dataclass(frozen=True, slots=True)
class Problem:
    """What is minimized: the weighted cost of all queries plus the cost of the indexes for writes."""

    queries: Sequence[Query]
    sizes: Mapping[Candidate, int]
    burdens: Sequence[Burden]
    budget: int
    min_gain: float


@dataclass(frozen=True, slots=True)
class _Burdened:
    """The indexes that a write concerns, as bits with what an entry in each costs, and those that end HOT updates."""

    burden: Burden
    on_table: int
    ending: int
    entries: Mapping[int, float]
    known: dict[int, float] = field(default_factory=dict)

    @classmethod
    def of(cls, burden: Burden, indexes: Sequence[Candidate]) -> "_Burdened":
        here = {n: i for n, i in enumerate(indexes) if burden.concerns(i)}
        ending = sum(1 << n for n, index in here.items() if burden.ends_hot(index))
        entries = {n: burden.entries_of(index) for n, index in here.items()}
        return cls(burden, sum(1 << n for n in here), ending, entries)

    def cost(self, mask: int) -> float:
        """Return what a set of the indexes on this table costs."""
        found = self.known.get(mask)
        if found is None:
            new = sum(self.entries[bit] for bit in _bits(mask))
            found = self.burden.of_entries(new, bool(mask & self.ending))
            self.known[mask] = found
        return found


class Search:
    """Greedy from several seeds, then swaps, on bit masks of the pool's plans. Does not call the oracle."""

    def __init__(self, problem: Problem, pool: Pool, is_over: Callable[[], bool]) -> None:
        self._problem = problem
        self._is_over = is_over
        self._indexes = sorted(self._used(problem, pool))
        self._bit = {index: 1 << n for n, index in enumerate(self._indexes)}
        self._plans = [self._masked(pool, q) for q in problem.queries]
        self._weights = [q.weight for q in problem.queries]
        self._sizes = [problem.sizes[i] for i in self._indexes]
        self._writes = [_Burdened.of(b, self._indexes) for b in problem.burdens]
        self._reads = [_union(used for used, _ in plans) for plans in self._plans]
        self._values: list[dict[int, float]] = [{} for _ in self._plans]
        self._bytes_of: dict[int, int] = {0: 0}
        self._touched: dict[int, tuple[int, ...]] = {}
        self._moves = self._all_moves()

    def best(self, *starts: Configuration, polished: int = 3) -> Configuration:
        """Return the best set found in time, also starting from the given sets.

        Swaps are tried on the ``polished`` best of them.
        """
        masks = [self._mask(s) for s in starts]
        # there is always an answer: the first one takes whatever time it takes, which is little
        solutions = [self._fill(0, _POWERS[0], in_time=False)]
        solutions += [self._fill(0, power) for power in _POWERS[1:]]
        solutions += [self._fill(seed, 1.0) for seed in self._seeds()]
        solutions += [self._fill(self._trimmed(mask), 1.0) for mask in masks]
        solutions.sort(key=self.objective)
        solutions += [self._swapped(mask) for mask in solutions[:polished]]
        # by what is left of them: of two indexes that gain little together, trimming may leave the worse one
        best = min(map(self._trimmed, solutions), key=self.objective, default=0)
        return frozenset(self._named(best))

    def objective(self, mask: int) -> float:
        """Return the cost of a set for reads and writes."""
        reads = (weight * self._value(q, mask) for q, weight in enumerate(self._weights))
        return sum(reads) + self._write(mask)

    # Preparing

    @staticmethod
    def _used(problem: Problem, pool: Pool) -> set[Candidate]:
        return {
            index
            for query in problem.queries
            for known in pool.known(query)
            for index in known.used
            if problem.sizes[index] <= problem.budget
        }

    def _masked(self, pool: Pool, query: Query) -> list[tuple[int, float]]:
        """Return a query's plans as masks and values, in the planner's order: by cost."""
        return [
            (self._mask(known.used), known.value)
            for known in pool.known(query)
            if known.used <= self._bit.keys()
        ]

    def _all_moves(self) -> list[int]:
        """Return the sets that plans use: single indexes, and pairs that only help together."""
        moves = {used for plans in self._plans for used, _ in plans if used}
        return sorted(m for m in moves if self._bytes(m) <= self._problem.budget)

    def _seeds(self) -> list[int]:
        base = self.objective(0)
        gains = [(self.objective(m) - base, m) for m in self._moves]
        return [m for gain, m in heapq.nsmallest(_MAX_SEEDS, gains) if gain < 0]

    # Searching

    def _fill(self, mask: int, power: float, *, in_time: bool = True) -> int:
        """Add moves, best gain per byte first, until none fits or helps; ``in_time``: or until the time is over."""
        while True:
            filled = self._filled_once(mask, power, in_time=in_time)
            if filled == mask:
                return mask
            mask = filled  # what was useless before may help together with the new ones

    def _filled_once(self, mask: int, power: float, *, in_time: bool) -> int:
        heap = [(-float("inf"), -1, move) for move in self._moves if move & ~mask]
        step, room = 0, self._problem.budget - self._bytes(mask)
        while heap and not (in_time and self._is_over()):
            _, stamp, move = heapq.heappop(heap)
            added = move & ~mask
            extra = self._bytes(added)
            if not added or extra > room:
                continue
            if stamp == step:
                mask |= move
                room -= extra
                step += 1
                continue
            gain = self._gain(mask, move)
            if gain > self._problem.min_gain * added.bit_count():
                heapq.heappush(heap, (-gain / max(1.0, float(extra)) ** power, step, move))
        return mask

    def _swapped(self, mask: int) -> int:
        """Move to a better neighbor until there is none."""
        best = self.objective(mask)
        improved = True
        while improved and not self._is_over():
            improved = False
            for other in self._neighbours(mask):
                if self._is_over():
                    break
                value = self.objective(other)
                if value < best * (1 - 1e-6):
                    mask, best, improved = other, value, True
                    break
        return mask

    def _neighbours(self, mask: int) -> Iterator[int]:
        """Yield sets without one or two of the indexes, filled again, then sets with one forced in."""
        for out in self._outs(mask):
            for power in _POWERS[:2]:
                yield self._without(self._fill(mask & ~out, power))
        gains = [(-self._gain(mask, move), move) for move in self._moves if move & ~mask]
        for gain, move in heapq.nsmallest(_MAX_FORCED, gains):
            if gain < 0:
                forced = self._trimmed(mask | move, keep=move)
                yield self._without(self._fill(forced, 1.0))

    def _outs(self, mask: int) -> list[int]:
        singles = [1 << bit for bit in _bits(mask)]
        pairs = [a | b for n, a in enumerate(singles) for b in singles[:n]]
        return [*singles, *(pairs if len(pairs) <= 300 else [])]

    def _without(self, mask: int, keep: int = 0) -> int:
        """Remove what gains less than the minimum, least useful first."""
        while mask & ~keep:
            losses = [(self._loss(mask, 1 << b), 1 << b) for b in _bits(mask & ~keep)]
            loss, bit = min(losses)
            if loss > self._problem.min_gain:
                break
            mask &= ~bit
        return mask

    def _trimmed(self, mask: int, keep: int = 0) -> int:
        """Remove what is useless, then what gains least per byte, until the rest fits."""
        mask = self._without(mask, keep)
        while mask & ~keep and self._bytes(mask) > self._problem.budget:
            losses = [
                (self._loss(mask, 1 << b) / max(1, self._sizes[b]), 1 << b)
                for b in _bits(mask & ~keep)
            ]
            mask &= ~min(losses)[1]
        return mask

    # Measuring

    def _gain(self, mask: int, move: int) -> float:
        return self._change(mask, mask | move)

    def _loss(self, mask: int, bit: int) -> float:
        return self._change(mask & ~bit, mask)

    def _change(self, before: int, after: int) -> float:
        """Return by how much ``after`` is cheaper than ``before``."""
        reads = sum(
            self._weights[q] * (self._value(q, before) - self._value(q, after))
            for q in self._touched_by(before ^ after)
        )
        return reads + self._write(before) - self._write(after)

    def _touched_by(self, difference: int) -> tuple[int, ...]:
        found = self._touched.get(difference)
        if found is None:
            found = tuple(q for q, reads in enumerate(self._reads) if reads & difference)
            self._touched[difference] = found
        return found

    def _value(self, query: int, mask: int) -> float:
        """Return the cost of the plan that the planner would choose for a query with a set, as far as known."""
        seen = mask & self._reads[query]
        value = self._values[query].get(seen)
        if value is None:
            value = next((v for used, v in self._plans[query] if not used & ~seen), 0.0)
            self._values[query][seen] = value
        return value

    def _write(self, mask: int) -> float:
        return sum(each.cost(mask & each.on_table) for each in self._writes)

    def _bytes(self, mask: int) -> int:
        found = self._bytes_of.get(mask)
        if found is None:
            low = mask & -mask
            found = self._sizes[low.bit_length() - 1] + self._bytes(mask ^ low)
            self._bytes_of[mask] = found
        return found

    def _mask(self, indexes: Iterable[Candidate]) -> int:
        return sum(self._bit.get(i, 0) for i in set(indexes))

    def _named(self, mask: int) -> list[Candidate]:
        return [self._indexes[bit] for bit in _bits(mask)]


def _union(masks: Iterable[int]) -> int:
    found = 0
    for mask in masks:
        found |= mask
    return found


def _bits(mask: int) -> list[int]:
    found = []
    while mask:
        low = mask & -mask
        found.append(low.bit_length() - 1)
        mask ^= low
    return found
