"""What the history costs: ``python -m tests.bench.history [tables]``.

Stores four runs of a large database with their reports: before the second and the third, some tables and statements were used, before the
fourth nothing. Then stores a year of runs of a small one. Prints the bytes that each run adds, and how long drawing a year of one query takes.
"""

import random
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy as sa

from pgwatch_wed.analyse import analyse
from pgwatch_wed.config import Config
from pgwatch_wed.embedded import server as embedded
from pgwatch_wed.facts import Snapshot, Statement
from pgwatch_wed.history import retention, runs, series, store
from pgwatch_wed.history.schema import blobs, collections
from pgwatch_wed.render import json_v1
from pgwatch_wed.target.collect import collect
from tests.bench.scale import generate
from tests.bench.scale.__main__ import SETTINGS

_STATEMENTS = 5_000
_USED = 0.6
"""The share of statements that are called between the two runs; each reads a table of its own."""


def main(tables: int) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        with embedded.start(SETTINGS | {"pg_stat_statements.max": str(2 * _STATEMENTS)}) as server:
            taken = _runs(server.dsn(), tables)
        _large(Path(folder) / "large.sqlite3", *taken)
        _year(Path(folder) / "year.sqlite3", taken[0])


def _runs(dsn: str, tables: int) -> tuple[Snapshot, ...]:
    generate.tables(dsn, 1, tables)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("create extension if not exists pg_stat_statements")
        connection.execute("select pg_stat_statements_reset()")
    generate.statements(dsn, _STATEMENTS, long=0, spread=_STATEMENTS)
    used = random.Random(1).sample(range(_STATEMENTS), round(_USED * _STATEMENTS))
    taken = [collect(dsn)]
    for _ in range(2):
        with psycopg.connect(dsn, autocommit=True, prepare_threshold=None) as connection:
            for number in used:
                text = generate.statement(number, is_long=False, spread=_STATEMENTS)
                connection.execute(text.encode())
        time.sleep(1)
        taken.append(collect(dsn))
    return (*taken, collect(dsn))


def _large(path: Path, *taken: Snapshot) -> None:
    history = store.open_store(str(path))
    size = 0
    for snapshot in taken:
        report = analyse([snapshot], Config())
        document = json_v1.render(report)
        begun = time.process_time()
        with history.writing() as connection:
            runs.add(connection, runs.NewRun([snapshot], report, document))
            grown = retention.size_bytes(connection)
        print(
            f"{len(snapshot.tables):,} tables, {len(snapshot.indexes):,} indexes, "
            f"{len(snapshot.statements):,} statements: {(grown - size) / 1000:,.0f} kB, "
            f"{time.process_time() - begun:.1f} s of the processor"
        )
        size = grown
    with history.reading() as connection:
        _print_parts(connection)


def _print_parts(connection: sa.Connection) -> None:
    """Print what the second run added to the facts."""
    first, second = (
        sa.select(collections.c.hash).where(collections.c.snapshot_id == number)
        for number in (1, 2)
    )
    size = sa.func.length(blobs.c.data)
    query = (
        sa.select(collections.c.name, size)
        .join(blobs, blobs.c.hash == collections.c.hash)
        .where(collections.c.hash.in_(second), collections.c.hash.not_in(first))
        .order_by(size.desc())
    )
    for name, length in connection.execute(query).all()[:6]:
        print(f"  {name}: {length / 1000:,.0f} kB")


def _year(path: Path, example: Snapshot, count: int = 1_000) -> None:
    """Store a year of runs in which 200 statements are called, and draw one of them."""
    history = store.open_store(str(path))
    begins = datetime(2026, 1, 1, tzinfo=UTC)
    chosen = example.statements[:200]
    nothing: dict[str, Any] = dict.fromkeys(_LARGE, ())
    small = replace(example, **nothing)
    for number in range(count):
        counted = tuple(_times(s, number + 1, begins) for s in chosen)
        moment = begins + number * timedelta(days=365) / count
        server = replace(small.server, taken_at=moment, started_at=begins)
        with history.writing() as connection:
            runs.add(connection, runs.NewRun([replace(small, server=server, statements=counted)]))
    times = []
    for _ in range(10):
        begun = time.process_time()
        with history.reading() as connection:
            points = series.of_statement(connection, 7)
        times.append((time.process_time() - begun) * 1000)
    print(
        f"a year of one query: {len(points):,} points in {statistics.median(times):.0f} ms of the processor"
    )


def _times(statement: Statement, factor: int, since: datetime) -> Statement:
    total = statement.total_exec_ms * factor
    calls, rows = statement.calls * factor, statement.rows * factor
    return replace(statement, calls=calls, rows=rows, total_exec_ms=total, stats_since=since)


_LARGE = (
    "tables", "table_activity", "columns", "column_statistics", "indexes", "index_usage",
    "index_definitions", "constraints", "sequences",
)  # fmt: skip


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
