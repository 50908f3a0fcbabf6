"""The sessions in which the lab plans: as many at once as there are slots, each with candidates of its own."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from queue import LifoQueue
from typing import Any

import psycopg

Connection = psycopg.Connection[Any]
Settings = tuple[tuple[str, str], ...]

_MOST_CONNECTIONS = 32


@dataclass(frozen=True, slots=True)
class PlanningSession:
    """A connection, and the number of its slot, which says which candidates it shows."""

    connection: Connection
    slot: int


class LabSessions:
    """Sessions by slot and by the settings of roles. ``connect`` opens one for a slot with such settings."""

    def __init__(self, slots: int, connect: Callable[[int, Mapping[str, str]], Connection]) -> None:
        self.slots = slots
        self._connect = connect
        self._most = max(1, _MOST_CONNECTIONS // slots)
        self._open: list[dict[Settings, Connection]] = [{} for _ in range(slots)]
        self._free: LifoQueue[int] = LifoQueue()
        for slot in reversed(range(slots)):
            self._free.put(slot)

    @contextmanager
    def one(self, settings: Mapping[str, str]) -> Iterator[PlanningSession]:
        """Yield a session that nobody else uses; wait for one if there is none."""
        slot = self._free.get()
        try:
            yield PlanningSession(self._session(slot, settings), slot)
        finally:
            self._free.put(slot)

    @contextmanager
    def none(self) -> Iterator[None]:
        """Wait until nobody uses a session, close all, and let nobody have one meanwhile."""
        slots = [self._free.get() for _ in range(self.slots)]
        self.forget()
        try:
            yield
        finally:
            for slot in slots:
                self._free.put(slot)

    def forget(self) -> None:
        """Close all; nobody may use any."""
        for mine in self._open:
            for connection in mine.values():
                connection.close()
            mine.clear()

    def _session(self, slot: int, settings: Mapping[str, str]) -> Connection:
        mine, key = self._open[slot], tuple(sorted(settings.items()))
        if key not in mine:
            if len(mine) >= self._most:
                for connection in mine.values():
                    connection.close()
                mine.clear()
            mine[key] = self._connect(slot, settings)
        return mine[key]
