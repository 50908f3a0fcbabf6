"""A deadline that the server itself enforces, for sessions whose timeouts we cannot set.

pg_dump sets every timeout of its session to zero. If it is stopped (Ctrl-Z), suspended with its
machine, or orphaned because its parent was killed, it would keep its locks for as long as that lasts.
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

# The client's own deadline comes first: the server's is for a client that no longer exists.
GRACE_S = 3
_CONNECTING_S = 5
_PATIENCE_S = 5.0


class Deadline:
    """Ends other sessions of our role after some time, even if this process no longer can.

    ``connection`` is busy for the duration of the ``with`` block. It must be in a transaction whose
    statement timeout is longer than this time plus :data:`GRACE_S`.
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
        """End the sessions now: their client was killed, which a backend may not notice for a long time."""
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
