"""The words of a load test; see docs/load.md.

Moments are Unix seconds of this machine's clock, durations seconds unless the name says otherwise.
Everything here is data: who runs, samples, judges or renders is in the rooms beside.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol

BLOCK_S = 10.0
WARMUP_S = 2.0
# Why a block may have ended early.
ALL_LOST = "all clients were lost"


class Answer(StrEnum):
    """The answer to an objective. Unknown: the interval contains the limit, or nothing can be believed."""

    PASS = "pass"  # noqa: S105 - not a password
    FAIL = "fail"
    UNKNOWN = "unknown"


class QueryProtocol(StrEnum):
    """How statements are sent; pgbench's ``--protocol``."""

    SIMPLE = "simple"
    EXTENDED = "extended"
    PREPARED = "prepared"


class FailureKind(StrEnum):
    """How a transaction failed. All of them count against the error rate."""

    ERROR = "error"
    LOST_CLIENT = "lost client"
    DEADLOCK = "deadlock"
    SERIALIZATION = "serialization failure"
    TIMEOUT = "timeout"
    SKIPPED = "skipped"
    NOT_CONNECTED = "not connected"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadScript:
    """A transaction: the text of a pgbench script, and how often it is chosen relative to the others.

    ``has_user_values``: neither the text nor what the server says about it is to be shown or stored.
    """

    name: str
    text: str
    weight: int = 1
    has_user_values: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """Where load runs: a database of our own, which bears our mark. ``conninfo`` may contain secrets.

    ``shown`` is HOST/DBNAME as the server answers. ``is_embedded``: the server is ours, too, and may be restarted
    and configured. ``data_directory`` is set if the server's files and processes are visible from here.
    ``schema``: of our own, in a database of others, where we may not create one; sessions find it in their search_path.
    """

    conninfo: str
    shown: str
    database: str
    server_version: int
    is_embedded: bool
    data_directory: Path | None = None
    schema: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What one block is to run.

    ``rate``: transactions a second that are due, whatever the server does (open loop); None: each client sends the next
    when the last has returned (closed loop), only to find the capacity. ``settings`` hold for the sessions of the block.
    Blocks of the same ``seed`` choose nearly the same scripts, values and moments: with others, work differs by chance.
    ``conninfo`` takes the place of the ground's, for a pooler. ``reconnects``: a connection for each transaction.
    """

    scripts: tuple[LoadScript, ...]
    clients: int
    rate: float | None
    seconds: float = BLOCK_S
    warmup_s: float = WARMUP_S
    protocol: QueryProtocol = QueryProtocol.PREPARED
    seed: int = 1
    max_tries: int = 1
    timeout_s: float | None = None  # a transaction that takes longer has failed
    reconnects: bool = False
    settings: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    conninfo: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether latency counts from the moment at which a transaction was due."""
        return self.rate is not None


