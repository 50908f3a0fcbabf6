"""What pages and rows on disk consist of, in bytes."""

import math

BLOCK = 8192
PAGE_HEADER = 24
LINE_POINTER = 4
# a row's address: its block and its number there
TID = 6
ALIGNMENTS = {"c": 1, "s": 2, "i": 4, "d": 8}
MAX_ALIGN = 8
# a longer value of variable length has a header of four bytes, and is aligned
SHORT_VARLENA = 127


def maxalign(size: float) -> int:
    """Round up to eight."""
    return math.ceil(size / MAX_ALIGN) * MAX_ALIGN
