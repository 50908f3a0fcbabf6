"""Facts about a PostgreSQL server and one of its databases, frozen and savable.

Each dataclass is a row of the corresponding query in ``sql/collect/``; its fields are the query's
columns. Units are in names: ``_ms`` milliseconds, ``_bytes`` bytes, ``_pages`` blocks of
``block_size`` bytes, ``_xids`` transactions. ``None`` means that the value is not known.

Identity (Table, Index, …) is separate from counters (TableActivity, IndexUsage, …): counters are
what a delta subtracts, and a standby has its own.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from pgwatch_wed.facts.features import Features

# --- the server ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Server:
    """The server, and the session that read it."""

    taken_at: datetime
    started_at: datetime
    version_num: int
    version: str
    system_identifier: str | None
    timeline: int | None
    database: str
    database_oid: int
    role: str
    is_superuser: bool
    is_in_recovery: bool
    encoding: str
    block_size: int
    wal_segment_bytes: int
    role_memberships: tuple[str, ...]
    backend_pid: int
    address: str | None = None
    node: str = "primary"
    database_created_at: datetime | None = None
    provider: str | None = None  # of a managed service
    inherits: bool = True  # the role has the privileges of roles that it is a member of
    unused_memberships: tuple[
        str, ...
    ] = ()  # of predefined roles, whose privileges it does not have
    hidden_statistic_columns: tuple[str, ...] = ()  # of pg_statistic, apart from the values

    @property
    def major(self) -> int:
        """The major version, such as 17."""
        return self.version_num // 10_000

    @property
    def features(self) -> Features:
        """What a server of this version can do."""
        return Features.of(self.version_num)


@dataclass(frozen=True, slots=True)
class Extension:
    """An extension that is installed in this database or available to it."""

    name: str
    installed_version: str | None
    default_version: str | None
    schema: str | None


@dataclass(frozen=True, slots=True)
class OwnRights:
    """What the role that analyzes may do besides reading; empty for a superuser, who may do everything.

    ``acts_as`` are the roles whose privileges it has, ``administers`` those that it may grant, ``parameters``
    those that it may change by ALTER SYSTEM (15+), ``maintains`` others' tables that it may VACUUM (17+).
    """

    is_replication: bool
    can_create_roles: bool
    can_reload: bool
    acts_as: tuple[str, ...] = ()
    administers: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()
    maintains: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Schema:
    """A schema: whether the role that analyzes may use it and create objects in it.

    ``owners_without_create`` own tables in it, but may not create more, nor indexes.
    """

    name: str
    owner: str
    can_use: bool
    can_create: bool
    owners_without_create: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Setting:
    """A row of pg_settings."""

    name: str
    setting: str | None
    unit: str | None
    vartype: str
    source: str
    boot_val: str | None
    reset_val: str | None
    context: str
    pending_restart: bool
    sourcefile: str | None
    sourceline: int | None
    category: str
    enum_values: tuple[str, ...] = ()  # what this build of the server accepts
    min_value: float | None = None
    max_value: float | None = None


@dataclass(frozen=True, slots=True)
class RoleSetting:
    """A setting bound to a role, a database or both (ALTER ROLE … SET)."""

    role: str | None
    database: str | None
    name: str
    value: str


@dataclass(frozen=True, slots=True)
class FileSetting:
    """An entry of the configuration files that could not be applied."""

    name: str | None
    setting: str | None
    sourcefile: str | None
    sourceline: int | None
    error: str | None


@dataclass(frozen=True, slots=True)
class Role:
    """A role that can log in. ``is_monitoring``: it is no superuser, but a member of pg_read_all_stats."""

    name: str
    is_superuser: bool
    can_login: bool
    connection_limit: int
    is_replication: bool
    is_monitoring: bool = False


@dataclass(frozen=True, slots=True)
class Database:
    """A database with its cumulative counters (pg_database and pg_stat_database)."""

    oid: int
    name: str
    owner: str
    allows_connections: bool
    is_template: bool
    connection_limit: int
    encoding: str
    xid_age_xids: int
    mxid_age: int
    collation_version: str | None
    actual_collation_version: str | None
    num_backends: int | None
    xact_commit: int | None
    xact_rollback: int | None
    blks_read: int | None
    blks_hit: int | None
    blk_read_ms: float | None
    blk_write_ms: float | None
    tup_returned: int | None
    tup_fetched: int | None
    tup_inserted: int | None
    tup_updated: int | None
    tup_deleted: int | None
    conflicts: int | None
    temp_files: int | None
    temp_bytes: int | None
    deadlocks: int | None
    checksum_failures: int | None
    checksum_last_failure: datetime | None
    session_ms: float | None
    active_ms: float | None
    idle_in_transaction_ms: float | None
    sessions: int | None
    sessions_abandoned: int | None
    sessions_fatal: int | None
    sessions_killed: int | None
    stats_reset: datetime | None


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """The counters of the checkpointer and the background writer since their reset."""

    timed: int
    requested: int
    write_ms: float
    sync_ms: float
    buffers_checkpoint: int
    buffers_clean: int | None
    maxwritten_clean: int | None
    buffers_backend: int | None
    buffers_backend_fsync: int | None
    buffers_alloc: int | None
    stats_reset: datetime | None


@dataclass(frozen=True, slots=True)
class Wal:
    """WAL written since the reset of pg_stat_wal (14+) and the position now."""

    records: int | None
    full_page_images: int | None
    wal_bytes: int | None
    buffers_full: int | None
    lsn_bytes: int | None
    stats_reset: datetime | None


@dataclass(frozen=True, slots=True)
class IoCounters:
    """A row of pg_stat_io (16+). Times need track_io_timing."""

    backend_type: str
    object: str
    context: str
    reads: int | None
    read_bytes: int | None
    read_ms: float | None
    writes: int | None
    write_bytes: int | None
    write_ms: float | None
    extends: int | None
    hits: int | None
    evictions: int | None
    reuses: int | None
    fsyncs: int | None
    stats_reset: datetime | None


@dataclass(frozen=True, slots=True)
class Slru:
    """A row of pg_stat_slru."""

    name: str
    blks_zeroed: int
    blks_hit: int
    blks_read: int
    blks_written: int
    stats_reset: datetime | None


@dataclass(frozen=True, slots=True)
class Archiver:
    """pg_stat_archiver."""

    archived_count: int
    last_archived_wal: str | None
    last_archived_time: datetime | None
    failed_count: int
    last_failed_wal: str | None
    last_failed_time: datetime | None
    stats_reset: datetime | None


@dataclass(frozen=True, slots=True)
class Replica:
    """A walsender (pg_stat_replication). Lags in bytes behind the server's current position."""

    pid: int
    user: str | None
    application_name: str | None
    state: str | None
    sync_state: str | None
    sent_lag_bytes: int | None
    flush_lag_bytes: int | None
    replay_lag_bytes: int | None
    replay_lag_ms: float | None
    backend_xmin_age_xids: int | None
    slot_name: str | None
    backend_xmin: int | None = None