class Latencies(Protocol):
    """A distribution of times in ms; the engine's are HdrHistograms with three significant digits."""

    @property
    def count(self) -> int:
        """The number of transactions."""
        ...

    def percentile(self, percent: float) -> float | None:
        """Return the ms below which so many percent are; None with fewer than 10 transactions beyond it."""
        ...

    def mean(self) -> float | None:
        """Return the mean in ms."""
        ...

    def above(self, limit_ms: float) -> int:
        """Return how many took longer."""
        ...

    def added(self, other: "Latencies") -> "Latencies":
        """Return the distribution of both."""
        ...

    def encoded(self) -> str:
        """Return it as text, for files: HdrHistogram's own compressed form."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeSpent:
    """The latency of a block or a script: ``latency`` from the schedule, ``lag`` of its start, ``service`` without the lag.

    All transactions that ended without an error count, those that took longer than the timeout, too. In a block that is
    over capacity, ``latency`` and ``lag`` are empty, since they only tell how long it ran.
    """

    latency: Latencies
    lag: Latencies | None  # None in a closed loop
    service: Latencies


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockWork:
    """What the server did in a block, by its own counters; None where it does not count that, or we may not read it.

    Counters are of the ground's database, ``wal_*`` and ``cpu_ms`` of the whole server. They cover all that ran: warm-up,
    failures, and what ended after the measured part. So only quotients with ``transactions`` compare.
    """

    transactions: int  # all that ran, as the counters cover them
    blocks_hit: int | None = None
    blocks_read: int | None = None
    rows_changed: int | None = None
    temp_bytes: int | None = None
    wal_records: int | None = None
    wal_bytes: int | None = None
    wal_full_page_images: int | None = None
    upkeep: int | None = None  # runs of autovacuum and autoanalyze that ended
    cpu_ms: float | None = None
    plans: Mapping[str, str] = field(default_factory=dict)  # script or query id: shape of its plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What the machine of the generator did in a block; None where this system does not tell.

    ``generator_cpu`` and ``others_cpu``: shares of one core; ``pressure``: share of the time in which someone waited for
    a CPU (PSI "some"); ``steal``: share of the time that the hypervisor took; ``cores``: how many there are.
    ``generator_pressure``: share of its time in which pgbench itself was ready and waited for a core.
    """

    cores: int
    generator_cpu: float | None = None
    generator_pressure: float | None = None
    others_cpu: float | None = None
    pressure: float | None = None
    steal: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoilt:
    """Why a block's times are not to be believed. ``check`` is the name of what was checked."""

    check: str  # generator-cpu, generator-lag, cpu-pressure, steal, littles-law, sampler-gaps, interrupted, connecting, over-capacity
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One block that ran: the unit of statistics. ``ended_early`` says why, if it did not run its whole time."""

    order: Order
    began: float
    seconds: float  # measured, without warm-up
    transactions: int  # that succeeded
    failures: Mapping[FailureKind, int]
    retries: int
    spent: TimeSpent
    by_script: Mapping[str, TimeSpent]
    work: BlockWork | None
    machine: Machine
    errors: tuple[str, ...] = ()  # the first messages of the server, one line each, at most five
    spoilt: tuple[Spoilt, ...] = ()
    ended_early: str = ""
    samples: object | None = None  # what the sampler saw: load.sampling's ActiveSamples

    @property
    def attempts(self) -> int:
        """Transactions that were due, whatever became of them."""
        return self.transactions + sum(self.failures.values())

    @property
    def tps(self) -> float:
        """Transactions a second that succeeded."""
        return self.transactions / self.seconds if self.seconds > 0 else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """What is tried: tables that are filled, scripts, and how many clients.

    ``prepare``: SQL that creates and fills everything, in the ground's database, with a fixed seed. ``is_writing``: it
    changes data. ``pooler``: none, or transactions through a pgbouncer of ours.
    """

    name: str
    title: str  # one line for people
    prepare: tuple[str, ...]
    scripts: tuple[LoadScript, ...]
    clients: int
    is_writing: bool
    protocol: QueryProtocol = QueryProtocol.PREPARED
    reconnects: bool = False
    pooler: bool = False
    max_tries: int = 1
    think_s: float | None = None  # rate = clients / think time
    background: tuple[LoadScript, ...] = ()  # run beside, closed loop, one client each
    settings: Mapping[str, str] = field(default_factory=dict)  # of all sessions


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadObjective:
    """A limit: of a percentile of latency in ms (``p95``), of the share of failures, or at least so many a second."""

    name: str  # p50, p95, p99, errors, tps
    limit: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectiveResult:
    """What came of an objective: value and 95% interval, None where they cannot be told."""

    objective: LoadObjective
    answer: Answer
    value: float | None
    interval: tuple[float, float] | None
    reason: str  # one sentence


class Proven(StrEnum):
    """Whether something was shown to matter."""

    PROVEN = "proven"
    REFUTED = "refuted"
    NOT_PROVEN = "not proven"
    NOT_TRIED = "not tried"


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What a watch saw in the measured part of a block; ``samples`` is its own, and goes into the block.

    ``busy_sessions``: sessions of the block that were in a transaction, on average, weighed by time, and
    ``busy_error`` the standard error of that; None if it cannot be told. ``largest_gap_s`` is between two samples.
    """

    samples: object | None = None
    busy_sessions: float | None = None
    busy_error: float | None = None
    largest_gap_s: float | None = None


class BlockWatch(Protocol):
    """Watches the server while a block runs: the sampler of active sessions."""

    def begin(self, order: Order, application_name: str) -> None:
        """Begin; the sessions of the block bear this application name."""
        ...

    def end(self, began: float, ended: float) -> Watched:
        """End, and return what was seen between two moments, those of the measured part."""
        ...


class BlockRunner(Protocol):
    """Runs one block; what proof, comparison and profiles are given."""

    def __call__(self, order: Order) -> Block:
        """Run it and return what happened; raises :class:`pgwatch_wed.errors.Error` if nothing could run."""
        ...
