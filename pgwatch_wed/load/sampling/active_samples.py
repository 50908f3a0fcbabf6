"""What a sampler of active sessions saw in a block, added up: where the time went, and what lock waits were for.

A look stands for the time since the look before it. ``seconds`` are always of sessions: two sessions that are active for
one second are two.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

NO_STATEMENT = ""


class WaitName(NamedTuple):
    """A wait event as PostgreSQL spells it; both empty without one."""

    type: str
    event: str

    @property
    def label(self) -> str:
        """Name it for readers; without a wait event, a session computes or waits for a core."""
        return f"{self.type}:{self.event}" if self.type else "CPU"


NO_WAIT = WaitName("", "")
IDLE_IN_TRANSACTION = WaitName("Client", "idle in transaction")


class QueueHead(StrEnum):
    """Who has to go on before a session can."""

    ITSELF = "itself"
    LOAD = "another session of the load"
    OUTSIDE = "a session that is not of the load"
    BACKGROUND = "a background process"
    PREPARED = "a prepared transaction"
    CYCLE = "each other: a deadlock"
    GONE = "not known"  # it had gone, or gone on, when it was looked up


class TimeFlow(NamedTuple):
    """What sessions of the load did, and who held them up doing what.

    ``query`` and ``wait`` are of the session that was active; ``held_query`` and ``held_wait`` what the holder at the head of
    the queue did at that moment, the same if it is the session itself. ``who`` names holders that are not of the load.
    """

    query: str
    wait: WaitName
    holder: QueueHead
    held_query: str
    held_wait: WaitName
    who: str = ""
    is_long: bool = False  # the holder has been idle for longer than a round trip takes


@dataclass(slots=True)
class FlowTime:
    """How long, in how many samples of sessions, and how much of it during a checkpoint."""

    seconds: float = 0.0
    samples: int = 0
    in_checkpoint_s: float = 0.0


class ProfiledWait(NamedTuple):
    """A wait of a statement, 0 if the profile does not say of which.

    Without a wait event, it computes, which only newer versions of pg_wait_sampling count.
    """

    query_id: int
    wait: WaitName


@dataclass(frozen=True, slots=True)
class WaitProfile:
    """How often pg_wait_sampling saw each wait; ``missing`` says why that is not known, although the extension is there."""

    counts: Mapping[ProfiledWait, int] = field(default_factory=dict)
    missing: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SampledStatement:
    """A statement that sessions were in. ``text`` is without values; ``query_ids`` are all that the server calls it by."""

    key: str
    text: str
    query_ids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplerCost:
    """What sampling cost, as shares of one core.

    ``server`` is None if no look succeeded. ``is_server_measured``: by the CPU time of the sampler's server process;
    otherwise from the time that its query took there, an upper limit.
    """

    client: float
    server: float | None
    is_server_measured: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ActiveSamples:
    """What was seen in a block. Averages are of sessions of the load, weighed by time.

        ``mean_active``: sessions in a statement. ``mean_in_transaction``: these, and the ones that wait for their client
        within a transaction. ``busy_sessions`` are those of the block alone, with their standard error: by Little's law, the rate of
        transactions times how long they take. ``in_transit_s``: sessions that were
    called active while they already waited for their client; left out everywhere else.
    """

    seconds: float
    looks: int
    interval_s: float  # between looks, as adapted to their cost
    largest_gap_s: float
    cost: SamplerCost
    busy_sessions: float = 0.0
    busy_error: float | None = None
    mean_active: float = 0.0
    mean_in_transaction: float = 0.0
    counted_active: float | None = None  # the same as the server counted it, and
    whole_active: float | None = None  # as sampled, both over all looks, warm-up included
    most_active: int = 0
    mean_running: float = 0.0  # without a wait event, workers and background included
    running_over_cores: float | None = (
        None  # the share of it for which there were no cores; None if not known
    )
    server_cores: int | None = None
    connecting_s: float = 0.0
    in_transit_s: float = 0.0
    checkpoint_s: float = 0.0
    hidden: int = 0  # most sessions of which this role may not see what they do
    untracked: int = 0  # most sessions with track_activities off
    flows: Mapping[TimeFlow, FlowTime] = field(default_factory=dict)
    background: Mapping[tuple[str, WaitName], float] = field(default_factory=dict)
    statements: Mapping[str, SampledStatement] = field(default_factory=dict)
    failure: str = ""  # why looks are missing, if they are
    profile: WaitProfile | None = None  # None where pg_wait_sampling is not

    @property
    def db_seconds(self) -> float:
        """DB time: of all sessions of the load that were in a statement."""
        return sum(spent.seconds for spent in self.flows.values())


def together(parts: Iterable[ActiveSamples]) -> dict[TimeFlow, FlowTime]:
    """Return the flows of several blocks."""
    found: dict[TimeFlow, FlowTime] = {}
    for part in parts:
        for flow, spent in part.flows.items():
            total = found.setdefault(flow, FlowTime())
            total.seconds += spent.seconds
            total.samples += spent.samples
            total.in_checkpoint_s += spent.in_checkpoint_s
    return found
