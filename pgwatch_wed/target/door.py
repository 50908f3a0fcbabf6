"""The one way to connect to a user's server: a session that runs queries only in guarded transactions.

Each transaction is read-only, with its own time limits and search_path; they end with it, so that
nothing leaks behind a pooler, and no lock outlives the query. Each query is marked as ours.
"""

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Self

import psycopg
from psycopg import errors, sql
from psycopg.pq import TransactionStatus
from psycopg.rows import Row

from pgwatch_wed.errors import said
from pgwatch_wed.facts.features import Features
from pgwatch_wed.sqltext.text import marked
from pgwatch_wed.target import wire

# How much longer than the server's own limit we wait before we close the connection.
GRACE_S = 3.0
PINNED = "pg_catalog, pg_temp"
_BEGIN = sql.SQL(
    "begin /* pgwatch_wed:begin */ isolation level read committed, read only;"
    " select /* pgwatch_wed:guard */ {}"
)
# Settings that some servers refuse; the run continues without them.
_OPTIONAL = frozenset(
    {
        "client_connection_check_interval",
        "transaction_timeout",
        "restrict_nonsystem_relation_kind",
    }
)
# The first minor releases in which a session can refuse user-defined views, by major version.
_FIRST_WITHOUT_VIEWS = {13: 130_016, 14: 140_013, 15: 150_008, 16: 160_004}


