"""TARGET → a read-only, guarded connection.

A target is a libpq conninfo, a URI (SQLAlchemy's ``postgresql+psycopg://`` too) or a service name;
without one ``DATABASE_URL``, then libpq's own environment.
"""

import logging
import os
import re
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import conninfo as libpq

from pgwatch_wed.errors import ConnectError, UsageError, redact
from pgwatch_wed.facts.features import Features

APPLICATION_NAME = "pgwatch_wed"

# What libpq could not cancel is our report's to say, not a log line between its lines.
logging.getLogger("psycopg").addHandler(logging.NullHandler())

# `postgresql+psycopg://…`, `postgres+asyncpg://…`: SQLAlchemy names its driver in the scheme.
_DRIVER = re.compile(r"\A(postgres(?:ql)?)\+\w+://")
_SERVICE = re.compile(r"\A[^\s=/:]+\Z")
_URI = re.compile(r"\Apostgres(?:ql)?://")
_QUOTED = re.compile(r'".*"', re.DOTALL)  # greedy: what is quoted may hold a quote


_KEEPALIVE = {
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}


@dataclass(frozen=True, slots=True)
class Guards:
    """How long we may wait and work on a user's server; milliseconds, seconds for connecting."""

    connect_s: int = 10
    lock_ms: int = 100
    statement_ms: int = 30_000
    idle_ms: int = 600_000


def resolve(target: str | None) -> str:
    """Return the libpq conninfo of a target; raise :class:`UsageError` where it is none."""
    text = (target or os.environ.get("DATABASE_URL") or "").strip()
    if not text:
        return ""
    text = _DRIVER.sub(r"\1://", text)
    if _SERVICE.match(text):
        return libpq.make_conninfo("", service=text)
    _refuse_unescaped(text)
    try:
        return libpq.make_conninfo(text)
    except (psycopg.ProgrammingError, UnicodeError) as error:
        # what libpq could not read it quotes, and that may be half a password
        said = _QUOTED.sub('"…"', redact(str(error)))
        raise UsageError(
            f"the target is not a connection string: {said}",
            "give postgresql://user@host/database, 'host=… dbname=…' or a service name; in a URI "
            "write special characters of a password as %40 (@), %2F (/), %25 (%), %20 (space)",
        ) from None


def _refuse_unescaped(text: str) -> None:
    """Refuse a URI in which libpq would take a part of the password for a host or a database.

    It would then be in every message that names them.
    """
    place = text.partition("?")[0].partition("://")[2]
    authority, _, path = place.partition("/")
    if _URI.match(text) and ("@" in path or authority.count("@") > 1):
        raise UsageError(
            "the target has an @ where a URI cannot have one",
            "write special characters of a user, password or database as %40 (@), %2F (/), %25 (%)",
        )


def label(conninfo: str) -> str:
    """Name a target for reports: host, port, database; never user secrets."""
    parts: dict[str, Any] = dict(libpq.conninfo_to_dict(conninfo)) if conninfo else {}
    host = parts.get("host") or parts.get("hostaddr") or os.environ.get("PGHOST") or "local"
    port = parts.get("port") or os.environ.get("PGPORT") or "5432"
    dbname = parts.get("dbname") or os.environ.get("PGDATABASE") or parts.get("user") or ""
    service = parts.get("service")
    if service and not parts.get("host"):
        return f"service {service}" + (f"/{dbname}" if dbname else "")
    return f"{host}:{port}/{dbname}" if not str(host).startswith("/") else f"{host}/{dbname}"


def with_database(conninfo: str, dbname: str) -> str:
    """Return the conninfo of another database of the same server."""
    return libpq.make_conninfo(conninfo, dbname=dbname)


def connect(
    conninfo: str, guards: Guards | None = None, *, application_name: str = APPLICATION_NAME
) -> psycopg.Connection[tuple[Any, ...]]:
    """Open a connection, in autocommit mode; see :func:`guard` for what makes it harmless.

    Raises :class:`ConnectError` with libpq's reason in one line. Nothing is set in the session
    itself: behind a pooler in transaction mode such settings would leak to the next client.
    """
    guards = guards or Guards()
    defaults: dict[str, Any] = {"application_name": application_name}
    given = libpq.conninfo_to_dict(conninfo) if conninfo else {}
    if "connect_timeout" not in given and "PGCONNECT_TIMEOUT" not in os.environ:
        defaults["connect_timeout"] = guards.connect_s
    # A server whose network stalls must not hang us: the kernel gives up on unanswered data.
    defaults |= {key: value for key, value in _KEEPALIVE.items() if key not in given}
    try:
        # Prepared statements are off: a pooler in transaction mode would mix them up.
        connection = psycopg.connect(conninfo, autocommit=True, prepare_threshold=None, **defaults)
    except (psycopg.Error, UnicodeError) as error:
        raise ConnectError(_one_line(error), _hint(str(error))) from None
    return connection


