"""One workload on a server: loaded, run, advised, and measured with each set of indexes."""

import json
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from pgwatch_wed.whatif import engines
from pgwatch_wed.whatif.choose.advise import Advice, QueryGain
from pgwatch_wed.whatif.model import Rejected
from tests import servers
from tests.bench.index_advice.wild import texts
from tests.bench.index_advice.wild.texts import Use
from tests.bench.index_advice.wild.wild_case import Wild

SERVER_SETTINGS = {
    "shared_buffers": "512MB",
    "autovacuum": "off",
    "jit": "off",
    "track_io_timing": "off",
    "pg_stat_statements.track": "top",
}
_LONGEST = "120s"
_QUICK_MS = 300.0
_REPEATED = 3
_IDS = """
    select s.queryid from pg_stat_statements s join pg_database d on d.oid = s.dbid
    where d.datname = %s
"""


@dataclass(frozen=True, slots=True)
class Measured:
    """What a statement took in a call on average: blocks of the shared buffers, and ms."""

    blocks: float
    ms: float
    runs: int
    is_write: bool = False


@dataclass(frozen=True, slots=True)
class BuiltSet:
    """A set of indexes as built, and each statement with it."""

    ddl: tuple[str, ...]
    size: int
    statements: Mapping[str, Measured]
    failures: tuple[str, ...] = ()

    @property
    def blocks(self) -> float:
        """The blocks of the whole workload."""
        return sum(m.blocks * m.runs for m in self.statements.values())

    @property
    def ms(self) -> float:
        """The time of the whole workload."""
        return sum(m.ms * m.runs for m in self.statements.values())


@dataclass(frozen=True, slots=True)
class Promise:
    """The blocks of calls without and with the advised indexes; in cost where the advice tells no blocks."""

    before: float
    after: float

    @property
    def remaining(self) -> float:
        """The share that remains."""
        return self.after / self.before if self.before else 1.0


@dataclass(frozen=True, slots=True)
class Advised:
    """What the advisor said: the set, the share of the cost that remains, which statements were not planned."""

    mode: str
    advice: Advice
    planned: int
    unplanned: tuple[Rejected, ...]
    seconds: float
    promises: Mapping[str, Promise]
    grades: Mapping[str, str] = field(default_factory=dict)  # of statements that use an index


