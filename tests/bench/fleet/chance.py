"""How often a fleet's review calls something slower where nothing is: ``python -m tests.bench.fleet.chance [reviews [first seed]]``.

Reviews of 30 simulated clusters with 12 statements each share no noise (``tests/fleet/simulated_reviews.py``). Prints how many say something
where nothing is planted, and what is found of a release that slows a statement on 8 clusters, or on one.
"""

import sys
from collections.abc import Sequence

from pgwatch_wed.fleet.experiment.experiments import SharedRegression
from tests.fleet.simulated_reviews import Release, SimulatedReview, reviewed

_PLANTED = ((1.5, 1.5), (2.0, 2.0), (3.0, 3.0), (1.5, 1.0), (3.0, 1.0))
"""How many times as long a call takes, and as many blocks it reads."""
_ON = 8


def main() -> None:
    """Simulate, count and print."""
    given = [int(word) for word in sys.argv[1:]]
    reviews, first = (*given, *(200, 100)[len(given) :])
    seeds = range(first, first + reviews)
    quiet = [reviewed(seed) for seed in seeds]
    print(f"nothing planted, {reviews} reviews:")
    print(f"  a cluster by itself says something in {_share(quiet, 'own')}")
    print(f"  the review says something in {_share(quiet, 'held')}")
    for ratio, blocks in _PLANTED:
        _planted(ratio, blocks, seeds[: max(reviews // 10, 5)])


def _share(found: Sequence[SimulatedReview], what: str) -> str:
    said = sum(bool(getattr(each, what) or (what == "held" and each.shared)) for each in found)
    return f"{said} of {len(found)} ({said / len(found):.1%})"


def _planted(ratio: float, blocks: float, seeds: Sequence[int]) -> None:
    many = [reviewed(seed, release=Release(_ON, ratio, blocks)) for seed in seeds]
    one = [reviewed(seed, release=Release(1, ratio, blocks)) for seed in seeds]
    wanted = {(n, "1") for n in range(_ON)}
    found = sum(len(each.held & wanted) for each in many) / len(many) / _ON
    extra = sum(bool(each.held - wanted) for each in many)
    told = sum(any(_names_release(each) for each in review.shared) for review in many)
    print(f"{ratio:g} times as long, {blocks:g} times the blocks, {len(seeds)} reviews each:")
    print(f"  on {_ON}: {found:.0%} of the clusters, the release in {told / len(many):.0%}", end="")
    print(f", something else in {extra}")
    print(f"  on 1: in {sum((0, '1') in each.held for each in one) / len(one):.0%}", flush=True)


def _names_release(found: SharedRegression) -> bool:
    return any([a.value for a in each.attributes] == ["1.1"] for each in found.associations)


if __name__ == "__main__":
    main()
