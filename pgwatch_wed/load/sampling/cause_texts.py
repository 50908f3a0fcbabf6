"""Causes in plain English: what the time went into, and what would help."""

from collections.abc import Mapping

from pgwatch_wed import units
from pgwatch_wed.load.sampling.cause_parts import TimePart
from pgwatch_wed.load.sampling.load_causes import LoadCauseKind as Kind

_WHAT: Mapping[Kind, tuple[str, str]] = {
    Kind.FLUSH: (
        "writing WAL to disk at commit",
        "Fewer, larger transactions, or faster storage for WAL, would help.",
    ),
    Kind.WAL_INSERT: (
        "contention for WAL buffers",
        "Less WAL, or larger wal_buffers, would help.",
    ),
    Kind.REPLICATION: (
        "waiting for a synchronous standby",
        "See the network to the standby, and synchronous_commit.",
    ),
    Kind.CHECKPOINT: (
        "writing while a checkpoint was running",
        "A larger max_wal_size makes checkpoints rare.",
    ),
    Kind.FULL_PAGE_IMAGES: (
        "writing whole pages to WAL, when they change for the first time after a checkpoint",
        "A larger max_wal_size makes checkpoints rare.",
    ),
    Kind.MISSING_INDEX: (
        "a statement that reads many rows to use few of them",
        "An index on what it selects by would help.",
    ),
    Kind.TEMP_FILES: (
        "statements that write temporary files",
        "More work_mem would avoid the files, but not the sorting.",
    ),
    Kind.JIT: ("compiling statements (JIT)", "A higher jit_above_cost, or jit off, would help."),
    Kind.PLANNING: ("planning statements", "Prepared statements are planned once."),
    Kind.QUERY_CPU: ("the work of a statement itself", ""),
    Kind.IO_READ: (
        "reading blocks that are not in shared buffers",
        "Larger shared_buffers, or statements that read less, would help.",
    ),
    Kind.IO_WRITE: ("writing and extending files", "Look at the storage."),
    Kind.ROW_LOCK: (
        "waiting for others that change the same rows",
        "Shorter transactions, or spreading the rows, would help.",
    ),
    Kind.TABLE_LOCK: (
        "waiting for locks on whole tables",
        "Look at what takes the lock, and set lock_timeout for DDL.",
    ),
    Kind.ADVISORY_LOCK: ("waiting for advisory locks", "The application takes them."),
    Kind.CLIENT_ROUND_TRIPS: (
        "lock holders that wait for their client's next statement",
        "Fewer round trips in a transaction, with the contended statement last, would help.",
    ),
    Kind.IDLE_TRANSACTION: (
        "sessions that do nothing while they hold a lock",
        "Transactions should end before the client does something else; idle_in_transaction_session_timeout ends them.",
    ),
    Kind.PREPARED_TRANSACTION: (
        "waiting for locks of a prepared transaction",
        "It has to be committed or rolled back.",
    ),
    Kind.CONNECTIONS: ("connecting", ""),
    Kind.LOCK_MANAGER: (
        "contention in the lock manager",
        "Statements lock many partitions and indexes.",
    ),
    Kind.BUFFER_MAPPING: (
        "contention for the table of buffers",
        "Many different blocks come into shared buffers.",
    ),
    Kind.BUFFER_CONTENT: (
        "many sessions that want the same blocks",
        "Spread what they insert or change.",
    ),
    Kind.BUFFER_PIN: ("waiting until others no longer use a block", ""),
    Kind.SLRU: (
        "looking up the status of transactions",
        "Fewer subtransactions and shared row locks would help.",
    ),
    Kind.SNAPSHOTS: ("contention for the list of transactions", "Fewer connections would help."),
    Kind.VACUUM: ("waiting for vacuum", ""),
    Kind.RESULTS: ("clients that send or take data slowly", "Look at the client and the network."),
    Kind.EXTENSION: ("waits of an extension", ""),
    Kind.OTHER: ("other waits", ""),
    Kind.NOT_EXPLAINED: (
        "lock waits whose holder is not known: it released the lock while it was looked up",
        "There are more of them the busier the machine is.",
    ),
}


_UPPER_LIMITS = frozenset(
    {Kind.MISSING_INDEX, Kind.TEMP_FILES, Kind.CHECKPOINT, Kind.FULL_PAGE_IMAGES}
)
_NAMELESS = frozenset({Kind.OTHER, Kind.EXTENSION})  # what the waits are called says more


def cause_text(kind: Kind, part: TimePart, share: float, direct: float, concerns: str) -> str:
    """Say what a cause is, how much it takes, and what would help."""
    what, remedy = _WHAT[kind]
    if kind in _NAMELESS and part.waits:
        what = f"waiting for {', '.join(name for name, _ in part.waits.most_common(3))}"
    amount = f"{units.share(share)} of DB time is {what}"
    named = f" ({concerns})" if concerns else ""
    limit = "; not all of it can be saved" if kind in _UPPER_LIMITS else ""
    amount = f"{amount}{named}{limit}."
    return " ".join(s for s in (amount, _how(kind, part, share, direct), remedy) if s)


def _how(kind: Kind, part: TimePart, share: float, direct: float) -> str:
    if part.charged:
        ends = ", ".join(
            f"{_WHAT[k][0]} {units.share(s / part.seconds)}"
            for k, s in part.charged.most_common(3)
            if k is not kind and s / part.seconds >= 0.05
        )
        return f"Meanwhile the holders of these locks were at: {ends}." if ends else _who(part)
    if part.holders and share - direct >= 0.01:
        rest = "All of it"
        if direct >= 0.005:
            rest = f"{units.share(direct)} was seen directly; {units.share(share - direct)}"
        return f"{rest} is sessions that wait for a lock whose holder does this.{_who(part, ' ')}"
    return ""


def _who(part: TimePart, before: str = "") -> str:
    names = [n for n, _ in part.holders.most_common(3) if not n.startswith(("another", "not "))]
    return f"{before}Holders: {', '.join(names)}." if names else ""
