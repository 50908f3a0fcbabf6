"""Counters and ages of databases, and what stands out among the tables of the one that is read."""

from pgwatch_wed.facts import Database, Table
from pgwatch_wed.postgres import autovacuum
from pgwatch_wed.serve.metrics.facts_for_metrics import SeenFacts
from pgwatch_wed.serve.metrics.metric_registry import Metric, Readings, registered

_DEAD_SHARE = 0.2
_LEAST_BYTES = 10 * 1024**2


def _counter(name: str, labels: str, meaning: str) -> Metric:
    return registered("counter", name, f"target database {labels}", "databases", meaning)


TRANSACTIONS = _counter(
    "transactions_total", "outcome", "Transactions by outcome: committed, rolled_back."
)
BLOCKS = _counter(
    "blocks_total",
    "source",
    "Blocks that were needed: hit in shared buffers, or read from the system.",
)
ROWS = _counter(
    "rows_total", "operation", "Rows by operation: returned, fetched, inserted, updated, deleted."
)
DEADLOCKS = _counter("deadlocks_total", "", "Deadlocks.")
TEMP_BYTES = _counter("temp_bytes_total", "", "Written to temporary files.")
TEMP_FILES = _counter("temp_files_total", "", "Temporary files.")
CONFLICTS = _counter("conflicts_total", "", "Queries that recovery canceled on a standby.")
CHECKSUM_FAILURES = _counter("checksum_failures_total", "", "Pages whose checksum was wrong.")
BLOCK_READ = _counter(
    "block_read_seconds_total", "", "Time in which blocks were read, with track_io_timing."
)
BLOCK_WRITE = _counter(
    "block_write_seconds_total",
    "",
    "Time in which blocks were written by backends, with track_io_timing.",
)
SESSIONS = _counter("sessions_total", "", "Sessions that were begun (14 and later).")
XID_AGE = registered(
    "gauge",
    "database_xid_age_xids",
    "target database",
    "databases",
    "Transactions since the oldest one that is not frozen; at 2 billion, no more are possible.",
)
MXID_AGE = registered(
    "gauge",
    "database_mxid_age",
    "target database",
    "databases",
    "MultiXact IDs since the oldest one that is not frozen.",
)
DATABASE_SIZE = registered(
    "gauge",
    "database_size_bytes",
    "target database",
    "tables",
    "Tables, TOAST tables and indexes of the database that is read, by their last counted pages.",
)
OVER_DEAD_RATIO = registered(
    "gauge",
    "tables_over_dead_ratio",
    "target database",
    "table_activity",
    "Tables of 10 MB or more of whose rows more than 20% are dead.",
)
OVER_TRIGGER = registered(
    "gauge",
    "tables_over_trigger",
    "target database",
    "table_activity",
    "Tables with more dead rows than their own trigger of autovacuum.",
)

_OPERATIONS = ("returned", "fetched", "inserted", "updated", "deleted")


def database_readings(seen: SeenFacts) -> Readings:
    """Yield the counters of each database."""
    for row in seen.rows("databases"):
        if row.is_template or not row.allows_connections:
            continue
        labels = (seen.target, row.name)
        yield XID_AGE, labels, row.xid_age_xids
        yield MXID_AGE, labels, row.mxid_age
        yield from _counters(row, labels)


def _counters(row: Database, labels: tuple[str, str]) -> Readings:
    yield TRANSACTIONS, (*labels, "committed"), row.xact_commit
    yield TRANSACTIONS, (*labels, "rolled_back"), row.xact_rollback
    yield BLOCKS, (*labels, "hit"), row.blks_hit
    yield BLOCKS, (*labels, "read"), row.blks_read
    for operation in _OPERATIONS:
        yield ROWS, (*labels, operation), getattr(row, f"tup_{operation}")
    yield DEADLOCKS, labels, row.deadlocks
    yield TEMP_BYTES, labels, row.temp_bytes
    yield TEMP_FILES, labels, row.temp_files
    yield CONFLICTS, labels, row.conflicts
    yield CHECKSUM_FAILURES, labels, row.checksum_failures
    yield BLOCK_READ, labels, _seconds(row.blk_read_ms)
    yield BLOCK_WRITE, labels, _seconds(row.blk_write_ms)
    yield SESSIONS, labels, row.sessions


def _seconds(ms: float | None) -> float | None:
    return None if ms is None else ms / 1000


def table_readings(seen: SeenFacts) -> Readings:
    """Yield what the tables of the database come to."""
    labels = (seen.target, seen.snapshot.server.database)
    if seen.has("tables", "indexes"):
        pages = sum(t.pages + (t.toast_pages or 0) for t in seen.snapshot.tables)
        pages += sum(i.pages for i in seen.snapshot.indexes)
        yield DATABASE_SIZE, labels, pages * seen.snapshot.server.block_size
    if not seen.has("tables", "table_activity", "settings"):
        return
    tables = list(autovacuum.vacuumable(seen.snapshot))
    yield OVER_DEAD_RATIO, labels, sum(_is_over_ratio(seen, t) for t in tables)
    yield OVER_TRIGGER, labels, sum(_is_over_trigger(seen, t) for t in tables)


def _is_over_ratio(seen: SeenFacts, table: Table) -> bool:
    if table.pages * seen.snapshot.server.block_size < _LEAST_BYTES:
        return False
    heap = autovacuum.heap_of(seen.snapshot, table)
    return heap.dead > _DEAD_SHARE * (heap.live + heap.dead)


def _is_over_trigger(seen: SeenFacts, table: Table) -> bool:
    activity = seen.snapshot.activity_by_oid.get(table.oid)
    if activity is None or not activity.n_dead_tup:
        return False
    heap = autovacuum.heap_of(seen.snapshot, table)
    trigger = autovacuum.vacuum_trigger(seen.snapshot, heap)
    return trigger is not None and heap.dead > trigger
