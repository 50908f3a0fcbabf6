"""Facts about a PostgreSQL server and one of its databases, frozen and savable."""

from pgwatch_wed.facts.fields import fact_names as fact_names
from pgwatch_wed.facts.rows import (
    ActivityMinute as ActivityMinute,
)
from pgwatch_wed.facts.rows import (
    AdviceRecord as AdviceRecord,
)
from pgwatch_wed.facts.rows import (
    Archiver as Archiver,
)
from pgwatch_wed.facts.rows import (
    Checkpoints as Checkpoints,
)
from pgwatch_wed.facts.rows import (
    CollationVersion as CollationVersion,
)
from pgwatch_wed.facts.rows import (
    Column as Column,
)
from pgwatch_wed.facts.rows import (
    ColumnDependent as ColumnDependent,
)
from pgwatch_wed.facts.rows import (
    ColumnStatistics as ColumnStatistics,
)
from pgwatch_wed.facts.rows import (
    Constraint as Constraint,
)
from pgwatch_wed.facts.rows import (
    Database as Database,
)
from pgwatch_wed.facts.rows import (
    Domain as Domain,
)
from pgwatch_wed.facts.rows import (
    DomainConstraint as DomainConstraint,
)
from pgwatch_wed.facts.rows import (
    ExactBloat as ExactBloat,
)
from pgwatch_wed.facts.rows import (
    ExtendedStatistics as ExtendedStatistics,
)
from pgwatch_wed.facts.rows import (
    Extension as Extension,
)
from pgwatch_wed.facts.rows import (
    FileSetting as FileSetting,
)
from pgwatch_wed.facts.rows import (
    FileSize as FileSize,
)
from pgwatch_wed.facts.rows import (
    FollowedAdvice as FollowedAdvice,
)
from pgwatch_wed.facts.rows import (
    Forecast as Forecast,
)
from pgwatch_wed.facts.rows import (
    ForeignTable as ForeignTable,
)
from pgwatch_wed.facts.rows import (
    ImpliedChange as ImpliedChange,
)
from pgwatch_wed.facts.rows import (
    Index as Index,
)
from pgwatch_wed.facts.rows import (
    IndexBuild as IndexBuild,
)
from pgwatch_wed.facts.rows import (
    IndexDefinition as IndexDefinition,
)
from pgwatch_wed.facts.rows import (
    IndexDropTrial as IndexDropTrial,
)
from pgwatch_wed.facts.rows import (
    IndexUsage as IndexUsage,
)
from pgwatch_wed.facts.rows import (
    IoCounters as IoCounters,
)
from pgwatch_wed.facts.rows import (
    LargeObjects as LargeObjects,
)
from pgwatch_wed.facts.rows import (
    LockEpisode as LockEpisode,
)
from pgwatch_wed.facts.rows import (
    LockTable as LockTable,
)
from pgwatch_wed.facts.rows import (
    LockWait as LockWait,
)
from pgwatch_wed.facts.rows import (
    MissingIndex as MissingIndex,
)
from pgwatch_wed.facts.rows import (
    NodeIndexUsage as NodeIndexUsage,
)
from pgwatch_wed.facts.rows import (
    OtherRelation as OtherRelation,
)
from pgwatch_wed.facts.rows import (
    OwnRights as OwnRights,
)
from pgwatch_wed.facts.rows import (
    PreparedTransaction as PreparedTransaction,
)
from pgwatch_wed.facts.rows import (
    Publication as Publication,
)
from pgwatch_wed.facts.rows import (
    QueryCost as QueryCost,
)
from pgwatch_wed.facts.rows import (
    Recovery as Recovery,
)
from pgwatch_wed.facts.rows import (
    RelationLock as RelationLock,
)
from pgwatch_wed.facts.rows import (
    Replica as Replica,
)
from pgwatch_wed.facts.rows import (
    Role as Role,
)
from pgwatch_wed.facts.rows import (
    RoleSetting as RoleSetting,
)
from pgwatch_wed.facts.rows import (
    SampledMinute as SampledMinute,
)
from pgwatch_wed.facts.rows import (
    Schema as Schema,
)
from pgwatch_wed.facts.rows import (
    Sequence as Sequence,
)
from pgwatch_wed.facts.rows import (
    Server as Server,
)
from pgwatch_wed.facts.rows import (
    Session as Session,
)
from pgwatch_wed.facts.rows import (
    Setting as Setting,
)
from pgwatch_wed.facts.rows import (
    Slot as Slot,
)
from pgwatch_wed.facts.rows import (
    SlotSpill as SlotSpill,
)
from pgwatch_wed.facts.rows import (
    Slru as Slru,
)
from pgwatch_wed.facts.rows import (
    Statement as Statement,
)
from pgwatch_wed.facts.rows import (
    StatementPlan as StatementPlan,
)
from pgwatch_wed.facts.rows import (
    StatementsInfo as StatementsInfo,
)
from pgwatch_wed.facts.rows import (
    Subscription as Subscription,
)
from pgwatch_wed.facts.rows import (
    Subtransactions as Subtransactions,
)
from pgwatch_wed.facts.rows import (
    SystemTable as SystemTable,
)
from pgwatch_wed.facts.rows import (
    Table as Table,
)
from pgwatch_wed.facts.rows import (
    TableActivity as TableActivity,
)
from pgwatch_wed.facts.rows import (
    VacuumProgress as VacuumProgress,
)
from pgwatch_wed.facts.rows import (
    Wal as Wal,
)
from pgwatch_wed.facts.snapshot import (
    SNAPSHOT_FORMAT as SNAPSHOT_FORMAT,
)
from pgwatch_wed.facts.snapshot import (
    UNASKED as UNASKED,
)
from pgwatch_wed.facts.snapshot import (
    Cause as Cause,
)
from pgwatch_wed.facts.snapshot import (
    Missing as Missing,
)
from pgwatch_wed.facts.snapshot import (
    Snapshot as Snapshot,
)
from pgwatch_wed.facts.snapshot import (
    Window as Window,
)