@dataclass(frozen=True, slots=True)
class Slot:
    """A replication slot."""

    name: str
    plugin: str | None
    slot_type: str
    database: str | None
    is_temporary: bool
    is_active: bool
    active_pid: int | None
    xmin_age_xids: int | None
    catalog_xmin_age_xids: int | None
    retained_bytes: int | None
    confirmed_lag_bytes: int | None
    wal_status: str | None
    safe_wal_bytes: int | None
    inactive_since: datetime | None
    invalidation_reason: str | None
    is_synced: bool | None
    xmin: int | None = None


@dataclass(frozen=True, slots=True)
class SlotSpill:
    """What the logical decoding of a slot wrote to disk, or streamed, since ``stats_reset`` (14+)."""

    slot_name: str
    spill_txns: int
    spill_count: int
    spill_bytes: int
    stream_txns: int
    stream_bytes: int
    total_txns: int
    total_bytes: int
    stats_reset: datetime | None


@dataclass(frozen=True, slots=True)
class Recovery:
    """A standby's own view of its replay."""

    replay_lag_bytes: int | None
    last_replayed_at: datetime | None
    is_paused: bool | None
    has_walreceiver: bool | None


@dataclass(frozen=True, slots=True)
class PreparedTransaction:
    """A row of pg_prepared_xacts."""

    gid: str
    owner: str
    database: str
    prepared_at: datetime
    xid_age_xids: int


@dataclass(frozen=True, slots=True)
class Session:
    """A row of pg_stat_activity. ``query`` has its literals replaced before it is stored."""

    pid: int
    leader_pid: int | None
    database: str | None
    user: str | None
    application_name: str | None
    client: str | None
    backend_type: str | None
    state: str | None
    wait_event_type: str | None
    wait_event: str | None
    backend_start: datetime | None
    xact_start: datetime | None
    query_start: datetime | None
    state_change: datetime | None
    xid_age_xids: int | None
    xmin_age_xids: int | None
    query_id: int | None
    query: str | None


@dataclass(frozen=True, slots=True)
class Subtransactions:
    """The open subtransactions of a session's transaction (16+).

    ``is_overflowed``: more than fit into shared memory, so that all sessions have to look them up.
    """

    pid: int
    open_count: int
    is_overflowed: bool


