"""What adds up over all attempts of the probes, as families: durations, failures, breakers."""

import threading
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pgwatch_wed.app.breakers import Breaker, BreakerState
from pgwatch_wed.serve.state import PREFIX, Family, Labels, Reason, Sample

BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
SOURCE = "probes"


@dataclass(slots=True)
class _Counts:
    buckets: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS_S) + 1))
    seconds: float = 0.0
    failures: dict[Reason, int] = field(default_factory=lambda: dict.fromkeys(Reason, 0))
    abandoned: int = 0


class Tally:
    """Counts attempts by probe. Every label set is born at 0, or the first error would be invisible."""

    def __init__(self, names: Iterable[str]) -> None:
        self._counts = {name: _Counts() for name in names}
        self._lock = threading.Lock()

    def attempted(self, name: str, seconds: float | None, reason: Reason | None) -> None:
        """Count an attempt, and the reason for which it did not pass; no time if nothing new was asked."""
        with self._lock:
            counts = self._counts[name]
            if seconds is not None:
                counts.buckets[bisect_left(BUCKETS_S, seconds)] += 1
                counts.seconds += seconds
            if reason is not None:
                counts.failures[reason] += 1

    def abandoned(self, name: str) -> None:
        """Count an attempt that had not returned at its deadline."""
        with self._lock:
            self._counts[name].abandoned += 1

    def families(self) -> tuple[Family, ...]:
        """Return the metrics."""
        with self._lock:
            return (self._durations(), self._failures(), self._abandoned())

    def _durations(self) -> Family:
        samples: list[Sample] = []
        name = f"{PREFIX}probe_duration_seconds"
        for probe, counts in self._counts.items():
            label: Labels = (("probe", probe),)
            total = 0
            for bound, number in zip((*BUCKETS_S, float("inf")), counts.buckets, strict=True):
                total += number
                le = "+Inf" if bound == float("inf") else str(bound)
                samples.append(Sample(f"{name}_bucket", (*label, ("le", le)), float(total)))
            samples.append(Sample(f"{name}_sum", label, counts.seconds))
            samples.append(Sample(f"{name}_count", label, float(total)))
        return Family(
            name, "histogram", "How long attempts of probes took.", tuple(samples), SOURCE
        )

    def _failures(self) -> Family:
        return _counter(
            "probe_failures_total",
            "Attempts of probes that did not pass, by reason.",
            [
                ((("probe", probe), ("reason", str(reason))), number)
                for probe, counts in self._counts.items()
                for reason, number in counts.failures.items()
            ],
        )

    def _abandoned(self) -> Family:
        return _counter(
            "probe_abandoned_total",
            "Attempts of probes that had not returned at their deadline.",
            [((("probe", probe),), counts.abandoned) for probe, counts in self._counts.items()],
        )


def of_breakers(breakers: Mapping[str, Breaker]) -> tuple[Family, ...]:
    """Return the states and transitions of breakers as metrics."""
    states = [
        Sample(
            f"{PREFIX}breaker_state",
            (("breaker", name), ("state", str(state))),
            float(each.state is state),
        )
        for name, each in breakers.items()
        for state in BreakerState
    ]
    transitions = [
        ((("breaker", name), ("state", str(state))), number)
        for name, each in breakers.items()
        for state, number in each.transitions.items()
    ]
    return (
        Family(
            f"{PREFIX}breaker_state",
            "gauge",
            "The state of a circuit breaker: 1 for the present one.",
            tuple(states),
            SOURCE,
        ),
        _counter(
            "breaker_transitions_total", "How often a circuit breaker entered a state.", transitions
        ),
    )


def _counter(name: str, about: str, values: Iterable[tuple[Labels, int]]) -> Family:
    samples = tuple(Sample(PREFIX + name, labels, float(number)) for labels, number in values)
    return Family(PREFIX + name, "counter", about, samples, SOURCE)
