"""What moves on a server: connections, locks, replication, WAL, checkpoints, archiving."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import datetime

from pgwatch_wed.facts import IoCounters, Session
from pgwatch_wed.serve.metrics.facts_for_metrics import SeenFacts
from pgwatch_wed.serve.metrics.metric_registry import Readings, registered

_STATES = {
    "active": "active",
    "idle": "idle",
    "idle in transaction": "idle_in_transaction",
    "idle in transaction (aborted)": "idle_in_transaction_aborted",
}
_OTHER = "other"
_IN_TRANSACTION = frozenset({"idle in transaction", "idle in transaction (aborted)"})
_WRITERS = frozenset({"checkpointer", "background writer"})
_MOST_REPLICAS = 20
_MOST_SLOTS = 50

CONNECTIONS = registered(
    "gauge",
    "connections",
    "target database state",
    "sessions",
    "Sessions of clients by state: active, idle, idle_in_transaction, idle_in_transaction_aborted, other.",
)
MAX_CONNECTIONS = registered(
    "gauge", "max_connections", "target", "settings", "The most connections that the server allows."
)
RESERVED_CONNECTIONS = registered(
    "gauge",
    "reserved_connections",
    "target",
    "settings",
    "Connections that are reserved for superusers and the role pg_use_reserved_connections.",
)
LONGEST_TRANSACTION = registered(
    "gauge",
    "longest_transaction_seconds",
    "target database",
    "sessions",
    "Age of the oldest open transaction of a client, 0 if there is none.",
)
LONGEST_IDLE = registered(
    "gauge",
    "longest_idle_in_transaction_seconds",
    "target database",
    "sessions",
    "How long a client has been idle in a transaction at most, 0 if none is.",
)
LONGEST_QUERY = registered(
    "gauge",
    "longest_query_seconds",
    "target database",
    "sessions",
    "How long the longest running query of a client has been running, 0 if there is none.",
)
BLOCKED = registered(
    "gauge",
    "blocked_sessions",
    "target database",
    "lock_waits",
    "Sessions that wait for a lock, each counted once.",
)
LONGEST_BLOCK = registered(
    "gauge",
    "longest_block_seconds",
    "target database",
    "lock_waits",
    "How long a session has been waiting for a lock at most, 0 if none waits.",
)
PREPARED = registered(
    "gauge",
    "prepared_transactions",
    "target",
    "prepared_transactions",
    "Transactions that are prepared for a two-phase commit.",
)
OLDEST_PREPARED = registered(
    "gauge",
    "oldest_prepared_transaction_seconds",
    "target",
    "prepared_transactions",
    "Age of the oldest prepared transaction, 0 if there is none.",
)
STARTED = registered(
    "gauge",
    "server_start_timestamp_seconds",
    "target",
    "server",
    "When the server was started, by its own clock.",
)
SERVER_INFO = registered(
    "gauge", "server_info", "target version", "server", "The version of the server; always 1."
)
CHECKPOINTS = registered(
    "counter",
    "checkpoints_total",
    "target kind",
    "checkpoints",
    "Checkpoints by kind: timed, or requested because of much WAL or by a command.",
)
CHECKPOINT_WRITE = registered(
    "counter",
    "checkpoint_write_seconds_total",
    "target",
    "checkpoints",
    "Time in which checkpoints wrote blocks.",
)
CHECKPOINT_SYNC = registered(
    "counter",
    "checkpoint_sync_seconds_total",
    "target",
    "checkpoints",
    "Time in which checkpoints synchronized files.",
)
BUFFERS_WRITTEN = registered(
    "counter",
    "buffers_written_total",
    "target by",
    "checkpoints",
    "Blocks written by the checkpointer, the bgwriter, or a backend itself (since 17 without those by "
    "which files grew).",
)
WAL_BYTES = registered("counter", "wal_bytes_total", "target", "wal", "WAL that was generated.")
WAL_IMAGES = registered(
    "counter", "wal_full_page_images_total", "target", "wal", "Full-page images in the WAL."
)
ARCHIVED = registered("counter", "archived_total", "target", "archiver", "WAL files archived.")
ARCHIVE_FAILURES = registered(
    "counter",
    "archive_failures_total",
    "target",
    "archiver",
    "Failed attempts to archive a WAL file.",
)
ARCHIVE_LAST = registered(
    "gauge",
    "archive_last_success_timestamp_seconds",
    "target",
    "archiver",
    "When a WAL file was last archived.",
)
ARCHIVE_LAST_FAILURE = registered(
    "gauge",
    "archive_last_failure_timestamp_seconds",
    "target",
    "archiver",
    "When an attempt to archive a WAL file last failed.",
)
REPLICAS = registered("gauge", "replicas", "target", "replicas", "Standbys that are connected.")
REPLICA_LAG_BYTES = registered(
    "gauge",
    "replica_lag_bytes",
    "target replica",
    "replicas",
    "WAL that a standby has not replayed yet, by its application name; the 20 first ones by name.",
)
REPLICA_LAG = registered(
    "gauge",
    "replica_lag_seconds",
    "target replica",
    "replicas",
    "Time that a standby needed last until it had replayed what was sent.",
)
IN_RECOVERY = registered(
    "gauge", "in_recovery", "target", "server", "1 on a standby, 0 on a primary."
)
REPLAY_LAG_BYTES = registered(
    "gauge",
    "replay_lag_bytes",
    "target",
    "recovery",
    "WAL that this standby has received and not replayed.",
)
REPLAY_LAG = registered(
    "gauge",
    "replay_lag_seconds",
    "target",
    "recovery",
    "Age of the last replayed transaction of this standby, 0 if it has replayed all that it received.",
)
SLOT_RETAINED = registered(
    "gauge",
    "slot_retained_bytes",
    "target slot",
    "slots",
    "WAL that is kept because of a replication slot; the 50 first ones by name.",
)
SLOT_ACTIVE = registered(
    "gauge", "slot_active", "target slot", "slots", "1 if a replication slot is in use."
)
LOCK_TABLE = registered(
    "gauge", "lock_table_entries", "target", "lock_table", "Entries of the shared lock table."
)


def server_readings(seen: SeenFacts) -> Readings:
    """Yield what concerns the whole server."""
    server = seen.snapshot.server
    yield SERVER_INFO, (seen.target, server.version), 1
    yield STARTED, (seen.target,), server.started_at.timestamp()
    yield IN_RECOVERY, (seen.target,), float(server.is_in_recovery)
    yield from _limits(seen)
    yield from _sessions(seen)
    yield from _lock_waits(seen)
    yield from _prepared(seen)
    yield from _checkpoints(seen)
    yield from _wal(seen)
    yield from _archiver(seen)
    yield from _replication(seen)


def _limits(seen: SeenFacts) -> Readings:
    if not seen.has("settings"):
        return
    number = seen.snapshot.setting_number
    yield MAX_CONNECTIONS, (seen.target,), number("max_connections")
    reserved = number("superuser_reserved_connections")
    if reserved is not None:
        yield RESERVED_CONNECTIONS, (seen.target,), reserved + (number("reserved_connections") or 0)


def _sessions(seen: SeenFacts) -> Readings:
    if not seen.has("sessions", "databases"):
        return
    names = seen.database_names
    count = Counter((s.database, _STATES.get(s.state or "", _OTHER)) for s in seen.clients)
    for name in names:
        for state in (*_STATES.values(), _OTHER):
            yield CONNECTIONS, (seen.target, name, state), count[name, state]
    in_transaction = [s for s in seen.clients if s.xact_start is not None]
    idle = [s for s in seen.clients if s.state in _IN_TRANSACTION]
    active = [s for s in seen.clients if s.state == "active"]
    transactions = _oldest(seen, in_transaction, "xact_start")
    waiting = _oldest(seen, idle, "state_change")
    queries = _oldest(seen, active, "query_start")
    for name in names:
        yield LONGEST_TRANSACTION, (seen.target, name), transactions[name]
        yield LONGEST_IDLE, (seen.target, name), waiting[name]
        yield LONGEST_QUERY, (seen.target, name), queries[name]


def _oldest(
    seen: SeenFacts, sessions: Iterable[Session], moment: str
) -> defaultdict[str | None, float]:
    found: defaultdict[str | None, float] = defaultdict(float)
    for s in sessions:
        age = seen.age("sessions", getattr(s, moment))
        if age is not None:
            found[s.database] = max(found[s.database], age)
    return found


def _lock_waits(seen: SeenFacts) -> Readings:
    if not seen.has("lock_waits", "sessions", "databases"):
        return
    name_of = {d.oid: d.name for d in seen.rows("databases")}
    sessions = seen.snapshot.session_by_pid
    pids: defaultdict[str, set[int]] = defaultdict(set)
    longest: defaultdict[str, float] = defaultdict(float)
    for wait in seen.rows("lock_waits"):
        session = sessions.get(wait.pid)
        name = (session.database if session else None) or name_of.get(wait.database_oid or 0)
        if name is None:
            continue
        pids[name].add(wait.pid)
        began: datetime | None = wait.wait_start or (session.query_start if session else None)
        longest[name] = max(longest[name], seen.age("lock_waits", began) or 0.0)
    for name in seen.database_names:
        yield BLOCKED, (seen.target, name), len(pids[name])
        yield LONGEST_BLOCK, (seen.target, name), longest[name]


def _prepared(seen: SeenFacts) -> Readings:
    if seen.has("prepared_transactions"):
        rows = seen.rows("prepared_transactions")
        ages = [seen.age("prepared_transactions", p.prepared_at) or 0.0 for p in rows]
        yield PREPARED, (seen.target,), len(rows)
        yield OLDEST_PREPARED, (seen.target,), max(ages, default=0.0)
    for row in seen.rows("lock_table"):
        yield LOCK_TABLE, (seen.target,), row.entries


def _checkpoints(seen: SeenFacts) -> Readings:
    for row in seen.rows("checkpoints"):
        yield CHECKPOINTS, (seen.target, "timed"), row.timed
        yield CHECKPOINTS, (seen.target, "requested"), row.requested
        yield CHECKPOINT_WRITE, (seen.target,), row.write_ms / 1000
        yield CHECKPOINT_SYNC, (seen.target,), row.sync_ms / 1000
        yield BUFFERS_WRITTEN, (seen.target, "checkpointer"), row.buffers_checkpoint
        yield BUFFERS_WRITTEN, (seen.target, "bgwriter"), row.buffers_clean
        by_backends = row.buffers_backend
        if by_backends is None:
            by_backends = written_by_backends(seen)
        yield BUFFERS_WRITTEN, (seen.target, "backend"), by_backends


def written_by_backends(seen: SeenFacts) -> float | None:
    """Return what others than the checkpointer and the bgwriter wrote, where only pg_stat_io tells."""
    rows = _io_of_backends(seen)
    written = [row.write_bytes for row in rows if row.write_bytes is not None]
    return sum(written) / seen.snapshot.server.block_size if rows else None


def fsynced_by_backends(seen: SeenFacts) -> float | None:
    """Return how often others than the checkpointer and the bgwriter synchronized a file themselves."""
    rows = _io_of_backends(seen)
    return sum(row.fsyncs for row in rows if row.fsyncs is not None) if rows else None


def _io_of_backends(seen: SeenFacts) -> list[IoCounters]:
    return [
        row
        for row in seen.rows("io")
        if row.object == "relation" and row.backend_type not in _WRITERS
    ]


def _wal(seen: SeenFacts) -> Readings:
    for row in seen.rows("wal"):
        # before 14, only the position tells
        yield WAL_BYTES, (seen.target,), row.lsn_bytes if row.wal_bytes is None else row.wal_bytes
        yield WAL_IMAGES, (seen.target,), row.full_page_images


def _archiver(seen: SeenFacts) -> Readings:
    for row in seen.rows("archiver"):
        yield ARCHIVED, (seen.target,), row.archived_count
        yield ARCHIVE_FAILURES, (seen.target,), row.failed_count
        yield ARCHIVE_LAST, (seen.target,), _unix(row.last_archived_time)
        yield ARCHIVE_LAST_FAILURE, (seen.target,), _unix(row.last_failed_time)


def _unix(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()


def _replication(seen: SeenFacts) -> Readings:
    if seen.has("replicas"):
        yield from _replicas(seen)
    for row in seen.rows("recovery") if seen.snapshot.server.is_in_recovery else ():
        yield REPLAY_LAG_BYTES, (seen.target,), row.replay_lag_bytes
        is_behind = row.replay_lag_bytes is None or row.replay_lag_bytes > 0
        lag = seen.age("recovery", row.last_replayed_at) if is_behind else 0.0
        yield REPLAY_LAG, (seen.target,), lag
    for row in sorted(seen.rows("slots"), key=lambda s: str(s.name))[:_MOST_SLOTS]:
        yield SLOT_RETAINED, (seen.target, row.name), row.retained_bytes
        yield SLOT_ACTIVE, (seen.target, row.name), float(row.is_active)


def _replicas(seen: SeenFacts) -> Readings:
    """Yield a value a name: several standbys may have the same, then it is that of the last one."""
    rows = seen.rows("replicas")
    yield REPLICAS, (seen.target,), len(rows)
    lags: defaultdict[str, list[tuple[float | None, float | None]]] = defaultdict(list)
    for row in rows:
        seconds = None if row.replay_lag_ms is None else row.replay_lag_ms / 1000
        # an idle primary sends nothing whose replay could be timed
        if seconds is None and row.replay_lag_bytes == 0:
            seconds = 0.0
        lags[row.application_name or ""].append((row.replay_lag_bytes, seconds))
    for name in sorted(lags)[:_MOST_REPLICAS]:
        in_bytes, in_seconds = zip(*lags[name], strict=True)
        yield REPLICA_LAG_BYTES, (seen.target, name), _largest(in_bytes)
        yield REPLICA_LAG, (seen.target, name), _largest(in_seconds)


def _largest(values: Iterable[float | None]) -> float | None:
    return max((v for v in values if v is not None), default=None)
