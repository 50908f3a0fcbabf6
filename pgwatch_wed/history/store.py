"""Where runs are kept: an SQLite file of the user, or a schema of a PostgreSQL server.

Every change is one transaction: a crash, a full disk or a second writer leaves what was there. Functions of
this package take the connection that :meth:`Store.reading` or :meth:`Store.writing` gives. A store may be used by many
threads, and a history by many processes: see :mod:`turns`.
"""

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import platformdirs
import psycopg
import sqlalchemy
from sqlalchemy import event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.pool import NullPool

from pgwatch_wed import paths
from pgwatch_wed.errors import HistoryError, HistoryPlaceError, UsageError, redact, said
from pgwatch_wed.history import access, blobs, migrate, months, turns
from pgwatch_wed.history.migrate import StoredForm
from pgwatch_wed.history.schema import SCHEMA
from pgwatch_wed.history.turns import Turn
from pgwatch_wed.scratch import scratch_folder

_WAIT_S = 30
"""How long a writer waits for another one."""

_POSTGRES = "SELECT " + ", ".join(
    f"set_config('{name}', '{value}', true)"
    for name, value in (
        ("lock_timeout", "30s"),
        ("statement_timeout", "300s"),
        ("idle_in_transaction_session_timeout", "300s"),
        ("timezone", "UTC"),
        ("standard_conforming_strings", "on"),
    )
)
"""Local to each transaction: a pooler may be in between, which refuses options or gives its session to others."""


@dataclass(frozen=True, slots=True)
class Location:
    """Where a history is: a file, or a server as libpq's conninfo."""

    kind: Literal["file", "server"]
    value: str

    @property
    def label(self) -> str:
        """Name it for a reader, without a password."""
        return self.value if self.kind == "file" else redact(self.value)


def default_file() -> Path:
    """Return the file that is used if nothing else is requested."""
    return platformdirs.user_state_path("pgwatch_wed") / "history.sqlite3"


def place(url: str | None) -> Location:
    """Understand what the user typed: nothing, a path, a URL, or libpq's conninfo."""
    if url is None:
        return Location("file", str(default_file()))
    scheme, separator, rest = url.partition("://")
    if not separator:
        is_conninfo = "=" in url and not paths.exists(Path(url))
        return Location("server", url) if is_conninfo else Location("file", url)
    dialect = scheme.partition("+")[0]
    if dialect in ("postgresql", "postgres"):
        return Location("server", f"postgresql://{rest}")
    if dialect == "sqlite":
        return Location("file", _sqlite_path(url))
    raise HistoryError(
        f"a history cannot be kept in {dialect}", "use a path, sqlite:///PATH or postgresql://…"
    )


def _sqlite_path(url: str) -> str:
    try:
        path = make_url(url).database
    except ArgumentError:
        path = None
    if not path or path == ":memory:":
        raise HistoryError("the URL of the history names no file", "use sqlite:///PATH")
    return path


def open_store(url: str | None = None, *, must_exist: bool = False) -> "Store":
    """Open a history and bring its tables up to date.

    Raises :class:`HistoryError` in one line if that is not possible; with ``must_exist`` also if there is
    none yet, so that reading creates nothing.
    """
    where = place(url)
    if where.kind == "file":
        _prepare_file(Path(where.value), must_exist=must_exist)
    store = Store(where, _engine(where))
    with _explained(where):
        migrate.upgrade(store.engine)
    return store


@contextmanager
def unchanged(url: str | None = None) -> Iterator["Store"]:
    """Give a history to read, and leave it as it is: not even its tables are created or upgraded.

    One that has yet to begin is read as an empty one, and a file that an older version wrote as an upgraded copy. Raises
    :class:`HistoryError` if the history cannot be read, as on a server to which an older version wrote.
    """
    where = place(url)
    form = StoredForm.NONE
    if where.kind != "server":
        _refuse_directory(Path(where.value))
    opened = Store(where, _engine(where))
    if where.kind == "server" or paths.exists(Path(where.value)):
        with _explained(where):
            form = migrate.form_of(opened.engine)
    if form is StoredForm.CURRENT:
        with closing(opened):
            yield opened
        return
    if form is StoredForm.OLDER and where.kind == "server":
        raise HistoryError(
            f"the history {where.label} was written by an older version of pgwatch_wed",
            "db-analyze run upgrades it",
        )
    with scratch_folder("history") as folder:
        copy = folder / "history.sqlite3"
        if form is StoredForm.OLDER:
            with _explained(where):
                _copy(Path(where.value), copy)
        with closing(open_store(str(copy))) as stand_in:
            yield stand_in


def _copy(path: Path, copy: Path) -> None:
    """Copy a file that a run may be writing to."""
    source = f"file:{quote(str(path.absolute()))}?mode=ro"
    with (
        closing(sqlite3.connect(source, uri=True, timeout=_WAIT_S)) as theirs,
        closing(sqlite3.connect(copy)) as ours,
    ):
        theirs.backup(ours)


def grant(where: Location, role: access.HistoryRole, members: tuple[str, ...]) -> None:
    """Let roles write a history on a server, or read it; raises :class:`UsageError` for a file."""
    if where.kind == "file":
        raise UsageError(
            "a file has no roles", "name a history on a server: --history postgresql://…"
        )
    with _explained(where), _connect(where.value) as connection:
        access.grant(connection, role, members)