@dataclass(frozen=True, slots=True)
class LockWait:
    """A session that waits for a heavyweight lock, and the sessions ahead of it.

    Pid 0 in ``blocked_by`` is a prepared transaction; ``blocked_by_prepared`` names it.
    """

    pid: int
    blocked_by: tuple[int, ...]
    locktype: str
    mode: str
    database_oid: int | None
    relation_oid: int | None
    relation: str | None
    wait_start: datetime | None
    blocked_by_prepared: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RelationLock:
    """A granted lock that conflicts with those of others (SHARE UPDATE EXCLUSIVE and above), by session."""

    pid: int
    mode: str
    relation_oid: int
    relation: str | None
    is_granted: bool


@dataclass(frozen=True, slots=True)
class LockTable:
    """How full the shared lock table is."""

    entries: int
    fastpath_entries: int
    max_locks_per_transaction: int
    max_connections: int
    max_prepared_transactions: int


@dataclass(frozen=True, slots=True)
class VacuumProgress:
    """A running vacuum (pg_stat_progress_vacuum)."""

    pid: int
    database: str | None
    relation_oid: int
    relation: str | None
    phase: str
    heap_pages_total: int
    heap_pages_scanned: int
    index_vacuum_count: int
    started_at: datetime | None
    is_autovacuum: bool
    is_wraparound: bool


@dataclass(frozen=True, slots=True)
class IndexBuild:
    """A running CREATE INDEX or REINDEX (pg_stat_progress_create_index)."""

    pid: int
    relation_oid: int
    index_oid: int
    command: str
    phase: str


@dataclass(frozen=True, slots=True)
class StatementsInfo:
    """pg_stat_statements as a whole."""

    entries: int
    max_entries: int | None
    track: str | None
    track_planning: bool | None
    dealloc: int | None
    stats_reset: datetime | None
    hidden_entries: int
    unreadable_entries: int
    total_exec_ms: float
    total_exec_ms_database: float
    calls_database: int
    text_bytes: int | None


@dataclass(frozen=True, slots=True)
class Statement:
    """A normalized statement of this database (pg_stat_statements), counters since ``stats_since``.

    ``text`` is None if it is hidden from the role or was not read. Columns that the installed
    version of the extension does not have are None. ``min_exec_ms`` and ``max_exec_ms`` count since
    ``minmax_stats_since``, and are None if they may be those of another time.
    """

    user_oid: int
    user: str | None
    query_id: int
    is_toplevel: bool
    text: str | None
    calls: int
    plans: int
    total_plan_ms: float
    total_exec_ms: float
    min_exec_ms: float | None
    max_exec_ms: float | None
    mean_exec_ms: float
    stddev_exec_ms: float
    rows: int
    shared_blks_hit: int
    shared_blks_read: int
    shared_blks_dirtied: int
    shared_blks_written: int
    local_blks_hit: int
    local_blks_read: int
    temp_blks_read: int
    temp_blks_written: int
    blk_read_ms: float
    blk_write_ms: float
    temp_blk_ms: float | None
    wal_records: int
    wal_fpi: int
    wal_bytes: int
    jit_functions: int | None
    jit_ms: float | None
    parallel_workers_to_launch: int | None
    parallel_workers_launched: int | None
    generic_plan_calls: int | None
    custom_plan_calls: int | None
    stats_since: datetime | None
    minmax_stats_since: datetime | None = None


# --- one database -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Table:
    """A user table, partition, partitioned parent or materialized view.

    ``kind``: r table, p partitioned, m materialized view. Includes its TOAST table. Ages are
    in transactions; None for relations without storage.
    """

    oid: int
    schema: str
    name: str
    kind: str
    persistence: str
    owner: str
    pages: int
    rows: float
    all_visible_pages: int
    all_frozen_pages: int | None
    toast_oid: int | None
    toast_pages: int | None
    toast_rows: float | None
    options: tuple[str, ...]
    toast_options: tuple[str, ...]
    is_partition: bool
    parent_oid: int | None
    has_children: bool
    is_default_partition: bool
    partition_strategy: str | None
    partition_columns: tuple[int, ...]
    replica_identity: str
    xid_age_xids: int | None
    mxid_age: int | None
    toast_xid_age_xids: int | None
    toast_mxid_age: int | None
    column_count: int
    is_in_extension: bool
    has_triggers: bool
    tablespace: str | None
    access_method: str | None
    can_select: bool = True

    @property
    def qualified(self) -> str:
        """``schema.name`` for messages; SQL uses :mod:`pgwatch_wed.quote`."""
        return f"{self.schema}.{self.name}"

    def option(self, name: str) -> str | None:
        """Return a storage parameter's value, or None if it is not set."""
        return _option(self.options, name)

    def toast_option(self, name: str) -> str | None:
        """Return a storage parameter of the TOAST table."""
        return _option(self.toast_options, name)


def _option(options: Iterable[str], name: str) -> str | None:
    for each in options:
        key, _, value = each.partition("=")
        if key == name:
            return value
    return None


