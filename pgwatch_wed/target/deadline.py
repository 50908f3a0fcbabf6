"""A deadline that the server itself keeps, for sessions whose timeouts are not ours to set.

pg_dump sets every timeout of its session to zero. A client that is stopped (Ctrl-Z), suspended with
its machine or whose parent was killed would keep its locks for as long as that lasts.
"""

import math
import threading
from contextlib import suppress
from types import TracebackType
from typing import Any

import psycopg
from psycopg import sql

from pgwatch_wed.target import wire
from pgwatch_wed.target.queries import composed, fragment

# The client's own deadline comes first: the server's is for a client that is not there any more.
GRACE_S = 3
_CONNECTING_S = 5
_PATIENCE_S = 5.0


class Deadline:
    """Ends other sessions of our role after a time, even if this process can do nothing any more.

    ``connection`` stays busy for the length of the ``with`` block. It has to be in a transaction
    whose statement timeout is longer than the time and :data:`GRACE_S`.
    """

    def __init__(
        self, connection: psycopg.Connection[Any], application_name: str, seconds: float
    ) -> None:
        self._connection = connection
        sessions = fragment("target", "our_sessions", name=sql.Literal(application_name))
        self._wait = composed(
            "target",
            "deadline",
            sessions=sessions,
            seconds=sql.Literal(math.ceil(seconds) + GRACE_S),
            connecting=sql.Literal(_CONNECTING_S),
        )
        self._end = composed("target", "end_deadline", sessions=sessions)
        self._thread = threading.Thread(target=self._keep, daemon=True)

    def __enter__(self) -> "Deadline":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._stop()

    def end_now(self) -> None:
        """End the sessions at once: their client was killed, and a backend may not notice for long."""
        self._stop()
        with suppress(psycopg.Error), wire.watched(self._connection, _PATIENCE_S):
            self._connection.execute(self._end)

    def _keep(self) -> None:
        with suppress(psycopg.Error):
            self._connection.execute(self._wait)

    def _stop(self) -> None:
        with wire.watched(self._connection, _PATIENCE_S):
            while self._thread.is_alive():
                with suppress(psycopg.Error):
                    self._connection.cancel_safe(timeout=2)
                self._thread.join(0.2)
