"""Which regressions of single clusters hold in a fleet: what one cluster's test lets pass once in a while is in each review of many.

A call that reads more blocks does more work, however busy the machine is: such a regression counts if it is a discovery among all
statements of all clusters. Time alone is also what noise, neighbors and a busy host do, to many clusters of one machine at once:
it counts if all that was compared leaves no doubt (Bonferroni), from a factor of two on, beyond what siblings show without
having become slower, and if the visit before said the same. A cause that only the slower clusters have is proof of its own, and is looked for elsewhere.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Set
from statistics import median

from pgwatch_wed.fleet.experiment.clues import REGRESSED, SERVER, STEADY, StatementClue
from pgwatch_wed.history.robust import LEAST_SPREAD, discoveries, spread, tail

FALSE_ALARMS = 0.05
"""In so many reviews of a fleet in which nothing happens, something may be called slower."""
LEAST_SIBLINGS = 4
"""Of fewer clusters, each one's own verdict counts."""
TIME_ALONE = 2.0
"""From this factor on, time alone may count."""
_BEYOND = 1.3
"""By how much time alone must exceed what siblings show (a ratio of logarithms), as within the base of one cluster."""
_NOT_TESTED = frozenset(("small", "cold", "too little", "mended"))
_MOST_FREEDOM = 60

StatementPlace = tuple[int, str]
"""A cluster, and the key of a statement."""


def holding(
    clues: Mapping[StatementPlace, StatementClue], before: Set[StatementPlace]
) -> set[StatementPlace]:
    """Return what holds among all clusters: of statements, and of whole servers. ``before`` was slower in an earlier run as well."""
    slower = {place for place, clue in clues.items() if clue.outcome == REGRESSED}
    # what an earlier version stored has no p
    unknown = {place for place in slower if place[1] != SERVER and clues[place].p_value is None}
    if len({cluster for cluster, _ in clues}) < LEAST_SIBLINGS:
        return slower
    return unknown | _statements(clues, before) | (_servers(clues) & before)


def may_hold(key: str, clue: StatementClue, *, is_first: bool) -> bool:
    """Tell whether a regression could hold in a large fleet, whatever its siblings show; ``is_first``: no earlier run had it."""
    is_old = key != SERVER and clue.p_value is None
    return is_old or clue.has_more_work or (clue.ratio >= TIME_ALONE and not is_first)


# --- statements -------------------------------------------------------------------------------------


def _statements(
    clues: Mapping[StatementPlace, StatementClue], before: Set[StatementPlace]
) -> set[StatementPlace]:
    tested = {s: c for s, c in clues.items() if s[1] != SERVER and c.outcome not in _NOT_TESTED}
    p_values = {s: _p_value(c) for s, c in tested.items()}
    discovered = discoveries(p_values, FALSE_ALARMS)
    noise = _Noise(tested)
    return {
        place
        for place, clue in tested.items()
        if clue.outcome == REGRESSED
        and (
            place in discovered
            if clue.has_more_work
            else place in before
            and p_values[place] * len(tested) <= FALSE_ALARMS
            and noise.is_beyond(place, clue.ratio)
        )
    }


def _p_value(clue: StatementClue) -> float:
    known = clue.p_value if clue.outcome == REGRESSED else None
    return 1.0 if known is None else known


class _Noise:
    """How far times shifted where nothing became slower: of the same statement elsewhere, and of others on the same cluster."""

    def __init__(self, tested: Mapping[StatementPlace, StatementClue]) -> None:
        self._of_cluster: dict[int, float] = defaultdict(float)
        self._of_statement: dict[str, float] = defaultdict(float)
        for (cluster, key), clue in tested.items():
            if clue.outcome == STEADY and clue.ratio > 0:
                shift = math.log(clue.ratio)
                self._of_cluster[cluster] = max(self._of_cluster[cluster], shift)
                self._of_statement[key] = max(self._of_statement[key], shift)

    def is_beyond(self, place: StatementPlace, ratio: float) -> bool:
        cluster, key = place
        largest = max(self._of_cluster[cluster], self._of_statement[key])
        return ratio >= TIME_ALONE and math.log(ratio) > _BEYOND * largest


# --- servers ----------------------------------------------------------------------------------------


def _servers(clues: Mapping[StatementPlace, StatementClue]) -> set[StatementPlace]:
    """Return the servers that became slower as a whole, compared with what all did at the same time."""
    known = {
        place: math.log(clue.ratio)
        for place, clue in clues.items()
        if place[1] == SERVER and clue.outcome in (REGRESSED, STEADY) and clue.ratio > 0
    }
    slower = {s: x for s, x in known.items() if clues[s].outcome == REGRESSED}
    if len(known) < LEAST_SIBLINGS:
        return set(slower)
    middle, deviation = _usual(known.values())
    if middle >= math.log(TIME_ALONE):
        return set(slower)
    freedom = min(len(known) - 1, _MOST_FREEDOM)
    return {
        place
        for place, shift in slower.items()
        if shift - middle >= math.log(TIME_ALONE)
        and tail((shift - middle) / deviation, freedom) * len(known) <= FALSE_ALARMS
    }


def _usual(shifts: Iterable[float]) -> tuple[float, float]:
    values = list(shifts)
    return median(values), max(spread(values), LEAST_SPREAD)
