"""Fixtures that give tests their servers, and the promise that chosen versions really ran."""

import logging
import os
import signal
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests import servers, turns

_TALLY = pytest.StashKey["Tally"]()
_CHOSEN = pytest.StashKey[list[servers.ServerSpec]]()

# Set, every case runs on every chosen server.
_ALL = "PGWATCH_WED_ALL_VERSIONS"

# Files in which each test runs whole commands, for many cases: a good part of what all tests take. `make test` leaves
# them out like what is marked as slow; CI runs them.
_SLOW_FILES = frozenset(
    (
        *(
            "test_remedies.py",
            "test_sql_parity.py",
            "test_hostile_catalog.py",
            "test_interrupts.py",
        ),
        *("test_faults.py", "test_faults_runs.py", "test_faults_output.py", "test_index_undo.py"),
        *("test_faults_permissions.py", "test_indexes_cli.py", "test_known_scenarios.py"),
        *("test_replay.py", "test_load_over_tls.py"),
    )
)
# Those of other files that took 2.5 s and more of a busy machine, one a line: from `--durations=0`.
_SLOW_TESTS = frozenset((Path(__file__).parent / "slow.txt").read_text(encoding="utf-8").split())

Need = tuple[tuple[Any, ...], Mapping[str, Any]]
StartServer = Callable[..., servers.Server]


@pytest.fixture(scope="session", autouse=True)
def state_home() -> Iterator[Path]:
    """Keep the user's history apart from that of tests."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", folder)
        yield Path(folder)


@pytest.fixture(autouse=True)
def _no_history(state_home: Path) -> Iterator[None]:
    """Begin every test without earlier runs."""
    yield
    (state_home / "pgwatch_wed" / "history.sqlite3").unlink(missing_ok=True)


@pytest.fixture(autouse=True)
def _logs() -> Iterator[None]:
    # A service, or locust, logs to a standard error that is gone when the test has ended.
    root = logging.getLogger()
    level, before = root.level, tuple(root.handlers)
    yield
    root.setLevel(level)
    for handler in tuple(root.handlers):
        if handler not in before:
            root.removeHandler(handler)
    logging.disable(logging.NOTSET)
    for name, logger in logging.Logger.manager.loggerDict.items():
        if name.startswith("pgwatch_wed") and isinstance(logger, logging.Logger):
            logger.disabled, logger.propagate = False, True
            logger.setLevel(logging.NOTSET)


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    # The program ignores signals at its end; within this process, tests that send some follow.
    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    yield
    for each, handler in before.items():
        signal.signal(each, handler)


@pytest.fixture(scope="session")
def server_pool() -> Iterator[servers.Pool]:
    """The servers of this process; use ``pg`` or ``every_pg`` instead."""
    pool = servers.Pool()
    try:
        yield pool
    finally:
        pool.close()


@pytest.fixture(scope="session")
def pg(request: pytest.FixtureRequest, server_pool: servers.Pool) -> servers.Server:
    """One server with pg_stat_statements preloaded: ``.dsn(dbname)``, ``.version``.

    The embedded one, unless ``@pytest.mark.pg`` states a need that it does not meet.
    """
    return server_pool.get(getattr(request, "param", None) or servers.default())


@pytest.fixture
def db(pg: servers.Server) -> Iterator[str]:
    """The conninfo of a fresh, empty database on ``pg``; dropped afterwards."""
    with pg.database() as dsn:
        yield dsn


@pytest.fixture(scope="session")
def every_pg(request: pytest.FixtureRequest, server_pool: servers.Pool) -> servers.Server:
    """Like ``pg``, on several of the chosen majors that meet the test's ``@pytest.mark.pg``."""
    return server_pool.get(request.param)


@pytest.fixture
def every_db(every_pg: servers.Server) -> Iterator[str]:
    """The conninfo of a fresh, empty database on ``every_pg``; dropped afterwards."""
    with every_pg.database() as dsn:
        yield dsn


@pytest.fixture
def start_pg() -> Iterator[StartServer]:
    """A function that starts a server for this test alone: ``start_pg({"name": "value"}, spec)``.

    ``spec`` is ``every_pg.spec`` or ``pg.spec``; without it the embedded server.
    """
    with ExitStack() as stack:

        def start(
            settings: dict[str, str] | None = None, spec: servers.ServerSpec | None = None
        ) -> servers.Server:
            server = servers.start(spec or servers.embedded_spec(), settings or {})
            stack.callback(server.stop)
            return server

        yield start


