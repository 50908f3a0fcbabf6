"""Relation files without data: the right number of blocks, and trees that can be descended.

The planner gets a relation's size from its file and a B-tree's height from its metapage and, for
inequalities near the ends of a histogram, really descends the tree. So an empty index in the lab
gets one page per level down to an empty leaf, and every file is extended to its size as a sparse file.
"""

import os
import pwd
import struct
from dataclasses import dataclass
from pathlib import Path

from pgwatch_wed.whatif.sizes.postings import Pages as GinPages

BLOCK = 8192
SEGMENT_BLOCKS = 131_072  # a file ends at 1 GB, where the next one begins

_META_AT = 24
_SPECIAL_AT = BLOCK - 16
_BTREE_MAGIC = 0x053162
_BTP_LEAF, _BTP_ROOT = 1, 2
_BRIN_LAST_REVMAP_AT = _META_AT + 12
_REVMAP_ITEMS = 1360
_GIN_COUNTS_AT = _META_AT + 24


@dataclass(frozen=True, slots=True)
class Owner:
    """The user whose server must be able to open the files; None if it is us."""

    uid: int
    gid: int

    @classmethod
    def named(cls, user: str | None) -> "Owner | None":
        """Look the user up."""
        if user is None:
            return None
        entry = pwd.getpwnam(user)
        return cls(entry.pw_uid, entry.pw_gid)


def resize(path: Path, blocks: int, owner: Owner | None) -> None:
    """Extend a relation to ``blocks`` in segments of 1 GB, with holes instead of pages."""
    last, rest = divmod(blocks, SEGMENT_BLOCKS)
    for number in range(last):
        _truncate(_segment(path, number), SEGMENT_BLOCKS, owner)
    _truncate(_segment(path, last), rest, owner)
    number = last + 1
    while (stale := _segment(path, number)).exists():
        # truncated, not removed: a session may have it open
        _truncate(stale, 0, owner)
        number += 1


def empty(path: Path) -> None:
    """Make a relation look empty, so that building an index on it reads nothing."""
    resize(path, 0, None)


def write_btree(path: Path, height: int) -> None:
    """Make an empty B-tree one of this height, by changing the metapage and writing its pages.

    The server must not have read the file yet. Height 0 means that the root is a leaf.
    """
    with path.open("r+b") as file:
        file.seek(_META_AT)
        magic, version = struct.unpack("<II", file.read(8))
        if magic != _BTREE_MAGIC:
            raise ValueError(f"{path} is not a B-tree")
        file.seek(_META_AT)
        file.write(struct.pack("<IIIIII", magic, version, 1, height, 1, height))
        for level in range(height, -1, -1):
            block = 1 + height - level
            file.seek(block * BLOCK)
            file.write(_btree_page(level, is_root=level == height, child=block + 1))


def write_brin(path: Path, ranges: int) -> None:
    """Write to a BRIN index's metapage how many pages its range map has."""
    with path.open("r+b") as file:
        file.seek(_BRIN_LAST_REVMAP_AT)
        file.write(struct.pack("<I", max(1, -(-ranges // _REVMAP_ITEMS))))


def write_gin(path: Path, size: GinPages) -> None:
    """Write to a GIN index's metapage its page counts and entries, with an empty pending list."""
    with path.open("r+b") as file:
        file.seek(_GIN_COUNTS_AT)
        file.write(
            struct.pack("<III4xq", size.total, size.entry_pages, size.data_pages, size.entries)
        )


def _btree_page(level: int, *, is_root: bool, child: int) -> bytes:
    flags = (_BTP_ROOT if is_root else 0) | (_BTP_LEAF if level == 0 else 0)
    page = bytearray(BLOCK)
    lower, upper = 24, _SPECIAL_AT
    if level > 0:
        lower, upper = 28, _SPECIAL_AT - 8
        # one line pointer: offset 15 bits, state 2 bits (1: normal), length 15 bits
        struct.pack_into("<I", page, 24, upper | 1 << 15 | 8 << 17)
        # one downlink without keys: block high, block low, offset number, size and INDEX_ALT_TID
        struct.pack_into("<HHHH", page, upper, child >> 16, child & 0xFFFF, 0, 8 | 0x2000)
    struct.pack_into("<HHHHHI", page, 10, 0, lower, upper, _SPECIAL_AT, BLOCK | 4, 0)
    struct.pack_into("<IIIHH", page, _SPECIAL_AT, 0, 0, level, flags, 0)
    return bytes(page)


def _segment(path: Path, number: int) -> Path:
    return path if number == 0 else path.with_name(f"{path.name}.{number}")


def _truncate(path: Path, blocks: int, owner: Owner | None) -> None:
    is_new = not path.exists()
    with path.open("ab") as file:
        file.truncate(blocks * BLOCK)
    if is_new and owner is not None:
        os.chown(path, owner.uid, owner.gid)
