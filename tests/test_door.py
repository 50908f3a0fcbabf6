"""What SECURITY.md says of our statements, read in the server's own log: read-only, guarded, marked, few sessions."""

import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner

from pgwatch_wed.cli import cli
from pgwatch_wed.errors import ConnectError
from pgwatch_wed.gather import enrichment
from pgwatch_wed.sqltext.text import is_own
from pgwatch_wed.target import door
from pgwatch_wed.target.collect import collect
from pgwatch_wed.whatif.lab import dump
from tests.psql import psql
from tests.servers import Server

LOGGING = {
    "log_statement": "all",
    "log_connections": "on",
    "log_disconnections": "on",
    "log_line_prefix": "%p|%d|",
}
LINE = re.compile(r"(\d+)\|([^|]*)\|LOG:  (.*)", re.DOTALL)
STATEMENT = re.compile(r"(?:statement|execute [^:]*): (.*)", re.DOTALL)
BEGIN = re.compile(r"begin /\* pgwatch_wed:\w+ \*/ isolation level read committed, read only; ")
SHOP = """
create extension pg_stat_statements;
create extension pgstattuple;
create table orders (id serial primary key, customer int, pad text);
insert into orders (customer, pad) select g % 4000, repeat('x', 60) from generate_series(1, 40000) g;
create index on orders (pad);
analyze;
select count(*) from orders where customer = 7;
"""


@dataclass
class Session:
    """What the server logged of one session."""

    application: str
    statements: list[str] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    is_over: bool = False


@dataclass
class Watched:
    """A server that logs everything, and a database there."""

    server: Server
    dsn: str

    def log(self) -> str:
        """Return everything that was logged so far."""
        if self.server.local is not None:
            return self.server.local.log.read_text(errors="replace")
        return b"".join(self.server.container.get_logs()).decode(errors="replace")

    def sessions(self, since: str) -> list[Session]:
        """Return the sessions since a state of the log, which may come late."""
        deadline = time.monotonic() + 10
        while True:
            found = self._sessions(since)
            if found and all(session.is_over for session in found):
                return found
            assert time.monotonic() < deadline
            time.sleep(0.1)

    def _sessions(self, since: str) -> list[Session]:
        name = str(psycopg.conninfo.conninfo_to_dict(self.dsn)["dbname"])
        found: dict[str, Session] = {}
        for place, (pid, message) in enumerate(self._messages(since, name)):
            if message.startswith("connection authorized"):
                found[pid] = Session(_application(message))
            elif pid not in found:
                continue  # it began before, and its end is logged late
            elif message.startswith("disconnection"):
                found[pid].is_over = True
            elif statement := STATEMENT.match(message):
                found[pid].statements.append(statement[1])
                found[pid].places.append(place)
        return list(found.values())

    def _messages(self, since: str, database: str) -> Iterator[tuple[str, str]]:
        text = self.log().removeprefix(since).replace("\n\t", "\n ")
        for entry in re.split(r"\n(?=\d+\|)", text):
            line = LINE.match(entry)
            if line and line[2] == database:
                yield line[1], line[3]


def _application(message: str) -> str:
    found = re.search(r"application_name=(.*?)(?: SSL| GSS|$)", message)
    return found[1] if found else ""


@pytest.fixture(scope="module")
def watched(every_pg: Server) -> Iterator[Watched]:
    from tests import servers

    server = servers.start(every_pg.spec, LOGGING)
    try:
        with server.database() as dsn:
            psql(dsn, SHOP)
            if "hypopg" in server.spec.extensions:
                psql(dsn, "create extension hypopg;")
            yield Watched(server, dsn)
    finally:
        server.stop()


# A call, how many sessions of our own it may open, and whether pg_dump comes too.
CALLS = {
    "collect {dsn} -o {folder}/snapshot.json --no-advise": 1,
    "check {dsn}": 1,
    "run {dsn} -o {folder} --no-advise": 1,
    "run {dsn} -o {folder} --no-advise --exact-bloat": 2,
    "run {dsn} -o {folder} --without-lab": 2,
    "run {dsn} -o {folder}": 3,
    "indexes {dsn} --engine lab": 4,  # the last asks for the server's own estimates
    "indexes {dsn} --engine hypopg": 2,
    "install {dsn} --dry-run": 1,
}


def needed(call: str) -> list[pytest.MarkDecorator]:
    if "hypopg" in call:
        return [pytest.mark.pg(">= 13", extension="hypopg")]
    return [pytest.mark.pg(f"<= {dump.major()}")] if "lab" in call else []


