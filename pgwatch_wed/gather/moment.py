"""What is going on on a server at this moment, read again and again over one connection, without looking at any table."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pgwatch_wed.facts import Cause, Missing, Server
from pgwatch_wed.facts.server_moment import ServerMoment, WalDirectory
from pgwatch_wed.target import collect
from pgwatch_wed.target.queries import composed
from pgwatch_wed.target.session import CollectLimits, Reader, reading

FACTS = frozenset(
    (
        *("sessions", "lock_waits", "relation_locks", "lock_table", "prepared_transactions"),
        *("vacuums", "index_builds", "replicas", "slots", "recovery", "databases", "archiver"),
        *("settings", "roles", "rights"),
    )
)
_LIMITS = CollectLimits(statement_ms=2_000)
_CONNECT_S = 5


@dataclass(slots=True)
class ServerWatch:
    """A connection, and what need not be read again over it: each refusal is an error in the server's log."""

    reader: Reader
    begun: collect.Begun | None = None
    denied_wal: tuple[object, Missing] | None = None  # with the rights that were not enough


@contextmanager
def watching(conninfo: str) -> Iterator[ServerWatch]:
    """Connect, as a guest who is short of time; raises ConnectError."""
    with reading(conninfo, _LIMITS, None, _CONNECT_S) as reader:
        yield ServerWatch(reader)


def look(watch: ServerWatch) -> ServerMoment:
    """Read the moment. Raises CollectError if not even the server's version can be read, as when the connection is lost."""
    reader = watch.reader
    reader.costs.clear()
    reader.notes.clear()
    watch.begun = collect.begin(reader, watch.begun)
    snapshot = collect.read_on_demand(reader, watch.begun, lambda _: FACTS)
    return ServerMoment(snapshot, _wal(watch, snapshot.server), len(reader.costs))


def _wal(watch: ServerWatch, server: Server) -> WalDirectory | Missing:
    rights = (server.is_superuser, server.role_memberships)
    if watch.denied_wal is not None and watch.denied_wal[0] == rights:
        return watch.denied_wal[1]
    if not (server.is_superuser or "pg_monitor" in server.role_memberships):
        allowed = watch.reader.run(
            "wal_directory", composed("target", "may_list_wal").as_bytes(None)
        )
        if not isinstance(allowed, Missing) and not allowed[0][0]:
            watch.denied_wal = (rights, _denied(server))
            return watch.denied_wal[1]
    query = composed("target", "wal_directory").as_bytes(None)
    rows = watch.reader.run("wal_directory", query)
    if not isinstance(rows, Missing):
        return WalDirectory(*rows[0])
    if rows.cause is Cause.DENIED:
        watch.denied_wal = (rights, rows)
    return rows


def _denied(server: Server) -> Missing:
    return Missing(f"{server.role} may not list its files", "", Cause.DENIED)
