"""A connection as provided by libpq, without any guards.

Only :mod:`pgwatch_wed.target.door`, `install` and what builds on a copy may import this module.
"""

import logging
import os
import re
import socket
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import psycopg
from psycopg import conninfo as libpq

from pgwatch_wed.errors import ConnectError, said
from pgwatch_wed.target.connect import APPLICATION_NAME

C = TypeVar("C", bound=psycopg.Connection[Any])

# What libpq could not cancel is ours to report, not to be logged between the lines of the report.
logging.getLogger("psycopg").addHandler(logging.NullHandler())

_KEEPALIVE = {
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}


def connect(
    conninfo: str,
    kind: type[C],
    *,
    connect_s: int = 10,
    application_name: str = APPLICATION_NAME,
) -> C:
    """Open a connection, in autocommit mode; raise :class:`ConnectError` with a one-line reason.

    Nothing is set in the session: behind a pooler in transaction mode, such settings would leak to
    the next client.
    """
    defaults: dict[str, Any] = {"application_name": application_name}
    given = libpq.conninfo_to_dict(conninfo) if conninfo else {}
    if "connect_timeout" not in given and "PGCONNECT_TIMEOUT" not in os.environ:
        defaults["connect_timeout"] = connect_s
    # We must not hang if the network stalls: the kernel gives up on unacknowledged data.
    defaults |= {key: value for key, value in _KEEPALIVE.items() if key not in given}
    try:
        # Prepared statements are disabled: a pooler in transaction mode would mix them up.
        made = kind.connect(conninfo, autocommit=True, prepare_threshold=None, **defaults)
    except (psycopg.Error, UnicodeError) as error:
        tried = getattr(error, "pgconn", None)
        raise ConnectError(
            failure(said(error)),
            _hint(str(error)),
            has_sent_password=tried is not None and tried.used_password,
        ) from None
    _open.add(made)
    return made


_open: "weakref.WeakSet[psycopg.Connection[Any]]" = weakref.WeakSet()