@dataclass(frozen=True, slots=True)
class FileSize:
    """The size of the file of a table that was neither vacuumed nor analyzed since its counters began."""

    table_oid: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class OtherRelation:
    """A view, foreign table, composite type or the like: its name is taken, and it may be a partition.

    For rules, this includes what the configuration leaves out.
    """

    oid: int
    schema: str
    name: str
    kind: str
    parent_oid: int | None

    @property
    def qualified(self) -> str:
        """``schema.name`` for messages."""
        return f"{self.schema}.{self.name}"


@dataclass(frozen=True, slots=True)
class ForeignTable:
    """A foreign table. ``rows`` is -1 if it was never analyzed; before 14, 0."""

    oid: int
    schema: str
    name: str
    rows: float
    pages: int
    wrapper: str
    foreign_server: str
    uses_remote_estimate: bool | None

    @property
    def qualified(self) -> str:
        """``schema.name`` for messages."""
        return f"{self.schema}.{self.name}"


@dataclass(frozen=True, slots=True)
class SystemTable:
    """A system catalog, or a temporary table of any session, which ``tables`` does not include.

    ``pid`` is that of the session that owns a temporary table, from 16 on.
    """

    oid: int
    schema: str
    name: str
    is_shared: bool
    is_temporary: bool
    pid: int | None
    owner: str
    pages: int
    rows: float
    xid_age_xids: int
    mxid_age: int
    n_live_tup: int
    n_dead_tup: int
    last_vacuum: datetime | None

    @property
    def qualified(self) -> str:
        """``schema.name`` for messages."""
        return f"{self.schema}.{self.name}"


@dataclass(frozen=True, slots=True)
class LargeObjects:
    """The large objects of the database together.

    ``number_types`` are the oids of oid and of the domains over it (such as lo), which hold the number of a
    large object; ``array_types`` are the arrays of these.
    """

    objects: int
    is_counted: bool
    size_bytes: int
    number_types: tuple[int, ...]
    array_types: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TableActivity:
    """Counters of a table (pg_stat_user_tables, pg_statio_user_tables), and of its TOAST table."""

    oid: int
    seq_scan: int
    seq_tup_read: int
    idx_scan: int
    idx_tup_fetch: int
    last_seq_scan: datetime | None
    last_idx_scan: datetime | None
    n_tup_ins: int
    n_tup_upd: int
    n_tup_del: int
    n_tup_hot_upd: int
    n_tup_newpage_upd: int | None
    n_live_tup: int
    n_dead_tup: int
    n_mod_since_analyze: int
    n_ins_since_vacuum: int | None
    last_vacuum: datetime | None
    last_autovacuum: datetime | None
    last_analyze: datetime | None
    last_autoanalyze: datetime | None
    vacuum_count: int
    autovacuum_count: int
    analyze_count: int
    autoanalyze_count: int
    total_autovacuum_ms: float | None
    heap_blks_read: int
    heap_blks_hit: int
    idx_blks_read: int
    idx_blks_hit: int
    toast_blks_read: int
    toast_blks_hit: int
    tidx_blks_read: int
    tidx_blks_hit: int
    toast_n_live_tup: int | None
    toast_n_dead_tup: int | None
    toast_last_vacuum: datetime | None
    toast_last_autovacuum: datetime | None
    stats_reset: datetime | None


@dataclass(frozen=True, slots=True)
class ImpliedChange:
    """A column that an update changes without naming it: set by a trigger, or a stored generated column.

    ``attnum`` is None if the trigger may set any column. ``needs`` are the columns whose update has this effect;
    empty: every update has.
    """

    table_oid: int
    trigger: str | None
    attnum: int | None
    needs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Column:
    """A live column of a user table."""

    table_oid: int
    attnum: int
    name: str
    type_oid: int
    type: str
    base_type: str
    length: int
    type_align: str
    type_storage: str
    type_category: str
    is_not_null: bool
    identity: str
    generated: str
    has_default: bool
    collation_oid: int
    statistics_target: int | None
    n_distinct_option: str | None


@dataclass(frozen=True, slots=True)
class ColumnDependent:
    """An object that uses a column of a number type: the type cannot be changed while it exists.

    ``kind`` is one of view, materialized view, rule, policy, trigger, function, generated column.
    """

    table_oid: int
    attnum: int
    kind: str
    schema: str | None
    name: str


@dataclass(frozen=True, slots=True)
class Domain:
    """A domain over a number; ``definition`` is CREATE DOMAIN with the checks of all domains below it."""

    oid: int
    schema: str
    name: str
    type: str
    base_type: str
    definition: str


