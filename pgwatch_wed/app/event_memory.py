"""Which events were handled already, in SQLite: it survives a restart, and several processes share it."""

import contextlib
import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path

from pgwatch_wed import clock

_log = logging.getLogger(__name__)
_TABLE = """
create table if not exists event (
    id text primary key, state text not null, at real not null, object text, created real
);
create index if not exists event_at on event (at);
create index if not exists event_object on event (object, created);
"""
# An event that was begun so long ago, and not ended, died with its process.
LEASE_S = 600.0
# A sender may repeat an event by hand for a month.
KEPT_S = 40 * 86_400.0


class Claim(StrEnum):
    """What came of claiming an event."""

    NEW = "new"
    DONE = "done"
    BUSY = "busy"


def _now() -> float:
    return clock.now().timestamp()


class EventMemory:
    """Remembers events by id. Without a path, as long as the process lives."""

    def __init__(self, path: Path | str = ":memory:", now: Callable[[], float] = _now) -> None:
        self._path = str(path)
        self._now = now
        self._lock = threading.Lock()
        self._connection = self._opened()

    def claim(self, event: str, about: str = "", created: float = 0.0) -> Claim:
        """Claim an event for handling; of several at once, exactly one gets it."""
        now = self._now()
        with self._changing() as connection:
            row = connection.execute("select state, at from event where id = ?", [event]).fetchone()
            if row is not None and row[0] == "done":
                return Claim.DONE
            if row is not None and now - row[1] < LEASE_S:
                return Claim.BUSY
            connection.execute("delete from event where at < ?", [now - KEPT_S])
            connection.execute(
                "insert or replace into event (id, state, at, object, created) values (?, 'begun', ?, ?, ?)",
                [event, now, about, created],
            )
            return Claim.NEW

    def is_late(self, about: str, created: float) -> bool:
        """Tell whether a newer event of the same object was handled already."""
        query = "select 1 from event where object = ? and state = 'done' and created > ? limit 1"
        with self._lock:
            return (
                bool(about)
                and self._connection.execute(query, [about, created]).fetchone() is not None
            )

    def done(self, event: str) -> None:
        """Note that an event was handled."""
        with self._changing() as connection:
            connection.execute(
                "update event set state = 'done', at = ? where id = ?", [self._now(), event]
            )

    def release(self, event: str) -> None:
        """Forget an event whose handling failed: it will be sent again."""
        with self._changing() as connection:
            connection.execute("delete from event where id = ? and state = 'begun'", [event])

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    @contextlib.contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._connection.execute("begin immediate")
            try:
                yield self._connection
                self._connection.commit()
            except BaseException:
                self._connection.rollback()  # also if it could not be committed, or none could begin any more
                raise

    def _opened(self) -> sqlite3.Connection:
        try:
            return self._prepared()
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError:
            # it is worth less than what is refused without it
            Path(self._path).replace(f"{self._path}.corrupt")
            _log.warning("the memory of events is corrupt; it was set aside, and begins anew")
            return self._prepared()

    def _prepared(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path, timeout=5, isolation_level=None, check_same_thread=False
        )
        try:
            connection.execute("pragma journal_mode = wal")
            connection.executescript(_TABLE)
        except BaseException:
            connection.close()
            raise
        return connection
