"""What maintenance and dumps contribute to a database's counters: they read whole tables, with other memory."""

import re
from collections.abc import Iterable

from pgwatch_wed.facts import Database, IoCounters, Snapshot, Statement
from pgwatch_wed.rules import _queries as q
from pgwatch_wed.sqltext import text as statement_text

# COPY of a query is a query
_DUMP_OR_DDL = re.compile(r"\s*(copy\s+[^(\s]|alter\s+table\b)", re.IGNORECASE)


def statements(snapshot: Snapshot, database: Database) -> list[Statement]:
    """Return the maintenance, dumps, loads and DDL that the database's counters include.

    Return nothing unless statements have been counted only since the database's counters were reset.
    """
    if not counted_within(snapshot, database):
        return []
    return [s for s in q.Load.of(snapshot).statements if is_maintenance(s)]


def counted_within(snapshot: Snapshot, database: Database) -> bool:
    """Tell whether the database's counters include all that statements have counted."""
    reset = snapshot.measured_since or database.stats_reset
    begins = snapshot.statements_window.begins
    return reset is None or (begins is not None and begins >= reset)


def is_maintenance(statement: Statement) -> bool:
    """Tell whether a statement is not a query: it reads a whole table, and sorts in maintenance_work_mem."""
    text = statement.text
    if text is None:
        return False
    return _DUMP_OR_DDL.match(text) is not None or statement_text.is_maintenance(text)


def autovacuum_reads(snapshot: Snapshot, database: Database) -> int:
    """Return the blocks that autovacuum read here, from 16 on.

    The server counts all databases together; each is assumed to have its share of all reads.
    """
    workers = [r for r in snapshot.io if r.backend_type == "autovacuum worker"]
    if not _as_young(workers, snapshot, database):
        return 0
    read = sum(r.read_bytes or 0 for r in workers if r.object == "relation")
    everywhere = sum(d.blks_read or 0 for d in snapshot.databases)
    mine = (database.blks_read or 0) / everywhere if everywhere else 0.0
    return round(mine * read / max(snapshot.server.block_size, 1))


def _as_young(rows: Iterable[IoCounters], snapshot: Snapshot, database: Database) -> bool:
    """Tell whether the server's counters are not older than the database's."""
    reset = snapshot.measured_since or database.stats_reset
    return reset is None or all(
        snapshot.measured_since or (r.stats_reset and r.stats_reset >= reset) for r in rows
    )
