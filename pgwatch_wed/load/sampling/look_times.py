"""Which looks belong to a block, and how sure a mean of them is."""

import math
from collections.abc import Iterator, Sequence

from pgwatch_wed.load.sampling.session_look import SessionLook

_BATCHES = 10


def looks_between(
    looks: Sequence[SessionLook], began: float, ended: float
) -> Iterator[SessionLook]:
    """Yield the looks of a time; the first stands for no time before it."""
    for look in looks:
        if began < look.at <= ended:
            yield look._replace(stands_for_s=min(look.stands_for_s, look.at - began))


def long_idles(looks: Sequence[SessionLook], least_s: float) -> frozenset[tuple[int, int]]:
    """Return which sessions were idle in transaction for how long, by when that began: also of looks before it was long."""
    return frozenset(
        (process.pid, began)
        for look in looks
        for process in look.processes
        if (process.state or "").startswith("idle") and (process.age_s or 0.0) >= least_s
        for began in _around(look.at - (process.age_s or 0.0))
    )


def idle_since(look_at: float, age_s: float | None) -> int:
    """Return when a state began, in tenths of a second, as in :func:`long_idles`."""
    return round((look_at - (age_s or 0.0)) * 10)


def _around(moment: float) -> tuple[int, ...]:
    """Return the moments that it may be: it is known as exactly as a look is short."""
    middle = idle_since(moment, 0.0)
    return tuple(range(middle - 2, middle + 3))


def batch_error(values: Sequence[tuple[float, float]]) -> float | None:
    """Return the standard error of a mean that is weighed by seconds; None with too few looks.

    Neighboring looks see the same statements, so the error is that of batches, not of looks.
    """
    size = len(values) // _BATCHES
    if size < 1:
        return None
    means = []
    for i in range(_BATCHES):
        batch = values[i * size : (i + 1) * size]
        seconds = sum(s for s, _ in batch)
        means.append(sum(s * v for s, v in batch) / seconds if seconds else 0.0)
    mean = sum(means) / _BATCHES
    return math.sqrt(sum((m - mean) ** 2 for m in means) / (_BATCHES - 1) / _BATCHES)
