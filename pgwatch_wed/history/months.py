"""Monthly partitions of the large tables; PostgreSQL only."""

from collections.abc import Iterable
from datetime import UTC, datetime

import sqlalchemy as sa

from pgwatch_wed.history.schema import PARTITIONED, SCHEMA


def ensure(connection: sa.Connection, tables: Iterable[str], moment: datetime) -> None:
    """Create the partitions for a month, unless they are there."""
    for table in tables:
        assert table in PARTITIONED
        create(connection, table, moment)


def create(connection: sa.Connection, table: str, moment: datetime) -> None:
    """Create the partition of a table for a month, unless it is there."""
    if connection.dialect.name != "postgresql":
        return
    begins, ends = month(moment)
    name = f"{table}_{begins:%Y_%m}"
    known = connection.execute(
        sa.text("SELECT to_regclass(:name) IS NOT NULL"), {"name": f"{SCHEMA}.{name}"}
    ).scalar()
    if known:
        return
    # Another run may be creating it: it is waited for, and then the partition is there.
    connection.exec_driver_sql(
        f"CREATE TABLE IF NOT EXISTS {SCHEMA}.{name} PARTITION OF {SCHEMA}.{table}"
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
