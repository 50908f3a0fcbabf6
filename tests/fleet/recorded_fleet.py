"""What 30 running servers of ``tests.bench.fleet.planted`` counted between 20 visits on a machine that was busy with other work.

Until the 15th visit nothing happened. Then a release slowed a function on 8 of them, and 7 got an index, whose table was then slower to write.
The file has, by cluster and statement, what was counted in each of the 19 intervals.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import cache
from pathlib import Path

import zstandard

from pgwatch_wed.history.interval_units import Observed
from pgwatch_wed.history.periods import LEAST_CURRENT, PART
from pgwatch_wed.history.regressions import Sides
from tests.fleet.simulated_reviews import BEGINS, SimulatedReview, Statements, review_of

FILE = Path(__file__).parent / "busy.zst"
LENGTH = timedelta(minutes=10)
"""Intervals took half a minute, in which little was called: they are taken for longer ones."""
QUIET = 15
SLOWED, WRITTEN = "select order_total($1)", "update orders set customer = $1 where id = $2"
ON_RELEASE, BUILDERS = frozenset(range(8)), frozenset(range(14, 21))


@cache
def _recorded() -> tuple[Mapping[str, Mapping[str, Sequence[float]]], ...]:
    content = zstandard.ZstdDecompressor().decompress(FILE.read_bytes())
    return tuple(json.loads(content).values())


def review_at(visit: int) -> SimulatedReview:
    """Return the review after so many visits."""
    clusters = range(len(_recorded()))
    series = {n: _sides(n, visit) for n in clusters}
    new = ON_RELEASE if visit > QUIET else frozenset()
    return review_of(series, lambda n: _sides(n, visit - 1), new)


def _sides(cluster: int, visit: int) -> Statements:
    length = visit - 1
    current = max(length // PART, LEAST_CURRENT)
    found: dict[int | str, Sides] = {}
    for text, counted in _recorded()[cluster].items():
        seen = tuple(_observed(counted, n) for n in range(length))
        found[text] = Sides(seen[:-current], seen[-current:])
    return found


def _observed(counted: Mapping[str, Sequence[float]], n: int) -> Observed:
    begins = BEGINS + n * LENGTH
    # so that all are above the floor of ten seconds a day, as they were
    scale = LENGTH.total_seconds() / 30
    return Observed(
        *(begins, begins + LENGTH, counted["calls"][n] * scale, counted["exec_ms"][n] * scale),
        counted["rows"][n] * scale,
        counted["blocks"][n] * scale,
        deviation_ms=counted["deviation_ms"][n],
    )