@dataclass(frozen=True, slots=True)
class ColumnStatistics:
    """What ANALYZE collected, without any values: fractions 0…1, widths in bytes.

    ``n_distinct`` as in pg_stats (negative: a fraction of the rows). ``mcv_top_fraction`` is the
    frequency of the most common value, ``mcv_fraction`` that of all common values together.
    """

    table_oid: int
    attnum: int
    is_inherited: bool
    null_fraction: float
    avg_width: int
    n_distinct: float
    correlation: float | None
    mcv_top_fraction: float | None
    mcv_fraction: float | None
    mcv_count: int
    has_histogram: bool


@dataclass(frozen=True, slots=True)
class ExtendedStatistics:
    """A CREATE STATISTICS object."""

    table_oid: int
    schema: str
    name: str
    columns: tuple[int, ...]
    kinds: tuple[str, ...]
    has_expressions: bool
    is_built: bool | None


# The only shapes of a node tree that mean `a IS NOT NULL [AND b IS NOT NULL …]`.
_NOT_NULL = re.compile(
    r"\{NULLTEST :arg \{VAR :varno 1 :varattno (\d+) [^{}]*\} :nulltesttype 1 :argisrow false[^{}]*\}"
)
_CONJUNCTION = re.compile(
    r"[\s()]*(?:\{BOOLEXPR :boolop and :args [\s()]*\}|\{AND[\s()]*\})?[\s()]*"
)


@dataclass(frozen=True, slots=True)
class Index:
    """An index of a user table or materialized view, or an invalid one of a TOAST table.

    ``columns`` are the key columns, then the INCLUDE columns (0: an expression); ``key_count`` is
    the number of keys. ``opclasses``, ``collations`` (oids) and ``indoptions`` (bit 1 DESC, bit 2
    NULLS FIRST) are parallel to the keys; ``key_options`` are the operator classes' parameters, if
    any are set. ``expressions`` and ``predicate`` are PostgreSQL's own node trees without source
    positions: equal trees have equal meaning. ``depends_on`` are all columns that the index reads, in
    keys, INCLUDE, expressions and predicate.
    """

    oid: int
    table_oid: int
    schema: str
    name: str
    kind: str
    access_method: str
    pages: int
    rows: float
    columns: tuple[int, ...]
    key_count: int
    opclasses: tuple[int, ...]
    opclass_names: tuple[str, ...]
    collations: tuple[int, ...]
    indoptions: tuple[int, ...]
    expressions: str | None
    predicate: str | None
    depends_on: tuple[int, ...]
    options: tuple[str, ...]
    is_unique: bool
    is_primary: bool
    is_exclusion: bool
    is_immediate: bool
    nulls_not_distinct: bool
    is_valid: bool
    is_ready: bool
    is_live: bool
    is_clustered: bool
    is_replica_identity: bool
    is_partition: bool
    parent_oid: int | None
    constraint_oid: int | None
    constraint_name: str | None
    constraint_type: str | None
    is_in_extension: bool
    referenced_by_foreign_keys: int
    tablespace: str | None
    key_options: tuple[str, ...] = ()

    @property
    def qualified(self) -> str:
        """``schema.name`` for messages."""
        return f"{self.schema}.{self.name}"

    @property
    def keys(self) -> tuple[int, ...]:
        """Key columns in order (0: an expression)."""
        return self.columns[: self.key_count]

    @property
    def included(self) -> tuple[int, ...]:
        """INCLUDE columns."""
        return self.columns[self.key_count :]

    @property
    def predicate_not_null(self) -> tuple[int, ...] | None:
        """The columns that the predicate requires to be NOT NULL; None if it requires anything else.

        An index without a predicate requires nothing: ``()``.
        """
        if self.predicate is None:
            return ()
        tests = _NOT_NULL.findall(self.predicate)
        rest = _NOT_NULL.sub("", self.predicate)
        if not tests or not _CONJUNCTION.fullmatch(rest):
            return None
        return tuple(int(attnum) for attnum in tests)

    @property
    def is_usable(self) -> bool:
        """Whether the planner may use it."""
        return self.is_valid and self.is_ready and self.is_live

    def option(self, name: str) -> str | None:
        """Return a storage parameter's value, or None if it is not set."""
        return _option(self.options, name)


@dataclass(frozen=True, slots=True)
class IndexUsage:
    """Counters of an index on one server; ``oid`` is the same on a primary and its standbys."""

    oid: int
    idx_scan: int
    idx_tup_read: int
    idx_tup_fetch: int
    last_idx_scan: datetime | None
    blks_read: int
    blks_hit: int
    stats_reset: datetime | None


@dataclass(frozen=True, slots=True)
class IndexDefinition:
    """CREATE INDEX as PostgreSQL prints it; absent for relations that were locked.

    In addition, what is not in the text but is also lost with DROP INDEX; the statistics targets are those
    of ``statistics_columns``.
    """

    oid: int
    definition: str
    comment: str | None = None
    constraint_comment: str | None = None
    statistics_columns: tuple[int, ...] = ()
    statistics_targets: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Constraint:
    """A constraint: p primary key, u unique, f foreign key, x exclusion, c check, n not null."""

    oid: int
    schema: str
    name: str
    table_oid: int
    kind: str
    columns: tuple[int, ...]
    referenced_oid: int | None
    referenced_columns: tuple[int, ...]
    on_delete: str
    on_update: str
    match: str
    is_validated: bool
    is_enforced: bool
    is_deferrable: bool
    index_oid: int | None
    parent_oid: int | None
    is_deferred: bool = False