def pytest_configure(config: pytest.Config) -> None:
    """Choose the servers; the first process fetches what the others then find."""
    tally = config.stash[_TALLY] = Tally()
    config.pluginmanager.register(tally)
    try:
        chosen = servers.chosen(may_fetch=not hasattr(config, "workerinput"))
    except servers.UnavailableError as error:
        raise pytest.UsageError(str(error)) from error
    config.stash[_CHOSEN] = chosen


def pytest_report_header(config: pytest.Config) -> str:
    """Name the servers."""
    every = ", ".join(f"{s.name} {s.image}".strip() for s in config.stash[_CHOSEN])
    promised = ", ".join(map(str, servers.promised())) or "none"
    return f"postgresql: pg {servers.default().name}; every_pg {every}; promised {promised}"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give each test the servers that meet its need, or mark it as skipped."""
    needs = [(mark.args, mark.kwargs) for mark in metafunc.definition.iter_markers("pg")]
    fitting = [
        spec
        for spec in metafunc.config.stash[_CHOSEN]
        if all(spec.fits(*args, **kwargs) for args, kwargs in needs)
    ]
    if "every_pg" in metafunc.fixturenames:
        _parametrize(metafunc, "every_pg", fitting, needs)
    if "pg" in metafunc.fixturenames and needs:
        preferred = [s for s in (servers.default(),) if all(s.fits(*a, **k) for a, k in needs)]
        _parametrize(metafunc, "pg", (preferred or fitting[::-1])[:1], needs)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark what is slow, and does not say so itself."""
    if item.path.name in _SLOW_FILES or item.nodeid.partition("[")[0] in _SLOW_TESTS:
        item.add_marker(pytest.mark.slow)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep each case on the servers whose turn it is: see :mod:`tests.turns`."""
    if os.environ.get(_ALL):
        return
    chosen = config.stash[_CHOSEN]
    left_out = {item for item in items if not _is_its_turn(item, chosen)}
    config.hook.pytest_deselected(items=[item for item in items if item in left_out])
    items[:] = [item for item in items if item not in left_out]


def _is_its_turn(item: pytest.Item, chosen: Sequence[servers.ServerSpec]) -> bool:
    callspec = getattr(item, "callspec", None)
    spec = callspec.params.get("every_pg") if callspec else None
    return not isinstance(spec, servers.ServerSpec) or spec in turns.of(item, chosen)


def _parametrize(
    metafunc: pytest.Metafunc,
    name: str,
    specs: list[servers.ServerSpec],
    needs: list[Need],
) -> None:
    wants = " and ".join(", ".join([*map(str, a), *map(str, k.values())]) for a, k in needs)
    missing = pytest.mark.skip(reason=f"no chosen server is PostgreSQL {wants}")
    params = [pytest.param(spec, id=spec.name) for spec in specs]
    metafunc.parametrize(
        name, params or [pytest.param(None, id="none", marks=missing)], indirect=True
    )


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs an engine where none answers; chosen versions that need one fail earlier."""
    if item.get_closest_marker("container") and servers.engine() is None:
        pytest.skip("no container engine answers")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    """Note the servers in the report, which travels from an xdist worker to the first process."""
    for name in ("pg", "every_pg"):
        server = getattr(item, "funcargs", {}).get(name)
        if isinstance(server, servers.Server):
            item.user_properties.append(("server", server.spec.name))


class Tally:
    """Counts the tests that ran on each server and fails the run where a promise was broken."""

    def __init__(self) -> None:
        self.ran: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" and not report.skipped:
            self.ran.update({str(v) for k, v in report.user_properties if k == "server"})

    def broken(self) -> list[int]:
        """The promised majors on which not one test ran."""
        majors = {int(name.split("-")[0]) for name in self.ran}
        return [major for major in servers.promised() if major not in majors]

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        worker = hasattr(session.config, "workerinput")
        if self.broken() and not worker and not session.config.option.collectonly:
            session.exitstatus = max(session.exitstatus, pytest.ExitCode.TESTS_FAILED)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        counts = (f"{name} {n}" for name, n in sorted(self.ran.items()))
        terminalreporter.write_line(f"postgresql: tests run on {', '.join(counts) or 'no server'}")
        if broken := self.broken():
            majors = ", ".join(map(str, broken))
            terminalreporter.write_line(
                f"postgresql: PROMISED BUT NOT RUN: {majors} ({servers.PROMISED})", red=True
            )
