"""Good and bad events out of metrics, as differences of counters that may be reset at any time."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain

from pgwatch_wed.serve.slo.slo_settings import Objective
from pgwatch_wed.serve.state import PREFIX, Family, Health, Labels, ProbeResult, Sample

REQUESTS = "http_server_request_duration_seconds"
CALLS, SECONDS = f"{PREFIX}statement_calls_total", f"{PREFIX}statement_seconds_total"
_MINUTE_S = 60.0
_MOST_KEPT = 20_000


@dataclass
class CounterDifferences:
    """How much counters rose since they were read last. What is new, or has fallen, began at its value or at 0."""

    _last: dict[tuple[str, Labels], float] = field(default_factory=dict)
    _known: frozenset[str] = frozenset()  # applications that were read before

    def risen(self, samples: Iterable[Sample]) -> dict[tuple[str, Labels], float]:
        """Return the rises by series; the first reading of an application tells nothing: it may be about years."""
        now = {(s.name, s.labels): s.value for s in samples if s.value == s.value}
        found = {
            key: self._rise(key, value)
            for key, value in now.items()
            if _application(key[1]) in self._known
        }
        self._known |= {_application(labels) for _, labels in now}
        # what is not there any more is kept for a while, since it may come back; the oldest go first
        self._last = {k: v for k, v in self._last.items() if k not in now} | now
        for key in [*self._last][: max(0, len(self._last) - max(_MOST_KEPT, len(now)))]:
            del self._last[key]
        return found

    def _rise(self, key: tuple[str, Labels], value: float) -> float:
        before = self._last.get(key, 0.0)
        return value - before if value >= before else value


def _application(labels: Labels) -> str:
    return dict(labels).get("application", "")


class EventCounter:
    """Counts the events of an objective."""

    def __init__(self, objective: Objective) -> None:
        self._objective = objective
        self._differences = CounterDifferences()
        self._minute = (0.0, 0.0)  # calls and seconds of the minute that runs
        self._minute_ends: float | None = None
        self._last_probe: float | None = None

    def count(
        self,
        families: Iterable[Family],
        probes: Mapping[str, ProbeResult],
        monotonic: float,
    ) -> tuple[float, float]:
        """Return the good and bad events since the last call."""
        kind = self._objective.kind
        if kind == "probe":
            return self._by_probe(probes.get(self._objective.probe))
        samples = self._samples(families)
        rises = self._differences.risen(samples)
        if kind == "availability":
            return _by_status(rises)
        if kind == "latency":
            return _by_bucket(rises, self._objective.within_s)
        return self._by_minute(rises, monotonic)

    def _samples(self, families: Iterable[Family]) -> list[Sample]:
        kind, match = self._objective.kind, self._objective.match.items()
        wanted = {
            "availability": {f"{REQUESTS}_count"},
            "latency": {f"{REQUESTS}_bucket", f"{REQUESTS}_count"},
            "query_time": {CALLS, SECONDS},
        }[kind]
        every = chain.from_iterable(family.samples for family in families)
        return [s for s in every if s.name in wanted and match <= dict(s.labels).items()]

    def _by_probe(self, probe: ProbeResult | None) -> tuple[float, float]:
        if probe is None or probe.at == self._last_probe or probe.status is Health.UNKNOWN:
            return 0.0, 0.0
        self._last_probe = probe.at
        is_bad = probe.status is Health.FAIL
        return float(not is_bad), float(is_bad)

    def _by_minute(
        self, rises: Mapping[tuple[str, Labels], float], monotonic: float
    ) -> tuple[float, float]:
        calls, seconds = (
            sum(v for (n, _), v in rises.items() if n == name) for name in (CALLS, SECONDS)
        )
        self._minute = (self._minute[0] + calls, self._minute[1] + seconds)
        if self._minute_ends is None:
            self._minute_ends = monotonic + _MINUTE_S
        if monotonic < self._minute_ends:
            return 0.0, 0.0
        calls, seconds = self._minute
        self._minute, self._minute_ends = (0.0, 0.0), monotonic + _MINUTE_S
        if calls < self._objective.least_calls:
            return 0.0, 0.0
        is_bad = seconds / calls > self._objective.within_s
        return float(not is_bad), float(is_bad)


def _by_status(rises: Mapping[tuple[str, Labels], float]) -> tuple[float, float]:
    bad = sum(v for (_, labels), v in rises.items() if _is_error(labels))
    return sum(rises.values()) - bad, bad


def _is_error(labels: Labels) -> bool:
    return dict(labels).get("http_response_status_code", "").startswith("5")


def _by_bucket(rises: Mapping[tuple[str, Labels], float], within_s: float) -> tuple[float, float]:
    # The smallest bucket that holds the bound.
    bounds = {_bound(labels) for name, labels in rises if name.endswith("_bucket")}
    bound = min((b for b in bounds if b >= within_s), default=None)
    total = sum(v for (name, _), v in rises.items() if name.endswith("_count"))
    if bound is None:
        return 0.0, 0.0
    fast = sum(
        v
        for (name, labels), v in rises.items()
        if name.endswith("_bucket") and _bound(labels) == bound
    )
    return min(fast, total), max(total - fast, 0.0)


def _bound(labels: Labels) -> float:
    return float(dict(labels).get("le", "inf").replace("+Inf", "inf"))
