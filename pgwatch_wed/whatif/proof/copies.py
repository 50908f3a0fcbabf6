"""A copy of the target on which to build and measure: what it is, and that it is not the target."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg

from pgwatch_wed.errors import CollectError, UsageError
from pgwatch_wed.target import door, wire
from pgwatch_wed.target.queries import composed
from pgwatch_wed.target.session import ServerText, prepare
from pgwatch_wed.whatif import planner

_LOCK = 7_203_441_865_231  # an arbitrary number of our own
_FEW_PAGES = 0.5
_ATTEMPTS = 30
_PAUSE_S = 0.1
_PIN = (
    "select pg_catalog.set_config('search_path', %s, false),"
    " pg_catalog.set_config('lock_timeout', '10s', false)"
)
# the session is idle for as long as the proof lasts
_NO_TIMEOUTS = (
    "select set_config(s.name, '0', false) from pg_settings s"
    " where s.name in ('idle_session_timeout', 'statement_timeout', 'transaction_timeout')"
)


@dataclass(frozen=True, slots=True)
class Place:
    """A database on a server. ``system`` and ``timeline`` are None if the role may not read them."""

    database: str
    is_standby: bool
    start: str
    oid: int
    pages: int
    system: str | None = None
    timeline: int | None = None


def place(connection: psycopg.Connection[Any]) -> Place:
    """Return the database of a connection."""
    _read_as_text(connection)
    row = connection.execute(composed("whatif", "place")).fetchone()
    assert row is not None
    may_ask = connection.execute(composed("whatif", "may_read_system")).fetchone()
    system = None
    if may_ask is not None and may_ask[0]:
        system = connection.execute(composed("whatif", "system")).fetchone()
    return Place(*row, *(system or (None, None)))


def is_same(one: Place, other: Place) -> bool:
    """Tell whether two places are the same database, or cannot be distinguished.

    A promoted copy has the system identifier of its origin, but its own timeline.
    """
    if one.start == other.start and one.oid == other.oid:
        return True
    if one.system is None or other.system is None:
        # without the privilege, a standby and its primary look unrelated
        return one.is_standby or other.is_standby
    return (one.system, one.timeline, one.database) == (
        other.system,
        other.timeline,
        other.database,
    )


@dataclass(frozen=True, slots=True)
class CopySession:
    """A session on a copy that plans like the target, with its ``settings``, except for the search path.

    The workload is run with ``path``, the target's search path; our own queries are not. ``notes`` are
    about the copy.
    """

    connection: psycopg.Connection[Any]
    path: str
    settings: Mapping[str, str]
    notes: tuple[str, ...]


@contextmanager
def opened(copy: str, target: str) -> Iterator[CopySession]:
    """Yield a session on a copy.

    Raises :class:`UsageError` if the copy is the target itself, or cannot be written to.
    """
    with door.asking(target, "copy") as production:
        settings = planner.read(production)
        origin = place(production)
    path = settings.pop("search_path", "")
    with connected(copy) as connection:
        here = place(connection)
        _check(here, origin)
        _reserve(connection)
        planner.apply(connection, settings)
        yield CopySession(connection, path, settings, tuple(_notes(here, origin)))


@contextmanager
def connected(copy: str) -> Iterator[psycopg.Connection[Any]]:
    """Connect to a copy for writing, with only PostgreSQL's own functions in the search path."""
    connection = wire.connect(copy, psycopg.Connection[Any])
    try:
        connection.execute(_PIN, [door.PINNED])
        _read_as_text(connection)
        yield connection
    finally:
        wire.end(connection)


@contextmanager
def reserved(copy: str) -> Iterator[psycopg.Connection[Any]]:
    """Yield a session on a copy, on which nobody else verifies or proves until the ``with`` block has ended.

    Who calls has made sure that the copy is one.
    """
    with connected(copy) as connection:
        connection.execute(_NO_TIMEOUTS)
        _reserve(connection)
        yield connection


def reserve(connection: psycopg.Connection[Any]) -> bool:
    """Reserve a copy until a session ends; return whether nobody else has."""
    return bool(_one(connection, "select pg_catalog.pg_try_advisory_lock(%s)", _LOCK))


def _reserve(connection: psycopg.Connection[Any]) -> None:
    """Reserve a copy; the server process of one that has just ended may hold it a little longer."""
    for _ in range(_ATTEMPTS):
        if reserve(connection):
            return
        time.sleep(_PAUSE_S)
    raise CollectError(
        "another verification or proof is running on this copy", "wait until it has finished"
    )


def check(copy: str, target: str) -> None:
    """Raise :class:`UsageError` if a copy is the target itself, or cannot be written to."""
    with door.asking(target, "copy") as production, connected(copy) as connection:
        _check(place(connection), place(production))


def _read_as_text(connection: psycopg.Connection[Any]) -> None:
    """Have text of a database without an encoding arrive as text, not as bytes; plans may contain any, too."""
    if connection.info.parameter_status("client_encoding") == "SQL_ASCII":
        prepare(connection)
        connection.adapters.register_loader("json", ServerText)


def _check(here: Place, origin: Place) -> None:
    if here.is_standby:
        raise UsageError(
            "the copy is a standby, on which nothing can be built",
            "promote it, or restore a dump elsewhere",
        )
    if is_same(here, origin):
        raise UsageError(
            f"the copy is the target itself, or cannot be distinguished from it"
            f" (database {here.database})",
            "specify a copy: a restored dump, or a promoted or renamed copy; nothing is built on the target",
        )


def _notes(here: Place, origin: Place) -> Iterator[str]:
    if here.pages < _FEW_PAGES * origin.pages:
        share = 100 * here.pages / max(1, origin.pages)
        yield f"the copy has {share:.0f}% of the target's pages; times on the target may differ"


def _one(connection: psycopg.Connection[Any], query: LiteralString, *args: Any) -> Any:
    row = connection.execute(query, args).fetchone()
    return None if row is None else row[0]