@dataclass(frozen=True, slots=True)
class DomainConstraint:
    """A constraint of a domain that is not validated, and the columns of that type (``table_oids``, ``columns``)."""

    oid: int
    schema: str
    domain: str
    name: str
    is_validated: bool
    table_oids: tuple[int, ...]
    columns: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Sequence:
    """A sequence. ``last_value`` is None if it was never called, or is unreadable (``is_readable``)."""

    oid: int
    schema: str
    name: str
    type: str
    start_value: int
    min_value: int
    max_value: int
    increment: int
    is_cycling: bool
    cache: int
    last_value: int | None
    is_readable: bool
    persistence: str
    owner_table_oid: int | None
    owner_column: int | None
    owner_kind: str | None
    default_tables: tuple[int, ...]
    default_columns: tuple[int, ...]
    owner: str | None = None


@dataclass(frozen=True, slots=True)
class Publication:
    """A logical replication publication; ``except_oids`` (19+) are the tables excluded from FOR ALL TABLES."""

    name: str
    is_all_tables: bool
    publishes_update: bool
    publishes_delete: bool
    table_oids: tuple[int, ...]
    schemas: tuple[str, ...]
    except_oids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Subscription:
    """A logical replication subscription with its error counters (15+)."""

    name: str
    is_enabled: bool
    apply_errors: int | None
    sync_errors: int | None


@dataclass(frozen=True, slots=True)
class CollationVersion:
    """A collation (or the database's default) whose library version changed."""

    name: str
    provider: str
    recorded: str | None
    actual: str | None
    index_oids: tuple[int, ...]
    oid: int | None = None


@dataclass(frozen=True, slots=True)
class ExactBloat:
    """One relation as measured by pgstattuple (`--exact-bloat`)."""

    oid: int
    kind: str
    total_bytes: int
    dead_bytes: int
    free_bytes: int
    leaf_density: float | None


@dataclass(frozen=True, slots=True)
class StatementPlan:
    """The generic plan of a statement, found without executing it, or why there is none.

    ``plan_rows`` are the rows that a call would return or, for a write, change. ``plan`` outlines
    the nodes, with relations and without any values; ``tree`` is the same as EXPLAIN's JSON.
    ``is_cut`` and ``is_grouped``: a LIMIT, or a grouping, is on top and determines the number of rows.
    ``scanned_partitions`` are the oids of the partitions that it would scan. ``doubts`` say why the server may
    plan it otherwise: what the lab lacks of what the server has. Then neither rows nor costs prove anything. With ``refused``, there is
    no plan for that reason.
    """

    query_id: int
    total_cost: float = 0.0
    plan_rows: float = 0.0
    plan: str = ""
    tree: str = ""
    is_cut: bool = False
    is_grouped: bool = False
    subplans_removed: int | None = None
    scanned_partitions: tuple[int, ...] = ()
    refused: str | None = None
    doubts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MissingIndex:
    """An index that the advisor recommends, with its benefit; see ``db-analyze indexes``.

    ``saved_ms`` is its part of the time measured for each of ``query_ids``; parts of several indexes add up. ``is_joint``
    tells that it saves most of that only together with others. ``write_ms`` is what maintaining it would take.
    ``ddl`` is CREATE INDEX for the index ``name`` in the table's schema. Costs are the planner's, of the whole
    workload: at present, and less this index's part. ``trees`` are
    the plans with it, as EXPLAIN's JSON without values, for each of ``query_ids``. ``doubts`` say why the server may
    plan otherwise than the lab: nothing is proven then.
    """

    name: str
    ddl: str
    schema: str
    table: str
    columns: tuple[str, ...]
    method: str
    size_bytes: int
    cost_before: float
    cost_after: float
    ms_per_day: float | None
    write_ms_per_day: float | None
    query_ids: tuple[int, ...]
    queries: tuple[str, ...]
    engine: str
    caveats: tuple[str, ...]
    trees: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    saved_ms: tuple[float, ...] = ()
    write_ms: float | None = None
    is_joint: bool = False


@dataclass(frozen=True, slots=True)
class IndexDropTrial:
    """What hiding an existing index does to the cost of the workload in the lab; ``doubts`` as of a plan."""

    index_oid: int
    cost_before: float
    cost_after: float
    worst_query_id: int | None
    worst_ratio: float | None
    statements: int
    doubts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NodeIndexUsage:
    """Index counters of another server (a standby), with the window that they cover."""

    node: str
    taken_at: datetime
    since: datetime | None
    usages: tuple[IndexUsage, ...]


