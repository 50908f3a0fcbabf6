"""A connection as libpq gives it: nothing is guarded yet.

Only :mod:`pgwatch_wed.target.door`, `install` and what builds on a copy may import this module.
"""

import logging
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import psycopg
from psycopg import conninfo as libpq

from pgwatch_wed.errors import ConnectError, said
from pgwatch_wed.target.connect import APPLICATION_NAME

C = TypeVar("C", bound=psycopg.Connection[Any])

# What libpq could not cancel is our report's to say, not a log line between its lines.
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
    """Open a connection, in autocommit mode; raise :class:`ConnectError` with a reason in one line.

    Nothing is set in the session: behind a pooler in transaction mode such settings would leak to
    the next client.
    """
    defaults: dict[str, Any] = {"application_name": application_name}
    given = libpq.conninfo_to_dict(conninfo) if conninfo else {}
    if "connect_timeout" not in given and "PGCONNECT_TIMEOUT" not in os.environ:
        defaults["connect_timeout"] = connect_s
    # A server whose network stalls must not hang us: the kernel gives up on unanswered data.
    defaults |= {key: value for key, value in _KEEPALIVE.items() if key not in given}
    try:
        # Prepared statements are off: a pooler in transaction mode would mix them up.
        return kind.connect(conninfo, autocommit=True, prepare_threshold=None, **defaults)
    except (psycopg.Error, UnicodeError) as error:
        raise ConnectError(f"could not connect: {said(error)}", _hint(str(error))) from None


class Watch:
    """Cuts a connection off whose server stays silent for so many seconds after a query."""

    def __init__(self, connection: psycopg.Connection[Any], seconds: float) -> None:
        self._connection = connection
        self._seconds = seconds
        self._done = threading.Event()
        self.has_cut = False
        self.renew()

    def renew(self) -> None:
        """Begin to wait anew, with a new query."""
        self._until = time.monotonic() + self._seconds

    def watch(self) -> None:
        """Wait for the end of the block, or for the time to be up."""
        while (left := self._until - time.monotonic()) > 0:
            if self._done.wait(left):
                return
        self._cut()

    def end(self) -> None:
        """Watch no longer."""
        self._done.set()

    def _cut(self) -> None:
        # whoever waits for an answer on the socket gets an error at once
        with (
            suppress(OSError, ValueError, psycopg.Error),
            socket.socket(fileno=os.dup(self._connection.fileno())) as other,
        ):
            self.has_cut = True
            other.shutdown(socket.SHUT_RDWR)


@contextmanager
def watched(connection: psycopg.Connection[Any], seconds: float) -> Iterator[Watch]:
    """Cut the connection off where a query of the block takes longer than ``seconds``.

    The server's own timeouts end what it works on; this ends our waiting for a server or a network
    that does not answer at all. The block then sees an OperationalError.
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
