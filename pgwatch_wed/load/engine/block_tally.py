"""Transactions of a log → counts and times of the measured part of a block.

In an open loop, what was due in the measured part belongs to it; in a closed loop, what ended in it. Closed-loop times
are too short: pgbench starts the clock late when a thread has many clients to serve, and does not count connecting.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pgwatch_wed.load.engine.hdr_latencies import HdrLatencies, grouped
from pgwatch_wed.load.engine.pgbench_log import LoggedTransaction
from pgwatch_wed.load.load_model import FailureKind, Order, TimeSpent

_BY_CHANCE = (
    15  # of a Poisson process, a gap of so many mean distances occurs once in three million times
)
PARTS = 5  # in which the measured part is divided, to see whether lag grows


@dataclass(slots=True)
class _Times:
    """Times in µs of a script, and how often each occurred."""

    latency: Counter[int] = field(default_factory=Counter)
    lag: Counter[int] = field(default_factory=Counter)
    service: Counter[int] = field(default_factory=Counter)

    def add(self, one: LoggedTransaction) -> None:
        self.latency[grouped(one.took)] += 1
        self.lag[grouped(one.lag)] += 1
        self.service[grouped(one.took - one.lag)] += 1

    def include(self, other: "_Times") -> None:
        self.latency.update(other.latency)
        self.lag.update(other.lag)
        self.service.update(other.service)

    def spent(self, *, is_open: bool) -> TimeSpent:
        lag = HdrLatencies(self.lag) if is_open else None
        return TimeSpent(
            latency=HdrLatencies(self.latency), lag=lag, service=HdrLatencies(self.service)
        )


class Tally:
    """Counts what a log tells, line by line."""

    def __init__(self, order: Order, threads: int) -> None:
        self._order = order
        self._scripts = [_Times() for _ in order.scripts]
        self._served: list[Counter[int]] = [Counter() for _ in order.scripts]  # service, by the end
        self._begins: int | None = None
        self._ends = 0
        self.first: float | None = None  # when the first that was logged began
        self._last = [0] * threads
        self.all_run = 0  # with warm-up
        self.succeeded = 0
        self.ended_inside = 0
        self.late_inside = 0  # of these, those that took longer than the timeout
        self.retries = 0
        self.failures: Counter[FailureKind] = Counter()
        self.last_due = [0] * threads
        self.least_lags: list[int | None] = [None] * PARTS

    @property
    def began(self) -> float | None:
        """When the measured part began, if anything was logged."""
        return None if self._begins is None else self._begins / 1_000_000

    def add(self, news: Sequence[LoggedTransaction]) -> None:
        """Count transactions."""
        if self._begins is None and news:
            self.first = min(t.ended - t.took + t.lag for t in news) / 1_000_000
            self.begin(self.first)
        for one in news:
            self._count(one)

    def begin(self, first: float) -> None:
        """Set when the first transaction began; the warm-up begins then."""
        self._begins = int((first + self._order.warmup_s) * 1_000_000)
        self._ends = self._begins + int(self._order.seconds * 1_000_000)

    def _count(self, one: LoggedTransaction) -> None:
        due = one.ended - one.took
        self.last_due[one.thread] = max(self.last_due[one.thread], due)
        self._last[one.thread] = max(self._last[one.thread], one.ended)
        self.all_run += one.failure is not FailureKind.SKIPPED
        ended_inside = self._is_inside(one.ended)
        if ended_inside and one.failure is None:
            self.ended_inside += 1
            self.late_inside += self._is_late(one)
            self._served[one.script][grouped(one.took - one.lag)] += 1
        if not (self._is_inside(due) if self._order.is_open else ended_inside):
            return
        self.retries += one.retries
        if one.failure is not None:
            self.failures[one.failure] += 1
            return
        self._scripts[one.script].add(one)
        self._note_lag(due, one.lag)
        if self._is_late(one):
            self.failures[FailureKind.TIMEOUT] += 1
        else:
            self.succeeded += 1

    def _is_late(self, one: LoggedTransaction) -> bool:
        limit = self._order.timeout_s
        return limit is not None and one.took > limit * 1_000_000

    def _is_inside(self, moment: int) -> bool:
        return self._begins is not None and self._begins <= moment < self._ends

    def _note_lag(self, due: int, lag: int) -> None:
        assert self._begins is not None
        part = min((due - self._begins) * PARTS // max(1, self._ends - self._begins), PARTS - 1)
        least = self.least_lags[part]
        self.least_lags[part] = lag if least is None else min(least, lag)

    def close(self, at: float) -> float:
        """End the measured part, at the latest at this moment; return its seconds."""
        if self._begins is None:
            return 0.0
        self._ends = max(self._begins, min(self._ends, int(at * 1_000_000)))
        return (self._ends - self._begins) / 1_000_000

    def never_begun(self) -> int:
        """Return how many were due in the measured part that pgbench did not come to begin.

        Each thread has a schedule of its own, and takes from it in order. Up to the last that it took, nothing is
        missing; a gap until the end that is too long for chance means that it was behind.
        """
        if self._order.rate is None or self._begins is None:
            return 0
        rate = self._order.rate / len(self.last_due)
        gaps = [(self._ends - max(due, self._begins)) / 1_000_000 for due in self.last_due]
        return sum(round(gap * rate) for gap in gaps if gap * rate > _BY_CHANCE)

    @property
    def last_logged(self) -> float:
        """Until when all threads have written their log."""
        return min(self._last) / 1_000_000

    def least_lags_s(self) -> tuple[float | None, ...]:
        """Return the shortest lag in each fifth of the measured part, None where nothing was due that ran."""
        return tuple(None if lag is None else lag / 1_000_000 for lag in self.least_lags)

    def spent(self) -> TimeSpent:
        """Return the times of all scripts."""
        total = _Times()
        for script in self._scripts:
            total.include(script)
        return total.spent(is_open=self._order.is_open)

    def by_script(self) -> dict[str, TimeSpent]:
        """Return the times of each script, by its name."""
        times = zip(self._order.scripts, self._scripts, strict=True)
        return {script.name: found.spent(is_open=self._order.is_open) for script, found in times}

    def served(self) -> TimeSpent:
        """Return the service times of what ended in the measured part; of latency, nothing."""
        return _service_only(sum(self._served, Counter[int]()))

    def served_by_script(self) -> dict[str, TimeSpent]:
        """Return the service times of each script, likewise."""
        times = zip(self._order.scripts, self._served, strict=True)
        return {script.name: _service_only(found) for script, found in times}


def over_capacity_failures(
    failures: Mapping[FailureKind, int], due: int, ended: int, late: int
) -> dict[FailureKind, int]:
    """Return the failures of a block in which the backlog only grew: each transaction that was due counts once.

    What ended in the block is served, or late if it took longer than the timeout; what did not end is skipped.
    """
    of_time = (FailureKind.SKIPPED, FailureKind.TIMEOUT)
    found = {kind: number for kind, number in failures.items() if kind not in of_time}
    skipped = max(0, due - ended - sum(found.values()))
    if late:
        found[FailureKind.TIMEOUT] = late
    return found | {FailureKind.SKIPPED: skipped}


def _service_only(service: Counter[int]) -> TimeSpent:
    nothing = HdrLatencies({})
    return TimeSpent(latency=nothing, lag=nothing, service=HdrLatencies(service))
