"""What pages and rows on disk consist of, in bytes."""

import math

BLOCK = 8192
PAGE_HEADER = 24
LINE_POINTER = 4
# a row's address: its block, and its number in the block
TID = 6
ALIGNMENTS = {"c": 1, "s": 2, "i": 4, "d": 8}
MAX_ALIGN = 8
# longer values of variable length have a header of four bytes, and are aligned
SHORT_VARLENA = 127


def maxalign(size: float) -> int:
    """Round up to eight."""
    return math.ceil(size / MAX_ALIGN) * MAX_ALIGN
