"""A session on a copy that runs queries and measures them; see :class:`Stopwatch`."""

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from pgwatch_wed.errors import said
from pgwatch_wed.facts.features import Features
from pgwatch_wed.sqltext.plan_trees import PlanNode, used_names, walk
from pgwatch_wed.whatif.model import PlanError
from pgwatch_wed.whatif.proof.call_trial import failure

_ENOUGH_MS = 100.0  # short queries are repeated until they have taken this long in total
_MOST_RUNS = 10


@dataclass(frozen=True, slots=True)
class Run:
    """The best of several runs: elapsed ms, CPU ms of the backend if known, blocks touched."""

    elapsed_ms: float
    cpu_ms: float | None
    buffers: int
    is_complete: bool = True


@dataclass(frozen=True, slots=True)
class Shape:
    """A plan without numbers: equal texts mean equal work."""

    text: str
    used: frozenset[str]
    is_parallel: bool


class NotRunError(Exception):
    """The copy refuses to run a query; the text is its message on one line, ``told`` says it without values of rows."""

    def __init__(self, message: str, told: str = "") -> None:
        super().__init__(message)
        self.told = told


class Stopwatch:
    """Plans and runs queries with some of the new indexes absent, and leaves nothing behind.

    An index is made absent by dropping it in a transaction that is rolled back.
    """

    def __init__(self, connection: psycopg.Connection[Any], repetitions: int, path: str) -> None:
        self._connection = connection
        self._path = path
        self._repetitions = repetitions
        self._clock = _Clock.of(connection)

    @property
    def has_cpu(self) -> bool:
        """Whether the server process is visible to this process."""
        return self._clock is not None

    @contextmanager
    def without(self, indexes: Iterable[tuple[str, str]]) -> Iterator[None]:
        """Remove indexes (schema and name) for the duration of a ``with`` block; read-only."""
        connection = self._connection
        connection.execute("begin")
        try:
            for names in indexes:
                name = sql.Identifier(*names)
                connection.execute(sql.SQL("drop index {}").format(name))
            connection.execute("set transaction read only")
            self._set("search_path", self._path)
            yield
        finally:
            connection.rollback()

    def shape(self, text: str, *, has_parameters: bool = False) -> Shape:
        """Return how a query is planned now; raise :class:`PlanError`."""
        possible = Features.of(self._connection.info.server_version).has_generic_plans()
        if has_parameters and not possible:
            raise PlanError(f"a statement with parameters cannot be planned: {possible.why_not}")
        generic = "generic_plan, " if has_parameters else ""
        try:
            with self._connection.transaction():  # a savepoint: a failure must not abort everything
                tree = self._explain(f"{generic}costs off, verbose", text)["Plan"]
        except psycopg.Error as error:
            if self._connection.closed:
                raise
            raise PlanError(said(error), type(error).__name__) from None
        is_parallel = any("Gather" in node["Node Type"] for node in walk(tree))
        return Shape(json.dumps(tree), frozenset(used_names(tree)), is_parallel)

    def run(self, text: str, limit_ms: float) -> Run:
        """Run a query several times and return the best run.

        A query that takes longer than ``limit_ms`` counts as that long and incomplete. Raises
        :class:`NotRunError` if the query fails.
        """
        best: Run | None = None
        spent, count = 0.0, 0
        while count < self._repetitions or (spent < _ENOUGH_MS and count < _MOST_RUNS):
            run = self._once(text, limit_ms)
            if not run.is_complete:
                return best or run
            best = run if best is None else _better(best, run)
            spent += run.elapsed_ms
            count += 1
        assert best is not None
        return best

    def _once(self, text: str, limit_ms: float) -> Run:
        connection = self._connection
        before = self._clock.read_ms() if self._clock else None
        began = time.monotonic()
        try:
            with connection.transaction():
                self._set("statement_timeout", f"{max(1, int(limit_ms))}ms")
                found = self._explain("analyze, buffers, timing off", text)
        except psycopg.errors.QueryCanceled:
            return Run((time.monotonic() - began) * 1000, self._since(before), 0, is_complete=False)
        except psycopg.Error as error:
            if connection.closed:
                raise
            raise NotRunError(said(error), failure(error)) from None
        elapsed = float(found["Execution Time"])
        return Run(elapsed, self._since(before), _blocks(found["Plan"]))

    def _since(self, before: float | None) -> float | None:
        return None if self._clock is None or before is None else self._clock.read_ms() - before

    def _set(self, name: str, value: str) -> None:
        self._connection.execute("select pg_catalog.set_config(%s, %s, true)", [name, value])

    def _explain(self, options: str, text: str) -> Mapping[str, Any]:
        row = self._connection.execute(
            f"explain ({options}, format json) {text}".encode()
        ).fetchone()
        assert row is not None
        found = row[0] if isinstance(row[0], list) else json.loads(row[0])
        document: Mapping[str, Any] = found[0]
        return document


@dataclass(frozen=True, slots=True)
class _Clock:
    """The CPU time of a server process on this machine."""

    path: Path

    @classmethod
    def of(cls, connection: psycopg.Connection[Any]) -> "_Clock | None":
        """Return the connection's process, or None if it is not certainly on this machine."""
        folder = Path("/proc") / str(connection.info.backend_pid)
        try:
            title = (folder / "cmdline").read_bytes().decode("utf-8", "replace")
            clock = cls(folder / "schedstat")
            clock.read_ms()
        except (OSError, ValueError, IndexError):
            return None
        # another machine or container may have a process with this number, too
        expected = f"{connection.info.user} {connection.info.dbname}"
        return clock if title.startswith("postgres") and expected in title else None

    def read_ms(self) -> float:
        """Return the CPU time that it has used."""
        return int(self.path.read_text(encoding="ascii").split()[0]) / 1e6


def _better(one: Run, other: Run) -> Run:
    cpus = [r.cpu_ms for r in (one, other) if r.cpu_ms is not None]
    return Run(
        min(one.elapsed_ms, other.elapsed_ms),
        min(cpus) if cpus else None,
        min(one.buffers, other.buffers),
    )


def _blocks(plan: PlanNode) -> int:
    kinds = ("Shared", "Local", "Temp")
    verbs = ("Hit", "Read")
    return sum(int(plan.get(f"{kind} {verb} Blocks", 0)) for kind in kinds for verb in verbs)
