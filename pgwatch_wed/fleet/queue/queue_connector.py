"""procrastinate's way to the queue: each query is a transaction that finds the queue's tables by itself.

So nothing stays in a session, and no statement is prepared: PgBouncer in transaction mode may be in between. LISTEN
does not pass it: workers poll.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from procrastinate.connector import BaseAsyncConnector
from procrastinate.exceptions import ConnectorException, NoResult
from psycopg import conninfo as libpq
from psycopg.rows import DictRow, dict_row
from psycopg.types.json import Jsonb
from psycopg_pool import AsyncConnectionPool

from pgwatch_wed.fleet.queue.queue_tables import SET_LOCAL

_CONNECT_S = 10


class QueueConnector(BaseAsyncConnector):
    """A few connections to the history's server, of which a broken one is replaced."""

    def __init__(self, conninfo: str) -> None:
        defaults = {"connect_timeout": str(_CONNECT_S), "application_name": "pgwatch_wed queue"}
        given = libpq.conninfo_to_dict(conninfo)
        self._conninfo = libpq.make_conninfo(
            conninfo, **{k: v for k, v in defaults.items() if k not in given}
        )
        self._pool: AsyncConnectionPool | None = None

    async def open_async(self, pool: Any = None) -> None:  # noqa: ARG002 - procrastinate's signature
        """Connect; raises ``psycopg.Error`` if that is not possible in time."""
        opened = AsyncConnectionPool(
            self._conninfo,
            min_size=1,
            max_size=3,
            open=False,
            timeout=_CONNECT_S,
            kwargs={"prepare_threshold": None},
            check=AsyncConnectionPool.check_connection,
        )
        try:
            await opened.open(wait=True, timeout=_CONNECT_S)
        except psycopg.Error:
            await opened.close()
            raise
        self._pool = opened

    async def close_async(self) -> None:
        """Forget the connections."""
        if self._pool is not None:
            await self._pool.close()
            self._pool = None

    async def execute_query_async(self, query: str, **arguments: Any) -> None:
        """Run a query."""
        async with self._cursor() as cursor:
            await cursor.execute(query.encode(), _wrapped(arguments))

    async def execute_query_one_async(self, query: str, **arguments: Any) -> dict[str, Any]:
        """Return the first row."""
        async with self._cursor() as cursor:
            await cursor.execute(query.encode(), _wrapped(arguments))
            row = await cursor.fetchone()
        if row is None:
            raise NoResult
        return row

    async def execute_query_all_async(self, query: str, **arguments: Any) -> list[dict[str, Any]]:
        """Return all rows."""
        async with self._cursor() as cursor:
            await cursor.execute(query.encode(), _wrapped(arguments))
            return await cursor.fetchall()

    @asynccontextmanager
    async def _cursor(self) -> AsyncIterator[psycopg.AsyncCursor[DictRow]]:
        assert self._pool is not None
        try:
            async with (
                self._pool.connection() as connection,
                connection.cursor(row_factory=dict_row) as cursor,
            ):
                await cursor.execute(SET_LOCAL)
                yield cursor
        except psycopg.Error as error:
            raise ConnectorException from error


def _wrapped(arguments: dict[str, Any]) -> dict[str, Any]:
    return {name: Jsonb(v) if isinstance(v, dict) else v for name, v in arguments.items()}