class Store:
    """An open history."""

    def __init__(self, where: Location, engine: sqlalchemy.Engine) -> None:
        self.place = where
        self.engine = engine
        # SQLite lets writers ask again and again, for a time; the threads of a process queue
        self._turn: AbstractContextManager[Any] = (
            _turn_of(where.value) if where.kind == "file" else nullcontext()
        )

    @contextmanager
    def reading(self) -> Iterator[sqlalchemy.Connection]:
        """Give a connection that sees one state of the history and changes nothing."""
        with _explained(self.place), self.engine.connect() as connection:
            level = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
            if connection.dialect.name == "postgresql":
                connection = connection.execution_options(**level)
            with connection.begin() as transaction:
                yield connection
                transaction.rollback()

    @contextmanager
    def writing(self) -> Iterator[sqlalchemy.Connection]:
        """Give a connection in one transaction; it is kept only if nothing failed."""
        with self._turn, _explained(self.place), self.engine.connect() as connection:
            connection = connection.execution_options(pgwatch_wed_writes=True)
            if connection.dialect.name != "postgresql":
                with connection.begin():
                    yield connection
                return
            # whoever has waited must see what the other has written
            connection = connection.execution_options(isolation_level="READ COMMITTED")
            with connection.begin():
                turns.share(connection, Turn.FORM)
                access.become(connection, access.owner_to_be(connection))
                months.create_apart(connection, self._apart)
                blobs.collect(connection)
                yield connection
                blobs.write(connection)

    @contextmanager
    def _apart(self) -> Iterator[sqlalchemy.Connection]:
        """Give a connection in a short transaction of its own, for a writer that has shared the tables' form already."""
        with self.engine.connect() as plain:
            connection = plain.execution_options(isolation_level="READ COMMITTED")
            with connection.begin():
                access.become(connection, access.owner_to_be(connection))
                yield connection

    def close(self) -> None:
        """Forget the connections."""
        self.engine.dispose()


_turns: dict[str, threading.RLock] = {}


def _turn_of(path: str) -> threading.RLock:
    """Return what the writers of a file in this process have by turns."""
    return _turns.setdefault(os.path.realpath(path), threading.RLock())


def _refuse_directory(path: Path) -> None:
    if path.is_dir():
        raise HistoryError(f"the history {path} is a directory", "name a file")


def _prepare_file(path: Path, *, must_exist: bool) -> None:
    """Create the file for its owner alone, before anything is written into it."""
    try:
        _refuse_directory(path)
        if path.exists():
            return
        if must_exist:
            raise HistoryError(
                f"there is no history at {path}",
                "db-analyze run creates it; or name one with --history",
            )
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
        os.close(handle)
    except OSError as error:
        raise HistoryError(
            f"the history {path} cannot be opened: {error.strerror or error}",
            "name another place with --history, or use --no-history",
        ) from None


def _engine(where: Location) -> sqlalchemy.Engine:
    if where.kind == "file":
        url = sqlalchemy.URL.create("sqlite", database=where.value)
        engine = sqlalchemy.create_engine(  # noqa: TID251 - our own history
            url, poolclass=NullPool, connect_args={"timeout": _WAIT_S}
        )
        event.listen(engine, "connect", _on_connect)
        event.listen(engine, "begin", _on_begin)
        return engine
    engine = sqlalchemy.create_engine(  # noqa: TID251 - likewise
        "postgresql+psycopg://",
        creator=lambda: _connect(where.value),
        poolclass=NullPool,
        execution_options={"schema_translate_map": {None: SCHEMA}},
    )
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(_POSTGRES))
    return engine


def _connect(conninfo: str) -> psycopg.Connection[Any]:
    given = psycopg.conninfo.conninfo_to_dict(conninfo)
    given.setdefault("connect_timeout", 10)
    given.setdefault("application_name", "pgwatch_wed history")
    # Prepared statements belong to a session, too.
    return psycopg.connect(**given, prepare_threshold=None)  # type: ignore[arg-type]  # noqa: TID251 - our own history


def _on_connect(connection: sqlite3.Connection, _: object) -> None:
    # The driver's own transactions do not include DDL.
    connection.isolation_level = None
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = OFF")


def _on_begin(connection: sqlalchemy.Connection) -> None:
    writes = connection.get_execution_options().get("pgwatch_wed_writes")
    # Taken at once, so that a second writer waits instead of failing when it first writes.
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextmanager
def _explained(where: Location) -> Iterator[None]:
    """Turn an error of the database into one line and a hint."""
    try:
        yield
    except DBAPIError as error:
        raise _reason(where, error.orig or error) from None
    except (psycopg.Error, sqlite3.Error, OSError) as error:
        raise _reason(where, error) from None


_HINTS = {
    "SQLITE_READONLY": "make the file and its directory writable, or name another with --history",
    "SQLITE_FULL": "free disk space, or `db-analyze history prune`",
    "SQLITE_IOERR": "check the disk; the history is as it was before",
    "SQLITE_BUSY": "another run is writing; try again later",
    "SQLITE_NOTADB": "the file is not a history: name another with --history",
    "SQLITE_CORRUPT": "the file is damaged: restore it from a backup, or move it away to begin anew",
    "SQLITE_CANTOPEN": "check the directory and its permissions",
    "InsufficientPrivilege": "this role may not write it: `db-analyze history grant fleet ROLE`, once",
    "LockNotAvailable": "another run is writing; try again later",
}


def _reason(where: Location, error: BaseException) -> HistoryPlaceError:
    code = getattr(error, "sqlite_errorname", None) or type(error).__name__
    known = next((hint for name, hint in _HINTS.items() if code.startswith(name)), "")
    return HistoryPlaceError(f"the history {where.label} cannot be used: {said(error)}", known)