@dataclass(frozen=True, slots=True)
class Guards:
    """How long we may wait for and work on a user's server.

    ``client_check_s``: how often the server checks whether we are still connected; 0 for never.
    """

    connect_s: int = 10
    lock_ms: int = 100
    statement_ms: int = 30_000
    idle_ms: int = 600_000
    client_check_s: int = 5

    def settings(self, server_version: int) -> dict[str, str]:
        """Return the settings that make a transaction harmless and its results uniform."""
        settings = {
            "lock_timeout": f"{self.lock_ms}ms",
            "statement_timeout": f"{self.statement_ms}ms",
            "idle_in_transaction_session_timeout": f"{self.idle_ms}ms",
            "search_path": PINNED,
            "row_security": "off",  # an error instead of policies, which would call user-defined code
            "client_min_messages": "error",
            "jit": "off",
            "max_parallel_workers_per_gather": "0",
            "datestyle": "ISO",
            "intervalstyle": "postgres",
            "timezone": "UTC",
            "extra_float_digits": "1",
            "quote_all_identifiers": "off",
            "standard_conforming_strings": "on",
        }
        features = Features.of(server_version)
        if features.has_connection_checks():
            settings["client_connection_check_interval"] = f"{self.client_check_s}s"
        if server_version >= _FIRST_WITHOUT_VIEWS.get(server_version // 10_000, 170_000):
            # A view that replaces a table between two of our queries would call its owner's code.
            settings["restrict_nonsystem_relation_kind"] = "view, foreign-table"
        if features.has_transaction_timeout():
            # A role's limit would end our connection, not just one query.
            settings["transaction_timeout"] = "0"
        return settings


@dataclass(frozen=True, slots=True)
class _Question:
    """The purpose of a transaction, with which its queries are marked, and the watch on its results.

    ``streams``: results that may not have been read to their end. Each holds the connection's lock until it is closed.
    """

    purpose: str
    watch: wire.Watch
    streams: list[Generator[Any, None, None]] = field(default_factory=list)


class Connection(psycopg.Connection[Row]):
    """A connection that is used through a :class:`Door`."""

    question: _Question | None = None


class Cursor(psycopg.Cursor[Row]):
    """A cursor that marks its queries, and refuses those outside of a guarded transaction."""

    def execute(
        self,
        query: Any,
        params: Any = None,
        *,
        prepare: bool | None = None,
        binary: bool | None = None,
    ) -> Self:
        """Execute a query."""
        return super().execute(self._marked(query), params, prepare=prepare, binary=binary)

    def stream(
        self, query: Any, params: Any = None, *, binary: bool | None = None, size: int = 1
    ) -> Iterator[Row]:
        """Yield a query's rows as they arrive."""
        rows = super().stream(self._marked(query), params, binary=binary, size=size)
        question: _Question | None = getattr(self.connection, "question", None)
        if question is not None and isinstance(rows, Generator):
            question.streams.append(rows)
        return rows

    def executemany(self, query: Any, params_seq: Any, *, returning: bool = False) -> None:
        """Execute a query for each of several sets of parameters."""
        super().executemany(self._marked(query), params_seq, returning=returning)

    def copy(self, statement: Any, params: Any = None, **more: Any) -> Any:
        """Start a COPY."""
        return super().copy(self._marked(statement), params, **more)

    def _marked(self, query: Any) -> bytes:
        question: _Question | None = getattr(self.connection, "question", None)
        if question is None:
            raise RuntimeError("a target may be queried only in a guarded transaction")
        question.watch.renew()
        if isinstance(query, sql.Composable):
            text = query.as_bytes(self)
        else:
            text = query if isinstance(query, bytes) else str(query).encode()
        # SQL keywords are ASCII in every encoding
        return marked(text.decode("latin-1"), question.purpose).encode("latin-1")


@dataclass(slots=True)
class Door:
    """A session on a target. See :func:`opened`."""

    _connection: Connection[tuple[Any, ...]]
    guards: Guards
    refused: frozenset[str] = frozenset()
    silent_s: float | None = None  # how long we waited before we closed the connection
    broke: str = ""  # the server's message when it ended the connection between two queries

    @property
    def is_broken(self) -> bool:
        """Whether no more queries are possible."""
        return self._connection.broken or self._connection.closed

    @property
    def info(self) -> psycopg.ConnectionInfo:
        """What is known about the server without a query."""
        return self._connection.info

    @property
    def adapters(self) -> psycopg.adapt.AdaptersMap:
        """How values are converted."""
        return self._connection.adapters

    @contextmanager
    def asking(
        self, purpose: str, guards: Guards | None = None, settings: Mapping[str, str] | None = None
    ) -> Iterator[Connection[tuple[Any, ...]]]:
        """Yield a connection in a read-only transaction with all guards, and end the transaction.

        ``settings`` are additional ones, only for this transaction.
        """
        if self._connection.question is not None:
            raise RuntimeError("one question at a time: the last transaction has not ended")
        guards = guards or self.guards
        patience = guards.statement_ms / 1000 + GRACE_S
        with wire.watched(self._connection, patience) as watch:
            self._connection.question = _Question(purpose, watch)
            try:
                self._begin(guards, settings or {})
                yield self._connection
            finally:
                # An exception, Ctrl-C above all, keeps the frames of who was reading, and these the stream: we would
                # wait for its lock for ever.
                for stream in self._connection.question.streams:
                    stream.close()
                self._end()
                self._connection.question = None
                self.silent_s = patience if watch.has_cut else self.silent_s

    def _begin(self, guards: Guards, settings: Mapping[str, str]) -> None:
        for attempt in range(3):
            try:
                self._connection.execute(self._opening(guards, settings))
                return
            except errors.QueryCanceled:  # by the role's own statement_timeout, before ours is set
                if attempt == 2:
                    raise
            except (errors.InvalidParameterValue, errors.UndefinedObject):
                if self.refused >= _OPTIONAL:
                    raise
                self.refused |= _OPTIONAL
            self._connection.rollback()

    def _opening(self, guards: Guards, settings: Mapping[str, str]) -> bytes:
        wanted = {**guards.settings(self.info.server_version), **settings}
        return _opening(tuple((n, v) for n, v in wanted.items() if n not in self.refused))

    def _end(self) -> None:
        status = self.info.transaction_status
        try:
            if status is TransactionStatus.INTRANS:
                # a rollback would be counted as one: whoever reads every few seconds would ring alarms
                self._connection.execute("commit")
            elif status is TransactionStatus.INERROR:
                self._connection.execute("rollback")
            elif status is not TransactionStatus.IDLE:
                self._connection.rollback()
        except psycopg.Error as error:
            self.broke = said(error)


@lru_cache(maxsize=64)
def _opening(settings: tuple[tuple[str, str], ...]) -> bytes:
    """Return what begins a transaction with settings: one message, one round trip."""
    calls = [
        sql.SQL("pg_catalog.set_config({}, {}, true)").format(name, value)
        for name, value in settings
    ]
    return _BEGIN.format(sql.SQL(", ").join(calls)).as_bytes(None)


@contextmanager
def opened(conninfo: str, guards: Guards | None = None) -> Iterator[Door]:
    """Connect, and leave nothing of ours running on the server, even if the block fails.

    Raises :class:`pgwatch_wed.errors.ConnectError`.
    """
    guards = guards or Guards()
    connection = wire.connect(conninfo, Connection[tuple[Any, ...]], connect_s=guards.connect_s)
    connection.cursor_factory = Cursor
    try:
        yield Door(connection, guards)
    finally:
        wire.end(connection)


def end_all() -> None:
    """Let no thread of this process wait for a server any longer, and leave nothing of ours running there."""
    wire.end_all()


@contextmanager
def asking(
    conninfo: str, purpose: str, guards: Guards | None = None
) -> Iterator[Connection[tuple[Any, ...]]]:
    """Connect for the duration of one guarded transaction; see :meth:`Door.asking`."""
    with opened(conninfo, guards) as door, door.asking(purpose) as connection:
        yield connection
