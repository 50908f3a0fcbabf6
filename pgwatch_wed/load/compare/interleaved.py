"""Two servers, or two configurations, under the same load in turn: A B B A, so that what the machine does meanwhile meets both."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from pgwatch_wed.errors import Error
from pgwatch_wed.load.load_model import Block, BlockRunner, Order
from pgwatch_wed.load.statistics.signed_rank import least_pairs
from pgwatch_wed.progress import Progress

PAIRS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedSide:
    """One of the two: what runs blocks there, settings of their sessions, and what is done before each block."""

    run: BlockRunner
    settings: Mapping[str, str] = field(default_factory=dict)
    before: Callable[[], object] = tuple  # nothing

    def block(self, order: Order) -> Block:
        """Run a block."""
        self.before()
        return self.run(replace(order, settings={**order.settings, **self.settings}))


@dataclass(frozen=True, slots=True, kw_only=True)
class InterleavedPair:
    """Two blocks of one order, one after the other; ``base`` is what is compared with."""

    base: Block
    current: Block
    base_first: bool

    @property
    def first(self) -> Block:
        """The block that ran first."""
        return self.base if self.base_first else self.current

    @property
    def last(self) -> Block:
        """The block that ran last: on the same side as the first of the next pair."""
        return self.current if self.base_first else self.base


def pairs_for(scenarios: int, metrics: int = 2) -> int:
    """Return how many pairs find a large effect in each scenario, though so many are tested."""
    return max(PAIRS, least_pairs(scenarios * metrics))


def run_interleaved(
    order: Order,
    base: ComparedSide,
    current: ComparedSide,
    pairs: int,
    *,
    stop: Callable[[], str],
    progress: Progress,
    failed: Callable[[Error], object] = str,  # nobody is told
) -> list[InterleavedPair]:
    """Run pairs of blocks, until ``stop`` returns a reason or a block is interrupted or cannot run.

    What ran is returned; ``failed`` is told why a block could not.
    """
    found: list[InterleavedPair] = []
    for number in range(pairs):
        if stop():
            break
        progress(f"pair {number + 1} of {pairs}", number / pairs)
        try:
            pair = _pair(replace(order, seed=order.seed + number), base, current, number)
        except Error as error:
            failed(error)
            break
        if pair is None:
            break
        found.append(pair)
    return found


def _pair(
    order: Order, base: ComparedSide, current: ComparedSide, number: int
) -> InterleavedPair | None:
    base_first = number % 2 == 0
    sides = (base, current) if base_first else (current, base)
    blocks: list[Block] = []
    for side in sides:
        block = side.block(order)
        if any(s.check == "interrupted" for s in block.spoilt):
            return None
        blocks.append(block)
    first, last = blocks
    return InterleavedPair(
        base=first if base_first else last,
        current=last if base_first else first,
        base_first=base_first,
    )


def identical_neighbors(pairs: Sequence[InterleavedPair]) -> list[tuple[Block, Block]]:
    """Return blocks of one side that ran one after the other: they differ by noise alone."""
    return [
        (before.last, after.first)
        for before, after in pairwise(pairs)
        if before.base_first != after.base_first
    ]
