"""Regressions that several clusters have, and what these have in common that others have not.

The unit is the cluster: several databases of one server share its version and settings, and prove no more than one.
All differences over all regressions are corrected for together; a difference that all clusters share is none.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from statistics import median

from pgwatch_wed.fleet.experiment import exact_tests, regression_words
from pgwatch_wed.fleet.experiment.attributes import (
    Attribute,
    AttributeKind,
    ClusterFeatures,
    Split,
    Splits,
    splits,
)
from pgwatch_wed.fleet.experiment.experiments import Association, SharedRegression, SlowerCluster

FALSE_ALARMS = 0.05
"""In so many fleets without anything in common, one association may be told."""
LEAST_CLUSTERS = 2
BY_CHANCE = "slower by no more than chance makes some of so many"
"""Why a cluster counts neither as slower nor as a control."""
_SPECIFIC = 1 / 8
"""Such a share of the slower ones may lack what is specific to them, and of the others have it."""
_MOST_TOLD = 3
_ORDER = tuple(AttributeKind)


@dataclass(frozen=True, slots=True)
class Sighting:
    """What is known of a statement on a cluster: slower, or not (a control), or why it is neither."""

    member: str
    features: ClusterFeatures
    slower: SlowerCluster | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class WatchedStatement:
    """A statement of a group on all its clusters; no text means the whole server. ``key`` is the same on all servers."""

    group: str
    text: str
    sightings: tuple[Sighting, ...]
    key: str = ""

    @property
    def slower(self) -> tuple[Sighting, ...]:
        """Where it is slower."""
        return tuple(s for s in self.sightings if s.slower is not None)

    @property
    def compared(self) -> tuple[Sighting, ...]:
        """Where it runs, and it is known whether it is slower."""
        return tuple(s for s in self.sightings if s.slower is not None or not s.reason)


def shared(watched: Iterable[WatchedStatement]) -> tuple[tuple[SharedRegression, ...], int]:
    """Return what is slower on several clusters, and how many differences were compared in all."""
    cases = [_Case(texts, one) for texts, one in _together(watched)]
    found = {(n, m): s for n, case in enumerate(cases) for m, s in enumerate(case.splits.splits)}
    tables = {key: cases[key[0]].table(split) for key, split in found.items()}
    least = {key: exact_tests.least_p(*t.margins) for key, t in tables.items()}
    able = exact_tests.testable(least, FALSE_ALARMS)
    p_values = {key: t.p_value for key, t in tables.items()}
    corrected = exact_tests.holm({key: p_values[key] for key in able})
    told = tuple(
        case.told(
            {
                found[key]: (p, corrected.get(key, 1.0))
                for key, p in p_values.items()
                if key[0] == n
            },
            max(len(able), 1),
        )
        for n, case in enumerate(cases)
    )
    return tuple(sorted(told, key=_weight)), len(found)


def proven(
    watched: Sequence[WatchedStatement], holding: Set[tuple[int, str]]
) -> tuple[tuple[WatchedStatement, ...], set[tuple[int, str]]]:
    """Return the statements with those clusters as slower of which that is proven, and which these are: by cluster and key.

    Those are proven that are among the ones ``holding`` by themselves, and those that have what goes with it: with being slower on these,
    or, if they have nothing in common, on all. What only the slower ones have is proof for each of them.
    """
    held = set(holding)
    alone = _together_with(tuple(_only(each, held) for each in watched))
    everywhere = _together_with(watched)
    for each in watched:
        name = each.group, each.text
        for association in alone.get(name) or everywhere.get(name, ()):
            held |= {
                (s.slower.cluster_id, each.key)
                for s in each.slower
                if s.slower is not None and all(map(s.features.has, association.attributes))
            }
    return tuple(_only(each, held) for each in watched), held


def _together_with(
    watched: Sequence[WatchedStatement],
) -> dict[tuple[str, str], tuple[Association, ...]]:
    """Return what goes with being slower, by group and statement."""
    told, _ = shared(watched)
    return {(e.group, text): e.associations for e in told if e.associations for text in e.texts}


def _only(watched: WatchedStatement, held: Set[tuple[int, str]]) -> WatchedStatement:
    """Return a statement with those as slower that hold; where it is hardly slower compared with them, it is not."""
    ratios = [
        s.slower.ratio
        for s in watched.slower
        if s.slower is not None and (s.slower.cluster_id, watched.key) in held
    ]
    least = math.log(median(ratios)) / 2 if ratios else 0.0

    def judged(s: Sighting) -> Sighting:
        if s.slower is None or (s.slower.cluster_id, watched.key) in held:
            return s
        is_hardly = math.log(max(s.slower.ratio, 1.0)) < least
        return Sighting(s.member, s.features, reason="" if is_hardly else BY_CHANCE)

    return replace(watched, sightings=tuple(map(judged, watched.sightings)))


def _weight(found: SharedRegression) -> tuple[bool, int, tuple[str, ...]]:
    return not found.associations, -len(found.slower), found.texts


def _together(
    watched: Iterable[WatchedStatement],
) -> list[tuple[tuple[str, ...], WatchedStatement]]:
    """Return what several clusters have; statements with the same slower clusters and the same controls are one case."""
    found: dict[tuple[str, bool, tuple[str, ...], tuple[str, ...]], list[WatchedStatement]] = (
        defaultdict(list)
    )
    for each in watched:
        slower = tuple(sorted(s.member for s in each.slower))
        if len(slower) >= LEAST_CLUSTERS:
            of = tuple(sorted(s.member for s in each.compared))
            found[each.group, bool(each.text), slower, of].append(each)
    return [(tuple(w.text for w in same), _union(same)) for same in found.values()]


def _union(same: Sequence[WatchedStatement]) -> WatchedStatement:
    """Return the first with the indexes of all."""
    first = same[0]
    if len(same) == 1:
        return first
    others: dict[str, list[ClusterFeatures]] = defaultdict(list)
    for each in same:
        for s in each.sightings:
            others[s.member].append(s.features)
    sightings = tuple(
        replace(s, features=_with_indexes(s.features, others[s.member])) for s in first.sightings
    )
    return replace(first, sightings=sightings)


def _with_indexes(own: ClusterFeatures, all_: Sequence[ClusterFeatures]) -> ClusterFeatures:
    indexes = {
        feature: value
        for each in all_
        for feature, value in each.values.items()
        if feature[0] is AttributeKind.INDEX
    }
    return replace(own, values={**own.values, **indexes})


@dataclass(frozen=True, slots=True)
class _Table:
    """How an attribute is distributed."""

    slower: int
    slower_with: int
    others: int
    others_with: int

    @property
    def margins(self) -> tuple[int, int, int]:
        return self.slower, self.others, self.slower_with + self.others_with

    @property
    def p_value(self) -> float:
        return exact_tests.fisher(self.slower, self.others, self.slower_with, self.others_with)

    @property
    def is_more_frequent(self) -> bool:
        return self.slower_with * self.others > self.others_with * self.slower

    @property
    def is_specific(self) -> bool:
        lack = self.slower - self.slower_with
        return lack <= _SPECIFIC * self.slower and self.others_with <= _SPECIFIC * self.others

    @property
    def opposite(self) -> "_Table":
        lacking = self.slower - self.slower_with, self.others - self.others_with
        return _Table(self.slower, lacking[0], self.others, lacking[1])


class _Case:
    """A regression that several clusters have."""

    def __init__(self, texts: tuple[str, ...], watched: WatchedStatement) -> None:
        self._texts, self._watched = texts, watched
        self._slower = frozenset(n for n, s in enumerate(watched.compared) if s.slower is not None)
        self._others = frozenset(range(len(watched.compared))) - self._slower
        has_controls = bool(self._others)
        self.splits: Splits = splits([s.features for s in watched.compared] if has_controls else [])

    def table(self, split: Split) -> _Table:
        """Return how a difference is distributed over the slower clusters and the others."""
        slower, others = self._slower & split.of, self._others & split.of
        return _Table(
            len(slower), len(slower & split.having), len(others), len(others & split.having)
        )

    def told(self, tested: Mapping[Split, tuple[float, float]], tests: int) -> SharedRegression:
        """Return the regression with what goes with it; ``tests`` is the number that was corrected for."""
        found = [self._association(split, *p) for split, p in tested.items()]
        found.sort(key=lambda a: (a.p_value, not a.is_specific))
        held = [a for a in found if a.corrected_p <= FALSE_ALARMS]
        specific = [a for a in held if a.is_specific]
        closest = None if specific or not found else found[0]
        bare = SharedRegression(
            group=self._watched.group,
            texts=self._texts,
            slower=tuple(s.slower for s in self._watched.slower if s.slower is not None),
            others=tuple(s.member for s in self._watched.compared if s.slower is None),
            not_compared={
                s.member: s.reason for s in self._watched.sightings if s.slower is None and s.reason
            },
            associations=tuple(specific[:_MOST_TOLD]),
            closest=closest,
            compared=len(found),
            constant=self.splits.constant,
            is_too_few=not self._can_tell(len(self._slower | self._others), tests),
            needed_clusters=self._needed(tests),
            title="",
            told="",
        )
        title, told = regression_words.words_of(bare)
        return replace(bare, title=title, told=told)

    def _association(self, split: Split, p_value: float, corrected: float) -> Association:
        table = self.table(split)
        attributes, opposite = split.attributes, split.lacking
        if not table.is_more_frequent:
            table, attributes, opposite = table.opposite, opposite, attributes
        if not attributes:
            attributes = tuple(replace(a, is_other=True) for a in opposite)
        bare = Association(
            _plain(attributes),
            table.slower,
            table.slower_with,
            table.others,
            table.others_with,
            p_value,
            corrected,
            table.is_specific,
            "",
        )
        return replace(bare, told=regression_words.distribution(bare))

    def _can_tell(self, clusters: int, tests: int) -> bool:
        """Tell whether what all the slower ones and none of the others have would be significant."""
        slower = len(self._slower)
        others = clusters - slower
        if others <= 0:
            return False
        return exact_tests.fisher(slower, others, slower, 0) * tests <= FALSE_ALARMS

    def _needed(self, tests: int) -> int | None:
        own = len(self._slower | self._others)
        if self._can_tell(own, tests):
            return None
        return next((n for n in range(own, 10_000) if self._can_tell(n, tests)), None)


def _plain(attributes: Iterable[Attribute]) -> tuple[Attribute, ...]:
    """Leave out the major version where the whole version says as much."""
    found = tuple(sorted(attributes, key=lambda a: _ORDER.index(a.kind)))
    if any(a.kind is AttributeKind.VERSION and not a.is_other for a in found):
        found = tuple(a for a in found if a.kind is not AttributeKind.MAJOR)
    return found
