"""How large a freshly built GIN index is, following PostgreSQL's ginpostinglist.c and gindatapage.c.

A GIN index is a tree of entries (array elements, words, trigrams, parts of a JSON document). The rows
that contain an entry are in its posting list or, if that becomes too long, in a separate tree.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from pgwatch_wed.postgres.storage import BLOCK, LINE_POINTER, maxalign

_PAGE_ROOM = BLOCK - 24 - 8
_TUPLE_HEADER = 8
_LIST_HEADER = 8  # its first row and its length
_LONGEST = (BLOCK - 40 - 8) // 3 // 8 * 8
# lists in a posting tree are split into segments of about this many bytes
_SEGMENT = 256
# entries arrive in order, and a full page is split in half: the left half stays as it is
_ENTRY_FILL = 0.56
# the distance to the next row is stored in seven bits per byte; a block has 2^11 row numbers
_NEAR_BLOCKS = (8, 1024, 131_072)


@dataclass(frozen=True, slots=True)
class Elements:
    """A number of entries, and the number of rows that contain each."""

    number: float
    rows: float


@dataclass(frozen=True, slots=True)
class Content:
    """The entries of one key, and the mean size of an entry's key as stored."""

    elements: tuple[Elements, ...]
    key_bytes: float


@dataclass(frozen=True, slots=True)
class Pages:
    """A GIN index in blocks, and its number of entries."""

    entry_pages: int
    data_pages: int
    entries: int

    @property
    def total(self) -> int:
        """All blocks, including the metapage and the pending list."""
        return self.entry_pages + self.data_pages + 1


def pages(elements: Iterable[Elements], key_bytes: float, heap_blocks: int) -> Pages:
    """Return the pages of an index whose keys take ``key_bytes``, on a table with this many blocks."""
    key = maxalign(_TUPLE_HEADER + key_bytes)
    entry_bytes, data_pages, entries = 0.0, 0.0, 0.0
    for each in elements:
        rows = max(1.0, each.rows)
        entries += each.number
        listed = _list_bytes(rows, max(1, heap_blocks))
        inline = maxalign(key + _LIST_HEADER + listed)
        if inline <= _LONGEST:
            entry_bytes += each.number * (inline + LINE_POINTER)
        else:
            entry_bytes += each.number * (key + LINE_POINTER)
            data_pages += each.number * _tree_pages(listed)
    leaves = math.ceil(entry_bytes / (_PAGE_ROOM * _ENTRY_FILL))
    inner = (
        math.ceil(leaves * (key + LINE_POINTER) / (_PAGE_ROOM * _ENTRY_FILL)) if leaves > 1 else 0
    )
    return Pages(max(1, leaves + inner), math.ceil(data_pages), max(1, round(entries)))


def tree_pages(rows: float, heap_blocks: int) -> int:
    """Return the pages of the tree of an entry that this number of rows contain; 0 if they are listed with the entry."""
    listed = _list_bytes(rows, max(1, heap_blocks))
    return _tree_pages(listed) if listed > _LONGEST else 0


def _list_bytes(rows: float, blocks: int) -> float:
    """Return the size of a compressed list of rows that are spread evenly over the table."""
    touched = blocks * -math.expm1(-rows / blocks)
    gap = blocks / touched
    first = 1.0 + sum(math.exp(-limit / gap) for limit in _NEAR_BLOCKS) + 1.0
    return max(0.0, touched * first + (rows - touched))


def _tree_pages(listed: float) -> int:
    segments = listed * (1 + _LIST_HEADER / _SEGMENT)
    leaves = math.ceil(segments / _PAGE_ROOM)
    return leaves + (1 if leaves > 1 else 0)
