"""Fleets in which nothing happens, or a release slows one statement: simulated series, judged as a visit and a review do.

Times are noisy as on servers that share a machine: what all do in an interval, what a server does, and what a statement does are drawn from
Student's t with three degrees of freedom, and now and then a statement or a server waits for something else, for one interval or several.
"""

import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pgwatch_wed.fleet.experiment.attributes import features_of
from pgwatch_wed.fleet.experiment.clues import REGRESSED, SERVER, STEADY, StatementClue
from pgwatch_wed.fleet.experiment.experiments import SharedRegression, SlowerCluster
from pgwatch_wed.fleet.experiment.fleet_chance import StatementPlace, holding
from pgwatch_wed.fleet.experiment.shared_regressions import (
    Sighting,
    WatchedStatement,
    proven,
    shared,
)
from pgwatch_wed.fleet.traits import Traits
from pgwatch_wed.history.interval_units import Observed
from pgwatch_wed.history.regressions import Judgement, Proof, Sides, judge

BEGINS = datetime(2026, 1, 5, tzinfo=UTC)
LENGTH = timedelta(minutes=10)
_CALLS = 500
_NEW = 8
_WAITS = 0.005
"""How often a statement, or a server, begins to wait in an interval."""


Statements = Mapping[int | str, Sides]


@dataclass(frozen=True, slots=True)
class Release:
    """What is planted: on the first clusters, a statement takes so many times as long; ``blocks`` says how many it reads."""

    clusters: int
    ratio: float
    blocks: float


@dataclass(frozen=True, slots=True)
class SimulatedReview:
    """What a review says: ``own`` is what clusters said by themselves, ``held`` what the review counts of it."""

    own: frozenset[StatementPlace]
    held: frozenset[StatementPlace]
    shared: tuple[SharedRegression, ...]


def reviewed(
    seed: int,
    clusters: int = 30,
    statements: int = 12,
    release: Release | None = None,
    intervals: tuple[int, int] = (12, 3),
) -> SimulatedReview:
    """Return the review of a simulated fleet with so many base and current intervals."""
    chance = random.Random(f"fleet {seed}")
    together = _noise(chance, sum(intervals), 0.06)
    series = {
        n: _cluster(chance, n, statements, together, release, intervals[0]) for n in range(clusters)
    }
    new = release.clusters if release else _NEW
    return review_of(series, lambda n: _earlier(series[n]), frozenset(range(new)))


def review_of(
    series: Mapping[int, Statements], earlier: Callable[[int], Statements], new: Set[int]
) -> SimulatedReview:
    """Return the review of clusters with these series; ``earlier`` are a cluster's in the visit before, ``new`` have a new release."""
    clues = {
        (n, key): clue for n, own in series.items() for key, clue in _clues(judge(own, Proof()))
    }
    own = frozenset(place for place, clue in clues.items() if clue.outcome == REGRESSED)
    before = {
        (n, key)
        for n in {cluster for cluster, _ in own}
        for key, clue in _clues(judge(earlier(n), Proof()))
        if clue.outcome == REGRESSED
    }
    watched, held = proven(
        tuple(_watched(clues, sorted(series), sorted({key for _, key in own}), new)),
        holding(clues, before),
    )
    return SimulatedReview(own, own & held, shared(watched)[0])


def _earlier(own: Statements) -> Statements:
    return {key: Sides(s.base[:-1], (s.base[-1], *s.current[:-1])) for key, s in own.items()}


def _student(chance: random.Random) -> float:
    return chance.gauss(0, 1) / math.sqrt(chance.gammavariate(1.5, 2 / 3))


def _noise(chance: random.Random, length: int, size: float) -> list[float]:
    """Return logarithms with a memory, heavy tails, and waits."""
    found, state, wait = [], 0.0, 0.0
    for _ in range(length):
        state = 0.4 * state + 0.9 * size * _student(chance)
        if chance.random() < _WAITS:
            wait = chance.expovariate(2)
        found.append(state + wait)
        wait = wait if chance.random() < 0.5 else 0.0
    return found


def _cluster(
    chance: random.Random,
    n: int,
    statements: int,
    together: list[float],
    release: Release | None,
    base: int,
) -> dict[int | str, Sides]:
    length = len(together)
    server = [a + b for a, b in zip(together, _noise(chance, length, 0.03), strict=True)]
    found: dict[int | str, Sides] = {}
    for key in range(1, statements + 1):
        mean_ms, size = math.exp(chance.gauss(0, 1)), chance.uniform(0.02, 0.12)
        blocks = chance.uniform(3, 300)
        own = _noise(chance, length, size)
        is_slowed = release is not None and key == 1 and n < release.clusters
        seen = []
        for at in range(length):
            more = release.ratio if release and is_slowed and at >= base else 1.0
            reads = release.blocks if release and is_slowed and at >= base else 1.0
            ms = mean_ms * math.exp(server[at] + own[at]) * more
            begins = BEGINS + at * LENGTH
            seen.append(
                Observed(
                    *(begins, begins + LENGTH, _CALLS, _CALLS * ms, float(_CALLS)),
                    _CALLS * blocks * reads * math.exp(chance.gauss(0, 0.02)),
                    deviation_ms=ms * chance.lognormvariate(-1, 0.3),
                )
            )
        found[key] = Sides(tuple(seen[:base]), tuple(seen[base:]))
    return found


def _clues(found: Judgement) -> Iterator[tuple[str, StatementClue]]:
    if found.server_ratio is not None:
        outcome = REGRESSED if found.is_server_slower else STEADY
        yield SERVER, StatementClue(outcome, found.server_ratio)
    for shift in found.shifts:
        yield (
            str(shift.key),
            StatementClue(
                *(shift.outcome.value, shift.ratio, 1, "shop"),
                p_value=shift.p_value,
                has_more_work=shift.grade != "C",
            ),
        )


def _watched(
    clues: Mapping[StatementPlace, StatementClue],
    clusters: Sequence[int],
    keys: Sequence[str],
    new: Set[int],
) -> Iterator[WatchedStatement]:
    """Yield what is slower on several clusters; they differ in a release, a major version and a zone."""
    for key in keys:
        seen = []
        for n in clusters:
            tags = {"release": "1.1" if n in new else "1.0", "zone": f"z{n % 3}"}
            own = features_of(Traits("17.5" if n % 2 else "16.9"), tags, "shop")
            clue = clues.get((n, key))
            if clue is not None and clue.outcome == REGRESSED:
                slower = SlowerCluster(f"c{n}", n, "shop", clue.ratio, clue.query_id)
                seen.append(Sighting(f"c{n}", own, slower))
            else:
                reason = "" if clue and clue.outcome == STEADY else "unclear"
                seen.append(Sighting(f"c{n}", own, reason=reason))
        if sum(s.slower is not None for s in seen) > 1:
            yield WatchedStatement("shops", "" if key == SERVER else key, tuple(seen), key)
