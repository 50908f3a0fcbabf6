"""What a PgBouncer of ours says on its console."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

_PREPARED = "max_prepared_statements"
# Set where it is known. A notice to each client that waits for a session is work, and nobody reads it.
_SETTINGS = {_PREPARED: 200, "query_wait_notify": 0}


class PoolerConsole:
    """The console, asked with the simple protocol: it knows no other."""

    def __init__(self, conninfo: str) -> None:
        self._conninfo = conninfo

    def set_up(self) -> bool:
        """Set what this one knows; tell whether it follows prepared statements of its clients."""
        with self.session() as session:
            known = {str(row[0]) for row in session.execute("SHOW CONFIG")} & _SETTINGS.keys()
            for name in sorted(known):
                session.execute(f"SET {name} = {_SETTINGS[name]}")
        return _PREPARED in known

    def addresses(self) -> tuple[str, ...]:
        """Return the addresses that it has found for the names of servers, one being ours."""
        with self.session() as session:
            rows = session.execute("SHOW DNS_HOSTS")
            at = [column.name for column in rows.description or ()].index("addrs")
            found = [each for row in rows for each in str(row[at] or "").split(",")]
        # with a port, such as [::1]:0
        return tuple(each.rpartition(":")[0].strip("[]") for each in found if each)

    def clients(self) -> int:
        """Return how many clients are connected, except those of the console."""
        with self.session() as session:
            rows = session.execute("SHOW POOLS")
            names = [column.name for column in rows.description or ()]
            pools = [dict(zip(names, row, strict=True)) for row in rows]
        own = [p for p in pools if p["database"] != "pgbouncer"]
        return sum(int(p["cl_active"]) + int(p["cl_waiting"]) for p in own)

    @contextmanager
    def session(self) -> Iterator[psycopg.Connection[Any]]:
        """Open it for a ``with`` block."""
        with psycopg.connect(
            self._conninfo,
            autocommit=True,
            prepare_threshold=None,
            cursor_factory=psycopg.ClientCursor,
            connect_timeout=5,
        ) as session:
            yield session
