"""How large an index will be: PostgreSQL's own page layout, applied to statistics."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pgwatch_wed.whatif.sizes import packing
from pgwatch_wed.whatif.sizes.packing import BLOCK, LINE_POINTER, KeyGroup, maxalign

_TUPLE_HEADER = 8
_NULL_BITMAP = 4
# a border between equal keys is told by the row's address
_PIVOT_TID = 8
_SHORT_VARLENA = 127
_MAX_KEY = 2704
_STEPS = (-1.0, -0.75, -0.5, -0.25, 0.0, 0.25, 0.5, 0.75, 1.0)
_ALIGNMENTS = {"c": 1, "s": 2, "i": 4, "d": 8}


@dataclass(frozen=True, slots=True)
class Width:
    """One attribute: its type's length (-1 varies), alignment letter, mean width, share of NULLs.

    ``known`` are sizes of values as they are stored, with their shares.
    """

    type_length: int
    alignment: str
    mean: float
    null_fraction: float = 0.0
    known: tuple[tuple[int, float], ...] = ()

    def sizes(self) -> Sequence[tuple[int, float]]:
        """Return sizes with their shares: those of known values, else some about the mean."""
        if self.type_length >= 0:
            return ((self.type_length, 1.0),)
        if self.known:
            return self.known
        half = 1.0 if self.mean <= 10 else max(1.0, 0.3 * self.mean)
        share = 1 / len(_STEPS)
        return [(max(1, round(self.mean + half * step)), share) for step in _STEPS]


@dataclass(frozen=True, slots=True)
class IndexSize:
    """Blocks of the whole index (with its metapage) and the height of its tree."""

    blocks: int
    height: int = 0

    @property
    def bytes(self) -> int:
        """The size on disk."""
        return self.blocks * BLOCK


def sizes_about(sizes: Sequence[tuple[int, float]], mean: float) -> tuple[tuple[int, float], ...]:
    """Return sizes with shares that add up to one, and a mean of ``mean`` up to one more.

    A histogram shows a hundred values, avg_width is a mean of thirty thousand, cut to a whole number.
    Shares are tilted (times the same factor for every byte more) until both agree.
    """
    low, high, tilt = -1.0, 1.0, 0.0
    found = _tilted(sizes, tilt)
    for _ in range(40):
        now = sum(size * share for size, share in found)
        if mean <= now < mean + 1:
            break
        low, high = (tilt, high) if now < mean else (low, tilt)
        tilt = (low + high) / 2
        found = _tilted(sizes, tilt)
    return found


def _tilted(sizes: Sequence[tuple[int, float]], tilt: float) -> tuple[tuple[int, float], ...]:
    top = max(tilt * size for size, _ in sizes)
    shares = [share * math.exp(tilt * size - top) for size, share in sizes]
    total = sum(shares)
    return tuple((size, share / total) for (size, _), share in zip(sizes, shares, strict=True))


def tuple_sizes(widths: Sequence[Width]) -> dict[int, float]:
    """Return the sizes of index tuples, aligned, with header and null bitmap, and their shares."""
    ends = {(0, False): 1.0}
    for width in widths:
        ends = _followed(ends, width)
    found: dict[int, float] = {}
    for (end, has_null), share in ends.items():
        header = maxalign(_TUPLE_HEADER + _NULL_BITMAP) if has_null else _TUPLE_HEADER
        size = min(maxalign(header + end), _MAX_KEY)
        found[size] = found.get(size, 0.0) + share
    return found


def tuple_bytes(widths: Sequence[Width]) -> float:
    """Return the mean size of an index tuple.

    The mean of sizes rounded up is not the mean size rounded up: so every size is followed.
    """
    return sum(size * share for size, share in tuple_sizes(widths).items())


def _followed(
    ends: Mapping[tuple[int, bool], float], width: Width
) -> dict[tuple[int, bool], float]:
    """Return where a tuple may end after one more attribute, with the share of each end."""
    found: dict[tuple[int, bool], float] = {}
    for (end, has_null), share in ends.items():
        for size, part in width.sizes():
            step = 4 if width.type_length < 0 and size > _SHORT_VARLENA else 1
            step = step if width.type_length < 0 else _ALIGNMENTS.get(width.alignment, 8)
            after = (math.ceil(end / step) * step + size, has_null)
            found[after] = found.get(after, 0.0) + share * part * (1 - width.null_fraction)
        if width.null_fraction:
            after = (end, True)
            found[after] = found.get(after, 0.0) + share * width.null_fraction
    return found


def btree(
    rows: float,
    groups: Sequence[KeyGroup],
    keys: Sequence[Width],
    include: Sequence[Width] = (),
    *,
    deduplicates: bool = True,
) -> IndexSize:
    """Return the size of a freshly built B-tree of ``rows`` entries, whose keys form ``groups``."""
    if rows < 1:
        return IndexSize(1)
    tuples = tuple_sizes([*keys, *include])
    if deduplicates and not include:
        leaves = packing.deduplicated(tuples, groups)
    else:
        leaves = packing.plain(tuples, rows, sum(group.occupied for group in groups))
    inner, height = levels(leaves.pages, tuple_bytes(keys) + _PIVOT_TID * leaves.equal_borders)
    return IndexSize(1 + leaves.pages + inner, height)


def levels(leaves: int, pivot: float) -> tuple[int, int]:
    """Return how many inner pages stand above so many leaves, and the height of the root."""
    fan_out = packing.fan_out(pivot)
    pages, height, level = 0, 0, leaves
    while level > 1:
        level = math.ceil(level / fan_out)
        pages += level
        height += 1
    return pages, height


def height_of(blocks: int, keys: Sequence[Width]) -> int:
    """Return the height of an existing tree of this size."""
    return levels(max(1, blocks - 1), tuple_bytes(keys))[1]


def brin(heap_blocks: int, pages_per_range: int, keys: Sequence[Width]) -> IndexSize:
    """Return the size of a BRIN index: its map and two values a range and column."""
    ranges = math.ceil(max(1, heap_blocks) / pages_per_range)
    entry = maxalign(8 + 2 * sum(max(w.mean, 1) for w in keys)) + LINE_POINTER
    return IndexSize(2 + math.ceil(ranges * entry / (BLOCK - 40)) + ranges // 1360)


def gist(rows: float, keys: Sequence[Width]) -> IndexSize:
    """Return the size of a GiST index, whose pages are about two thirds full."""
    leaves = math.ceil(rows * (tuple_bytes(keys) + LINE_POINTER) / ((BLOCK - 40) * 0.66))
    return IndexSize(1 + leaves + levels(leaves, tuple_bytes(keys))[0])


def hash_index(rows: float) -> IndexSize:
    """Return the size of a hash index at its fill factor of 75 %."""
    return IndexSize(3 + math.ceil(rows * 20 / ((BLOCK - 40) * 0.75)))
