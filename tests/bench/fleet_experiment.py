"""How often fleets are told a common cause, where there is one and where there is none.

``python -m tests.bench.fleet_experiment [fleets [first seed]]``
Each fleet has its own size, versions, settings, extensions and tags, some of which go together. Where nothing is planted, statements become
slower on clusters drawn at random. The truth is known, so that each answer can be counted.
"""

import random
import sys
import time
from dataclasses import dataclass

from pgwatch_wed.fleet.experiment.attributes import features_of
from pgwatch_wed.fleet.experiment.experiments import SlowerCluster
from pgwatch_wed.fleet.experiment.shared_regressions import Sighting, WatchedStatement, shared
from pgwatch_wed.fleet.traits import Traits

PLANTED = "17.6"


@dataclass(frozen=True, slots=True)
class Kind:
    """Fleets of a kind: sizes, how many statements, how many settings differ, and what is planted.

    ``exposed`` clusters have what slows a statement on them; ``missed`` and ``false`` (0…1) are how often a regression is not seen
    on one of them, and is seen on another.
    """

    name: str
    sizes: tuple[int, int]
    statements: int = 5
    settings: int = 20
    exposed: int = 0
    missed: float = 0.0
    false: float = 0.0


NULL = (
    Kind("5 to 12 clusters", (5, 12)),
    Kind("30 clusters, 1 statement", (30, 30), statements=1),
    Kind("30 clusters, 5 statements", (30, 30)),
    Kind("30 clusters, 100 settings", (30, 30), settings=100),
    Kind("60 to 200 clusters, 20 statements", (60, 200), statements=20),
)
TRUE = (
    Kind("release on 8 of 30", (30, 30), exposed=8),
    Kind("setting on 5 of 30", (30, 30), exposed=5),
    Kind("on 8 of 30, 10% missed, 1% false", (30, 30), exposed=8, missed=0.1, false=0.01),
    Kind("on 14 of 60, 10% missed, 1% false", (60, 60), exposed=14, missed=0.1, false=0.01),
    Kind("on 3 of 12", (12, 12), exposed=3),
    Kind("on 2 of 6", (6, 6), exposed=2),
)


def traits_of(dice: random.Random, kind: Kind, of: int) -> list[Traits]:
    """Return what the clusters of a fleet have."""
    versions = dice.choices(("17.4", "17.5", "16.9"), k=3)
    shares = [dice.random() ** 2 for _ in range(kind.settings)]
    waves = [dice.random() < 0.3 for _ in range(kind.settings)]  # rolled out with the version
    found = []
    for n in range(of):
        version = versions[dice.randrange(3)]
        settings = {
            f"s{m}": "on"
            for m in range(kind.settings)
            if (version == versions[0] if waves[m] else dice.random() < shares[m])
        }
        extensions = {"db": {"pg_x": dice.choice(("1.1", "1.2"))}}
        found.append(Traits(PLANTED if n < kind.exposed else version, settings, extensions))
    return found


def answers(kind: Kind, seed: int) -> tuple[bool, bool]:
    """Return whether a fleet is told what is planted, and whether it is told anything else."""
    dice = random.Random(f"{kind.name} {seed}")
    size = dice.randint(*kind.sizes)
    own = traits_of(dice, kind, size)
    tags = [{"zone": f"z{n % 3}", "hw": dice.choice("ab")} for n in range(size)]
    watched = []
    for number in range(kind.statements):
        if number == 0 and kind.exposed:
            slower = {
                n
                for n in range(size)
                if (
                    dice.random() >= kind.missed if n < kind.exposed else dice.random() < kind.false
                )
            }
        else:
            slower = set(dice.sample(range(size), dice.randint(2, max(2, size // 2))))
        each = tuple(
            Sighting(
                f"c{n}",
                features_of(own[n], tags[n], "db"),
                SlowerCluster(f"c{n}", n, "db", 2.0, number) if n in slower else None,
            )
            for n in range(size)
        )
        watched.append(WatchedStatement("", f"select {number}", each))
    is_found = is_wrong = False
    for found in shared(watched)[0]:
        is_planted = "select 0" in found.texts and bool(kind.exposed)
        values = {a.value for one in found.associations for a in one.attributes}
        is_found = is_found or (is_planted and PLANTED in values)
        is_wrong = is_wrong or (bool(found.associations) and not is_planted)
    return is_found, is_wrong


def main(fleets: int, first: int) -> None:
    """Print the shares."""
    print(f"{'fleets of a kind: ' + str(fleets):<44}{'told':>8}{'false':>8}{'ms':>8}")
    for kind in (*NULL, *TRUE):
        began = time.process_time()
        each = [answers(kind, first + n) for n in range(fleets)]
        ms = (time.process_time() - began) * 1000 / fleets
        told = f"{sum(f for f, _ in each) / fleets:.1%}" if kind.exposed else "–"
        print(f"{kind.name:<44}{told:>8}{sum(w for _, w in each) / fleets:>8.1%}{ms:>8.1f}")


if __name__ == "__main__":
    main(*(int(a) for a in ([*sys.argv[1:], *("1000", "1")[len(sys.argv) - 1 :]])))
