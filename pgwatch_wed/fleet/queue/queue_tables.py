"""The queue's tables: a schema beside the history's, so that both change in one transaction.

procrastinate names its tables without a schema. The search path is set for the transaction only: behind PgBouncer in
transaction mode, a session belongs to whoever comes next.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy as sa
from procrastinate.schema import SchemaManager
from psycopg.rows import DictRow, dict_row

from pgwatch_wed import assets
from pgwatch_wed.errors import HistoryError, UsageError
from pgwatch_wed.history.store import Store, place

QUEUE_SCHEMA = "pgwatch_wed_queue"
SET_LOCAL = (
    f"SELECT set_config('search_path', '{QUEUE_SCHEMA}, pg_temp', true), "
    "set_config('lock_timeout', '30s', true), set_config('statement_timeout', '60s', true)"
)
_LOCK = 0x70_67_77_71
"""The advisory lock of whoever creates or upgrades the tables."""


def queue_conninfo(url: str | None) -> str:
    """Return where the queue is; raises :class:`UsageError` for a history that is a file."""
    where = place(url)
    if where.kind != "server":
        raise UsageError(
            "the queue needs a history on a PostgreSQL server",
            "use --history postgresql://…; on one machine, db-analyze fleet run needs no queue",
        )
    return where.value


@contextmanager
def queue_cursor(connection: sa.Connection) -> Iterator[psycopg.Cursor[DictRow]]:
    """Give a cursor that finds the queue's tables, in the transaction of a connection to the history."""
    driver: Any = connection.connection.driver_connection
    with driver.cursor(row_factory=dict_row) as cursor:
        cursor.execute(SET_LOCAL)
        yield cursor


def prepare_queue(opened: Store) -> None:
    """Create the tables, or bring them up to date; raises :class:`HistoryError` if a newer version made them."""
    steps = _steps()
    with opened.reading() as connection, queue_cursor(connection) as cursor:
        if _step_of(cursor) == steps[-1].name:
            return
    with opened.writing() as connection, queue_cursor(connection) as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        _upgrade(cursor, steps)


def _upgrade(cursor: psycopg.Cursor[DictRow], steps: list[Path]) -> None:
    known = _step_of(cursor)
    if known is None:
        cursor.execute("SELECT to_regnamespace(%s) IS NULL AS lacks", [QUEUE_SCHEMA])
        if (cursor.fetchone() or {})["lacks"]:
            cursor.execute(f"CREATE SCHEMA {QUEUE_SCHEMA}".encode())
        cursor.execute(SchemaManager.get_schema())
        cursor.execute(assets.text("sql", "queue", "tables.sql").encode())
    elif known > steps[-1].name:
        raise HistoryError("a newer version made the queue's tables", "upgrade pgwatch-wed here")
    for step in steps:
        if known is not None and step.name > known:
            cursor.execute(step.read_bytes())
    cursor.execute("DELETE FROM fleet_queue_version")
    cursor.execute("INSERT INTO fleet_queue_version VALUES (%s)", [steps[-1].name])


def _steps() -> list[Path]:
    """Return procrastinate's migrations in their order: the last one tells the version of the tables."""
    return sorted(Path(SchemaManager.get_migrations_path()).glob("*.sql"))


def has_queue(cursor: psycopg.Cursor[DictRow]) -> bool:
    """Tell whether there is a queue."""
    cursor.execute("SELECT to_regclass('fleet_queue_version') IS NOT NULL AS exists")
    return bool((cursor.fetchone() or {})["exists"])


def _step_of(cursor: psycopg.Cursor[DictRow]) -> str | None:
    if not has_queue(cursor):
        return None
    row = cursor.execute("SELECT step FROM fleet_queue_version").fetchone()
    return None if row is None else str(row["step"])
