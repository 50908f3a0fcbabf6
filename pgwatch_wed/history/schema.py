"""The tables of the history. Migrations create them; a test compares the two.

Every table but the dimensions begins its key with the cluster and has the time in it, so that on PostgreSQL the large
ones are partitioned by month. Nothing refers to them with a foreign key: partitions can be dropped.
Times are stored as ``timestamptz``, or in SQLite as microseconds since 1970, which sort.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    DateTime,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import Dialect

VERSION_TABLE = "pgwatch_wed_history_version"
SCHEMA = "pgwatch_wed_history"
"""The schema on PostgreSQL; SQLite has none."""

_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


class Instant(TypeDecorator[datetime]):
    """A time with its zone; it is read back in UTC."""

    impl = BigInteger
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        """Choose the type of the column."""
        is_lite = dialect.name == "sqlite"
        return dialect.type_descriptor(BigInteger() if is_lite else DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """Return what is stored."""
        if value is None or dialect.name != "sqlite":
            return value
        return (value - _BEGINNING) // timedelta(microseconds=1)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Return the time in UTC."""
        if value is None:
            return None
        if dialect.name == "sqlite":
            return _BEGINNING + timedelta(microseconds=value)
        moment: datetime = value
        return moment.astimezone(UTC)


_Json = JSON().with_variant(JSONB(), "postgresql")
# SQLite counts up only a column that is declared INTEGER.
_Key = BigInteger().with_variant(Integer(), "sqlite")

metadata = MetaData(
    naming_convention={
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "pk": "%(table_name)s_pkey",
    }
)


def _moment(name: str, *, is_key: bool = False, can_lack: bool = False) -> Column[Any]:
    return Column(name, Instant(), primary_key=is_key, nullable=can_lack)


def _whole(name: str, *, is_key: bool = False, can_lack: bool = False) -> Column[Any]:
    return Column(name, BigInteger(), primary_key=is_key, nullable=can_lack, autoincrement=False)


def _real(name: str, *, can_lack: bool = False) -> Column[Any]:
    return Column(name, Float(53), nullable=can_lack)


def _words(name: str, *, is_key: bool = False, can_lack: bool = False) -> Column[Any]:
    return Column(name, Text(), primary_key=is_key, nullable=can_lack)


def _document(name: str, *, can_lack: bool = False) -> Column[Any]:
    return Column(name, _Json, nullable=can_lack)


# --- whose history ----------------------------------------------------------------------------

clusters = Table(
    "clusters",
    metadata,
    Column("id", _Key, primary_key=True),
    # of the newest run: pg_upgrade gives a new one
    _words("system_identifier", can_lack=True),
    _words("label"),
    _moment("first_seen"),
)

databases = Table(
    "databases",
    metadata,
    Column("id", _Key, primary_key=True),
    _whole("cluster_id"),
    _whole("oid"),
    _words("name"),
    UniqueConstraint("cluster_id", "oid"),
)

# --- runs and what was read ---------------------------------------------------------------------

runs = Table(
    "runs",
    metadata,
    Column("id", _Key, primary_key=True),
    _whole("cluster_id"),
    _moment("taken_at"),
    # of what was read: the same run imported twice is one run
    Column("fingerprint", String(32), nullable=False, unique=True),
    _words("label"),
    _words("tool_version"),
    _words("server_version"),
    # the JSON report, compressed; None if nothing was evaluated
    Column("report", String(32), nullable=True),
    # what all rules said: see kept_verdicts
    Column("verdicts", String(32), nullable=True),
    # what they found: see kept_findings
    Column("findings", String(32), nullable=True),
    Index(None, "cluster_id", "taken_at"),
    Index(None, "report"),
    Index(None, "verdicts"),
    Index(None, "findings"),
)

snapshots = Table(
    "snapshots",
    metadata,
    Column("id", _Key, primary_key=True),
    _whole("run_id"),
    _whole("cluster_id"),
    _whole("database_id"),
    _moment("taken_at"),
    _words("tool_version"),
    _moment("measured_since", can_lack=True),
    Column("server", String(32), nullable=False),
    # in histories of earlier versions; now a part
    _document("missing"),
    # another one of the same database: parts that are the same are not listed again
    _whole("shares", can_lack=True),
    Index(None, "run_id"),
    Index(None, "database_id", "taken_at"),
    Index(None, "server"),
    Index(None, "shares"),
)

collections = Table(
    "collections",
    metadata,
    _whole("snapshot_id", is_key=True),
    _words("name", is_key=True),
    Column("hash", String(32), nullable=False),
    Index(None, "hash"),
    sqlite_with_rowid=False,
)

blobs = Table(
    "blobs",
    metadata,
    # of what is stored, not of its compressed form; in histories of older versions, of that
    Column("hash", String(32), primary_key=True),
    Column("data", LargeBinary(), nullable=False),
    # what it was compressed against: another one, which has no base itself
    Column("base", String(32), nullable=True),
    Index(None, "base"),
)

# --- what was concluded ---------------------------------------------------------------------------

finding_states = Table(
    "finding_states",
    metadata,
    _whole("cluster_id", is_key=True),
    Column("finding_id", String(16), primary_key=True),
    _words("rule"),
    _words("label"),
    _document("object"),
    _words("severity"),
    # open, resolved, or unknown since it could not be evaluated
    _words("state"),
    _moment("first_seen"),
    _moment("last_seen"),
    _moment("resolved_at", can_lack=True),
    _moment("came_back_at", can_lack=True),
    _whole("times_resolved"),
)

acknowledgements = Table(
    "acknowledgements",
    metadata,
    _whole("cluster_id", is_key=True),
    Column("finding_id", String(16), primary_key=True),
    _moment("acknowledged_at"),
    _moment("until", can_lack=True),
    _words("reason"),
    _words("name"),
)