@dataclass(frozen=True, slots=True)
class DeltaCoverage:
    """How much of a fact the difference of two snapshots can speak for; see :mod:`.delta`.

    ``rows`` are those of the second snapshot that count something, ``known`` those whose difference is
    known, and ``lost`` those of the first that are gone, with what they counted in between. The counters
    of ``known`` began at ``begins``, later than the first snapshot if they were reset; None if unknown.
    """

    fact: str
    rows: int
    known: int
    lost: int
    begins: datetime | None
    reason: str


@dataclass(frozen=True, slots=True)
class HistoryCoverage:
    """A fact that comes from earlier runs was looked up; ``runs`` of this database are known, since ``begins``."""

    fact: str
    runs: int
    begins: datetime | None


@dataclass(frozen=True, slots=True)
class FollowedAdvice:
    """What became of advice of an earlier run, as of now; ``name``, ``schema`` and ``table`` are what it was about.

    ``state`` and ``outcome`` are words of :mod:`pgwatch_wed.history`; ``found`` says what is there instead, or why
    nothing can be told. It was first seen to be applied ``since``; before that, it was last seen to be absent at
    ``absent_at``. Ratios are after / before; ``predicted_ratio`` is that of the time of its statements.
    ``oids`` are the indexes that were built for it, and ``undo`` is the SQL to revert it as advised.
    """

    rule: str
    grade: str
    kind: str
    schema: str | None
    table: str | None
    name: str
    state: str
    found: str
    advised_at: datetime
    absent_at: datetime | None
    since: datetime | None
    outcome: str | None
    outcome_reason: str
    ready_at: datetime | None
    predicted_ms_per_day: float | None
    predicted_ratio: float | None
    saved_ms_per_day: float | None
    lost_ms_per_day: float | None
    blocks_ratio: float | None
    time_ratio: float | None
    calls_after: int | None
    oids: tuple[int, ...]
    undo: tuple[str, ...]
    slower: tuple[str, ...]  # statements on the table that became slower

    @property
    def label(self) -> str:
        """Name it for a reader."""
        return f"{self.schema}.{self.name}" if self.schema else self.name


_MOST_WEEKS = 520


@dataclass(frozen=True, slots=True)
class SampledMinute:
    """How much of a minute was sampled: ``samples`` looks, which stand for ``covered_seconds``.

    What happened in ``gap_seconds`` is unknown, not nothing; ``reason`` says why. ``most_waiting`` sessions
    waited for locks at one moment.
    """

    minute: datetime
    samples: int
    covered_seconds: float
    gap_seconds: float
    most_waiting: int
    hidden_sessions: int
    reason: str


@dataclass(frozen=True, slots=True)
class ActivityMinute:
    """What sessions of one kind did in a minute: ``seconds`` are summed over sessions, by samples.

    ``query_id`` is that of the running statement, or of the last one if the session is idle in transaction.
    """

    minute: datetime
    database: str | None
    user: str | None
    backend_type: str | None
    state: str | None
    wait_event_type: str | None
    wait_event: str | None
    query_id: int | None
    samples: int
    seconds: float


@dataclass(frozen=True, slots=True)
class LockEpisode:
    """Sessions that waited for locks behind the same kind of session, without a minute's pause.

    ``database`` to ``gid`` tell of the blocker at the head of the queue: its state, what it runs or, idle in
    transaction, ran last, or the prepared transaction that it is; ``pid`` is the last one seen. The others
    waited for ``mode`` on ``relation``; ``queued_mode`` is what the first of the queue wants, if it is behind
    this one that they wait. ``blocked_seconds`` are what the ``samples`` of waiting sessions stand for; one that
    waits for several blockers counts in part for each. ``longest_seconds`` is one wait, from its beginning;
    ``most_blocked`` sessions waited at one moment for this database, role and application, whatever for.
    """

    first_seen: datetime
    last_seen: datetime
    pid: int | None
    database: str | None
    user: str | None
    application_name: str | None
    backend_type: str | None
    state: str | None
    query_id: int | None
    gid: str | None
    database_oid: int | None
    relation_oid: int | None
    relation: str | None
    locktype: str
    mode: str
    queued_mode: str | None
    queued_query_id: int | None
    samples: int
    blocked_seconds: float
    longest_seconds: float
    waits: int
    most_blocked: int
    depth: int
    blocked_query_ids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class AdviceRecord:
    """What the advice of one rule and grade came to.

    ``applied`` includes what was applied in part, and what was undone since; ``helped``, ``no_effect`` and ``harmed`` are of
    that, and ``open`` is what cannot be told yet, or at all. Times per day and ratios (after / before) are those of advice that
    was applied as a whole, and of which both prediction and measurement are known.
    """

    rule: str
    grade: str
    advised: int
    applied: int
    partly: int
    undone: int
    before: int
    not_followed: int
    helped: int
    no_effect: int
    harmed: int
    open: int
    compared: int
    predicted_ms_per_day: float | None
    measured_ms_per_day: float | None
    predicted_ratio: float | None
    measured_ratio: float | None


