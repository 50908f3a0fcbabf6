"""Judge the rule: python -m tests.bench.regressions [--recording FILE --hours] [--family NAME --repeat N] --size 24+4."""

import argparse
from collections.abc import Iterator
from pathlib import Path

from pgwatch_wed.history.regressions import SeriesKey, Sides
from tests.bench.regressions import judging, recording, simulate, trials
from tests.bench.regressions.families import NEW

FAMILIES = {**simulate.FAMILIES, **NEW, **judging.JUDGING}


def main() -> None:
    """Print a line for each rule."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recording", type=Path)
    parser.add_argument("--hours", action="store_true", help="take an interval of it for an hour")
    parser.add_argument("--family", choices=FAMILIES)
    parser.add_argument("--repeat", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=int, default=60)
    parser.add_argument("--size", default="24+4")
    parser.add_argument(
        "--every", type=int, default=8, help="of the statements, slow down each so many-th"
    )
    parser.add_argument("--with-blocks", action="store_true", help="slow down as a new plan does")
    parser.add_argument("--rule", action="append", choices=trials.RULES)
    given = parser.parse_args()
    base, current = map(int, given.size.split("+"))
    compared = list(
        _recorded(given, base, current) if given.recording else _simulated(given, base, current)
    )
    for name in given.rule or trials.RULES:
        found = trials.run(compared, name, given.every, with_blocks=given.with_blocks)
        print(f"{given.size} {given.family or given.recording.stem}, {name}: {found}", flush=True)


def _recorded(
    given: argparse.Namespace, base: int, current: int
) -> Iterator[dict[SeriesKey, Sides]]:
    seconds = 3600 if given.hours else None
    return trials.comparisons(
        trials.workload(recording.read(given.recording), seconds), base, current
    )


def _simulated(
    given: argparse.Namespace, base: int, current: int
) -> Iterator[dict[SeriesKey, Sides]]:
    family = FAMILIES[given.family]
    for n in range(given.repeat):
        length, seed = base + current, given.seed + n
        if given.family in judging.JUDGING:
            w = judging.simulate(given.family, length, seed, given.minutes)
        else:
            w = simulate.simulate(given.family, family, length, seed, given.minutes)
        yield from trials.comparisons(w, base, current)


if __name__ == "__main__":
    main()
