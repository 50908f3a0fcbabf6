"""How full the pages of a freshly built B-tree are, following PostgreSQL's nbtsort.c and nbtdedup.c.

An index is described by its contents: entries (an index tuple, or a posting list of several rows with
the same key) of certain sizes, and how many of each there are.
"""

import math
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from statistics import NormalDist

from pgwatch_wed.postgres.storage import BLOCK, LINE_POINTER, PAGE_HEADER, TID, maxalign

_DRAWS = 2000
_LONG = 40
_EXACT = 30.0
_STEPS = 15


_ADDRESS = 8
_SPECIAL = 16
_INNER_FILL = 70


@dataclass(frozen=True, slots=True)
class TreePage:
    """A page of a B-tree: its size, and the percentage to which a build fills a leaf."""

    block: int = BLOCK
    fillfactor: int = 90

    @property
    def free(self) -> int:
        """What PageGetFreeSpace returns for an empty page, which already has the high key's line pointer.

        The line pointer of the next item is subtracted.
        """
        return self.block - PAGE_HEADER - _SPECIAL - LINE_POINTER - LINE_POINTER

    @property
    def leaf_reserve(self) -> int:
        """The free space that is left on a leaf page."""
        return self.block * (100 - self.fillfactor) // 100

    @property
    def inner_reserve(self) -> int:
        """The free space that is left on a page above the leaves."""
        return self.block * (100 - _INNER_FILL) // 100

    @property
    def posting_limit(self) -> int:
        """The maximum size of a posting list that a sorted build creates."""
        return self.block // 10 // 8 * 8 - LINE_POINTER


STANDARD = TreePage()


@dataclass(frozen=True, slots=True)
class KeyGroup:
    """A number of keys, and of rows with each: on average (Poisson distribution, so some have none) or exactly."""

    keys: float
    rows: float
    is_exact: bool = False

    @property
    def occupied(self) -> float:
        """The number of keys that have rows."""
        return self.keys if self.is_exact else self.keys * -math.expm1(-self.rows)


@dataclass(frozen=True, slots=True)
class Leaves:
    """The leaf level: its pages, and the share of page boundaries between equal keys."""

    pages: int
    equal_borders: float


@dataclass(frozen=True, slots=True)
class _Entry:
    """A leaf entry. ``posting``: the bytes that a high key would not have."""

    size: int
    posting: int = 0

    @property
    def bytes(self) -> int:
        return self.size + LINE_POINTER


_Key = tuple[_Entry, ...]  # the entries of one key, in order


def plain(
    tuples: Mapping[int, float], rows: float, keys: float, page: TreePage = STANDARD
) -> Leaves:
    """Return the leaves of an index with one tuple per row; ``tuples`` are sizes with their shares."""
    used = rows * sum((size + LINE_POINTER) * share for size, share in tuples.items())
    pages = max(1, math.ceil(used / _room_of_tuples(tuple(sorted(tuples.items())), page)))
    return Leaves(pages, max(0.0, 1 - keys / max(rows, 1.0)))


def deduplicated(
    tuples: Mapping[int, float], groups: Iterable[KeyGroup], page: TreePage = STANDARD
) -> Leaves:
    """Return the leaves of an index whose equal keys share posting lists."""
    multiples: dict[int, float] = {}
    for group in groups:
        for rows, share in _multiples(group):
            if rows:
                multiples[rows] = multiples.get(rows, 0.0) + group.keys * share
    counts: dict[_Key, float] = {}
    full, full_size = 0.0, 0.0
    for size, part in tuples.items():
        limit = _rows_a_posting(size, page)
        for rows, number in multiples.items():
            lists, rest = divmod(rows, limit)
            if lists > _LONG:
                # for such long keys, only the end is tracked entry by entry
                full += (lists - _LONG) * number * part
                full_size += (lists - _LONG) * number * part * _posting(size, limit).bytes
                lists = _LONG
            key = (_posting(size, limit),) * lists + ((_posting(size, rest),) if rest else ())
            counts[key] = counts.get(key, 0.0) + number * part
    entries = full + sum(len(key) * number for key, number in counts.items())
    pages = _pages(counts, page) + _pages_of_full(full, full_size, page)
    return Leaves(pages, max(0.0, 1 - sum(multiples.values()) / max(entries, 1.0)))


def fan_out(pivot: float, page: TreePage = STANDARD) -> float:
    """Return how many children an inner page has if its entries take this many bytes."""
    return max(2.0, (page.free - page.inner_reserve) / (pivot + LINE_POINTER))


def _rows_a_posting(size: int, page: TreePage) -> int:
    """Return the maximum number of rows of one key that share an entry."""
    limit = (page.posting_limit // 8 * 8 - size) // TID
    return limit if limit > 1 else 1


def _posting(size: int, rows: int) -> _Entry:
    if rows == 1:
        return _Entry(size)
    whole = maxalign(size + TID * rows)
    return _Entry(whole, whole - size)


def _multiples(group: KeyGroup) -> Sequence[tuple[int, float]]:
    """Return numbers of rows with their probabilities; around a large mean, a few represent all."""
    mean = group.rows
    if group.is_exact:
        return [(max(1, round(mean)), 1.0)]
    if mean > _EXACT:
        law = NormalDist(mean, math.sqrt(mean))
        return [(round(law.inv_cdf((k + 0.5) / _STEPS)), 1 / _STEPS) for k in range(_STEPS)]
    probability = math.exp(-mean)
    found = []
    for number in range(int(mean + 12 + 6 * math.sqrt(mean))):
        found.append((number, probability))
        probability *= mean / (number + 1)
    return found


def _pages(counts: Mapping[_Key, float], page: TreePage) -> int:
    used = sum(number * sum(e.bytes for e in key) for key, number in counts.items())
    return max(1, math.ceil(used / _room(_drawn(counts), page))) if counts else 1


@cache
def _room_of_tuples(tuples: tuple[tuple[int, float], ...], page: TreePage) -> float:
    """Return :func:`_room` for single tuples, which many indexes have in common."""
    return _room(_drawn({(_Entry(size),): share for size, share in tuples}), page)


def _pages_of_full(number: float, used: float, page: TreePage) -> int:
    if not number:
        return 0
    entry = _Entry(round(used / number) - LINE_POINTER, round(used / number))
    return math.ceil(used / _room([entry] * _DRAWS, page))


def _drawn(counts: Mapping[_Key, float]) -> Iterator[_Entry]:
    """Yield entries as they may occur in the index, with the keys in random order."""
    keys = list(counts)
    each = sum(len(key) * number for key, number in counts.items()) / sum(counts.values())
    number = max(_LONG, round(_DRAWS / max(each, 1.0)))
    drawn = random.Random(0).choices(keys, [counts[k] for k in keys], k=number)  # noqa: S311 - no secret
    return (entry for key in drawn for entry in key)


def _room(entries: Iterable[_Entry], page: TreePage) -> float:
    """Return the average number of bytes in a leaf, found by filling some as a build does.

    A page is full when a tenth is left, or if the next entry and a row's address do not fit; then its
    last entry moves to the next page, and remains as the high key, without its posting list.
    """
    empty, reserve = page.free, page.leaf_reserve
    free, last, alone, closed, kept = empty, _Entry(0), True, 0, 0
    for entry in entries:
        is_full = not alone and free + last.posting < reserve
        if last.size and (free < entry.size + _ADDRESS or is_full):
            closed, kept = closed + 1, kept + empty - free - last.bytes
            free, alone = empty - last.bytes, True
        else:
            alone = not last.size
        free -= entry.bytes
        last = entry
    return kept / closed if kept else float(empty - reserve)
