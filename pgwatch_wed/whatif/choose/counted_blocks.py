"""What the blocks that calls touched tell of their values, which the planner assumes.

If the present plan looks values up, and calls touched fewer blocks than it would for those that are assumed, their values are of
fewer rows. A new plan touches as many times fewer. If a statement has parts, for frequent and for other values, counted
blocks between those of the parts tell how many calls are of which.
"""

from collections.abc import Sequence

_FEWEST = 4.0  # blocks of a call that looks one row up
_APART = 1.5  # times as many blocks, from which on parts are told from each other
_INEXACT = 1.2  # planned blocks are good within this factor


def shares(
    weights: Sequence[float], planned: Sequence[float | None], counted: float | None
) -> list[float]:
    """Return the shares of the parts of a statement, given their ``planned`` blocks and those of a call that were counted."""
    total = sum(weights)
    found = [w / total for w in weights] if total > 0 else [1 / len(weights) for _ in weights]
    usual = mean(found, planned)
    each = [blocks for blocks in planned if blocks is not None]
    if counted is None or usual is None:
        return found
    least, most = min(each), max(each)
    if not least / _INEXACT <= counted <= most * _INEXACT or most < _APART * least:
        return found
    counted = min(max(counted, least), most)
    nearer = most if counted > usual else least
    if nearer == usual:
        return found
    moved = (counted - usual) / (nearer - usual)
    number = each.index(nearer)
    return [(1 - moved) * share + moved * (n == number) for n, share in enumerate(found)]


def mean(of: Sequence[float], blocks: Sequence[float | None]) -> float | None:
    """Return the mean blocks of a call by the shares of the parts; None if those of one are not known."""
    known = [each for each in blocks if each is not None]
    if len(known) < len(blocks):
        return None
    return sum(share * each for share, each in zip(of, known, strict=True))


def fewer(blocks: float, part: float) -> float:
    """Return a part of the blocks of a call, but no fewer than it takes to look a row up."""
    return max(min(blocks, _FEWEST), blocks * part)
