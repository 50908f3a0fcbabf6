"""One query, one read-only transaction: how every fact is read.

Settings are local to the transaction, so that nothing leaks behind a pooler; no lock outlives its
query; and on a standby, a conflict with recovery costs one fact and not the connection. Each query has
a deadline on the server, and a later one on our side for a server that does not respond at all.
"""

import codecs
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from dataclasses import fields as dataclass_fields
from functools import cache
from operator import itemgetter
from typing import Any, get_args, get_origin

import psycopg
from psycopg.types.string import TextLoader

from pgwatch_wed.errors import CollectError, said
from pgwatch_wed.facts import Cause, Missing, QueryCost, Server
from pgwatch_wed.facts.features import Features
from pgwatch_wed.facts.fields import fact_types, field_types
from pgwatch_wed.sqltext.statement_link import TEXT_LIMIT
from pgwatch_wed.target.capabilities import why_missing
from pgwatch_wed.target.door import Door, Guards, opened
from pgwatch_wed.target.queries import QueryFile

Connection = psycopg.Connection[tuple[Any, ...]]
Rows = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class CollectLimits:
    """How much to read at most; the snapshot says what is left out."""

    max_relations: int = 20_000
    max_indexes: int = 120_000
    max_columns: int = 400_000
    max_constraints: int = 100_000
    max_sequences: int = 5_000
    max_statements: int = 100_000
    max_texts: int = 500
    max_text_chars: int = TEXT_LIMIT
    statement_ms: int = 30_000
    lock_ms: int = 100


class ServerText(TextLoader):
    """Load text that may contain bytes of another database; a bad byte must not cost the row."""

    codec = "utf-8"

    def load(self, data: Any) -> str:
        """Decode the server's bytes, with U+FFFD for what is not valid text."""
        return str(data, self.codec, "replace")


_LEAST_MS = 10
_LEAST_FIRST_MS = 2000


@dataclass(slots=True)
class Reader:
    """A server's door, the time left, and what reading has cost so far.

    ``at_once``: take each result as a whole before facts are made of it. It takes more memory here, and what a query
    costs is then what the server took, and not also what we did with its rows meanwhile.
    """

    door: Door
    limits: CollectLimits
    deadline: float | None = None
    codec: str = "utf-8"
    server: Server | None = None
    costs: list[QueryCost] = field(default_factory=list)
    notes: dict[str, Missing] = field(default_factory=dict)
    at_once: bool = False
    _answered: float | None = None

    @property
    def is_broken(self) -> bool:
        """Whether nothing more can be read."""
        return self.door.is_broken

    def remaining_s(self) -> float:
        """Return the rest of the budget in seconds; infinite without one."""
        return float("inf") if self.deadline is None else self.deadline - time.monotonic()

    def read(self, query: QueryFile, values: Mapping[str, str]) -> Rows | Missing:
        """Return a query's rows as facts, or why there are none.

        Until the server is known, errors are raised: there is no partial result yet.
        """
        text = query.render({**_limit_values(self.limits), **values})
        return self.run(query.fact, text.encode(self.codec, "replace"))

    def run(self, name: str, text: bytes) -> Rows | Missing:
        """Return the rows of a query of ours; ``name`` is its fact."""
        return self._run(name, lambda connection: tuple(self._made(connection, text, name)))

    def _made(self, connection: Connection, text: bytes, name: str) -> Iterator[Any]:
        cursor = connection.cursor()
        if not self.at_once:
            return _facts(cursor, cursor.stream(text, size=1000), name)
        cursor.execute(text)
        self._answered = time.monotonic()
        return _facts(cursor, cursor, name)

    def fetch(self, name: str, text: bytes) -> Rows | Missing:
        """Return rows as tuples: it takes less time than :meth:`run`, and more memory for many of them."""
        return self._run(name, lambda connection: tuple(connection.execute(text)))

    def _run(self, name: str, read: Callable[[Connection], Rows]) -> Rows | Missing:
        begun, self._answered = time.monotonic(), None
        rows: Rows = ()
        try:
            with self.door.asking(name, self._guards(), self._settings()) as connection:
                rows = read(connection)
        except psycopg.Error as error:
            if self.server is None:
                raise
            return self._why(error, name)
        finally:
            seconds = (self._answered or time.monotonic()) - begun
            self.costs.append(QueryCost(name, len(rows), round(seconds, 6)))
        return rows

    def why_broken(self) -> Missing:
        """Return why nothing more can be read."""
        if self.door.silent_s is None:
            why = f": {self.door.broke}" if self.door.broke else ""
            reason = f"the connection was lost during the run{why}"
            return Missing(reason, "run again", Cause.BROKEN, self.door.broke)
        return Missing(
            f"the server did not respond for {self.door.silent_s:.0f} s; the connection was closed",
            "check the network and the server, and run again",
            Cause.BROKEN,
        )

    def _why(self, error: psycopg.Error, name: str) -> Missing:
        assert self.server is not None
        if self.door.silent_s is not None:
            return self.why_broken()
        if self.is_broken:
            text = said(error)
            return Missing(f"the connection was lost: {text}", "run again", Cause.BROKEN, text)
        return why_missing(error, name, self.server)

    def _guards(self) -> Guards:
        seconds = min(self.limits.statement_ms / 1000, self.remaining_s())
        # Without the server's version, there would not even be a report that says what is missing.
        least = _LEAST_MS if self.server is not None else _LEAST_FIRST_MS
        return Guards(lock_ms=self.limits.lock_ms, statement_ms=max(least, int(seconds * 1000)))

    def _settings(self) -> dict[str, str]:
        settings = {
            # Names and texts arrive as they are stored: no conversion that could fail on a bad byte.
            "client_encoding": "SQL_ASCII",
            # Sorts of catalogs fit in memory, and use little of it.
            "work_mem": "32MB",
        }
        if Features.of(self.door.info.server_version).has_consistent_statistics():
            # The counters of a row must be consistent; a snapshot of all would take more memory.
            settings["stats_fetch_consistency"] = "cache"
        return settings


