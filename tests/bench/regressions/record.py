"""Record an unchanged workload on the embedded server: what each statement did in each interval.

python -m tests.bench.regressions.record -o FILE --minutes 40 --interval 10 --schemas 40 --calls 150 --day 24 --seed 1
"""

import argparse
import math
import random
import time
from pathlib import Path

import psycopg

from pgwatch_wed.embedded import server as embedded
from tests.bench.regressions.recording import COLUMNS, Recording, write
from tests.bench.regressions.shapes import SCHEMA, SHAPES, Shape

_READ = f"""
SELECT queryid, {", ".join(COLUMNS.values())} FROM pg_stat_statements
WHERE toplevel AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND query !~ 'pg_stat_statements'
"""


def record(
    minutes: float, interval: float, schemas: int, calls: float, day: int, seed: int
) -> Recording:
    """Run the workload at ``calls`` a second and read pg_stat_statements after each interval.

    ``day`` is after how many intervals the rhythm of the load and of some parameters repeats; 0: there is none.
    """
    chance = random.Random(seed)
    with embedded.running({"pg_stat_statements.max": "10000"}) as server:
        names = [f"s{n}" for n in range(schemas)]
        with psycopg.connect(server.dsn(), autocommit=True, prepare_threshold=None) as connection:
            connection.execute("CREATE EXTENSION pg_stat_statements")
            for name in names:
                connection.execute(SCHEMA.format(s=name).encode())
            connection.execute("SELECT pg_stat_statements_reset()")
            counts = [_counts(connection)]
            for number in range(int(minutes * 60 / interval)):
                hour = 0.5 + 0.5 * math.sin(2 * math.pi * number / day) if day else 0.5
                _run(connection, names, chance, hour, interval, calls * (0.5 + hour))
                counts.append(_counts(connection))
    return Recording.of(interval, counts)


def _run(
    connection: psycopg.Connection,
    names: list[str],
    chance: random.Random,
    hour: float,
    interval: float,
    calls: float,
) -> None:
    """Execute statements at random moments until the interval ends."""
    weights = [s.weight for s in SHAPES]
    popularity = [1 / (n + 1) for n in range(len(names))]
    ends = time.monotonic() + interval
    due = time.monotonic()
    while (now := time.monotonic()) < ends:
        due += chance.expovariate(calls)
        if due > now:
            time.sleep(min(due, ends) - now)
        schema = chance.choices(names, popularity)[0]
        shape = chance.choices(SHAPES, weights)[0]
        cursor = connection.execute(_text(shape, schema), shape.parameters(chance, hour))
        if cursor.description:
            cursor.fetchall()


def _text(shape: Shape, schema: str) -> bytes:
    return shape.sql.format(s=schema).encode()


def _counts(connection: psycopg.Connection) -> dict[int, tuple[float, ...]]:
    return {row[0]: tuple(map(float, row[1:])) for row in connection.execute(_READ.encode())}


def main() -> None:
    """Record and write a file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=40)
    parser.add_argument("--interval", type=float, default=10)
    parser.add_argument("--schemas", type=int, default=40)
    parser.add_argument("--calls", type=float, default=250)
    parser.add_argument("--day", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    write(
        given.output,
        record(given.minutes, given.interval, given.schemas, given.calls, given.day, given.seed),
    )


if __name__ == "__main__":
    main()
