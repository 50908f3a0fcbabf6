"""Everything that was read from one server and one database, and lookups in it."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cached_property
from typing import Any

from pgwatch_wed.facts.rows import (
    ActivityMinute,
    AdviceRecord,
    Archiver,
    Checkpoints,
    CollationVersion,
    Column,
    ColumnDependent,
    ColumnStatistics,
    Constraint,
    Database,
    DeltaCoverage,
    Domain,
    DomainConstraint,
    ExactBloat,
    ExtendedStatistics,
    Extension,
    FileSetting,
    FileSize,
    FollowedAdvice,
    Forecast,
    ForeignTable,
    HistoryCoverage,
    ImpliedChange,
    Index,
    IndexBuild,
    IndexDefinition,
    IndexDropTrial,
    IndexUsage,
    IoCounters,
    LargeObjects,
    LevelShift,
    LockEpisode,
    LockTable,
    LockWait,
    MissingIndex,
    NodeIndexUsage,
    OtherRelation,
    OwnRights,
    PreparedTransaction,
    Publication,
    QueryCost,
    Recovery,
    RelationLock,
    Replica,
    Role,
    RoleSetting,
    SampledMinute,
    Schema,
    Sequence,
    Server,
    Session,
    Setting,
    Slot,
    SlotSpill,
    Slru,
    Statement,
    StatementPlan,
    StatementShift,
    StatementsInfo,
    Subscription,
    Subtransactions,
    SystemTable,
    Table,
    TableActivity,
    VacuumProgress,
    Wal,
)
from pgwatch_wed.units import setting_factor

SNAPSHOT_FORMAT = 2


FROM_HISTORY: frozenset[str] = frozenset(
    {"advice_record", "followed_advice", "forecasts", "level_shifts", "statement_shifts"}
)
"""Facts that only earlier runs can tell. If ``history_coverage`` does not name one, nobody has asked."""


class Cause(StrEnum):
    """Why a fact is missing, by kind: code uses this, people read the reason."""

    NOT_OFFERED = "not offered"  # not supported by this server or its version of an extension
    DENIED = "denied"  # the role may not read it, or sees only a part of it
    CLOSED = "closed"  # the provider of a managed service does not allow it: no GRANT would
    LOCKED = "locked"
    VANISHED = "vanished"
    UNDECODABLE = "undecodable"  # a text that is not valid in the database's encoding
    OUT_OF_TIME = "out of time"
    BROKEN = "broken"  # the connection was lost, or there was none
    NOT_ASKED = "not asked"
    LEFT_OUT = "left out"  # there is more of it than is read
    FAILED = "failed"
    UNEXPECTED = "unexpected"  # an error that no server should raise
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Missing:
    """Why a fact is absent, and the GRANT or setting that would provide it.

    ``said`` is the part of the reason that is not our own wording: an error of the server or system.
    """

    reason: str
    mend: str = ""
    cause: Cause = Cause.OTHER
    said: str = ""


UNASKED = Missing("only what the selected rules need was read", "omit --only", Cause.NOT_ASKED)
"""Why facts are absent from a snapshot that is read for a few rules."""


@dataclass(frozen=True, slots=True)
class Window:
    """The time that cumulative counters cover."""

    begins: datetime | None
    ends: datetime
    reason: str

    @property
    def length(self) -> timedelta | None:
        """How long the counters have been running, or None if unknown."""
        return self.ends - self.begins if self.begins else None


@dataclass(frozen=True)
class Snapshot:
    """Everything that was read from one server and one database.

    ``missing`` maps a fact's name (a field here) to why it is absent; a fact that is neither
    missing nor filled is in fact empty. The lookups below are derived and never stored.
    """

    tool_version: str
    server: Server
    missing: Mapping[str, Missing] = field(default_factory=dict)
    extensions: tuple[Extension, ...] = ()
    settings: tuple[Setting, ...] = ()
    role_settings: tuple[RoleSetting, ...] = ()
    file_settings: tuple[FileSetting, ...] = ()
    roles: tuple[Role, ...] = ()
    rights: tuple[OwnRights, ...] = ()
    schemas: tuple[Schema, ...] = ()
    databases: tuple[Database, ...] = ()
    checkpoints: tuple[Checkpoints, ...] = ()
    wal: tuple[Wal, ...] = ()
    io: tuple[IoCounters, ...] = ()
    slru: tuple[Slru, ...] = ()
    archiver: tuple[Archiver, ...] = ()
    replicas: tuple[Replica, ...] = ()
    slots: tuple[Slot, ...] = ()
    slot_spills: tuple[SlotSpill, ...] = ()
    recovery: tuple[Recovery, ...] = ()
    prepared_transactions: tuple[PreparedTransaction, ...] = ()
    sessions: tuple[Session, ...] = ()
    subtransactions: tuple[Subtransactions, ...] = ()
    lock_waits: tuple[LockWait, ...] = ()
    relation_locks: tuple[RelationLock, ...] = ()
    lock_table: tuple[LockTable, ...] = ()
    vacuums: tuple[VacuumProgress, ...] = ()
    index_builds: tuple[IndexBuild, ...] = ()
    statements_info: tuple[StatementsInfo, ...] = ()
    statements: tuple[Statement, ...] = ()
    tables: tuple[Table, ...] = ()
    other_relations: tuple[OtherRelation, ...] = ()
    foreign_tables: tuple[ForeignTable, ...] = ()
    system_tables: tuple[SystemTable, ...] = ()
    large_objects: tuple[LargeObjects, ...] = ()
    table_activity: tuple[TableActivity, ...] = ()
    file_sizes: tuple[FileSize, ...] = ()
    columns: tuple[Column, ...] = ()
    implied_changes: tuple[ImpliedChange, ...] = ()
    column_dependents: tuple[ColumnDependent, ...] = ()
    domains: tuple[Domain, ...] = ()
    column_statistics: tuple[ColumnStatistics, ...] = ()
    extended_statistics: tuple[ExtendedStatistics, ...] = ()
    indexes: tuple[Index, ...] = ()
    index_usage: tuple[IndexUsage, ...] = ()
    index_definitions: tuple[IndexDefinition, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    domain_constraints: tuple[DomainConstraint, ...] = ()
    sequences: tuple[Sequence, ...] = ()
    publications: tuple[Publication, ...] = ()
    subscriptions: tuple[Subscription, ...] = ()
    collation_versions: tuple[CollationVersion, ...] = ()
    exact_bloat: tuple[ExactBloat, ...] = ()
    statement_plans: tuple[StatementPlan, ...] = ()
    statement_shifts: tuple[StatementShift, ...] = ()
    level_shifts: tuple[LevelShift, ...] = ()
    missing_indexes: tuple[MissingIndex, ...] = ()
    index_drop_trials: tuple[IndexDropTrial, ...] = ()
    nodes: tuple[NodeIndexUsage, ...] = ()
    sampled_minutes: tuple[SampledMinute, ...] = ()
    activity_minutes: tuple[ActivityMinute, ...] = ()
    lock_episodes: tuple[LockEpisode, ...] = ()
    query_costs: tuple[QueryCost, ...] = ()
    delta_coverage: tuple[DeltaCoverage, ...] = ()
    history_coverage: tuple[HistoryCoverage, ...] = ()
    followed_advice: tuple[FollowedAdvice, ...] = ()
    advice_record: tuple[AdviceRecord, ...] = ()
    forecasts: tuple[Forecast, ...] = ()
    measured_since: datetime | None = None

    @cached_property
    def derived(self) -> dict[Any, Any]:
        """What was computed from it; see :func:`pgwatch_wed.facts.derived.derived`."""
        return {}

    @cached_property
    def recalled(self) -> frozenset[str]:
        """The facts that were looked up in the history."""
        return frozenset(row.fact for row in self.history_coverage)

    @cached_property
    def is_partial(self) -> bool:
        """Whether only what a few rules need was read: what is absent says nothing about the server."""
        return UNASKED in self.missing.values()

    # Lookups

    @cached_property
    def tables_being_indexed(self) -> frozenset[int | None]:
        """The tables on which a session is building or rebuilding an index."""
        return frozenset(b.relation_oid for b in self.index_builds)

    @cached_property
    def relations_in_use(self) -> frozenset[int | None]:
        """The relations on which a session holds a lock that is reported."""
        return frozenset(o.relation_oid for o in self.relation_locks if o.is_granted)

    @cached_property
    def table_by_oid(self) -> dict[int, Table]:
        """Tables by oid."""
        return {t.oid: t for t in self.tables}

    @cached_property
    def tables_named(self) -> Mapping[str, tuple[Table, ...]]:
        """Tables by name, from all schemas."""
        return _group(self.tables, "name")

    @cached_property
    def activity_by_oid(self) -> dict[int, TableActivity]:
        """Table counters by table oid."""
        return {a.oid: a for a in self.table_activity}

    @cached_property
    def index_by_oid(self) -> dict[int, Index]:
        """Indexes by oid."""
        return {i.oid: i for i in self.indexes}

    @cached_property
    def usage_by_oid(self) -> dict[int, IndexUsage]:
        """Index counters of this server by index oid."""
        return {u.oid: u for u in self.index_usage}

    @cached_property
    def usage_on_nodes(self) -> tuple[dict[int, IndexUsage], ...]:
        """Index counters of the other servers by index oid, in the order of ``nodes``."""
        return tuple({u.oid: u for u in node.usages} for node in self.nodes)

    @cached_property
    def relation_names(self) -> Mapping[str, frozenset[str]]:
        """The names of relations by schema: what a new index must not have."""
        found: dict[str, set[str]] = defaultdict(set)
        relations: tuple[Table | Index | Sequence | OtherRelation, ...] = (
            *self.tables,
            *self.indexes,
            *self.sequences,
            *self.other_relations,
        )
        for relation in relations:
            found[relation.schema].add(relation.name)
        return {schema: frozenset(names) for schema, names in found.items()}

    @cached_property
    def definition_by_oid(self) -> dict[int, str]:
        """CREATE INDEX text by index oid."""
        return {d.oid: d.definition for d in self.index_definitions}

    @cached_property
    def index_definition_by_oid(self) -> dict[int, IndexDefinition]:
        """CREATE INDEX, and other properties of an index, by index oid."""
        return {d.oid: d for d in self.index_definitions}

    @cached_property
    def indexes_of(self) -> Mapping[int, tuple[Index, ...]]:
        """Indexes by table oid."""
        return _group(self.indexes, "table_oid")

    @cached_property
    def constraints_of(self) -> Mapping[int, tuple[Constraint, ...]]:
        """Constraints by table oid."""
        return _group(self.constraints, "table_oid")

    @cached_property
    def columns_of(self) -> Mapping[int, tuple[Column, ...]]:
        """Columns by table oid, in order."""
        return _group(self.columns, "table_oid")

    @cached_property
    def column_by_key(self) -> dict[tuple[int, int], Column]:
        """Columns by (table oid, attnum)."""
        return {(c.table_oid, c.attnum): c for c in self.columns}

    @cached_property
    def dependents_of(self) -> Mapping[tuple[int, int], tuple[ColumnDependent, ...]]:
        """What uses a column of a number type, by (table oid, attnum)."""
        found: dict[tuple[int, int], list[ColumnDependent]] = defaultdict(list)
        for each in self.column_dependents:
            found[each.table_oid, each.attnum].append(each)
        return {key: tuple(rows) for key, rows in found.items()}

    @cached_property
    def domain_by_oid(self) -> dict[int, Domain]:
        """Domains over numbers by the oid of the type."""
        return {d.oid: d for d in self.domains}

    @cached_property
    def statistics_by_key(self) -> dict[tuple[int, int], ColumnStatistics]:
        """Column statistics by (table oid, attnum); of the table itself before the inherited ones."""
        found = {(s.table_oid, s.attnum): s for s in self.column_statistics if s.is_inherited}
        found |= {(s.table_oid, s.attnum): s for s in self.column_statistics if not s.is_inherited}
        return found

    @cached_property
    def partitions_of(self) -> Mapping[int, tuple[Table, ...]]:
        """Direct partitions and inheritance children by parent oid."""
        return _group((t for t in self.tables if t.parent_oid is not None), "parent_oid")

    @cached_property
    def other_partitions_of(self) -> Mapping[int, tuple[OtherRelation, ...]]:
        """Partitions that are foreign tables, or in a schema that is left out, by parent oid."""
        return _group((o for o in self.other_relations if o.parent_oid is not None), "parent_oid")

    @cached_property
    def partition_indexes_of(self) -> Mapping[int, tuple[Index, ...]]:
        """Attached partition indexes by parent index oid."""
        return _group((i for i in self.indexes if i.parent_oid is not None), "parent_oid")

    @cached_property
    def setting_by_name(self) -> dict[str, Setting]:
        """Settings by name."""
        return {s.name: s for s in self.settings}

    @cached_property
    def session_by_pid(self) -> dict[int, Session]:
        """Sessions by process id."""
        return {s.pid: s for s in self.sessions}

    @cached_property
    def database(self) -> Database | None:
        """The counters of the database that we are connected to."""
        return next((d for d in self.databases if d.oid == self.server.database_oid), None)

    # Derived values

    @property
    def now(self) -> datetime:
        """The server's clock when the snapshot was taken."""
        return self.server.taken_at

    def column_names(self, table_oid: int, attnums: Iterable[int]) -> tuple[str, ...]:
        """Return the names of columns; ``?`` for one that is not among the facts."""
        keys = ((table_oid, n) for n in attnums)
        return tuple(self.column_by_key[k].name if k in self.column_by_key else "?" for k in keys)

    def setting(self, name: str) -> str | None:
        """Return a setting as the server prints it, or None if the server does not know it."""
        found = self.setting_by_name.get(name)
        return found.setting if found else None

    def setting_number(self, name: str) -> float | None:
        """Return a setting in its base unit: bytes, milliseconds, or the bare number."""
        return self._number_by_setting.get(name)

    @cached_property
    def _number_by_setting(self) -> dict[str, float | None]:
        return {s.name: _number(s) for s in self.settings}

    def setting_on(self, name: str) -> bool | None:
        """Return a boolean setting, or None if the server does not know it."""
        value = self.setting(name)
        return None if value is None else value == "on"

    def extension(self, name: str) -> Extension | None:
        """Return an installed extension."""
        return next((e for e in self.extensions if e.name == name and e.installed_version), None)

    @cached_property
    def window(self) -> Window:
        """The time that this database's table and index counters cover.

        Since 15, ``stats_reset`` is NULL until they are reset explicitly. Then they began with the
        cluster, with the last crash (which empties all of them, and sets the reset time of every
        fixed counter), or with the database, whichever was last.
        """
        if self.measured_since is not None:
            return self._delta_window("table_activity")
        reset = self.database.stats_reset if self.database else None
        born = self.server.database_created_at
        if reset is not None and self.outlived(reset):
            return Window(
                None,
                self.now,
                f"the reset at {reset:%Y-%m-%d %H:%M} was of single objects: other counters are older, and "
                "nothing tells how old",
            )
        if reset is not None:
            begins, reason = reset, "since the last reset of this database's statistics"
        else:
            fixed = [r.stats_reset for r in self._fixed_counters() if r.stats_reset]
            begins = min(fixed, default=self.server.started_at)
            reason = "never reset; counted since the cluster was initialized or last crashed"
        if born is not None and born > begins:
            begins, reason = born, "since this database was created"
        return Window(begins, self.now, reason)

    @cached_property
    def proven_window(self) -> Window:
        """The window as far as it is certain: for how long something is known to be unused.

        If the counters were never reset and the role cannot read the age of the database, it may be
        younger than the cluster. Then the oldest date in its counters is the lower limit.
        """
        window, server = self.window, self.server
        reset = self.database.stats_reset if self.database else None
        was_reset = reset is not None
        if window.begins is None and was_reset and self.measured_since is None:
            return Window(reset, self.now, "at least; the last reset was of single objects")
        is_the_clusters = server.database_oid < _FIRST_NORMAL_OID
        if self.measured_since or was_reset or server.database_created_at or is_the_clusters:
            return window
        oldest = min(self._dates_of_counters(), default=None)
        begins = max(filter(None, (oldest, window.begins))) if oldest else None
        return Window(begins, self.now, "at least; the age of the database cannot be read")

    def _delta_window(self, fact: str) -> Window:
        reason = "the difference of two snapshots"
        share = next((s for s in self.delta_coverage if s.fact == fact), None)
        if share is None:
            return Window(self.measured_since, self.now, reason)
        return Window(share.begins, self.now, f"{reason}{share.reason and '; '}{share.reason}")

    def outlived(self, reset: datetime) -> bool:
        """Tell whether a counter is older than the reset of the database's statistics.

        pg_stat_reset_single_table_counters() also sets that time, for everything else goes on. What a
        session did shortly before a reset may be reported after it.
        """
        return any(moment < reset - REPORTED_LATE for moment in self._dates_of_table_counters())

    def _dates_of_counters(self) -> Iterator[datetime]:
        yield from self._dates_of_table_counters()
        yield from (s.stats_since for s in self.statements if s.stats_since)

    def _dates_of_table_counters(self) -> Iterator[datetime]:
        for a in self.table_activity:
            dates = (
                *(a.last_seq_scan, a.last_idx_scan, a.last_vacuum, a.last_autovacuum),
                *(a.last_analyze, a.last_autoanalyze, a.toast_last_vacuum, a.toast_last_autovacuum),
            )
            yield from filter(None, dates)
        yield from (u.last_idx_scan for u in self.index_usage if u.last_idx_scan)

    def _fixed_counters(self) -> tuple[Checkpoints | Wal | Archiver, ...]:
        return (*self.checkpoints, *self.wal, *self.archiver)

    @cached_property
    def statements_window(self) -> Window:
        """The time that the statement counters cover."""
        if self.measured_since is not None:
            return self._delta_window("statements")
        info = self.statements_info[0] if self.statements_info else None
        if info is None or info.stats_reset is None:
            return Window(None, self.now, "it is not known when pg_stat_statements was reset")
        return Window(info.stats_reset, self.now, "since the reset of pg_stat_statements")


# A session reports at least once a minute what it has done: what it did shortly before a reset may be
# reported after it. A date that is older than this before a reset was not.
REPORTED_LATE = timedelta(minutes=2)

# objects created by initdb have lower numbers
_FIRST_NORMAL_OID = 16_384


def _group(rows: Iterable[Any], key: str) -> Mapping[Any, tuple[Any, ...]]:
    found: dict[Any, list[Any]] = defaultdict(list)
    for row in rows:
        found[getattr(row, key)].append(row)
    return defaultdict(tuple, {k: tuple(v) for k, v in found.items()})


def _number(setting: Setting) -> float | None:
    try:
        return float(setting.setting or "") * setting_factor(setting.unit or "")
    except ValueError:
        return None
