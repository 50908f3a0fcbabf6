"""How large an index of a type other than B-tree will be, and how wide its values are."""

import math
from collections.abc import Sequence

from pgwatch_wed.postgres.btree import IndexSize, Width, levels, tuple_bytes
from pgwatch_wed.postgres.storage import BLOCK, LINE_POINTER, maxalign

# rows for which a bucket is made: at the fill factor of 75%, twenty bytes each
_IN_BUCKET = BLOCK * 75 // 100 // 20
# the tenth time and later, buckets are doubled in four steps
_WHOLE_GROUPS = 10


def sizes_about(sizes: Sequence[tuple[int, float]], mean: float) -> tuple[tuple[int, float], ...]:
    """Return sizes with shares that add up to one, and whose mean is ``mean`` or up to one more.

    A histogram has a hundred values; avg_width is the mean of thirty thousand, rounded down. Shares are
    tilted (multiplied by the same factor for every additional byte) until both agree.
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


def brin(heap_blocks: int, pages_per_range: int, keys: Sequence[Width]) -> IndexSize:
    """Return the size of a BRIN index: its map, and two values per range and column."""
    ranges = math.ceil(max(1, heap_blocks) / pages_per_range)
    entry = maxalign(8 + 2 * sum(max(w.mean, 1) for w in keys)) + LINE_POINTER
    return IndexSize(2 + math.ceil(ranges * entry / (BLOCK - 40)) + ranges // 1360)


def gist(rows: float, keys: Sequence[Width]) -> IndexSize:
    """Return the size of a GiST index, whose pages are about two thirds full."""
    leaves = math.ceil(rows * (tuple_bytes(keys) + LINE_POINTER) / ((BLOCK - 40) * 0.66))
    return IndexSize(1 + leaves + levels(leaves, tuple_bytes(keys))[0])


def hash_index(rows: float) -> IndexSize:
    """Return the size of a newly built hash index: a power of two of buckets, or quarters of one, a metapage and a bitmap."""
    wanted = max(2, math.ceil(rows / _IN_BUCKET))
    group = math.ceil(math.log2(wanted))
    step = 1 if group < _WHOLE_GROUPS else 1 << (group - 3)
    buckets = 1 << group if group < _WHOLE_GROUPS else math.ceil(wanted / step) * step
    return IndexSize(2 + buckets)