@dataclass(frozen=True, slots=True)
class Forecast:
    """Where a number is heading, told by earlier runs, or the ``reason`` why that cannot be told before ``told_at``.

    ``kind``: database, table (both in bytes, with indexes), sequence (its position), connections, wal (the bytes
    written) or xids (the age of the database, if freezing does not keep up). Paces are a day. What is called low and high
    are the ends of an interval of 80%: ``reached_low`` is the early end, and a time is None if it is more than
    three years away. The last value is of ``as_of``. ``ahead_low``, ``ahead`` and ``ahead_high`` are the largest sizes within ``weeks_ahead``.
    """

    kind: str
    oid: int
    unit: str
    value: float
    limit: float | None
    points: int
    pace_low: float | None = None
    pace: float | None = None
    pace_high: float | None = None
    reached_low: datetime | None = None
    reached: datetime | None = None
    reached_high: datetime | None = None
    begins: datetime | None = None
    as_of: datetime | None = None
    note: str = ""
    reason: str = ""
    told_at: datetime | None = None
    schema: str | None = None
    table: str | None = None
    sequence: str | None = None
    weeks_ahead: tuple[int, ...] = ()
    ahead_low: tuple[float, ...] = ()
    ahead: tuple[float, ...] = ()
    ahead_high: tuple[float, ...] = ()

    @property
    def is_growing(self) -> bool:
        """Whether the growth cannot be explained by chance."""
        return self.pace_low is not None and self.pace_low > 0

    def reaching(self, limit: float) -> "Forecast":
        """Return the same with another limit: the sizes ahead tell when it is reached."""
        return replace(
            self,
            limit=limit,
            reached_low=self._reaching(limit, self.ahead_high),
            reached=self._reaching(limit, self.ahead),
            reached_high=self._reaching(limit, self.ahead_low),
        )

    def _reaching(self, limit: float, sizes: tuple[float, ...]) -> datetime | None:
        if self.as_of is None or self.value >= limit:
            return self.as_of
        week, before = 0, self.value
        for ahead, then in zip(self.weeks_ahead, sizes, strict=False):
            if ahead > _MOST_WEEKS:
                return None
            if then >= limit:
                share = (limit - before) / (then - before)
                return self.as_of + timedelta(weeks=week + share * (ahead - week))
            week, before = ahead, max(then, before)
        return None


@dataclass(frozen=True, slots=True)
class ShiftCause:
    """Something that differs since a statement became slower, and that it may depend on.

    ``ddl`` creates an index that is gone. ``at`` is when it happened, if that is known.
    """

    kind: str
    what: str
    name: str
    schema: str | None = None
    table: str | None = None
    aspect: str = ""
    before: str | None = None
    after: str | None = None
    ddl: str | None = None
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class StatementShift:
    """A statement in the latest intervals, compared with its intervals before; only those with enough load.

    ``outcome`` says what it is, if ``is_regressed`` is false. ``ratio`` is that of its time per call, less what the
    whole server did, which is ``server_ratio``; None if that cannot be told. ``base_intervals`` and
    ``current_intervals`` are those with enough calls. ``extra_ms`` is what it took more in the current ones.
    ``causes`` were looked for only among what ``compared`` names: kinds of :class:`ShiftCause`.
    """

    query_id: int
    outcome: str
    is_regressed: bool
    grade: str
    ratio: float
    p_value: float
    ms_before: float
    ms_after: float
    extra_ms: float
    load_share: float
    base_intervals: int
    current_intervals: int
    base_calls: float
    current_calls: float
    blocks_ratio: float | None
    rows_ratio: float | None
    temp_before: float
    temp_after: float
    is_new_plan: bool
    server_ratio: float | None
    is_server_slower: bool
    base_begins: datetime
    current_begins: datetime
    current_ends: datetime
    causes: tuple[ShiftCause, ...] = ()
    compared: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LevelShift:
    """An amount that rose: of a table, or of the server if ``oid`` is 0; ``kind`` says of what.

    ``before`` and ``after`` are rates per day, or numbers.
    """

    kind: str
    oid: int
    ratio: float
    p_value: float
    before: float
    after: float
    base_intervals: int
    current_intervals: int
    base_begins: datetime
    current_begins: datetime
    current_ends: datetime


@dataclass(frozen=True, slots=True)
class QueryCost:
    """What one of our own queries cost the server."""

    name: str
    rows: int
    seconds: float
