"""What comparisons of servers have in common: options, the load, and a line for each comparison as it ends."""

import argparse
import os
import signal
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from pgwatch_wed.load.compare.against import AgainstGrounds
from pgwatch_wed.load.compare.against_course import compare_against
from pgwatch_wed.load.compare.interleaved import PAIRS
from pgwatch_wed.load.course.scenario_course import prepare
from pgwatch_wed.load.ground.embedded_ground import embedded_ground
from pgwatch_wed.load.ground.ground_connection import connected
from pgwatch_wed.load.load_model import Ground, Order, Scenario
from pgwatch_wed.load.scenarios import known_scenarios
from pgwatch_wed.load.stress_report import ComparedAs, ComparedMetric, StressComparison

CALLED = (ComparedAs.REGRESSION, ComparedAs.IMPROVEMENT)
SCHEMAS = {"tpcb-like": "tpcb", "read-mostly": "shop", "write-heavy": "feed"}


def options(said: str | None, comparisons: int) -> argparse.ArgumentParser:
    """Return the options of a comparison."""
    parser = argparse.ArgumentParser(description=said)
    parser.add_argument("--comparisons", type=int, default=comparisons)
    parser.add_argument("--pairs", type=int, default=PAIRS)
    parser.add_argument("--seconds", type=float, default=1.0, help="length of a block")
    parser.add_argument("--rate", type=float, default=150.0)
    parser.add_argument("--neighbours", type=int, default=0, help="programs that burn CPU beside")
    return parser


def scenario_of(name: str) -> Scenario:
    """Return a scenario with few clients."""
    return replace(known_scenarios.scenario(name), clients=4)


def order_of(given: argparse.Namespace, scenario: Scenario, seed: int) -> Order:
    """Return the load of a block."""
    return Order(
        scripts=scenario.scripts,
        clients=scenario.clients,
        rate=given.rate,
        seconds=given.seconds,
        warmup_s=0.2,
        seed=seed,
    )


def anew(ground: Ground, scenario: Scenario) -> None:
    """Fill the tables of a scenario again."""
    with connected(ground) as session:
        session.execute(f"drop schema if exists {SCHEMAS[scenario.name]} cascade".encode())
    prepare(ground, scenario)


def compared(
    given: argparse.Namespace,
    scenario: Scenario,
    prepare_side: Callable[[Ground, Scenario, bool], None],
) -> Iterator[StressComparison]:
    """Yield comparisons of two servers, each printed; ``prepare_side`` is told whether it is the current one."""
    with embedded_ground() as one, embedded_ground() as other:
        grounds = AgainstGrounds(base=one.ground, current=other.ground, label="another")

        def prepare_both(ground: Ground, of: Scenario) -> None:
            prepare_side(ground, of, ground is other.ground)

        for number in range(given.comparisons):
            order = order_of(given, scenario, 1 + 1000 * number)
            found = compare_against(grounds, [(scenario, order)], prepare_both, pairs=given.pairs)
            print_line(number + 1, found.metrics)
            yield found


@contextmanager
def neighbours(number: int) -> Iterator[None]:
    """Burn CPU beside, in so many programs that are not our children: those count as ours."""
    started = [_stranger() for _ in range(number)]
    try:
        yield
    finally:
        for pid in started:
            os.kill(pid, signal.SIGTERM)


def _stranger() -> int:
    """Start a program whose parent ends at once, and that runs as long as we do; return its PID."""
    burning = 'while kill -0 "$0"; do :; done > /dev/null 2>&1 & echo $!'
    shell = ["/bin/sh", "-c", burning, str(os.getpid())]
    return int(subprocess.run(shell, stdout=subprocess.PIPE, check=True).stdout)


def print_line(number: int, metrics: Sequence[ComparedMetric]) -> None:
    """Print what a comparison found, and why it could not tell the rest."""
    results = Counter(m.result for m in metrics)
    counted = ", ".join(f"{n} {result.value}" for result, n in sorted(results.items()))
    print(f"{number:3} {counted}: {', '.join(_figures(metrics))}", flush=True)
    for metric in metrics:
        if metric.result is ComparedAs.UNKNOWN:
            print(f"      {metric.metric}: {metric.reason}", flush=True)


def _figures(metrics: Sequence[ComparedMetric]) -> Iterator[str]:
    for m in metrics:
        if m.ratio is not None:
            interval = f" [{m.interval[0]:.3f}, {m.interval[1]:.3f}]" if m.interval else ""
            called = f" {m.result.value.upper()}" if m.result in CALLED else ""
            yield f"{m.metric.removesuffix(' per transaction')} {m.ratio:.3f}{interval}{called}"
