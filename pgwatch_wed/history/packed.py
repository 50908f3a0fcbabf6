"""Rows of numbers as a few bytes, of which one can be read without the others.

All rows of an interval are one value of the database: columns of 64 bits each, of which first all lowest bytes are written,
then all of the next place and so on, compressed with zstd. What is the same in all rows, or 0, takes almost nothing.
Bytes of the highest places are alike, so that no column must know how large its numbers are.
"""

import struct
import sys
import threading
from array import array
from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

import zstandard

from pgwatch_wed.errors import HistoryError

_FORMAT = 1
_HEAD = struct.Struct("<BBI")
_PLACES = 8
_LEVEL = 9
_MOST_BYTES = 1 << 28
_IS_BIG = sys.byteorder == "big"


def pack(kinds: str, rows: Sequence[Sequence[Any]], tail: bytes = b"") -> bytes:
    """Return rows as bytes. ``kinds`` has a letter for each column: q is an integer, d a float, as in :mod:`struct`.

    Rows are in the order of their first column, an integer; ``tail`` is kept as it is.
    """
    planes = []
    for kind, values in zip(kinds, zip(*rows, strict=True), strict=bool(rows)):
        written = array(kind, values)
        if _IS_BIG:
            written.byteswap()
        raw = written.tobytes()
        planes += [raw[place::_PLACES] for place in range(_PLACES)]
    head = _HEAD.pack(_FORMAT, len(kinds), len(rows))
    body = b"".join((head, kinds.encode("ascii"), *planes, tail))
    return zstandard.ZstdCompressor(level=_LEVEL).compress(body)


class Packed:
    """Rows that were packed. Raises :class:`HistoryError` for anything else."""

    def __init__(self, data: bytes) -> None:
        try:
            body = _unpacker().decompress(data, max_output_size=_MOST_BYTES)
            version, columns, self._count = _HEAD.unpack_from(body)
            self._kinds = body[_HEAD.size : _HEAD.size + columns].decode("ascii")
            self._row = struct.Struct(f"<{self._kinds}")
        except (zstandard.ZstdError, struct.error, UnicodeDecodeError):
            raise _damaged() from None
        begin = _HEAD.size + columns
        self._end = begin + self._row.size * self._count
        if version != _FORMAT or self._row.size != _PLACES * columns or self._end > len(body):
            raise _damaged()
        self._body = body
        self._begin = begin

    @property
    def tail(self) -> bytes:
        """What was put behind the rows."""
        return self._body[self._end :]

    def rows(self) -> list[tuple[Any, ...]]:
        """Return all rows."""
        return list(zip(*map(self._column, range(len(self._kinds))), strict=True))

    def find(self, number: int) -> tuple[Any, ...] | None:
        """Return the row that begins with a number."""
        numbers = self._column(0) if self._count else array("q")
        place = bisect_left(numbers, number)
        if place == self._count or numbers[place] != number:
            return None
        one = self._body[self._begin + place : self._end : self._count]
        return self._row.unpack(one)

    def _column(self, column: int) -> "array[Any]":
        size = self._count
        begin = self._begin + column * _PLACES * size
        raw = bytearray(_PLACES * size)
        for place in range(_PLACES):
            raw[place::_PLACES] = self._body[begin + place * size : begin + (place + 1) * size]
        found = array(self._kinds[column])
        found.frombytes(raw)
        if _IS_BIG:
            found.byteswap()
        return found


def _unpacker() -> zstandard.ZstdDecompressor:
    """Return one for this thread: making it takes longer than unpacking an interval."""
    if not hasattr(_of_thread, "unpacker"):
        _of_thread.unpacker = zstandard.ZstdDecompressor()
    found: zstandard.ZstdDecompressor = _of_thread.unpacker
    return found


_of_thread = threading.local()


def _damaged() -> HistoryError:
    return HistoryError("a part of the history is damaged: a series", "restore it from a backup")