def guard_settings(guards: Guards) -> Mapping[str, str]:
    """Name the settings that keep a transaction harmless and its answers in one form."""
    return {
        "lock_timeout": f"{guards.lock_ms}ms",
        "statement_timeout": f"{guards.statement_ms}ms",
        "idle_in_transaction_session_timeout": f"{guards.idle_ms}ms",
        "search_path": "pg_catalog, pg_temp",
        "client_min_messages": "error",
        "jit": "off",
        "max_parallel_workers_per_gather": "0",
        "datestyle": "ISO",
        "intervalstyle": "postgres",
        "timezone": "UTC",
        "extra_float_digits": "1",
    }


def without_limits(server_version: int) -> Mapping[str, str]:
    """Name what lifts a role's limit that would end our whole connection, and not one query."""
    has_it = Features.of(server_version).has_transaction_timeout()
    return {"transaction_timeout": "0"} if has_it else {}


def guard(connection: psycopg.Connection[Any], guards: Guards) -> None:
    """Make the current transaction wait for no lock and run nothing for long; it ends with it."""
    settings = {**guard_settings(guards), **without_limits(connection.info.server_version)}
    names = list(settings.items())
    calls = ", ".join(["set_config(%s, %s, true)"] * len(names))
    connection.execute(
        f"select /* pgwatch_wed:guard */ {calls}",
        [part for pair in names for part in pair],
    )


class Watch:
    """Tells whether a connection had to be cut off because its server stayed silent."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        self.has_cut = False

    def cut(self) -> None:
        """Shut the socket: whoever waits for an answer on it gets an error at once."""
        with (
            suppress(OSError, ValueError, psycopg.Error),
            socket.socket(fileno=os.dup(self._connection.fileno())) as other,
        ):
            self.has_cut = True
            other.shutdown(socket.SHUT_RDWR)


@contextmanager
def watched(connection: psycopg.Connection[Any], seconds: float) -> Iterator[Watch]:
    """Cut the connection off where the block takes longer than ``seconds``.

    The server's own timeouts end what it works on; this ends our waiting for a server or a network
    that does not answer at all. The block then sees an OperationalError.
    """
    watch = Watch(connection)
    timer = threading.Timer(seconds, watch.cut)
    timer.daemon = True
    timer.start()
    try:
        yield watch
    finally:
        timer.cancel()
        timer.join()


def end(connection: psycopg.Connection[Any]) -> None:
    """Close a connection and leave no query of it running on the server."""
    with suppress(psycopg.Error):
        if connection.info.transaction_status is psycopg.pq.TransactionStatus.ACTIVE:
            connection.cancel_safe(timeout=2)
    connection.close()


def _one_line(error: Exception) -> str:
    text = " ".join(redact(str(error)).split())
    return f"could not connect: {text}"


def _hint(text: str) -> str:
    hints = (
        ("password authentication failed", "check the user and password (PGPASSWORD, ~/.pgpass)"),
        ("no password supplied", "set PGPASSWORD or write ~/.pgpass"),
        ("does not exist", "check the database and role names"),
        ("Connection refused", "check host and port, and that the server accepts TCP"),
        ("No such file or directory", "is the server running there? give host= or a URI"),
        ("timeout expired", "check host, port and firewall"),
        ("too many clients", "the server has no free connection; try again, or raise its limit"),
        ("remaining connection slots", "the server has no free connection for this role"),
        ("starting up", "the server is starting; try again in a moment"),
        ("shutting down", "the server is going down; try again later"),
        ("no pg_hba.conf entry", "the server's pg_hba.conf does not let this role in from here"),
        ("certificate", "check sslrootcert, sslcert and sslmode"),
        ("SSL", "check sslmode"),
        ("definition of service", "check pg_service.conf (PGSERVICEFILE)"),
        (
            "pg_hba.conf rejects",
            "the server's pg_hba.conf refuses this role or an unencrypted line",
        ),
        ("could not translate host name", "check the host's name"),
        ("failed to resolve host", "check the host's name"),
        ("permission denied for database", "GRANT CONNECT ON DATABASE … TO the role"),
    )
    return next((hint for part, hint in hints if part in text), "check the target")
