"""How large an index will be: PostgreSQL's own page layout, applied to statistics."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

BLOCK = 8192
_TUPLE_HEADER = 8
_LINE_POINTER = 4
_HEAP_TUPLE_HEADER = 23
# A page's header and special area are gone; building stops when a tenth is left for inserts.
_LEAF_ROOM = BLOCK - 24 - 16 - _LINE_POINTER - BLOCK // 10
_INNER_ROOM = (BLOCK - 24 - 16) * 0.7
_POSTING_LIMIT = 812
_TID = 6
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
class Size:
    """Blocks of the whole index (with its metapage) and the height of its tree."""

    blocks: int
    height: int = 0

    @property
    def bytes(self) -> int:
        """The size on disk."""
        return self.blocks * BLOCK


def maxalign(size: float) -> int:
    """Round up to eight."""
    return math.ceil(size / 8) * 8


def tuple_bytes(widths: Sequence[Width]) -> float:
    """Return the mean size of an index tuple, aligned, with its header and null bitmap.

    The mean of sizes rounded up is not the mean size rounded up: so every size is followed.
    """
    ends = {0: 1.0}
    for width in widths:
        ends = _followed(ends, width)
    may_be_null = 1 - math.prod(1 - w.null_fraction for w in widths)
    mean = sum(share * maxalign(_TUPLE_HEADER + end) for end, share in ends.items())
    return min(mean + 8 * may_be_null, _MAX_KEY)


def _followed(ends: Mapping[int, float], width: Width) -> dict[int, float]:
    """Return where a tuple may end after one more attribute, with the share of each end."""
    found: dict[int, float] = {}
    for end, share in ends.items():
        for size, part in width.sizes():
            step = 4 if width.type_length < 0 and size > _SHORT_VARLENA else 1
            step = step if width.type_length < 0 else _ALIGNMENTS.get(width.alignment, 8)
            after = math.ceil(end / step) * step + size
            found[after] = found.get(after, 0.0) + share * part * (1 - width.null_fraction)
        if width.null_fraction:
            found[end] = found.get(end, 0.0) + share * width.null_fraction
    return found


def btree(
    rows: float,
    distinct: float,
    keys: Sequence[Width],
    include: Sequence[Width] = (),
    *,
    deduplicates: bool = True,
) -> Size:
    """Return the size of a freshly built B-tree of ``rows`` entries and ``distinct`` keys."""
    if rows < 1:
        return Size(1)
    entry = tuple_bytes([*keys, *include])
    if deduplicates and not include and distinct < rows:
        used = _deduplicated_bytes(rows, max(distinct, 1.0), entry)
        leaves = math.ceil(used / _LEAF_ROOM)
    else:
        per_page = max(1.0, _LEAF_ROOM / (entry + _LINE_POINTER))
        # fixed sizes leave the last gap of a page empty
        leaves = math.ceil(rows / (math.floor(per_page) if entry % 8 == 0 else per_page))
    inner, height = levels(leaves, tuple_bytes(keys))
    return Size(1 + leaves + inner, height)


def levels(leaves: int, inner_tuple: float) -> tuple[int, int]:
    """Return how many inner pages stand above so many leaves, and the height of the root."""
    fan_out = max(2.0, _INNER_ROOM / (inner_tuple + _LINE_POINTER))
    pages, height, level = 0, 0, leaves
    while level > 1:
        level = math.ceil(level / fan_out)
        pages += level
        height += 1
    return pages, height


def height_of(blocks: int, keys: Sequence[Width]) -> int:
    """Return the height of an existing tree of this size."""
    return levels(max(1, blocks - 1), tuple_bytes(keys))[1]


def brin(heap_blocks: int, pages_per_range: int, keys: Sequence[Width]) -> Size:
    """Return the size of a BRIN index: its map and two values a range and column."""
    ranges = math.ceil(max(1, heap_blocks) / pages_per_range)
    entry = maxalign(8 + 2 * sum(max(w.mean, 1) for w in keys)) + _LINE_POINTER
    return Size(2 + math.ceil(ranges * entry / (BLOCK - 40)) + ranges // 1360)


def gin(rows: float, keys_per_row: float, distinct: float, key_width: float) -> Size:
    """Return the size of a GIN index; posting lists are compressed to about two bytes an entry."""
    postings = rows * keys_per_row * 2.2
    entries = min(distinct, rows * keys_per_row) * (maxalign(8 + key_width) + _LINE_POINTER + 6)
    return Size(2 + math.ceil((postings + entries) / (BLOCK * 0.75)))


def gist(rows: float, keys: Sequence[Width]) -> Size:
    """Return the size of a GiST index, whose pages are about two thirds full."""
    leaves = math.ceil(rows * (tuple_bytes(keys) + _LINE_POINTER) / ((BLOCK - 40) * 0.66))
    return Size(1 + leaves + levels(leaves, tuple_bytes(keys))[0])


def hash_index(rows: float) -> Size:
    """Return the size of a hash index at its fill factor of 75 %."""
    return Size(3 + math.ceil(rows * 20 / ((BLOCK - 40) * 0.75)))


def _deduplicated_bytes(rows: float, distinct: float, entry: float) -> float:
    """Return the bytes of all leaf entries when equal keys share posting lists."""
    mean = rows / distinct
    per_posting = math.floor((_POSTING_LIMIT - entry) / _TID)
    if per_posting < 2:
        return rows * (entry + _LINE_POINTER)
    if mean >= 8:
        full, rest = divmod(mean, per_posting)
        last = entry + _LINE_POINTER + (_TID * rest + 4 if rest else 0)
        return distinct * (full * (_POSTING_LIMIT) + last)
    return distinct * _few_duplicates_bytes(mean, entry)


def _few_duplicates_bytes(mean: float, entry: float) -> float:
    """Return the mean bytes a key of few rows, whose number follows a Poisson law without zero."""
    rate = _poisson_rate(mean)
    total, probability = 0.0, rate / math.expm1(rate) if rate > 1e-9 else 1.0
    for count in range(1, 40):
        posting = maxalign(entry + _TID * count) if count > 1 else entry
        total += probability * (posting + _LINE_POINTER)
        probability *= rate / (count + 1)
    return total


def _poisson_rate(mean: float) -> float:
    """Return the rate whose Poisson law, given at least one, has this mean."""
    rate = max(mean - 1, 0.0) * 1.5
    for _ in range(50):
        if rate < 1e-9:
            return 0.0
        rate = mean * -math.expm1(-rate)
    return rate
