"""10,000 connections through PgBouncer: ``python -m tests.bench.load.users [USERS THINK_S [SECONDS]]``.

Prints a line for each think time: what was reached, and what pooler and generator took for it.
"""

import sys

from pgwatch_wed import units
from pgwatch_wed.load.engine.block_runner import runner
from pgwatch_wed.load.ground.embedded_ground import embedded_ground
from pgwatch_wed.load.ground.ground_connection import connected
from pgwatch_wed.load.load_model import Block, Order, Scenario
from pgwatch_wed.load.scenarios.known_scenarios import scenario
from pgwatch_wed.load.users.many_users import UsersCost, costs, rate_of, with_users
from pgwatch_wed.load.users.own_pooler import own_pooler

USERS = 10_000
THINK_S = (10.0, 5.0)
SECONDS = 10.0
HEAD = "users  rate/s   tps  failed  p50 ms  p95 ms  pooler CPU s, memory    generator memory"


def run(users: Scenario, seconds: float) -> tuple[Block, UsersCost, str]:
    """Run one block on a server of our own."""
    with embedded_ground() as found, connected(found.ground) as session:
        for statement in users.prepare:
            session.execute(statement.encode())
        with own_pooler(session, clients=users.clients) as pooler, costs(pooler) as watch:
            protocol, note = pooler.protocol(users.protocol)
            order = Order(
                scripts=users.scripts,
                clients=users.clients,
                rate=rate_of(users),
                seconds=seconds,
                protocol=protocol,
                conninfo=pooler.conninfo,
            )
            return runner(found.ground)(order), watch.cost(), note


def line(block: Block, cost: UsersCost) -> str:
    """Print what a block came to."""
    p50, p95 = (block.spent.latency.percentile(p) or 0.0 for p in (50, 95))
    return (
        f"{cost.connected or 0:>6,} {block.order.rate or 0:>6,.0f} {block.tps:>6,.0f} "
        f"{sum(block.failures.values()):>6} {p50:>8.1f} {p95:>7.1f}  "
        f"{cost.seconds_of_cpu or 0:>8.1f}, {units.size(cost.pooler_bytes or 0):>8}  "
        f"{units.size(cost.generator_bytes or 0):>12}"
    )


def main(arguments: list[str]) -> None:
    """Print the table."""
    count = int(arguments[0]) if arguments else USERS
    thinking = [float(arguments[1])] if len(arguments) > 1 else THINK_S
    seconds = float(arguments[2]) if len(arguments) > 2 else SECONDS
    print(HEAD)
    for think_s in thinking:
        block, cost, note = run(with_users(scenario("read-mostly"), count, think_s), seconds)
        print(line(block, cost), *(f"\n  spoilt: {s.text}" for s in block.spoilt))
    if note:
        print(note)


if __name__ == "__main__":
    main(sys.argv[1:])