class Trial:
    """A database of a workload, and copies of it on the same server."""

    def __init__(self, server: servers.Server, case: Wild) -> None:
        self._server = server
        self._case = case
        self._uses = list(texts.uses(case))
        self.notes: list[str] = []

    def prepare(self) -> None:
        """Create the database and its contents."""
        case = self._case
        if case.roles:
            self._execute("postgres", case.roles)
        self._make("wild")
        for name, value in case.settings.items():
            if not _is_of_session(name):
                self._execute(
                    "postgres", f"alter database wild set {name} = {texts.literal(value)}"
                )
        self._execute("wild", "create extension if not exists pg_stat_statements")
        self._execute("wild", case.schema)
        self._execute("wild", case.load)
        self._execute("wild", "vacuum analyze")

    def drop(self) -> None:
        """Remove the database."""
        self._execute("postgres", "drop database if exists wild with (force)")

    # Advice

    def by_texts(self) -> Advised:
        """Return what is advised for the statements as files."""
        with self._copy("wild_texts"), tempfile.TemporaryDirectory() as folder:
            files = {f"{u.called.name}_{u.number}.sql": u for u in self._uses}
            role = self._case.settings.get("role")
            head = f"-- role: {role}\n" if role else ""
            for name, use in files.items():
                (Path(folder) / name).write_text(head + use.text, encoding="utf-8")
            weights = {name: use.runs for name, use in files.items()}
            (Path(folder) / "weights.json").write_text(json.dumps(weights), encoding="utf-8")
            began = time.monotonic()
            advice = engines.advise_target(self._dsn("wild_texts"), Path(folder), engine="lab")
            owners = {name: use.called.name for name, use in files.items()}
            by_name = {g.name: owners[g.name] for g in advice.per_query}
            return self._advised("texts", advice, by_name, began)

    def by_statistics(self) -> Advised:
        """Return what is advised from pg_stat_statements after the statements were run."""
        with self._copy("wild_stats"):
            owners = self._run("wild_stats")
            self._execute("wild_stats", "vacuum analyze")
            began = time.monotonic()
            advice = engines.advise_target(self._dsn("wild_stats"), engine="lab")
            by_name = {g.name: owners.get(g.query_id or 0, "") for g in advice.per_query}
            return self._advised("stats", advice, by_name, began)

    def _advised(
        self, mode: str, advice: Advice, owners: Mapping[str, str], began: float
    ) -> Advised:
        planned = {g.name for g in advice.per_query}
        lacking = [r for r in advice.rejected if r.query not in planned and not r.is_utility]
        told, grades = {}, {}
        sure = {i.name: i.grade.value for i in advice.indexes if i.grade is not None}
        for name in dict.fromkeys(owners.values()):
            mine = [g for g in advice.per_query if owners[g.name] == name]
            told[name] = promised(mine)
            used = {index for g in mine for index in g.indexes}
            if used:
                grades[name] = max(sure.get(index, "") for index in used)
        seconds = time.monotonic() - began
        return Advised(mode, advice, len(planned), tuple(lacking), seconds, told, grades)

    def _run(self, database: str) -> dict[int, str]:
        """Run the statements as applications do, and return whose each query identifier is."""
        owners: dict[int, str] = {}
        # of another database, so that asking is no part of the workload
        with psycopg.connect(self._dsn("wild"), autocommit=True) as outside:
            for use in self._ordered():
                self._call(database, use)
                found = {int(row[0]) for row in outside.execute(_IDS, [database]) if row[0]}
                owners |= dict.fromkeys(found - owners.keys(), use.called.name)
        return owners

    def _call(self, database: str, use: Use) -> None:
        """Run a statement with parameters and with literals, as often as it is called."""
        bound, values = use.bound
        forms: list[tuple[str, Any]] = [(use.text, None)]
        forms += [(bound, values)] if values else []
        for text, parameters in forms:
            with self._session(database) as connection:
                for _ in range(use.runs):
                    try:
                        connection.execute(text.encode(), parameters)
                    except psycopg.Error as error:
                        how = "bound" if parameters else "as literals"
                        self.notes.append(f"{use.called.name} {how}: {error.diag.message_primary}")
                        break
                    finally:
                        connection.rollback()

    # Measuring

    def measured(self, ddl: Sequence[str]) -> BuiltSet:
        """Build indexes on a copy and run every statement with them."""
        name = "wild_built"
        with self._copy(name):
            failures, built = [], []
            for each in ddl:
                try:
                    self._execute(name, each)
                    built.append(each)
                except psycopg.Error as error:
                    failures.append(f"{each}: {error.diag.message_primary}")
            if built:
                self._execute(name, "analyze")
            size = self._size(name) - self._size("wild")
            return BuiltSet(tuple(built), size, self._statements(name), tuple(failures))

    def _statements(self, database: str) -> dict[str, Measured]:
        found: dict[str, list[tuple[float, float, int]]] = {}
        writes = {u.called.name for u in self._uses if u.is_write}
        for use in self._ordered():
            blocks, ms = self._measure(database, use)
            found.setdefault(use.called.name, []).append((blocks, ms, use.runs))
        return {
            name: Measured(
                sum(b * n for b, _, n in each) / sum(n for *_, n in each),
                sum(ms * n for _, ms, n in each) / sum(n for *_, n in each),
                sum(n for *_, n in each),
                name in writes,
            )
            for name, each in found.items()
        }

    def _measure(self, database: str, use: Use) -> tuple[float, float]:
        """Return blocks and ms of a call; a second one, if that takes little, is warm."""
        best: tuple[float, float] | None = None
        with self._session(database) as connection:
            # the first call of a session reads catalogs; each call of a write leaves dead rows
            for _ in range(2 if use.is_write else _REPEATED):
                found = self._explain(connection, use.text)
                connection.rollback()
                best = found if best is None else (found[0], min(found[1], best[1]))
                if found[1] > _QUICK_MS:
                    break
        assert best is not None
        return best

    def _explain(self, connection: psycopg.Connection[Any], text: str) -> tuple[float, float]:
        query = f"explain (analyze, buffers, timing off, format json) {text}"
        row = connection.execute(query.encode()).fetchone()
        assert row is not None
        found = row[0][0]
        plan = found["Plan"]
        blocks = plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
        return float(blocks), float(found["Execution Time"])

    def _ordered(self) -> list[Use]:
        """Return the uses, those that leave dead rows behind last."""
        return sorted(self._uses, key=lambda use: use.is_write)

    # Databases

    @contextmanager
    def _session(self, database: str) -> Iterator[psycopg.Connection[Any]]:
        """Yield a session of the application, whose last transaction is rolled back."""
        with psycopg.connect(self._dsn(database)) as connection:
            connection.execute(f"set statement_timeout = '{_LONGEST}'".encode())
            for name, value in self._case.settings.items():
                if _is_of_session(name):
                    connection.execute(f"set {name} = {texts.literal(value)}".encode())
            connection.commit()
            yield connection
            connection.rollback()

    def _make(self, name: str, template: str = "template0") -> None:
        make = sql.SQL("create database {} template {}")
        self._server.execute(make.format(sql.Identifier(name), sql.Identifier(template)))

    @contextmanager
    def _copy(self, name: str) -> Iterator[None]:
        self._make(name, "wild")
        try:
            for setting, value in self._case.settings.items():
                if not _is_of_session(setting):
                    set_ = f"alter database {name} set {setting} = {texts.literal(value)}"
                    self._execute("postgres", set_)
            yield
        finally:
            drop = sql.SQL("drop database {} with (force)")
            self._server.execute(drop.format(sql.Identifier(name)))

    def _dsn(self, database: str) -> str:
        return self._server.dsn(database)

    def _execute(self, database: str, script: str) -> None:
        with psycopg.connect(self._dsn(database), autocommit=True) as connection:
            connection.execute(script.encode())

    def _size(self, database: str) -> int:
        with psycopg.connect(self._server.dsn()) as connection:
            row = connection.execute("select pg_database_size(%s)", [database]).fetchone()
        assert row is not None
        return int(row[0])


def promised(gains: Iterable[QueryGain]) -> Promise:
    """Return what advice promises of the mean call of statements, weighted by calls."""
    before = after = total = 0.0
    for gain in gains:
        calls = gain.weight if gain.calls is None else gain.calls
        blocks = (gain.blocks_before, gain.blocks_after)
        old, new = (gain.cost_before, gain.cost_after) if None in blocks else blocks
        before, after = before + calls * (old or 0.0), after + calls * (new or 0.0)
        total += calls
    return Promise(before / total, after / total) if total else Promise(1.0, 1.0)


def _is_of_session(name: str) -> bool:
    return name == "role" or "." in name