@contextmanager
def reading(
    conninfo: str, limits: CollectLimits, budget_s: float | None, connect_s: float | None = None
) -> Iterator[Reader]:
    """Connect, and leave nothing of ours running on the server, even if the block fails.

    ``connect_s`` is how long the connection may take; the default is that of the guards, within the budget.

    Raises ConnectError; a psycopg error raised in the block becomes a CollectError.
    """
    deadline = None if budget_s is None else time.monotonic() + budget_s
    guards = Guards()
    most = guards.connect_s if connect_s is None else int(connect_s)
    patience = most if budget_s is None else min(most, int(budget_s))
    try:
        with opened(conninfo, replace(guards, connect_s=max(2, patience))) as door:
            yield Reader(door, limits, deadline, prepare(door))
    except psycopg.Error as error:
        raise _nothing_read(error) from None


def prepare(door: Door | psycopg.Connection[Any]) -> str:
    """Make a session accept text with any bytes; return the codec of the server's encoding."""
    codec = _codec(door.info.parameter_status("server_encoding") or "UTF8")
    loader = _loader(codec)
    for name in ("text", "varchar", "name", "bpchar", '"char"'):
        door.adapters.register_loader(name, loader)
    return codec


@cache
def _loader(codec: str) -> type[ServerText]:
    """Return a class for each encoding, not one for each of a fleet's connections: classes stay."""
    return type("Text", (ServerText,), {"codec": codec})


def _codec(encoding: str) -> str:
    """Return Python's name for a server encoding; unknown ones are read as UTF-8."""
    name = encoding.lower().replace("win", "cp").replace("koi8", "koi8_")
    try:
        return codecs.lookup(name).name
    except LookupError:
        return "utf-8"


def _nothing_read(error: psycopg.Error) -> CollectError:
    text = said(error)
    if "statement pooling" in text:
        return CollectError(
            f"could not start a transaction: {text}",
            "a pooler in statement mode is not supported; connect to the server directly",
        )
    if isinstance(error, psycopg.OperationalError):
        return CollectError(
            f"the connection was lost before anything was read: {text}",
            "check that the server is up, and try again",
        )
    return CollectError(
        f"could not read the server's version: {text}", "is it PostgreSQL 13 or later?"
    )


@cache
def _limit_values(limits: CollectLimits) -> dict[str, str]:
    names = (f.name for f in dataclass_fields(limits) if f.name.startswith("max_"))
    return {name: str(getattr(limits, name)) for name in names}


# --- rows into facts ------------------------------------------------------------------------------


def _facts(cursor: psycopg.Cursor[Rows], rows: Iterable[Rows], name: str) -> Iterator[Any]:
    kind = Server if name == "server" else fact_types().get(name)
    build: Callable[[tuple[Any, ...]], Any] | None = None
    for row in rows:
        if build is None:
            build = _builder(kind, tuple(c.name for c in cursor.description or ()))
        yield build(row)


def _builder(kind: type | None, names: tuple[str, ...]) -> Callable[[tuple[Any, ...]], Any]:
    if kind is None:
        return lambda row: row
    arrays, floats, texts, order = _plan(kind, names)
    in_order = itemgetter(*order) if len(order) > 1 else lambda row: (row[order[0]],)
    # Most columns have few distinct values: each is kept only once for a hundred thousand rows.
    kept_arrays = [(i, _Kept()) for i in arrays]
    kept_texts = [(i, _Kept()) for i in texts]

    def build(row: tuple[Any, ...]) -> Any:
        values = list(in_order(row))
        for i, kept in kept_arrays:
            values[i] = kept[tuple(values[i] or ())]
        for i in floats:
            if values[i] is not None:
                values[i] = _number(values[i])
        for i, kept in kept_texts:
            values[i] = kept[values[i]]
        return kind(*values)

    return build


def _number(value: Any) -> float | None:
    """Return a number; NaN and infinity, as in a corrupted catalog, are treated as NULL."""
    number = float(value)
    return number if math.isfinite(number) else None


_MOST_KEPT = 1_000


class _Kept(dict[Any, Any]):
    """Returns an equal value that is already kept; columns with many distinct values are left alone."""

    def __missing__(self, value: Any) -> Any:
        if len(self) < _MOST_KEPT:
            self[value] = value
        return value


@cache
def _plan(
    kind: type, names: tuple[str, ...]
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    types = field_types(kind)
    if set(names) != set(types):
        odd = sorted(set(names) ^ set(types))
        raise CollectError(f"the columns of the query and {kind.__name__} differ: {', '.join(odd)}")
    order = tuple(names.index(n) for n in types)
    arrays = tuple(i for i, t in enumerate(types.values()) if get_origin(t) is tuple)
    floats = tuple(i for i, t in enumerate(types.values()) if t is float or float in get_args(t))
    texts = tuple(i for i, t in enumerate(types.values()) if t is str or str in get_args(t))
    return arrays, floats, tuple(i for i in texts if i not in arrays), order