@pytest.mark.spread(1)
@pytest.mark.parametrize("call", [pytest.param(c, marks=needed(c), id=c) for c in CALLS])
def test_every_statement_is_guarded_and_marked(
    watched: Watched, call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    has_lab = watched.server.version <= dump.major()
    if "--without-lab" in call:
        monkeypatch.setattr(enrichment, "MAX_TABLES", 0)
    before = watched.log()
    words = call.replace("--without-lab", "").split()
    done = CliRunner().invoke(cli, [w.format(dsn=watched.dsn, folder=tmp_path) for w in words])
    assert done.exit_code == 0, (done.output, done.exception)
    sessions = watched.sessions(before)
    ours = [s for s in sessions if s.application == "pgwatch_wed"]
    dumps = [s for s in sessions if s.application.startswith("pgwatch_wed pg_dump")]
    assert len(ours) + len(dumps) == len(sessions)
    # one is at its end before the next begins
    assert all(one.places[-1] < next_.places[0] for one, next_ in pairwise(ours))
    assert len(ours) == CALLS[call]
    # without a lab the third is the one that plans on the server itself
    assert len(dumps) == (CALLS[call] >= 3 and has_lab)
    for session in ours:
        assert session.statements
        assert unguarded(session) == []


def unguarded(session: Session) -> list[str]:
    """Return what was asked outside of a guarded transaction, or without the mark."""
    wrong: list[str] = []
    is_inside = False
    for text in session.statements:
        if BEGIN.match(text):
            is_inside = _sets_guards(text)
        elif not is_inside or not is_own(text):
            wrong.append(text)
        if text.startswith(("commit ", "rollback ")) and "savepoint" not in text:
            is_inside = False
    return [*wrong, *(["(it did not end)"] if is_inside else [])]


def _sets_guards(opening: str) -> bool:
    """Tell whether what follows BEGIN in the same message sets limits and the path, for this transaction."""
    calls = re.findall(r"pg_catalog\.set_config\('(\w+)', '([^']*)', (\w+)\)", opening)
    settings = {name: value for name, value, _ in calls}
    assert all(is_local == "true" for *_, is_local in calls)
    wanted = ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout")
    return settings["search_path"] == "pg_catalog, pg_temp" and all(
        settings[name] not in ("", "0", "0ms") for name in wanted
    )


def test_a_door_is_not_to_be_asked_outside_of_its_transactions(db: str) -> None:
    with door.opened(db) as target:
        with target.asking("test") as connection:
            assert connection.execute("select 1").fetchone() == (1,)
        with pytest.raises(RuntimeError, match="guarded"):
            connection.execute("select 1")
        with pytest.raises(RuntimeError, match="guarded"):
            next(connection.cursor().stream("select 1"))
        with pytest.raises(RuntimeError, match="guarded"):
            connection.cursor().executemany("select %s", [(1,)])
        with pytest.raises(RuntimeError, match="guarded"):
            connection.cursor().copy("copy (select 1) to stdout")
        with (
            target.asking("test"),
            pytest.raises(RuntimeError, match="at a time"),
            target.asking("test"),
        ):
            pass


def test_who_is_interrupted_while_rows_arrive_leaves_nothing_and_waits_for_nobody(db: str) -> None:
    ended: list[object] = []

    def read_and_be_interrupted() -> None:
        with door.opened(db) as opened:
            rows: Iterator[object] = iter(())
            try:
                with opened.asking("test") as connection:
                    rows = connection.cursor().stream("select generate_series(1, 1000000)", size=10)
                    next(rows)
                    raise KeyboardInterrupt
            except KeyboardInterrupt:
                ended.append(opened.is_broken)
            with opened.asking("test") as connection:
                ended.append(connection.execute("select 1").fetchone())
            ended.append(next(rows, None))

    thread = threading.Thread(target=read_and_be_interrupted, daemon=True)
    thread.start()
    thread.join(20)
    assert ended == [False, (1,), None]


def test_what_is_asked_cannot_write_and_waits_for_nobody(db: str) -> None:
    psql(db, "create table t (id int primary key);")
    guards = door.Guards(lock_ms=50, statement_ms=300)
    with door.opened(db, guards) as target:
        for statement, state in (
            ("insert into public.t values (1)", "25006"),
            ("create temp table x (id int)", "42P16"),
            ("select pg_sleep(5)", "57014"),
        ):
            with pytest.raises(psycopg.Error) as caught, target.asking("test") as connection:
                connection.execute(statement.encode())
            assert caught.value.sqlstate == state or state == "42P16", statement
        with psycopg.connect(db) as holder:
            holder.execute("lock table t in access exclusive mode")
            with pytest.raises(psycopg.errors.LockNotAvailable), target.asking("x") as connection:
                connection.execute("select * from public.t")


def test_guards_are_those_that_were_given(db: str) -> None:
    guards = door.Guards(lock_ms=123, statement_ms=4567, idle_ms=8900)
    with door.asking(db, "test", guards) as connection:
        names = ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout")
        values = [connection.execute(f"show {name}".encode()).fetchone() for name in names]
        assert values == [("123ms",), ("4567ms",), ("8900ms",)]
        assert connection.execute("show transaction_read_only").fetchone() == ("on",)


def test_a_server_without_our_optional_settings_is_read_all_the_same(
    db: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on forks whose version promises more than they have."""
    monkeypatch.setattr(door, "_FIRST_WITHOUT_VIEWS", {})
    settings = door.Guards.settings

    def with_one_too_many(self: door.Guards, version: int) -> dict[str, str]:
        return {**settings(self, version), "client_connection_check_interval": "-7"}

    monkeypatch.setattr(door.Guards, "settings", with_one_too_many)
    assert collect(db, only=["settings"]).settings
    with door.opened(db) as target, target.asking("test") as connection:
        assert target.refused
        assert connection.execute("show search_path").fetchone() == ("pg_catalog, pg_temp",)


@pytest.mark.pg(">= 17")
def test_a_view_in_the_place_of_a_table_is_not_read(db: str) -> None:
    """Somebody may exchange them between two of our queries."""
    psql(db, "create view v as select 1 as last_value, true as is_called;")
    with (
        door.asking(db, "test") as connection,
        pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="non-system view"),
    ):
        connection.execute("select last_value from public.v")


def test_connecting_takes_no_longer_than_it_was_given(tmp_path: Path) -> None:
    with pytest.raises(ConnectError), door.opened(f"host={tmp_path}", door.Guards(connect_s=2)):
        pass
