"""The incidents of a drill, planted on the embedded server as they happen elsewhere."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import psutil
import psycopg

from pgwatch_wed.embedded.server import EmbeddedServer

ROLE = "watcher"
_PREPARE = """
CREATE ROLE watcher LOGIN;
GRANT pg_monitor TO watcher;
CREATE EXTENSION IF NOT EXISTS pg_stat_statements;
CREATE TABLE accounts (id int PRIMARY KEY, sum int);
INSERT INTO accounts SELECT g, 0 FROM generate_series(1, 1000) g;
"""


@dataclass
class DrillServer:
    """The server, and sessions of an application on it."""

    server: EmbeddedServer
    stack: ExitStack = field(default_factory=ExitStack)
    stopping: threading.Event = field(default_factory=threading.Event)
    threads: list[threading.Thread] = field(default_factory=list)
    dependency_hangs: threading.Event = field(default_factory=threading.Event)

    def prepare(self) -> None:
        """Create what the incidents need."""
        with psycopg.connect(self.server.dsn(), autocommit=True) as session:
            session.execute(_PREPARE)

    def run(self, statement: str) -> None:
        """Run a statement of an alert's remedy, or one of ours."""
        with psycopg.connect(self.server.dsn(), autocommit=True) as session:
            session.execute(statement.encode())

    def session(self, name: str, *, autocommit: bool = True) -> psycopg.Connection[Any]:
        """Open a session that lasts until the incident is over."""
        session = psycopg.connect(self.server.dsn(), application_name=name, autocommit=autocommit)
        self.stack.callback(self._end, session)
        return session

    def repeats(self, name: str, statement: str) -> None:
        """Run a statement again and again in a session of its own."""
        session = self.session(name)

        def work() -> None:
            with suppress(psycopg.Error):
                while not self.stopping.is_set():
                    session.execute(statement.encode())

        thread = threading.Thread(target=work, daemon=True)
        self.threads.append(thread)
        thread.start()

    def end(self) -> None:
        """End what was planted."""
        self.stopping.set()
        self.stack.close()
        for thread in self.threads:
            thread.join(5)
        self.threads.clear()
        self.stopping.clear()

    def _end(self, session: psycopg.Connection[Any]) -> None:
        with suppress(psycopg.Error):
            session.cancel_safe(timeout=2)
        session.close()


@dataclass(frozen=True, slots=True)
class DrillIncident:
    """One incident: ``alerts`` are those that are true of it.

    ``plant`` returns what the cause must name ("" if nobody can know it) and how it is mended where the alert's own
    remedy does not.
    """

    name: str
    alerts: tuple[str, ...]
    plant: Callable[[DrillServer], tuple[str, Callable[[], None]]]
    is_trap: bool = False


# Minutes of slow queries use the budget of an objective up, truly.
_BURN = ("SloBurnFast", "SloBurn", "SloBurnSlow", "SloBudgetLow")
_LOCKED = (
    "DatabaseQueriesOver5s",
    "BlockedSessions",
    "BlockedSessionsMany",
    "IdleInTransactionHolds",
    "DatabaseQueriesOver200ms",
    *_BURN,
)
_AWAY = ("DatabaseUnreachable", "DatabaseRefuses", "ServiceDown", "FactsStale")


def _locked(it: DrillServer) -> tuple[str, Callable[[], None]]:
    holder = it.session("till", autocommit=False)
    holder.execute("UPDATE accounts SET sum = sum + 1 WHERE id = 1")
    for i in range(5):
        it.repeats(f"web-{i}", "UPDATE accounts SET sum = sum + 1 WHERE id = 1")
    return f"Session {holder.info.backend_pid} ", it.end


def _connections(it: DrillServer) -> tuple[str, Callable[[], None]]:
    for _ in range(35):
        it.session("greedy-pool")
    return "greedy-pool", it.end


def _slow(it: DrillServer) -> tuple[str, Callable[[], None]]:
    for i in range(4):
        it.repeats(f"web-{i}", "SELECT count(*), pg_sleep(0.4) FROM accounts")
    return "statement ", it.end


def _stopped(it: DrillServer) -> tuple[str, Callable[[], None]]:
    it.server.halt("immediate")
    return "nothing listens", it.server.boot


def _refused(it: DrillServer) -> tuple[str, Callable[[], None]]:
    it.run("ALTER ROLE watcher NOLOGIN")
    it.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'watcher'")
    return "refuses the role", lambda: it.run("ALTER ROLE watcher LOGIN")


def _hanging(it: DrillServer) -> tuple[str, Callable[[], None]]:
    stopped = list(_processes(it.server))
    for process in stopped:
        with suppress(psutil.Error):
            process.send_signal(signal.SIGSTOP)

    def wake() -> None:
        for process in stopped:
            with suppress(psutil.Error):
                process.send_signal(signal.SIGCONT)

    return "", wake


def _dependency(it: DrillServer) -> tuple[str, Callable[[], None]]:
    it.dependency_hangs.set()
    return "", it.dependency_hangs.clear


def _processes(server: EmbeddedServer) -> Iterator[psutil.Process]:
    postmaster = psutil.Process(int((server.data / "postmaster.pid").read_text().split()[0]))
    yield postmaster
    yield from postmaster.children(recursive=True)


def _restarted(it: DrillServer) -> tuple[str, Callable[[], None]]:
    it.server.restart()
    return "", it.end


def _short_lock(it: DrillServer) -> tuple[str, Callable[[], None]]:
    holder = it.session("till", autocommit=False)
    holder.execute("UPDATE accounts SET sum = sum + 1 WHERE id = 1")
    for i in range(4):
        it.repeats(
            f"web-{i}", "UPDATE accounts SET sum = sum + 1 WHERE id = 1; SELECT pg_sleep(0.05)"
        )
    threading.Timer(1.0, holder.rollback).start()
    return "", it.end


INCIDENTS = (
    DrillIncident("a lock is held", _LOCKED, _locked),
    DrillIncident("a lock is held for a second", (), _short_lock, is_trap=True),
    DrillIncident(
        "connections are used up",
        (
            "ConnectionsExhausted",
            "ConnectionsNearLimit",
            "DatabaseRefuses",
            "DatabaseUnreachable",
            "ServiceDown",
        ),
        _connections,
    ),
    DrillIncident("the server is restarted", (), _restarted, is_trap=True),
    DrillIncident("the role may not log in", _AWAY, _refused),
    DrillIncident("the server is stopped", _AWAY, _stopped),
    DrillIncident("the server hangs", _AWAY, _hanging),
    DrillIncident("a dependency hangs", ("ProbeFailing",), _dependency),
    DrillIncident(
        "a statement has become slow",
        ("DatabaseQueriesOver200ms", "DatabaseQueriesOver5s", *_BURN),
        _slow,
    ),
)


@contextmanager
def prepared(server: EmbeddedServer) -> Iterator[DrillServer]:
    """Yield a server with what the incidents need; nothing planted is left on it."""
    it = DrillServer(server)
    it.prepare()
    try:
        yield it
    finally:
        it.end()


def cpu_seconds(server: EmbeddedServer) -> float:
    """Return the processor time of the server's processes that live."""
    total = 0.0
    for process in _processes(server):
        with suppress(psutil.Error):
            times = process.cpu_times()
            total += times.user + times.system
    return total


def own_cpu_seconds() -> float:
    """Return the processor time of this process."""
    times = psutil.Process(os.getpid()).cpu_times()
    return float(times.user + times.system)
