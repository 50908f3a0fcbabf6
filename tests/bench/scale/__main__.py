"""Measure a whole run against the number of objects: ``python -m tests.bench.scale 1000 10000``.

Makes a database on an embedded server, grows it, and for each size compares a run that writes HTML
and JSON with a plain read of the same catalogs: every query of the run, fetched and thrown away.
Peak memory is that of the client's process and of the run's largest backend.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from tabulate import tabulate

from pgwatch_wed.embedded import server as embedded
from pgwatch_wed.target import queries
from pgwatch_wed.target.collect import collect
from pgwatch_wed.target.connect import APPLICATION_NAME
from tests.bench.scale import generate

PROGRAM = [sys.executable, "-c", "from pgwatch_wed.cli import main; main()"]
SETTINGS = {
    "max_locks_per_transaction": "256",
    "shared_buffers": "1GB",
    "max_wal_size": "8GB",
    "autovacuum": "off",
    "pg_stat_statements.max": "10000",
    "fsync": "off",
    "track_activity_query_size": "1024",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One size: seconds, and megabytes at their peak."""

    tables: int
    plain_s: float
    run_s: float
    client_mb: float
    backend_mb: float
    server_s: float
    report_mb: float


def plain(dsn: str) -> float:
    """Read what a run reads, with its own queries, and do nothing with it."""
    snapshot = collect(dsn)
    installed = {e.name: e.installed_version for e in snapshot.extensions if e.installed_version}
    names = dict.fromkeys(c.name for c in snapshot.query_costs)
    wanted = [queries.choose(name, snapshot.server.major, installed) for name in names]
    ids = {str(s.query_id) for s in snapshot.statements if s.text is not None}
    known = {"extschema": "public", "query_ids": ",".join(ids)}
    with psycopg.connect(dsn, autocommit=True) as connection:
        begun = time.monotonic()
        for query in wanted:
            if query is None or query.fact in ("index_definitions", "relation_locks"):
                continue
            values = dict.fromkeys(queries.tokens(query), "1000000") | known
            connection.execute(query.render(values).encode()).fetchall()
        return time.monotonic() - begun


@contextmanager
def watched(dsn: str, peak: list[float]) -> Iterator[None]:
    """Note the largest resident size that a backend of the run reaches, in megabytes."""
    done = threading.Event()
    query = "select pid from pg_stat_activity where application_name = %s"

    def look() -> None:
        with psycopg.connect(dsn, autocommit=True) as connection:
            while not done.wait(0.05):
                for (pid,) in connection.execute(query, [APPLICATION_NAME]).fetchall():
                    peak[0] = max(peak[0], _own_memory(int(pid)))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _own_memory(pid: int) -> float:
    """Return a process's memory without what it shares (shared_buffers), in megabytes."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0.0
    kilobytes = {k: int(v.split()[0]) for k, _, v in (x.partition(":") for x in lines) if "kB" in v}
    return kilobytes.get("RssAnon", 0) / 1024


def run(dsn: str, folder: Path) -> tuple[float, float, float, float]:
    """Return seconds, client and backend megabytes at their peak, and the HTML's megabytes."""
    peak = [0.0]
    with watched(dsn, peak):
        begun = time.monotonic()
        formats = ["--format", "html", "--format", "json"]
        process = subprocess.Popen([*PROGRAM, "run", dsn, "-q", "-o", str(folder), *formats])
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - begun
    if status:
        raise SystemExit(f"the run ended with {status}")
    page = max(folder.glob("*.html"), key=lambda p: p.stat().st_mtime)
    return seconds, usage.ru_maxrss / 1024, peak[0], page.stat().st_size / 1e6


def measure(dsn: str, tables: int) -> Row:
    """Measure one size."""
    with tempfile.TemporaryDirectory() as folder:
        seconds, client, backend, report = run(dsn, Path(folder))
    server = sum(c.seconds for c in collect(dsn).query_costs)
    return Row(tables, plain(dsn), seconds, client, backend, server, report)


def main() -> None:
    """Grow the database to each size, measure, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", type=int, nargs="+", help="numbers of tables, growing")
    parser.add_argument("--statements", type=int, default=10_000)
    wanted = parser.parse_args()
    rows: list[Row] = []
    with embedded.start(SETTINGS) as server:
        there = 0
        for size in sorted(wanted.sizes):
            generate.tables(server.dsn(), there + 1, size)
            if not there:
                generate.statements(server.dsn(), wanted.statements)
            there = size
            rows.append(measure(server.dsn(), size))
            print(f"{size} tables measured", file=sys.stderr)
    print(
        tabulate(
            [
                (
                    f"{r.tables:,}",
                    f"{r.plain_s:.1f}",
                    f"{r.run_s:.1f}",
                    f"{r.run_s / r.plain_s:.2f}",
                    f"{r.client_mb:.0f}",
                    f"{r.backend_mb:.0f}",
                    f"{r.server_s:.1f}",
                    f"{1000 * r.run_s / r.tables:.2f}",
                    f"{r.report_mb:.1f}",
                )
                for r in rows
            ],
            headers=[
                *("tables", "plain read, s", "run, s", "ratio", "client, MB", "backend, MB"),
                *("server's part, s", "ms a table", "HTML, MB"),
            ],
            tablefmt="github",
        )
    )


if __name__ == "__main__":
    main()
