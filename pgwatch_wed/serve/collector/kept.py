"""One connection that is kept, and renewed hourly and after errors.

A backend keeps what it once looked up of 10,000 tables; a new one begins small.
"""

import time
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field, replace

import psycopg

from pgwatch_wed.errors import CollectError
from pgwatch_wed.facts import Missing, Server, Snapshot
from pgwatch_wed.progress import Progress, silent
from pgwatch_wed.serve.collector import tiers
from pgwatch_wed.target import collect, queries
from pgwatch_wed.target.collect import Begun
from pgwatch_wed.target.session import CollectLimits, Reader, reading

# Also the patience for a connection: a server that needs longer is as good as down.
_CONNECT_S = 5.0
# What a server is told apart by: with any other value, nothing that was read before holds.
Era = tuple[object, ...]


def era_of(server: Server) -> Era:
    """Return what changes with a restart, a promotion, a failover, or another server at the same address."""
    return (
        *(server.system_identifier, server.started_at, server.database_oid),
        *(server.is_in_recovery, server.version_num),
    )


@dataclass(slots=True)
class KeptConnection:
    """A connection on which tiers are read, each with its own time limits."""

    conninfo: str
    limits: CollectLimits = field(default_factory=CollectLimits)
    _stack: ExitStack | None = None
    _reader: Reader | None = None
    _begun: Begun | None = None

    @property
    def is_usable(self) -> bool:
        """Whether there is a connection over which more can be read."""
        return self._reader is not None and not self._reader.is_broken

    @property
    def why_broken(self) -> Missing | None:
        """Why nothing more can be read."""
        return self._reader.why_broken() if self._reader and self._reader.is_broken else None

    def open(self) -> None:
        """Connect, unless there is a connection; raise an Error that says why there can be none."""
        if self.is_usable:
            return
        self.close()
        with ExitStack() as stack:
            connection: AbstractContextManager[Reader] = reading(
                self.conninfo, replace(self.limits, statement_ms=5_000), None, _CONNECT_S
            )
            self._reader = stack.enter_context(connection)
            self._begun = collect.begin(self._reader)
            self._stack = stack.pop_all()

    def close(self) -> None:
        """End the connection, and leave nothing of ours running on the server."""
        stack, self._stack = self._stack, None
        self._reader = self._begun = None
        if stack is not None:
            stack.close()

    def read(self, tier: str, names: tuple[str, ...], between: Progress = silent) -> Snapshot:
        """Read facts with the time limits of a tier; the server's clock and role are those of this moment.

        ``between`` is called before each fact.
        """
        if self._reader is None or self._begun is None:
            raise CollectError("not connected")
        limits = replace(self.limits, statement_ms=tiers.STATEMENT_MS[tier])
        reader = replace(self._reader, limits=limits, costs=[], notes={}, at_once=True)
        begun = replace(self._begun, server=self._server(reader, self._begun.server))
        return collect.read(reader, begun, names, between)

    def empty_s(self) -> float:
        """Return how long an empty transaction takes: what is spent on the way, not by the server."""
        if self._reader is None or self._reader.is_broken:
            return 0.0
        begun = time.monotonic()
        try:
            with self._reader.door.asking("empty"):
                pass
        except psycopg.Error:
            return 0.0
        return time.monotonic() - begun

    def _server(self, reader: Reader, before: Server) -> Server:
        query = queries.choose("server", 0, {})
        assert query is not None
        rows = reader.read(query, {})
        if isinstance(rows, Missing):
            raise CollectError(rows.reason, rows.mend)
        server: Server = rows[0]
        return replace(
            server,
            system_identifier=before.system_identifier,
            timeline=before.timeline,
            database_created_at=before.database_created_at,
        )
