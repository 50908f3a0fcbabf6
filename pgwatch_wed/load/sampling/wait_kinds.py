"""Which kind of cause a wait event is: PostgreSQL's names differ between versions in case and prefix only."""

from collections.abc import Mapping

from pgwatch_wed.load.sampling.active_samples import (
    IDLE_IN_TRANSACTION,
    QueueHead,
    TimeFlow,
    WaitName,
)
from pgwatch_wed.load.sampling.load_causes import LoadCauseKind as Kind

_EVENTS: Mapping[Kind, tuple[str, ...]] = {
    Kind.FLUSH: (
        *("IO:WalSync", "IO:WalWrite", "LWLock:WALWrite", "IO:WalSyncMethodAssign"),
        *("IO:WalInitSync", "IO:WalInitWrite"),
    ),
    Kind.WAL_INSERT: ("LWLock:WALInsert", "LWLock:WALBufMapping", "IPC:WalBufferInit"),
    Kind.REPLICATION: ("IPC:SyncRep", "LWLock:SyncRep"),
    Kind.IO_READ: (
        *("IO:DataFileRead", "IO:DataFilePrefetch", "IPC:BufferIo", "LWLock:BufferIO"),
        *("IO:AioIoCompletion", "IO:AioIoUringSubmit", "IO:AioIoUringExecution"),
        *("LWLock:AioUringCompletion", "LWLock:AioWorkerSubmissionQueue"),
    ),
    Kind.TEMP_FILES: ("IO:BufFileRead", "IO:BufFileWrite", "IO:BufFileTruncate"),
    Kind.IO_WRITE: (
        *("IO:DataFileWrite", "IO:DataFileExtend", "IO:DataFileFlush", "IO:DataFileSync"),
        *("Lock:extend", "IO:DataFileImmediateSync", "IO:DataFileTruncate"),
    ),
    Kind.ROW_LOCK: ("Lock:transactionid", "Lock:tuple", "Lock:spectoken"),
    Kind.TABLE_LOCK: ("Lock:relation", "Lock:virtualxid", "Lock:object", "Lock:page"),
    Kind.ADVISORY_LOCK: ("Lock:advisory", "Lock:userlock"),
    Kind.CHECKPOINT: ("IPC:CheckpointStart", "IPC:CheckpointDone", "LWLock:CheckpointerComm"),
    Kind.LOCK_MANAGER: ("LWLock:LockManager", "LWLock:LockFastPath"),
    Kind.BUFFER_MAPPING: ("LWLock:BufferMapping",),
    Kind.BUFFER_CONTENT: (
        *("LWLock:BufferContent", "Buffer:BufferShared", "Buffer:BufferExclusive"),
        "Buffer:BufferShareExclusive",
    ),
    Kind.SNAPSHOTS: (
        *("LWLock:ProcArray", "LWLock:XidGen", "IPC:ProcarrayGroupUpdate"),
        "IPC:ProcArrayGroupUpdate",
    ),
    Kind.SLRU: (
        *("LWLock:XactSLRU", "LWLock:XactBuffer", "IPC:XactGroupUpdate", "LWLock:MultiXactGen"),
        *("LWLock:SubtransSLRU", "LWLock:SubtransBuffer", "LWLock:MultiXactMemberSLRU"),
        *("LWLock:MultiXactMemberBuffer", "LWLock:MultiXactOffsetSLRU"),
        *("LWLock:MultiXactOffsetBuffer", "LWLock:CommitTsSLRU", "LWLock:CommitTsBuffer"),
        *("IO:SlruRead", "IO:SlruWrite", "IO:SlruSync", "IO:SlruFlushSync"),
    ),
    Kind.VACUUM: ("Timeout:VacuumDelay", "Timeout:VacuumTruncate"),
    Kind.RESULTS: ("Client:ClientWrite", "Client:ClientRead"),
}
_BY_EVENT = {event.lower(): kind for kind, events in _EVENTS.items() for event in events}
_BY_TYPE = {
    "bufferpin": Kind.BUFFER_PIN,
    "buffer": Kind.BUFFER_PIN,
    "extension": Kind.EXTENSION,
    "lock": Kind.TABLE_LOCK,
    "client": Kind.RESULTS,
}
LOCKS = frozenset({Kind.ROW_LOCK, Kind.TABLE_LOCK, Kind.ADVISORY_LOCK})


def wait_kind(wait: WaitName) -> Kind:
    """Return the kind of a session's own wait; without one, it is the statement's own work."""
    if not wait.type:
        return Kind.QUERY_CPU
    if wait == IDLE_IN_TRANSACTION:
        return Kind.CLIENT_ROUND_TRIPS
    named = _BY_EVENT.get(wait.label.lower())
    return named or _BY_TYPE.get(wait.type.lower(), Kind.OTHER)


def charged_kind(flow: TimeFlow) -> Kind:
    """Return the kind of what holds a session up in the end."""
    if flow.holder is QueueHead.ITSELF:
        return wait_kind(flow.wait)
    if flow.holder is QueueHead.GONE:
        return Kind.NOT_EXPLAINED
    if flow.holder is QueueHead.PREPARED:
        return Kind.PREPARED_TRANSACTION
    if flow.holder is QueueHead.CYCLE:
        return wait_kind(flow.wait)
    if flow.holder is QueueHead.BACKGROUND:
        return Kind.VACUUM if flow.who == "autovacuum worker" else Kind.OTHER
    if flow.held_wait == WaitName("Client", "ClientRead"):
        return Kind.CLIENT_ROUND_TRIPS
    if flow.held_wait.type == "Client" and flow.held_wait.event in ("idle", "idle in transaction"):
        is_parted = flow.is_long or flow.holder is QueueHead.OUTSIDE
        return Kind.IDLE_TRANSACTION if is_parted else Kind.CLIENT_ROUND_TRIPS
    return wait_kind(flow.wait if flow.holder is QueueHead.OUTSIDE else flow.held_wait)
