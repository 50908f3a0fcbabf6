"""What is going on on a server at this moment, read again and again over one connection, without looking at any table."""

from collections.abc import Iterator
from contextlib import contextmanager

from pgwatch_wed.facts import Missing
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


@contextmanager
def watching(conninfo: str) -> Iterator[Reader]:
    """Connect, as a guest who is short of time; raises ConnectError."""
    with reading(conninfo, _LIMITS, None, _CONNECT_S) as reader:
        yield reader


def look(reader: Reader) -> ServerMoment:
    """Read the moment. Raises CollectError if not even the server's version can be read, as when the connection is lost."""
    reader.costs.clear()
    reader.notes.clear()
    snapshot = collect.read_on_demand(reader, collect.begin(reader), lambda _: FACTS)
    return ServerMoment(snapshot, _wal(reader))


def _wal(reader: Reader) -> WalDirectory | Missing:
    rows = reader.run("wal_directory", composed("target", "wal_directory").as_bytes(None))
    return rows if isinstance(rows, Missing) else WalDirectory(*rows[0])
