"""What the service knows at a moment: immutable, and replaced as a whole.

Moments are Unix seconds by the client's clock (``at``, ``since``): they are shown, exported and compared with
Prometheus, which uses the same. Intervals and deadlines are measured by the monotonic clock and never stand here.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Report

PREFIX = "pgwatch_wed_"
Labels = tuple[tuple[str, str], ...]
Clock = Callable[[], float]
# After so many intervals without a new result, the old one says nothing any more.
STALE_INTERVALS = 3


class Health(StrEnum):
    """How a component is."""

    PASS = "pass"  # noqa: S105 - of a check
    WARN = "warn"
    FAIL = "fail"
    UNKNOWN = "unknown"


class Reason(StrEnum):
    """Why a probe did not pass; the fixed list that labels and rules may use."""

    TIMEOUT = "timeout"
    REFUSED = "refused"
    DNS = "dns"
    TLS = "tls"
    AUTH = "auth"
    PROTOCOL = "protocol"
    CONDITION = "condition"
    LIMIT = "limit"


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What a probe saw last.

    ``detail`` is one plain sentence without secret, literal or address. ``readings`` are further values, by
    the name of a metric without prefix (``probe_replay_lag_seconds``); what has labels of its own are families
    of the state, made by ``probes``. ``since``: when this status began.
    """

    name: str
    kind: str
    status: Health
    at: float
    since: float
    interval_s: float
    latency_s: float | None = None
    reason: Reason | None = None
    detail: str = ""
    is_essential: bool = False
    target: str = ""
    readings: Mapping[str, float] = field(default_factory=dict)

    def as_of(self, now: float) -> "ProbeResult":
        """Return it as it counts now: too old, it is unknown."""
        if self.status is Health.UNKNOWN or now - self.at <= STALE_INTERVALS * self.interval_s:
            return self
        due = self.at + STALE_INTERVALS * self.interval_s
        detail = f"no result for {round(now - self.at)} s; the last was {self.status}"
        return replace(self, status=Health.UNKNOWN, reason=None, detail=detail, since=due)


@dataclass(frozen=True, slots=True)
class Sample:
    """One value of a metric; ``name`` may have a suffix such as ``_bucket``."""

    name: str
    labels: Labels
    value: float


@dataclass(frozen=True, slots=True)
class Family:
    """A metric with its values. ``kind`` is Prometheus' type; ``source`` the fact or part it comes from."""

    name: str
    kind: str  # counter, gauge or histogram
    help: str
    samples: tuple[Sample, ...]
    source: str = ""


@dataclass(frozen=True, slots=True)
class TierReading:
    """How the last reading of a tier went: its duration, whether it was complete, and when one was last."""

    seconds: float
    succeeded: bool
    succeeded_at: float | None = None


@dataclass(frozen=True, slots=True)
class Collected:
    """The newest facts of a target.

    ``snapshot`` holds the newest of each fact; ``read_at`` when each tier was read last (Unix seconds),
    ``intervals_s`` how often it is to be, ``stretched`` by how much that is longer than configured, because of the
    budget. ``report`` is what the rules said of it: each (``rules_judged_at``) of facts that were read together.
    ``taken_at`` is when each fact was read, by the server's clock. ``failure`` is why the last reading failed; it may name an address. ``cost_share`` is how much of a core of
    the server reading takes, at most, with the configured intervals.
    """

    target: str
    snapshot: Snapshot | None
    read_at: Mapping[str, float] = field(default_factory=dict)
    intervals_s: Mapping[str, float] = field(default_factory=dict)
    report: Report | None = None
    judged_at: float | None = None
    failure: str = ""
    rules_judged_at: Mapping[str, float] = field(default_factory=dict)
    taken_at: Mapping[str, datetime] = field(default_factory=dict)
    readings: Mapping[str, TierReading] = field(default_factory=dict)  # by tier
    query_seconds: Mapping[str, float] = field(default_factory=dict)  # by fact, since the start
    query_rows: Mapping[str, int] = field(default_factory=dict)
    cost_share: float = 0.0
    stretched: Mapping[str, float] = field(default_factory=dict)  # by tier


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert that is pending or fires: what Prometheus' /api/v1/alerts holds, and more.

    ``value`` is the expression's. ``active_at`` is when it became true, ``fired_at`` when ``for`` was over,
    ``resolved_at`` when it ended. ``causes`` are suspects, best first (see serve/causes).
    """

    name: str
    labels: Labels
    annotations: Labels
    state: str  # pending, firing or resolved
    value: float
    active_at: float
    fired_at: float | None = None
    resolved_at: float | None = None
    inhibited_by: str = ""
    causes: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class ServiceState:
    """All of it."""

    at: float = 0.0
    probes: Mapping[str, ProbeResult] = field(default_factory=dict)
    targets: Mapping[str, Collected] = field(default_factory=dict)
    families: Mapping[str, tuple[Family, ...]] = field(default_factory=dict)  # by their maker
    # Prometheus' text format by page: "metrics" has all families, "postgres_exporter" its names
    rendered: Mapping[str, bytes] = field(default_factory=dict)
    alerts: tuple[Alert, ...] = ()
    slos: tuple[Any, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)  # of parts that nobody else looks into


class Board:
    """Where the state hangs: written by the parts, read by requests, which never wait."""

    def __init__(self) -> None:
        self._state = ServiceState()
        self._lock = threading.Lock()
        self._listeners: list[Callable[[ServiceState], None]] = []

    @property
    def state(self) -> ServiceState:
        """The newest state."""
        return self._state

    def change(self, make: Callable[[ServiceState], ServiceState]) -> None:
        """Replace the state; ``make`` is quick and pure."""
        with self._lock:
            self._state = make(self._state)
            state = self._state
        for listener in tuple(self._listeners):
            listener(state)

    def listen(self, listener: Callable[[ServiceState], None]) -> None:
        """Call ``listener`` after each change, in the thread that made it; it must return at once."""
        self._listeners.append(listener)
