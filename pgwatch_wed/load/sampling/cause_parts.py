"""DB time by kinds of causes: a flow counts for what its holder did, and a lock wait for its lock, too."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from pgwatch_wed.load.sampling.active_samples import FlowTime, QueueHead, TimeFlow
from pgwatch_wed.load.sampling.load_causes import LoadCauseKind as Kind
from pgwatch_wed.load.sampling.wait_kinds import LOCKS, charged_kind, wait_kind

WORK = frozenset(
    {Kind.QUERY_CPU, Kind.IO_READ, Kind.TEMP_FILES, Kind.BUFFER_CONTENT, Kind.BUFFER_MAPPING}
)
"""What takes time because a statement does much, whatever it waits for meanwhile."""
# While a checkpoint writes the status of transactions, others wait for it, too.
_WRITES = frozenset({Kind.FLUSH, Kind.WAL_INSERT, Kind.IO_WRITE, Kind.SLRU})


class PartKey(NamedTuple):
    """A kind; for the work of statements, of which one."""

    kind: Kind
    query: str = ""


@dataclass(slots=True)
class TimePart:
    """Time of a kind: in all, and what sessions waited for themselves; and by what it came about."""

    seconds: float = 0.0
    direct_s: float = 0.0
    samples: int = 0
    queries: Counter[str] = field(default_factory=Counter)
    waits: Counter[str] = field(default_factory=Counter)
    holders: Counter[str] = field(default_factory=Counter)
    charged: Counter[Kind] = field(default_factory=Counter)

    def add(self, flow: TimeFlow, query: str, seconds: float, samples: int) -> None:
        """Add the time of a flow, or a part of it."""
        self.seconds += seconds
        self.samples += samples
        self.queries[query] += seconds  # type: ignore[assignment]
        if flow.holder is QueueHead.ITSELF:
            self.direct_s += seconds
            self.waits[flow.held_wait.label] += seconds  # type: ignore[assignment]
        else:
            self.holders[flow.who or flow.holder.value] += seconds  # type: ignore[assignment]


def parts_of(flows: Mapping[TimeFlow, FlowTime]) -> dict[PartKey, TimePart]:
    """Return DB time by kind. A lock wait is in two parts: what the holder did, and the lock."""
    found: dict[PartKey, TimePart] = {}

    def part(kind: Kind, query: str = "") -> TimePart:
        return found.setdefault(PartKey(kind, query), TimePart())

    for flow, spent in flows.items():
        charged, own = charged_kind(flow), wait_kind(flow.wait)
        query = flow.held_query or flow.query
        key = query if charged is Kind.QUERY_CPU else ""
        part(charged, key).add(flow, query, spent.seconds, spent.samples)
        if own in LOCKS:
            lock = part(own)
            if own is not charged:
                lock.add(flow, flow.query, spent.seconds, spent.samples)
            lock.charged[charged] += spent.seconds  # type: ignore[assignment]
            lock.direct_s = lock.seconds
            lock.waits[flow.wait.label] += spent.seconds  # type: ignore[assignment]
        if charged in _WRITES and spent.in_checkpoint_s:
            part(Kind.CHECKPOINT).add(flow, query, spent.in_checkpoint_s, spent.samples)
    return found


def work_of(flows: Mapping[TimeFlow, FlowTime]) -> dict[str, TimePart]:
    """Return the time that the work of each statement took, its own and that of others waiting for it."""
    found: dict[str, TimePart] = {}
    for flow, spent in flows.items():
        if charged_kind(flow) in WORK:
            query = flow.held_query or flow.query
            part = found.setdefault(query, TimePart())
            part.add(flow, query, spent.seconds, spent.samples)
    return found
