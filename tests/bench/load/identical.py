"""Compare identical servers, and one with a needless index: python -m tests.bench.load.identical [--one-after-another].

Of 20 comparisons of identical servers, at most one may call anything different; the index must be found by its work each time.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from pgwatch_wed.load.compare.against import AgainstGrounds
from pgwatch_wed.load.compare.against_course import compare_against
from pgwatch_wed.load.compare.interleaved import PAIRS
from pgwatch_wed.load.compare.pair_comparison import side_of
from pgwatch_wed.load.compare.run_comparison import WRITING_MARGIN, judged_work
from pgwatch_wed.load.compare.work_comparison import work_shifts
from pgwatch_wed.load.course.scenario_course import prepare
from pgwatch_wed.load.engine.block_runner import runner
from pgwatch_wed.load.ground.embedded_ground import embedded_ground
from pgwatch_wed.load.ground.ground_connection import connected
from pgwatch_wed.load.load_model import Ground, Order, Scenario
from pgwatch_wed.load.scenarios import known_scenarios
from pgwatch_wed.load.stress_report import ComparedAs, ComparedMetric, StressComparison

_FINE = (ComparedAs.SAME,)
_CALLED = (ComparedAs.REGRESSION, ComparedAs.IMPROVEMENT)
_INDEXES = {"tpcb-like": "create index on tpcb.accounts (balance)"}
_SCHEMAS = {"tpcb-like": "tpcb", "read-mostly": "shop", "write-heavy": "feed"}
_BLOCKS = 5


def main() -> int:
    """Print a line for each comparison and the sums; return 1 if too many are wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--comparisons", type=int, default=20)
    parser.add_argument("--indexes", type=int, default=3, help="comparisons with a needless index")
    parser.add_argument("--pairs", type=int, default=PAIRS)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--rate", type=float, default=150.0)
    parser.add_argument("--scenario", default="tpcb-like", choices=sorted(_SCHEMAS))
    parser.add_argument("--one-after-another", action="store_true", help="as with a baseline")
    given = parser.parse_args()
    scenario = replace(known_scenarios.scenario(given.scenario), clients=4)
    if given.one_after_another:
        return _as_baselines(given, scenario)
    with embedded_ground() as one, embedded_ground() as other:
        grounds = AgainstGrounds(base=one.ground, current=other.ground, label="identical")
        wrong = _compared(given, grounds, scenario, given.comparisons, _anew)

        def with_index(ground: Ground, of: Scenario) -> None:
            _anew(ground, of)
            if ground is other.ground:
                with connected(ground) as session:
                    session.execute(_INDEXES[of.name].encode())

        found = _compared(given, grounds, scenario, given.indexes, with_index)
    print(f"\nidentical servers called different: {wrong} of {given.comparisons}")
    print(f"needless index found: {found} of {given.indexes}")
    return int(wrong > max(1, given.comparisons // 20) or found < given.indexes)


def _as_baselines(given: argparse.Namespace, scenario: Scenario) -> int:
    """Compare each of several runs with the one before."""
    wrong, base = 0, None
    with embedded_ground() as place:
        for number in range(given.comparisons + 1):
            _anew(place.ground, scenario)
            run_block = runner(place.ground)
            orders = [_order(given, scenario, n) for n in range(_BLOCKS + 1)]
            current = side_of(scenario.name, [run_block(order) for order in orders][1:])
            if base is not None:
                metrics = judged_work(work_shifts(base, current, WRITING_MARGIN))
                wrong += any(m.result in _CALLED for m in metrics)
                print(f"{number:3} {_figures(metrics)}", flush=True)
            base = current
    print(f"\nidentical runs called different: {wrong} of {given.comparisons}")
    return int(wrong > max(1, given.comparisons // 20))


def _order(given: argparse.Namespace, scenario: Scenario, seed: int) -> Order:
    return Order(
        scripts=scenario.scripts,
        clients=scenario.clients,
        rate=given.rate,
        seconds=given.seconds,
        warmup_s=0.2,
        seed=seed,
    )


def _anew(ground: Ground, scenario: Scenario) -> None:
    with connected(ground) as session:
        session.execute(f"drop schema if exists {_SCHEMAS[scenario.name]} cascade".encode())
    prepare(ground, scenario)


def _compared(
    given: argparse.Namespace,
    grounds: AgainstGrounds,
    scenario: Scenario,
    times: int,
    prepare_sides: Callable[[Ground, Scenario], None],
) -> int:
    """Compare so many times; return how often a regression or an improvement was found."""
    called = 0
    for number in range(times):
        seeded = _order(given, scenario, 1 + 1000 * number)
        found = compare_against(grounds, [(scenario, seeded)], prepare_sides, pairs=given.pairs)
        called += any(m.result in _CALLED for m in found.metrics)
        print(_line(number + 1, found), flush=True)
    return called


def _line(number: int, found: StressComparison) -> str:
    results = Counter(m.result for m in found.metrics)
    counted = ", ".join(f"{n} {result.value}" for result, n in sorted(results.items()))
    reasons = {
        m.reason for m in found.metrics if m.metric.startswith("rows") and m.result not in _FINE
    }
    return f"{number:3} {counted}: {_figures(found.metrics)} {'; '.join(sorted(reasons))}".rstrip()


def _figures(metrics: Sequence[ComparedMetric]) -> str:
    return ", ".join(
        f"{m.metric.removesuffix(' per transaction')} {m.ratio:.3f}"
        + (f" [{m.interval[0]:.3f}, {m.interval[1]:.3f}]" if m.interval else "")
        + (f" {m.result.value.upper()}" if m.result in _CALLED else "")
        for m in metrics
        if m.ratio is not None
    )


if __name__ == "__main__":
    sys.exit(main())
