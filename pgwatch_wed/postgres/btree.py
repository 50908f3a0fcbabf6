"""How large a freshly built B-tree is: PostgreSQL's page layout, applied to statistics."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pgwatch_wed.postgres import packing
from pgwatch_wed.postgres.packing import STANDARD, KeyGroup, TreePage
from pgwatch_wed.postgres.storage import ALIGNMENTS, BLOCK, SHORT_VARLENA, maxalign

_TUPLE_HEADER = 8
_NULL_BITMAP = 4
# equal keys on both sides of a page boundary are distinguished by the row's address
_PIVOT_TID = 8
_MAX_KEY = 2704
_STEPS = (-1.0, -0.75, -0.5, -0.25, 0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True, slots=True)
class Width:
    """An attribute: its type's length (-1: variable), alignment, mean width, and share of NULLs.

    ``known`` are sizes of stored values, with their shares.
    """

    type_length: int
    alignment: str
    mean: float
    null_fraction: float = 0.0
    known: tuple[tuple[int, float], ...] = ()

    def sizes(self) -> Sequence[tuple[int, float]]:
        """Return sizes with their shares: those of known values, else some around the mean."""
        if self.type_length >= 0:
            return ((self.type_length, 1.0),)
        if self.known:
            return self.known
        half = 1.0 if self.mean <= 10 else max(1.0, 0.3 * self.mean)
        share = 1 / len(_STEPS)
        return [(max(1, round(self.mean + half * step)), share) for step in _STEPS]


@dataclass(frozen=True, slots=True)
class IndexSize:
    """The blocks of the whole index (including the metapage), and the height of its tree."""

    blocks: int
    height: int = 0

    @property
    def bytes(self) -> int:
        """The size on disk."""
        return self.blocks * BLOCK


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

    The mean of sizes rounded up is not the mean size rounded up, so every size is tracked.
    """
    return sum(size * share for size, share in tuple_sizes(widths).items())


def unpadded_bytes(widths: Sequence[Width]) -> float:
    """Return the approximate end of an index tuple, before padding."""
    has_nulls = any(width.null_fraction > 0 for width in widths[1:])
    end: float = maxalign(_TUPLE_HEADER + _NULL_BITMAP) if has_nulls else _TUPLE_HEADER
    for width in widths:
        there = 1 - width.null_fraction if len(widths) > 1 else 1.0
        if width.type_length < 0:
            step = 4 if width.mean > SHORT_VARLENA else 1
            size = width.mean
        else:
            step = ALIGNMENTS.get(width.alignment, 8)
            size = float(width.type_length)
        end = math.ceil(end / step) * step + size * there
    return min(end, _MAX_KEY)


def _followed(
    ends: Mapping[tuple[int, bool], float], width: Width
) -> dict[tuple[int, bool], float]:
    """Return at which offsets a tuple may end after one more attribute, with their shares."""
    found: dict[tuple[int, bool], float] = {}
    for (end, has_null), share in ends.items():
        for size, part in width.sizes():
            step = 4 if width.type_length < 0 and size > SHORT_VARLENA else 1
            step = step if width.type_length < 0 else ALIGNMENTS.get(width.alignment, 8)
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
    """Return the size of a freshly built B-tree with ``rows`` entries whose keys form ``groups``."""
    tuples = tuple_sizes([*keys, *include])
    deduplicates = deduplicates and not include
    return of_tuples(rows, groups, tuples, tuple_bytes(keys), deduplicates=deduplicates)


def of_tuples(
    rows: float,
    groups: Sequence[KeyGroup],
    tuples: Mapping[int, float],
    pivot: float,
    *,
    deduplicates: bool,
    page: TreePage = STANDARD,
) -> IndexSize:
    """Return the size of a B-tree whose index tuples have these sizes, and its pivots that average size."""
    if rows < 1:
        return IndexSize(1)
    if deduplicates:
        leaves = packing.deduplicated(tuples, groups, page)
    else:
        leaves = packing.plain(tuples, rows, sum(group.occupied for group in groups), page)
    inner, height = levels(leaves.pages, pivot + _PIVOT_TID * leaves.equal_borders, page)
    return IndexSize(1 + leaves.pages + inner, height)


def levels(leaves: int, pivot: float, page: TreePage = STANDARD) -> tuple[int, int]:
    """Return how many inner pages are above this number of leaves, and the height of the root."""
    fan_out = packing.fan_out(pivot, page)
    pages, height, level = 0, 0, leaves
    while level > 1:
        level = math.ceil(level / fan_out)
        pages += level
        height += 1
    return pages, height


def height_of(blocks: int, keys: Sequence[Width]) -> int:
    """Return the height of an existing tree of this size."""
    return levels(max(1, blocks - 1), tuple_bytes(keys))[1]
