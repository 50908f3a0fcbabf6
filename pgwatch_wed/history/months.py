"""Monthly partitions of the large tables; PostgreSQL only."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime

import sqlalchemy as sa

from pgwatch_wed.history import turns
from pgwatch_wed.history.schema import PARTITIONED, SCHEMA
from pgwatch_wed.history.turns import Turn


def ensure(connection: sa.Connection, tables: Iterable[str], moment: datetime) -> None:
    """Create the partitions for a month, unless they are there."""
    lacking = [table for table in tables if _lacks(connection, table, moment)]
    if not lacking:
        return
    apart: _Apart = connection.info.get(_KEY, lambda: nullcontext(connection))
    with apart() as other:
        turns.wait_for(other, Turn.MONTHS)
        for table in lacking:
            assert table in PARTITIONED
            create(other, table, moment)
    for table in lacking if connection.dialect.name == "postgresql" else ():
        # a transaction that has used the table already learns of partitions that others attach when it locks something new
        connection.exec_driver_sql(f"SELECT FROM {SCHEMA}.{_name(table, moment)} LIMIT 0")


_Apart = Callable[[], AbstractContextManager[sa.Connection]]
_KEY = "pgwatch_wed_months"


def create_apart(connection: sa.Connection, transaction: _Apart) -> None:
    """Create what is lacking in transactions of their own, so that no other writer waits for the end of this one."""
    connection.info[_KEY] = transaction


def ensure_all(connection: sa.Connection, moment: datetime) -> None:
    """Create the partitions of all tables for a month, so that those who write in it find them."""
    ensure(connection, sorted(PARTITIONED), moment)


def _lacks(connection: sa.Connection, table: str, moment: datetime) -> bool:
    if connection.dialect.name != "postgresql":
        return False
    name = f"{SCHEMA}.{_name(table, moment)}"
    known = sa.text("SELECT to_regclass(:name) IS NOT NULL")
    return not connection.execute(known, {"name": name}).scalar()


def _name(table: str, moment: datetime) -> str:
    return f"{table}_{month(moment)[0]:%Y_%m}"


def create(connection: sa.Connection, table: str, moment: datetime) -> None:
    """Create the partition of a table for a month, unless it is there.

    Attached, it makes neither those who write into other partitions wait nor those who read: CREATE TABLE … PARTITION OF
    does.
    """
    if not _lacks(connection, table, moment):
        return
    begins, ends = month(moment)
    name = _name(table, moment)
    connection.exec_driver_sql(
        f"CREATE TABLE {SCHEMA}.{name} (LIKE {SCHEMA}.{table} INCLUDING ALL)"
    )
    connection.exec_driver_sql(
        f"ALTER TABLE {SCHEMA}.{table} ATTACH PARTITION {SCHEMA}.{name}"
        f" FOR VALUES FROM ('{begins:%Y-%m-%d}+00') TO ('{ends:%Y-%m-%d}+00')"
    )


def before(connection: sa.Connection, table: str, month_begins: datetime) -> list[str]:
    """Return the partitions of earlier months."""
    query = sa.text(
        "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
        " WHERE i.inhparent = to_regclass(:parent)"
    )
    names = connection.execute(query, {"parent": f"{SCHEMA}.{table}"}).scalars()
    return sorted(name for name in names if name < f"{table}_{month_begins:%Y_%m}")


def month(moment: datetime) -> tuple[datetime, datetime]:
    """Return the beginning of a month and of the next one, in UTC."""
    moment = moment.astimezone(UTC)
    begins = datetime(moment.year, moment.month, 1, tzinfo=UTC)
    years, months = divmod(begins.month, 12)
    return begins, datetime(begins.year + years, months + 1, 1, tzinfo=UTC)
