"""What collecting costs a server: ``python -m tests.bench.service.collecting [--tables N] [--statements N]``.

It makes a database on an embedded server, lets the collector read its tiers as the service does, and prints for each the
CPU time of the backend, what all of them take of one core over an hour, the backend's private memory, what the service
itself takes to make and render the metrics, and whether the collector ever waited while a table was locked. The
collector's own estimate, by which it keeps its budget, is compared with the CPU time.
"""

import argparse
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import psutil
import psycopg
from tabulate import tabulate

from pgwatch_wed.config import Config
from pgwatch_wed.embedded import server as embedded
from pgwatch_wed.serve.collector import tiers
from pgwatch_wed.serve.collector.collector import Collector
from pgwatch_wed.serve.collector.settings import CollectorSettings
from pgwatch_wed.serve.http.exposition import Exposition
from pgwatch_wed.serve.metrics.exporter import Exporter
from pgwatch_wed.serve.metrics.settings import MetricsSettings
from pgwatch_wed.serve.state import Board, Family, Sample

SETTINGS = {
    "shared_preload_libraries": "pg_stat_statements",
    "pg_stat_statements.max": "10000",
    "max_locks_per_transaction": "512",
    "shared_buffers": "512MB",
    "max_wal_size": "8GB",
    "autovacuum": "off",
    "fsync": "off",
}
ROUNDS = {tiers.MOVING: 40, tiers.ACTIVITY: 10, tiers.TABLES: 5, tiers.CATALOGS: 2}
GOAL_SHARE, GOAL_MEMORY, GOAL_SCRAPE_S = 0.01, 150_000_000, 0.1
_BATCH = 200
_MB = 1_000_000


def make(dsn: str, tables: int, statements: int) -> None:
    """Create tables with two indexes and a TOAST table each, and run statements that are told apart."""
    with psycopg.connect(dsn, autocommit=True, prepare_threshold=None) as session:
        session.execute("create extension pg_stat_statements")
        session.execute("set synchronous_commit = off")
        for first in range(0, tables, _BATCH):
            numbers = range(first, min(first + _BATCH, tables))
            session.execute(
                ";".join(
                    f"create table t{i} (a int primary key, b int, c text); create index on t{i} (b);"
                    f"insert into t{i} values (1, 1, 'x')"
                    for i in numbers
                ).encode()
            )
        session.execute("analyze")
        for i in range(statements):
            session.execute(
                f"select c from t{i % tables} where a = 1 {'and b > 0' * (i // tables)}".encode()
            )


def private_bytes(pid: int) -> int:
    """Return the memory of a process that is neither shared buffers nor shared with the postmaster."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss_Anon:"):
            return int(line.split()[1]) * 1024
    return 0


@dataclass
class Backend:
    """CPU time and largest private memory of the collector's backends."""

    processes: dict[int, psutil.Process] = field(default_factory=dict)
    cpu_s: dict[int, float] = field(default_factory=dict)
    memory: int = 0

    def look(self, pid: int) -> None:
        process = self.processes.setdefault(pid, psutil.Process(pid))
        try:
            times = process.cpu_times()
            self.cpu_s[pid] = times.user + times.system
            self.memory = max(self.memory, private_bytes(pid))
        except (psutil.Error, OSError):
            pass

    def total(self) -> float:
        return sum(self.cpu_s.values())


@contextmanager
def looking(collector: Collector, backend: Backend) -> Iterator[None]:
    """Look at the backend's memory while it works, and at its CPU time at the end."""
    done = threading.Event()

    def pid() -> int | None:
        reader = collector._connection._reader
        return reader.door.info.backend_pid if reader and not reader.is_broken else None

    def look() -> None:
        while not done.wait(0.05):
            if number := pid():
                backend.look(number)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield
        if number := pid():
            backend.look(number)
    finally:
        done.set()
        thread.join()


def measured(collector: Collector, tier: str, rounds: int) -> tuple[float, float, int]:
    """Return CPU and clock seconds a round, and the largest private memory."""
    backend = Backend()
    if tier == tiers.CATALOGS:
        collector._connection.close()
    else:  # on a connection that is warm, as it is kept
        collector._connection.open()
        collector._read(tier)
        with looking(collector, backend):
            pass
    before, begun = backend.total(), time.monotonic()
    for _ in range(rounds):
        with looking(collector, backend):
            collector._connection.open()
            collector._read(tier)
        if tier == tiers.CATALOGS:
            collector._connection.close()
    return (backend.total() - before) / rounds, (time.monotonic() - begun) / rounds, backend.memory


