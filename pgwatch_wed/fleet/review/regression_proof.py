"""Which of the regressions that clusters report by themselves a fleet's review counts, now and the last time."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from pgwatch_wed.findings import Grade, Object
from pgwatch_wed.fleet.experiment import fleet_chance
from pgwatch_wed.fleet.experiment.clues import Clues, StatementClue
from pgwatch_wed.fleet.experiment.experiments import Experiments, SlowerCluster
from pgwatch_wed.fleet.traits import Traits

RULE = "query-regression"

_Place = tuple[int, str, str]
"""A cluster, a database and a query id; of a whole server, neither of the latter."""


@dataclass(frozen=True, slots=True)
class RegressionProof:
    """What was decided of the regressions of a fleet's clusters, by where they are."""

    proven: frozenset[_Place] = frozenset()
    by_chance: frozenset[_Place] = frozenset()

    @classmethod
    def of(cls, taught: Experiments) -> Self:
        """Return what a fleet run teaches of them."""
        return cls(_places(taught.proven), _places(taught.by_chance))

    def counts(self, cluster_id: int, about: Object, grade: str) -> bool:
        """Tell whether a review counts a regression.

        Of a statement that is slower in several databases of a cluster, what was decided of the slowest is true of all, unless
        they read more blocks.
        """
        place = _place(cluster_id, about)
        if place in self.proven or place in self.by_chance:
            return place in self.proven
        return grade != Grade.C.value or cluster_id not in {c for c, _, _ in self.by_chance}


def _places(found: Iterable[SlowerCluster]) -> frozenset[_Place]:
    return frozenset(
        (s.cluster_id, s.database, str(s.query_id)) if s.query_id else (s.cluster_id, "", "")
        for s in found
    )


def _place(cluster_id: int, about: Object) -> _Place:
    if about.kind != "statement":
        return cluster_id, "", ""
    return cluster_id, about.database or "", about.name


def could_count(traits: Traits | None, about: Object, *, is_first: bool) -> bool:
    """Tell whether the review of an earlier run may have counted a regression, from what that run left; ``is_first``: it was not there before."""
    if traits is None:
        return True
    wanted = _place(0, about)[1:]
    own = Clues.of_json(traits.clues).statements.items()
    return all(fleet_chance.may_hold(k, c, is_first=is_first) for k, c in own if _name(c) == wanted)


def _name(clue: StatementClue) -> tuple[str, str]:
    return (clue.database, str(clue.query_id)) if clue.query_id else ("", "")
