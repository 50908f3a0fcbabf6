"""Measure a whole run against the number of objects: ``python -m tests.bench.scale 1000 10000``.

Makes a database on an embedded server, grows it, and for each size compares a run that writes HTML
and JSON with a plain read of the same catalogs: every query of the run, fetched and thrown away.
Peak memory is that of the client's process and of the run's largest backend. Processor time is the
client's and the backend's together: it says more than the clock where others use the machine.

``--dsn`` measures another server instead: a superuser's empty database on this machine, with
pg_stat_statements loaded, its max large enough, and max_locks_per_transaction at 256.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
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
    "pg_stat_statements.track_planning": "on",
    "fsync": "off",
    "track_activity_query_size": "1024",
}


@dataclass(frozen=True, slots=True)
class Cost:
    """What a plain read or a run takes: seconds by the clock, and of the processors."""

    seconds: float
    processor_s: float


@dataclass(frozen=True, slots=True)
class Row:
    """One size: costs, and megabytes at their peak."""

    tables: int
    statements: int
    plain: Cost
    run: Cost
    client_mb: float
    backend_mb: float
    server_s: float
    report_mb: float
    unknown: tuple[str, ...]


def plain(dsn: str, texts: list[bytes]) -> Cost:
    """Read what a run reads, with its own queries, and do nothing with it."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        begun, processor = time.monotonic(), time.process_time()
        for text in texts:
            connection.execute(text).fetchall()
        processor = time.process_time() - processor + _processor_s(connection.info.backend_pid)
        return Cost(time.monotonic() - begun, processor)


def _texts(dsn: str) -> list[bytes]:
    """Return the queries of a run, without its limits."""
    snapshot = collect(dsn)
    installed = {e.name: e.installed_version for e in snapshot.extensions if e.installed_version}
    names = dict.fromkeys(c.name for c in snapshot.query_costs)
    wanted = (queries.choose(name, snapshot.server.major, installed) for name in names)
    ids = {str(s.query_id) for s in snapshot.statements if s.text is not None}
    known = {
        "extschema": "public",
        "query_ids": ",".join(ids),
        "oids": ",".join(str(i.oid) for i in snapshot.indexes),
    }
    return [
        query.render(dict.fromkeys(queries.tokens(query), "1000000") | known).encode()
        for query in wanted
        if query is not None
    ]


@dataclass(slots=True)
class Peak:
    """The most that was seen of a run's backends."""

    megabytes: float = 0.0
    processor_s: dict[int, float] = field(default_factory=lambda: defaultdict(float))


@contextmanager
def watched(dsn: str, peak: Peak) -> Iterator[None]:
    """Look at the backends of a run while it lasts."""
    done = threading.Event()
    query = "select pid from pg_stat_activity where application_name = %s"

    def look() -> None:
        with psycopg.connect(dsn, autocommit=True) as connection:
            while not done.wait(0.05):
                for (pid,) in connection.execute(query, [APPLICATION_NAME]).fetchall():
                    peak.megabytes = max(peak.megabytes, _own_memory(int(pid)))
                    peak.processor_s[pid] = max(peak.processor_s[pid], _processor_s(int(pid)))

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


def _processor_s(pid: int) -> float:
    """Return the seconds of processor time that a process has used."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0.0
    user, system = text.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def measure(dsn: str, tables: int, statements: int, times: int) -> Row:
    """Measure one size; of several times the quickest counts."""
    texts = _texts(dsn)
    plains = [plain(dsn, texts) for _ in range(times)]
    runs = [_run(dsn, tables, statements) for _ in range(times)]
    best = min(runs, key=lambda r: r.run.seconds)
    return replace(best, plain=min(plains, key=lambda c: c.seconds))


def _run(dsn: str, tables: int, statements: int) -> Row:
    with tempfile.TemporaryDirectory() as folder:
        peak = Peak()
        with watched(dsn, peak):
            begun = time.monotonic()
            formats = ["--format", "html", "--format", "json"]
            process = subprocess.Popen(
                [*PROGRAM, "run", dsn, "-q", "-o", folder, *formats],
                env={k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"},
            )
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.monotonic() - begun
        if status:
            raise SystemExit(f"the run ended with {status}")
        report = json.loads(next(Path(folder).glob("*.json")).read_text(encoding="utf-8"))
        page = next(Path(folder).glob("*.html")).stat().st_size
    processor = usage.ru_utime + usage.ru_stime + sum(peak.processor_s.values())
    return Row(
        tables=tables,
        statements=statements,
        plain=Cost(0, 0),
        run=Cost(seconds, processor),
        client_mb=usage.ru_maxrss / 1024,
        backend_mb=peak.megabytes,
        server_s=report["self_cost"]["seconds"],
        report_mb=page / 1e6,
        unknown=tuple(v["rule"] for v in report["verdicts"] if v["verdict"] == "unknown"),
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", type=int, nargs="+", help="numbers of tables, growing")
    parser.add_argument("--statements", type=int, default=9_600)
    parser.add_argument("--times", type=int, default=3, help="the quickest of so many counts")
    parser.add_argument("--dsn", help="a superuser's empty database on this machine")
    return parser.parse_args()


def main() -> None:
    """Grow the database to each size, measure, print the table."""
    wanted = _arguments()
    rows: list[Row] = []
    with _server(wanted.dsn, wanted.statements) as dsn:
        there = 0
        for size in sorted(wanted.sizes):
            generate.tables(dsn, there + 1, size)
            if not there:
                generate.statements(dsn, wanted.statements, spread=min(500, size))
            there = size
            rows.append(measure(dsn, size, wanted.statements, wanted.times))
            print(f"{size} tables: unknown are {', '.join(rows[-1].unknown)}", file=sys.stderr)
    print(tabulate(map(_printed, rows), headers=HEADERS, tablefmt="github"))


@contextmanager
def _server(dsn: str | None, statements: int) -> Iterator[str]:
    if dsn is not None:
        yield dsn
        return
    most = {"pg_stat_statements.max": str(max(10_000, statements * 6 // 5))}
    with embedded.start(SETTINGS | most) as server:
        yield server.dsn()


HEADERS = (
    *("tables", "statements", "plain read, s", "run, s", "ratio"),
    *("plain read, CPU s", "run, CPU s", "ratio of CPU"),
    *("client, MB", "backend, MB", "server's part, s", "HTML, MB", "query rules unknown"),
)


def _printed(r: Row) -> tuple[str, ...]:
    return (
        f"{r.tables:,}",
        f"{r.statements:,}",
        f"{r.plain.seconds:.1f}",
        f"{r.run.seconds:.1f}",
        f"{r.run.seconds / r.plain.seconds:.2f}",
        f"{r.plain.processor_s:.1f}",
        f"{r.run.processor_s:.1f}",
        f"{r.run.processor_s / r.plain.processor_s:.2f}",
        f"{r.client_mb:.0f}",
        f"{r.backend_mb:.0f}",
        f"{r.server_s:.1f}",
        f"{r.report_mb:.1f}",
        f"{sum(rule.startswith('query-') for rule in r.unknown)}",
    )


if __name__ == "__main__":
    main()
