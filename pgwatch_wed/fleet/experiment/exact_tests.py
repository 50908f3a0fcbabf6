"""Exact tests of small numbers: scipy would be fifty times the size of what is used of it; tests compare the two."""

import math
from bisect import bisect_right
from collections.abc import Hashable, Mapping
from typing import TypeVar

T = TypeVar("T", bound=Hashable)


def fisher(cases: int, others: int, exposed_cases: int, exposed_others: int) -> float:
    """Return the two-sided p of Fisher's exact test: how probable so uneven a table is if exposure does not matter.

    ``cases`` and ``others`` are all of each, with those that are exposed.
    """
    exposed = exposed_cases + exposed_others
    ways, first = _ways(cases, others, exposed)
    seen = ways[exposed_cases - first]
    return sum(w for w in ways if w <= seen) / sum(ways)


def least_p(cases: int, others: int, exposed: int) -> float:
    """Return the smallest p that so many exposed ones can have: it depends on the numbers alone."""
    ways, _ = _ways(cases, others, exposed)
    least = min(ways)
    return least * ways.count(least) / sum(ways)


def _ways(cases: int, others: int, exposed: int) -> tuple[list[int], int]:
    """Return in how many ways the exposed ones can be distributed, by the number of cases among them, from the first."""
    first, last = max(0, exposed - others), min(exposed, cases)
    ways = [math.comb(cases, first) * math.comb(others, exposed - first)]
    for k in range(first, last):
        step = (cases - k) * (exposed - k)
        ways.append(ways[-1] * step // ((k + 1) * (others - exposed + k + 1)))
    return ways, first


def holm(p_values: Mapping[T, float]) -> dict[T, float]:
    """Return the p values corrected for their number (Holm): one of 0.05 means one false alarm in 20 such families."""
    found: dict[T, float] = {}
    largest = 0.0
    for n, key in enumerate(sorted(p_values, key=lambda k: p_values[k])):
        largest = max(largest, min((len(p_values) - n) * p_values[key], 1.0))
        found[key] = largest
    return found


def testable(least: Mapping[T, float], rate: float) -> set[T]:
    """Return the tests that can become significant at all, given how many of them there are (Tarone).

    ``least`` are their smallest possible p values. The others need no correction: they are never significant.
    """
    ranked = sorted(least, key=lambda key: least[key])
    values = [least[key] for key in ranked]
    for number in range(1, len(least) + 1):
        able = bisect_right(values, rate / number)
        if able <= number:
            return set(ranked[:able])
    return set()


def least_share(hits: int, tries: int, confidence: float = 0.95) -> float:
    """Return the share that is not undercut with this confidence (Clopper and Pearson); 0 without a hit."""
    low, high = 0.0, hits / tries if tries else 0.0
    for _ in range(60):
        middle = (low + high) / 2
        if _at_least(hits, tries, middle) < 1 - confidence:
            low = middle
        else:
            high = middle
    return low


def _at_least(hits: int, tries: int, share: float) -> float:
    return math.fsum(
        math.comb(tries, k) * share**k * (1 - share) ** (tries - k) for k in range(hits, tries + 1)
    )
