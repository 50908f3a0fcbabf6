"""One look at the sessions of a server: what was read, and at which moment."""

from typing import NamedTuple


class SeenProcess(NamedTuple):
    """A row of ``sql/sampling/active_sessions.sql``. ``blocked_by`` is None if nobody asked; only who has a ``has_xid`` can hold a row."""

    pid: int
    leader_pid: int | None
    database_oid: int | None
    application_name: str | None
    backend_type: str | None
    state: str | None
    wait_event_type: str | None
    wait_event: str | None
    query_id: int | None
    age_s: float | None
    query: str | None
    blocked_by: tuple[int, ...] | None
    has_xid: bool = False

    @property
    def waits_for_lock(self) -> bool:
        """Tell whether it waits for a heavyweight lock."""
        return self.wait_event_type == "Lock"


class SessionLook(NamedTuple):
    """What was seen at a moment, and the seconds since the look before it, for which it stands."""

    at: float
    stands_for_s: float
    processes: tuple[SeenProcess, ...]
