"""What visits leave behind in the memory of a process that makes many of them.

The program looks for objects that refer to each other only seldom, which is right for one cluster. Of hundreds, each
would leave half a megabyte of them.
"""

import gc
import itertools

_EVERY = 8
_visits = itertools.count(1)


def begin() -> None:
    """Leave what the program needs to its end out of all searches: they take a few milliseconds then."""
    gc.collect()
    gc.freeze()


def visited() -> None:
    """Free what the last visits have left, from time to time."""
    if next(_visits) % _EVERY == 0:
        gc.collect()