baselines = Table(
    "baselines",
    metadata,
    _whole("cluster_id", is_key=True),
    _words("name", is_key=True),
    _whole("run_id"),
    _moment("set_at"),
    _words("note"),
)

# --- what was advised and predicted -------------------------------------------------------------

advice = Table(
    "advice",
    metadata,
    Column("id", _Key, primary_key=True),
    _whole("cluster_id"),
    _whole("database_id"),
    Column("finding_id", String(16), nullable=False),
    _words("rule"),
    _words("grade"),
    _words("label"),
    _whole("run_id"),
    _moment("advised_at"),
    _moment("last_advised_at"),
    # what the remedy would make, whatever its name; the statements that it promised to speed up
    _document("structure"),
    _document("predicted"),
    _words("state"),
    _moment("state_at"),
    _words("outcome", can_lack=True),
    _moment("outcome_at", can_lack=True),
    _document("measured", can_lack=True),
    Index(None, "cluster_id", "finding_id"),
)

predictions = Table(
    "predictions",
    metadata,
    Column("id", _Key, primary_key=True),
    _whole("cluster_id"),
    _whole("database_id", can_lack=True),
    _whole("run_id"),
    _words("kind"),
    _words("rule"),
    _words("grade"),
    _document("subject"),
    _moment("made_at"),
    _moment("due_at", can_lack=True),
    _words("unit"),
    _real("low", can_lack=True),
    _real("predicted", can_lack=True),
    _real("high", can_lack=True),
    _words("outcome", can_lack=True),
    _real("actual", can_lack=True),
    _moment("settled_at", can_lack=True),
    Index(None, "cluster_id", "kind", "made_at"),
)

# --- narrow series ------------------------------------------------------------------------------

statements = Table(
    "statements",
    metadata,
    Column("id", _Key, primary_key=True),
    _whole("database_id"),
    # of the normalized text, or of the query id if there is no text
    _words("key"),
    # the newest
    _whole("query_id"),
    _words("text", can_lack=True),
    _moment("first_seen"),
    UniqueConstraint("database_id", "key"),
)

statement_aliases = Table(
    "statement_aliases",
    metadata,
    _whole("database_id", is_key=True),
    # the key by query id: texts are read only of statements that matter
    _words("id_key", is_key=True),
    _words("key"),
)

intervals = Table(
    "intervals",
    metadata,
    _whole("database_id", is_key=True),
    _moment("ended_at", is_key=True),
    _moment("began_at"),
    _whole("cluster_id"),
    _whole("run_id"),
    # same, restarted or upgraded: what connects the two snapshots
    _words("bond"),
    # 0…1 of the statements that were called, of which the difference is known
    _real("known_share", can_lack=True),
    _whole("calls"),
    _real("exec_ms"),
    # why nothing is known about statements of this time
    _words("reason"),
)

statement_work = Table(
    "statement_work",
    metadata,
    _whole("cluster_id", is_key=True),
    _whole("database_id", is_key=True),
    _moment("ended_at", is_key=True),
    # all statements of the interval: see work_rows
    Column("data", LargeBinary(), nullable=False),
)

subjects = Table(
    "subjects",
    metadata,
    _whole("cluster_id", is_key=True),
    _whole("database_id", is_key=True),
    _whole("oid", is_key=True),
    # the first one
    _words("name"),
    sqlite_with_rowid=False,
)

numbers = Table(
    "numbers",
    metadata,
    _whole("cluster_id", is_key=True),
    # 0 for what belongs to the whole server
    _whole("database_id", is_key=True),
    _words("kind", is_key=True),
    _moment("taken_at", is_key=True),
    # those of all objects, by oid: see measures
    Column("data", LargeBinary(), nullable=False),
)

# --- fleets -------------------------------------------------------------------------------------

fleet_runs = Table(
    "fleet_runs",
    metadata,
    Column("id", _Key, primary_key=True),
    _moment("began_at"),
    _moment("ended_at", can_lack=True),
    _words("tool_version"),
    _whole("members"),
    # what was asked for, without secrets: sources, shards, limits
    _document("settings"),
)

fleet_visits = Table(
    "fleet_visits",
    metadata,
    _whole("fleet_run_id", is_key=True),
    _words("member", is_key=True),
    _words("group_name"),
    _document("tags"),
    _words("label"),
    # None as long as it waits or is under way
    _words("ending", can_lack=True),
    _words("reason"),
    _words("mend"),
    # databases and facts that a visit done in part lacks, with reasons
    _document("lacking"),
    _whole("attempts"),
    _moment("began_at", can_lack=True),
    _moment("ended_at", can_lack=True),
    _moment("heartbeat_at", can_lack=True),
    _words("worker"),
    # two members with the same server: it is visited once
    _words("node_key", can_lack=True),
    _words("same_as", can_lack=True),
    _whole("cluster_id", can_lack=True),
    _whole("run_id", can_lack=True),
    Column("traits", String(32), nullable=True),
    UniqueConstraint("fleet_run_id", "node_key"),
    Index(None, "traits"),
    Index(None, "member", "fleet_run_id"),
    Index(None, "cluster_id", "fleet_run_id"),
)

chores = Table(
    "chores",
    metadata,
    _words("name", is_key=True),
    # so that of many runs one cleans up
    _moment("begun_at"),
)

PARTITIONED = {
    "statement_work": "ended_at",
    "numbers": "taken_at",
}
"""Tables that PostgreSQL partitions by month, with the column."""

for _name in PARTITIONED:
    metadata.tables[_name].dialect_options["postgresql"]["partition_by"] = (
        f"RANGE ({PARTITIONED[_name]})"
    )
