"""Compare identical servers: python -m tests.bench.load.identical [--comparisons 20] [--seconds 1] [--one-after-another].

Of 20 comparisons, at most one may call anything different.
"""

import argparse
import sys
from collections.abc import Iterable, Iterator

from pgwatch_wed.load.compare.pair_comparison import side_of
from pgwatch_wed.load.compare.run_comparison import WRITING_MARGIN, judged_work
from pgwatch_wed.load.compare.work_comparison import work_shifts
from pgwatch_wed.load.engine.block_runner import runner
from pgwatch_wed.load.ground.embedded_ground import embedded_ground
from pgwatch_wed.load.load_model import Scenario
from pgwatch_wed.load.stress_report import ComparedMetric
from tests.bench.load.comparing import (
    CALLED,
    SCHEMAS,
    anew,
    compared,
    neighbours,
    options,
    order_of,
    print_line,
    scenario_of,
)


def main() -> int:
    """Print a line for each comparison and the sum; return 1 if too many are wrong."""
    parser = options(__doc__, comparisons=20)
    parser.add_argument("--scenario", default="tpcb-like", choices=sorted(SCHEMAS))
    parser.add_argument("--one-after-another", action="store_true", help="as with a baseline")
    parser.add_argument("--blocks", type=int, default=5, help="of a run, if one after another")
    given = parser.parse_args()
    scenario = scenario_of(given.scenario)
    with neighbours(given.neighbours):
        wrong = _wrong(
            _as_baselines(given, scenario)
            if given.one_after_another
            else (f.metrics for f in compared(given, scenario, lambda g, s, _: anew(g, s)))
        )
    print(f"\nidentical, and called different: {wrong} of {given.comparisons}")
    return int(wrong > max(1, given.comparisons // 20))


def _wrong(comparisons: Iterable[Iterable[ComparedMetric]]) -> int:
    return sum(any(m.result in CALLED for m in metrics) for metrics in comparisons)


def _as_baselines(
    given: argparse.Namespace, scenario: Scenario
) -> Iterator[tuple[ComparedMetric, ...]]:
    """Compare each of several runs with the one before."""
    base = None
    with embedded_ground() as place:
        for number in range(given.comparisons + 1):
            anew(place.ground, scenario)
            run_block = runner(place.ground)
            # the first block touches everything for the first time
            orders = [order_of(given, scenario, n) for n in range(given.blocks + 1)]
            current = side_of(scenario.name, [run_block(order) for order in orders][1:])
            if base is not None:
                metrics = judged_work(work_shifts(base, current, WRITING_MARGIN))
                print_line(number, metrics)
                yield metrics
            base = current


if __name__ == "__main__":
    sys.exit(main())