def end_all() -> None:
    """End what other threads of this process wait for on any server: their queries are canceled, their connections cut.

    For the end of the program: whoever waits gets an error at once.
    """
    threads = [
        threading.Thread(target=_cut_off, args=(each,), daemon=True) for each in tuple(_open)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(2.5)


def _cut_off(connection: psycopg.Connection[Any]) -> None:
    with suppress(psycopg.Error, OSError, ValueError):
        if connection.closed:
            return
        if connection.info.transaction_status is psycopg.pq.TransactionStatus.ACTIVE:
            connection.cancel_safe(timeout=2)
        with socket.socket(fileno=os.dup(connection.fileno())) as other:
            other.shutdown(socket.SHUT_RDWR)


class Watch:
    """Closes a connection whose server does not respond within this many seconds after a query."""

    def __init__(self, connection: psycopg.Connection[Any], seconds: float) -> None:
        self._connection = connection
        self._seconds = seconds
        self._done = threading.Event()
        self.has_cut = False
        self.renew()

    def renew(self) -> None:
        """Restart the wait for a new query."""
        self._until = time.monotonic() + self._seconds

    def watch(self) -> None:
        """Wait until the block ends, or the time is up."""
        while (left := self._until - time.monotonic()) > 0:
            if self._done.wait(left):
                return
        self._cut()

    def end(self) -> None:
        """Stop watching."""
        self._done.set()

    def _cut(self) -> None:
        # whoever is waiting on the socket gets an error immediately
        with (
            suppress(OSError, ValueError, psycopg.Error),
            socket.socket(fileno=os.dup(self._connection.fileno())) as other,
        ):
            self.has_cut = True
            other.shutdown(socket.SHUT_RDWR)


@contextmanager
def watched(connection: psycopg.Connection[Any], seconds: float) -> Iterator[Watch]:
    """Close the connection if a query in the block takes longer than ``seconds``.

    The server's own timeouts end its queries; this ends our waiting for a server or a network that
    does not respond at all. The block then gets an OperationalError.
    """
    watch = Watch(connection, seconds)
    thread = threading.Thread(target=watch.watch, daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        watch.end()
        thread.join()


def end(connection: psycopg.Connection[Any]) -> None:
    """Close a connection and leave no query of it running on the server."""
    with suppress(psycopg.Error):
        if connection.info.transaction_status is psycopg.pq.TransactionStatus.ACTIVE:
            connection.cancel_safe(timeout=2)
    connection.close()


_ATTEMPT = re.compile(
    r'connection to server (?:at|on socket) "(?P<host>[^"]+)"(?: \([^)]+\))?(?:, port (?P<port>\d+))? failed: '
    r"(?P<why>(?!.*connection to server ).*)"
)
_NOISE = re.compile(
    r"^connection (?:failed|is bad): |FATAL: +|fe_sendauth: |\s*This probably means the server terminated abnormally\s+before or while processing the request\.|\[Errno -?\d+\] | Is the server running [^?]*\?"
)


def failure(message: str) -> str:
    """Return libpq's message about a failed connection without what it says twice; of several hosts, as it is."""
    plain = _NOISE.sub("", message)
    attempt = _ATTEMPT.fullmatch(plain)
    if attempt is None:
        return f"could not connect: {plain}"
    host, port, why = attempt.group("host", "port", "why")
    host = f"[{host}]" if port and ":" in host else host
    return f"could not connect to {host}{f':{port}' if port else ''}: {why}"


_NO_SLOT = (
    "no connection slot is free, not even for superusers: end a client where it runs, or on the server the process of "
    "an idle session with kill -TERM (never -KILL, which restarts the whole server)"
)
_RESERVED_SLOTS = (
    "no connection slot is free for this role: connect as a superuser, for whom some are reserved, or as a member of "
    "pg_use_reserved_connections if reserved_connections is set"
)


def _hint(text: str) -> str:
    hints = (
        (
            "password authentication failed",
            "check the user, and its password in PGPASSWORD, ~/.pgpass or the URI",
        ),
        ("no password supplied", "set PGPASSWORD or write ~/.pgpass"),
        (
            "not currently accepting connections",
            "ALTER DATABASE … ALLOW_CONNECTIONS true allows them",
        ),
        ('FATAL:  database "', "check the name of the database: psql -l lists them"),
        ("does not exist", "check the database and role names"),
        (
            "Connection refused",
            "check host and port; is the server running, and does its listen_addresses include this address?",
        ),
        (
            "No such file or directory",
            "is the server running on this machine? for another, name it: postgresql://USER@HOST/DATABASE",
        ),
        ("timeout expired", "check host, port and firewall"),
        ("too many clients", _NO_SLOT),
        ("remaining connection slots", _RESERVED_SLOTS),
        (
            "too many connections for",
            "the CONNECTION LIMIT of the role or database is reached: connect as another role",
        ),
        ("starting up", "the server is starting up; try again in a moment"),
        ("shutting down", "the server is shutting down; try again later"),
        ("no pg_hba.conf entry", "pg_hba.conf on the server does not allow this connection"),
        ("certificate", "check sslrootcert, sslcert and sslmode"),
        (
            "does not support SSL",
            "the server has no TLS: sslmode=disable only in a network that you trust",
        ),
        ("SSL", "check sslmode"),
        (
            "definition of service",
            "a single word is a service of pg_service.conf (PGSERVICEFILE); a database of this machine is dbname=NAME",
        ),
        (
            "pg_hba.conf rejects",
            "pg_hba.conf on the server rejects this role, or unencrypted connections",
        ),
        ("could not translate host name", "check the host name"),
        ("failed to resolve host", "check the host name"),
        ("permission denied for database", "GRANT CONNECT ON DATABASE … TO the role"),
    )
    return next(
        (hint for part, hint in hints if part in text),
        "check the target: host, port, user, password, database",
    )
