"""Since when no index of a table was dropped: what was before that is no measure of what an index did."""

from collections.abc import Iterable
from datetime import datetime

import sqlalchemy as sa

from pgwatch_wed import quote
from pgwatch_wed.history import blobs
from pgwatch_wed.history.schema import snapshots
from pgwatch_wed.history.snapshots import parts_of
from pgwatch_wed.sqltext.reading import QualifiedName

_FACT = "index_definitions"


def last_drop(
    connection: sa.Connection,
    database_id: int,
    tables: Iterable[QualifiedName],
    since: datetime,
    until: datetime,
) -> datetime | None:
    """Return the first run without an index that one of the tables had; None if they had no other."""
    names = tuple(f" ON {o}{t} " for t in map(_written, tables) for o in ("", "ONLY "))
    parts = parts_of(database_id, (_FACT,))
    query = (
        sa.select(snapshots.c.taken_at, parts.c.hash)
        .join(parts, parts.c.snapshot_id == snapshots.c.id)
        .where(
            snapshots.c.database_id == database_id,
            snapshots.c.taken_at >= since,
            snapshots.c.taken_at <= until,
        )
        .order_by(snapshots.c.taken_at.desc())
    )
    known: dict[str, frozenset[str]] = {}
    newest: frozenset[str] | None = None
    first = None
    for taken_at, address in connection.execute(query).all():
        if address not in known:
            known[address] = _definitions(connection, address, names)
        newest = known[address] if newest is None else newest
        if known[address] - newest:
            return first
        first = taken_at
    return None


def _written(table: QualifiedName) -> str:
    """Return the name as in a definition."""
    return quote.ident(table.schema, table.name) if table.schema else quote.ident(table.name)


def _definitions(connection: sa.Connection, address: str, names: tuple[str, ...]) -> frozenset[str]:
    rows = blobs.get_facts(connection, {_FACT: address}, (_FACT,))[_FACT]
    return frozenset(r.definition for r in rows if any(n in r.definition for n in names))
