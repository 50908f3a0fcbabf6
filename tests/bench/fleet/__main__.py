"""What a fleet costs, and whether it keeps what is promised: ``python -m tests.bench.fleet [--small] [--only PART]``.

Starts servers of its own, lets ``db-analyze fleet`` review them, and prints a table of goals and measured figures. The exit
status is 3 if a goal is missed; with ``--small``, only if it is one that few servers and a busy machine do not change.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from pgwatch_wed.embedded.server import EmbeddedServer
from tests.bench.fleet import arrivals, costs, reports, waiting
from tests.bench.fleet.measures import Measured, table
from tests.bench.fleet.servers_of import many_servers
from tests.fleet.ground import small
from tests.fleet.networks import SeparateNetwork, separate_network

PARTS = (
    "costs",
    "databases",
    "memory",
    "history",
    "threads",
    "hanging",
    "workers",
    "arrivals",
    "report",
)

MISSED = 3
"""The exit status if a goal is missed; an error has 1."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How much of everything."""

    servers: int
    databases: int
    runs: int
    threads: int
    clusters_of_report: int
    beside_silent: int
    arrivals: int
    delay_s: float
    options: tuple[str, ...] = ()


SMALL = Scale(4, 6, 3, 4, 40, 4, 6, 0.02, ("--attempts", "1", "--connect-timeout", "2"))
WHOLE = Scale(30, 200, 6, 16, 1000, 27, 500, 0.05)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="few servers, as CI runs it")
    parser.add_argument("--only", action="append", choices=PARTS)
    given = parser.parse_args()
    wanted = given.only or PARTS
    scale = SMALL if given.small else WHOLE
    lines: list[Measured] = []
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        own = set(wanted) - {"arrivals", "report"}
        servers = stack.enter_context(many_servers(scale.servers)) if own else []
        net = stack.enter_context(separate_network())
        for name, measure in _measures(Path(folder), scale, servers, net, stack).items():
            if name not in wanted:
                continue
            began = time.monotonic()
            found = measure()
            lines += found
            print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr)
            for line in found:
                print(f"  {line.what}: {line.figure}", file=sys.stderr)
    print(table(lines))
    missed = [line for line in lines if line.is_met is False]
    if any(not (given.small and line.is_rough) for line in missed):
        raise SystemExit(MISSED)


def _measures(
    folder: Path,
    scale: Scale,
    servers: list[EmbeddedServer],
    net: SeparateNetwork,
    stack: ExitStack,
) -> dict[str, Callable[[], list[Measured]]]:
    def queue() -> list[Measured]:
        place = stack.enter_context(small({"max_connections": "100"}))
        history = place.dsn(tcp=True)
        return waiting.workers(
            folder, net, servers, history, max(scale.threads // 4, 2), scale.delay_s
        )

    return {
        "costs": lambda: costs.cluster_costs(folder, servers),
        "databases": lambda: costs.further_database(folder, servers, scale.databases),
        "memory": lambda: costs.memory(folder, servers),
        "history": lambda: costs.history(folder, servers, scale.runs),
        "threads": lambda: waiting.threads(
            folder, net, servers[: scale.threads], scale.threads, scale.delay_s
        ),
        "hanging": lambda: waiting.hanging(
            folder,
            net,
            servers[: scale.beside_silent],
            scale.threads // 4,
            scale.delay_s,
            scale.options,
        ),
        "workers": queue,
        "arrivals": lambda: arrivals.arrivals(folder, scale.arrivals),
        "report": lambda: reports.report_of_many(folder, scale.clusters_of_report),
    }


if __name__ == "__main__":
    main()
