"""What held a load up: the words of the ranking, which the proof tries one by one.

Shares are of DB time: the time in which sessions of the load were active, background work and idle sessions left out.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from pgwatch_wed.findings import Grade


class LoadCauseKind(StrEnum):
    """What kind of cause it is: each has other probes and other remedies."""

    FLUSH = "flush"  # commits wait until WAL is on disk, or for each other's flush
    WAL_INSERT = "wal insert"  # sessions contend for WAL buffers
    REPLICATION = "synchronous replication"
    CHECKPOINT = "checkpoint"
    FULL_PAGE_IMAGES = "full-page images"  # whole pages go to WAL, as checkpoints come so often
    MISSING_INDEX = "missing index"  # a query reads many rows by sequential scans, and uses few
    TEMP_FILES = "temporary files"  # sorts and hashes exceed work_mem
    JIT = "jit"
    PLANNING = "planning"
    QUERY_CPU = "query"  # a statement computes, and nothing more specific is known
    IO_READ = "reads"  # blocks are not in shared buffers
    IO_WRITE = "writes"  # sessions write or extend files themselves
    ROW_LOCK = "row lock"
    TABLE_LOCK = "table lock"
    ADVISORY_LOCK = "advisory lock"
    CLIENT_ROUND_TRIPS = "client round trips"  # lock holders wait for their client's next statement
    IDLE_TRANSACTION = "idle transaction"  # a session does nothing for long, and holds a lock
    PREPARED_TRANSACTION = "prepared transaction"
    CONNECTIONS = "connection storm"
    LOCK_MANAGER = "lock manager"
    BUFFER_MAPPING = "buffer mapping"
    BUFFER_CONTENT = "buffer content"  # many sessions want the same block
    BUFFER_PIN = "buffer pin"
    SLRU = "transaction status"  # subtransactions and multixacts
    SNAPSHOTS = "snapshots"  # ProcArray
    VACUUM = "vacuum"
    RESULTS = "results"  # the client takes results slowly
    EXTENSION = "extension"
    OTHER = "other wait"
    NOT_EXPLAINED = "not explained"  # lock holders that released the lock while they were looked up


@dataclass(frozen=True, slots=True, kw_only=True)
class CauseQuery:
    """A statement, and the share of DB time that the cause takes through it."""

    key: str
    query_id: int | None
    text: str
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadCause:
    """A cause of time, best suspect first in a ranking.

    ``share`` is all the DB time that the cause touches: the most that its removal can save. Causes overlap, so shares may
    add up to more than 1. ``direct`` is the part that sessions themselves were seen waiting for it; the rest waited for
    locks of sessions that did, or is time of the statements that it touches. ``interval``: 95%, from the variation between blocks; None with
    fewer than three of them. ``symptom_of``: most of its time is owed to what lock holders did, the cause that is
    ranked before it. ``concerns`` names a table or setting if one is known.
    """

    kind: LoadCauseKind
    share: float
    direct: float
    interval: tuple[float, float] | None
    queries: tuple[CauseQuery, ...]
    text: str
    grade: Grade
    symptom_of: LoadCauseKind | None = None
    concerns: str = ""
    evidence: Mapping[str, object] = field(default_factory=dict)
