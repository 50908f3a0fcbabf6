"""What probes saw, and how often and why they failed: counted here, and born at 0."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from pgwatch_wed.app import breakers
from pgwatch_wed.serve.metrics import of_other_parts
from pgwatch_wed.serve.metrics.metric_registry import Metric, Readings, registered
from pgwatch_wed.serve.state import Family, Health, Labels, ProbeResult, Reason, Sample

_WHO = "target probe kind"
# Who refuses us is not down, and yet that is to be counted.
_REFUSALS = (Reason.AUTH, Reason.LIMIT)
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

UP = registered(
    "gauge",
    "probe_up",
    f"{_WHO} essential",
    "probes",
    "1 if a probe passed or warned, 0 if it failed; absent while that is unknown.",
)
STATUS = registered(
    "gauge",
    "probe_status",
    f"{_WHO} status",
    "probes",
    "The status of a probe: pass, warn, fail or unknown; 1 for that status, 0 for the others.",
)
LAST_RUN = registered(
    "gauge",
    "probe_last_run_timestamp_seconds",
    _WHO,
    "probes",
    "When a probe had a result last.",
)
LAST_PASS = registered(
    "gauge",
    "probe_last_pass_timestamp_seconds",
    _WHO,
    "probes",
    "When a probe passed or warned last.",
)
FAILURES = registered(
    "counter",
    "probe_failures_total",
    f"{_WHO} reason",
    "probes",
    "Failures of a probe by reason.",
)
PROBE_SECONDS = registered(
    "histogram", "probe_duration_seconds", _WHO, "probes", "How long a probe took."
)
BREAKER_STATE = registered(
    "gauge",
    "breaker_state",
    "breaker state",
    "breakers",
    "The state of a circuit breaker: closed, half_open or open; 1 for that state, 0 for the others.",
)
BREAKER_TRANSITIONS = registered(
    "counter",
    "breaker_transitions_total",
    "breaker state",
    "breakers",
    "How often a circuit breaker entered a state.",
)


@dataclass(slots=True)
class ProbeTally:
    """What is counted of one probe."""

    counted_at: float = -1.0
    passed_at: float | None = None
    failures: dict[Reason, int] = field(default_factory=lambda: dict.fromkeys(Reason, 0))
    buckets: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))
    seconds: float = 0.0

    def count(self, result: ProbeResult) -> None:
        """Count a result once."""
        if result.at == self.counted_at:  # the clock may have been set back
            return
        self.counted_at = result.at
        if result.status in (Health.PASS, Health.WARN):
            self.passed_at = result.at
        if result.reason in _REFUSALS or (result.status is Health.FAIL and result.reason):
            self.failures[result.reason] += 1
        if result.latency_s is not None:
            self.buckets[bisect_left(BUCKETS, result.latency_s)] += 1
            self.seconds += result.latency_s


@dataclass(slots=True)
class ProbeCounters:
    """What is counted of all probes."""

    tallies: defaultdict[tuple[str, str], ProbeTally] = field(
        default_factory=lambda: defaultdict(ProbeTally)
    )

    def count(self, results: Iterable[ProbeResult]) -> None:
        """Count the results that are new."""
        for result in results:
            if result.at > 0:
                self.tallies[result.target, result.name].count(result)

    def readings(self, results: Iterable[ProbeResult], now: float) -> Readings:
        """Yield what is known now; a result that is too old is unknown."""
        for latest in results:
            result = latest.as_of(now)
            who = (result.target, result.name, result.kind)
            tally = self.tallies[result.target, result.name]
            if result.status is not Health.UNKNOWN:
                essential = "true" if result.is_essential else "false"
                yield UP, (*who, essential), float(result.status is not Health.FAIL)
            for status in Health:
                yield STATUS, (*who, status.value), float(result.status is status)
            yield LAST_RUN, who, result.at if result.at > 0 else None
            yield LAST_PASS, who, tally.passed_at
            for reason, count in tally.failures.items():
                yield FAILURES, (*who, reason.value), count
            yield from _further(result, who)

    def durations(self, results: Iterable[ProbeResult]) -> Family:
        """Return the histogram of how long probes took."""
        samples = [s for r in results for s in _histogram(r, self.tallies[r.target, r.name])]
        name, kind = PROBE_SECONDS.full_name, PROBE_SECONDS.kind
        return Family(name, kind, PROBE_SECONDS.help, tuple(samples), PROBE_SECONDS.source)


_more: dict[str, Metric] = {}


def _further(result: ProbeResult, who: tuple[str, str, str]) -> Readings:
    """Yield what a probe read besides its status."""
    for name, value in sorted(result.readings.items()):
        if result.status is not Health.UNKNOWN:
            yield _metric_of(name), who, value


def _metric_of(name: str) -> Metric:
    if known := of_other_parts.named(name):
        return known
    if name not in _more:
        kind = "counter" if name.endswith("_total") else "gauge"
        said = name.replace("_", " ")
        _more[name] = Metric(
            name, kind, tuple(_WHO.split()), "probes", f"What a probe read: {said}."
        )
    return _more[name]


def _histogram(result: ProbeResult, tally: ProbeTally) -> Iterable[Sample]:
    name = PROBE_SECONDS.full_name
    pairs = (("target", result.target), ("probe", result.name), ("kind", result.kind))
    labels: Labels = tuple((n, v) for n, v in pairs if v)
    total = 0
    for bound, count in zip((*BUCKETS, float("inf")), tally.buckets, strict=True):
        total += count
        limit = "+Inf" if bound == float("inf") else f"{bound:g}"
        yield Sample(f"{name}_bucket", (*labels, ("le", limit)), total)
    yield Sample(f"{name}_sum", labels, tally.seconds)
    yield Sample(f"{name}_count", labels, total)


def breaker_readings() -> Readings:
    """Yield the states of the circuit breakers of this process."""
    for name, state in sorted(breakers.states().items()):
        for each in breakers.BreakerState:
            yield BREAKER_STATE, (name, each.value), float(state is each)
    for name, entered in sorted(breakers.transitions().items()):
        for each, count in entered.items():
            yield BREAKER_TRANSITIONS, (name, each.value), count