def waited_for_locks(dsn: str, collector: Collector) -> tuple[int, float]:
    """Read all tiers while a table is locked and another lock is queued behind; return waits seen, and seconds."""
    waits, done = [0], threading.Event()

    def watch() -> None:
        with psycopg.connect(dsn, autocommit=True, application_name="watch") as session:
            while not done.wait(0.005):
                row = session.execute(
                    "select count(*) from pg_stat_activity"
                    " where application_name = 'pgwatch_wed' and wait_event_type = 'Lock'"
                ).fetchone()
                waits[0] += int(row[0]) if row else 0

    with psycopg.connect(dsn) as holder, psycopg.connect(dsn) as queued:
        holder.execute("lock table t0, t1, t2 in access exclusive mode")
        queued.pgconn.send_query(b"begin; lock table t0 in access exclusive mode")
        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        begun = time.monotonic()
        for tier in (tiers.MOVING, tiers.ACTIVITY, tiers.CATALOGS):
            collector._connection.open()
            collector._read(tier)
        took = time.monotonic() - begun
        done.set()
        thread.join()
        holder.rollback()
        while queued.pgconn.get_result():
            pass
    return waits[0], took


def scrape(board: Board, series: int) -> tuple[int, float, float]:
    """Return the series exposed, CPU seconds to make and render them, and seconds to answer a scrape."""
    name = "pgwatch_wed_filler"
    samples = tuple(Sample(name, (("n", str(i)),), i * 1.5) for i in range(series))
    made = {"filler": (Family(name, "gauge", "Filler.", samples),)}
    board.change(lambda s: replace(s, families={**s.families, **made}))
    exporter = Exporter(board, MetricsSettings(), time.time)
    exporter.run_once()
    exposition = Exposition(board)
    begun = time.monotonic()
    body = exposition.body()
    took = time.monotonic() - begun
    lines = sum(not line.startswith(b"#") for line in body.splitlines())
    return lines, exporter._seconds, took


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--tables", type=int, default=10_000)
    parser.add_argument("--statements", type=int, default=5_000)
    wanted = parser.parse_args()
    running = embedded.start(SETTINGS)
    try:
        run(running.dsn("postgres"), wanted.tables, wanted.statements)
    finally:
        running.stop()


def run(dsn: str, tables: int, statements: int) -> None:
    """Measure on a server; print what it comes to."""
    begun = time.monotonic()
    make(dsn, tables, statements)
    say(f"{tables:,} tables, {statements:,} statements in {time.monotonic() - begun:.0f} s")
    settings = CollectorSettings()
    board, clock = Board(), time.monotonic
    collector = Collector(board, "bench", dsn, settings, Config(), time.time, clock)
    rows, share, memory = [], 0.0, 0
    for tier, rounds in ROUNDS.items():
        cpu, seconds, private = measured(collector, tier, rounds)
        of_core = cpu / settings.intervals[tier]
        share, memory = share + of_core, max(memory, private)
        estimate = collector.ledger.per_round[tier]
        rows.append(
            (
                tier,
                f"{settings.intervals[tier]:g} s",
                f"{1000 * cpu:.0f} ms",
                f"{1000 * seconds:.0f} ms",
                f"{1000 * estimate:.0f} ms",
                f"{private / _MB:.0f} MB",
                f"{of_core:.3%}",
            )
        )
    headers = (
        "tier",
        "every",
        "CPU of the server",
        "by the clock",
        "estimated",
        "private memory",
        "of a core",
    )
    say(tabulate(rows, headers, tablefmt="github", disable_numparse=True))
    goal("of one core of the server over an hour", share, GOAL_SHARE, lambda v: f"{v:.2%}")
    goal(
        "largest private memory of the backend", memory, GOAL_MEMORY, lambda v: f"{v / _MB:.0f} MB"
    )
    collector._connection.close()
    begun = time.thread_time()
    collector._let_rules_judge(True)
    say(
        f"rules: {time.thread_time() - begun:.1f} s of the service's CPU, every {settings.rules_s:g} s"
    )
    waits, took = waited_for_locks(dsn, collector)
    say(
        f"with a table locked and a lock queued: {waits} waits seen while all tiers were read in {took:.1f} s"
    )
    lines, render_s, scrape_s = scrape(board, 4000)
    say(
        f"{lines:,} series: {1000 * render_s:.0f} ms of the service's CPU to make and render, once a collection"
    )
    goal("to answer a scrape", scrape_s, GOAL_SCRAPE_S, lambda v: f"{1000 * v:.1f} ms")


def goal(what: str, value: float, most: float, shown: Callable[[float], str]) -> None:
    """Print a figure beside its goal."""
    say(f"{shown(value)} {what} (goal: below {shown(most)}{'' if value < most else ', MISSED'})")


def say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    main()
