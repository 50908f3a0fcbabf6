"""Work that is done in several threads, while its results come in order."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

GivenWork = TypeVar("GivenWork")
WorkResult = TypeVar("WorkResult")


def each(
    work: Callable[[GivenWork], WorkResult], items: Sequence[GivenWork], jobs: int
) -> Iterator[WorkResult]:
    """Yield the results of ``work`` in the order of ``items``, of which ``jobs`` are worked on at once."""
    if jobs <= 1 or len(items) <= 1:
        yield from map(work, items)
        return
    pool = ThreadPoolExecutor(jobs, thread_name_prefix="whatif")
    try:
        yield from pool.map(work, items)
    finally:
        pool.shutdown(cancel_futures=True)
