"""The last hour of a few series, for the page's charts: in memory only, and small."""

from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass

from pgwatch_wed.serve.one_server import stand_ins
from pgwatch_wed.serve.state import PREFIX, Family, ServiceState

STEP_S = 15.0
KEPT = 240

Measured = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Chart:
    """What is drawn: a title, a unit, and the value at a moment; ``counters`` are drawn as their rate."""

    key: str
    title: str
    unit: str  # count, seconds, bytes, ratio or rate
    metric: str
    per: str = ""  # a second counter: the quotient of both rates is drawn
    is_counter: bool = False
    take: Callable[[list[float]], float] = sum


CHARTS = (
    Chart("connections", "Connections", "count", "connections"),
    Chart("blocked", "Sessions that wait for a lock", "count", "blocked_sessions"),
    Chart("transactions", "Transactions", "rate", "transactions_total", is_counter=True),
    Chart(
        *("statements", "Mean time of a statement", "seconds", "statement_seconds_total"),
        per="statement_calls_total",
        is_counter=True,
    ),
    Chart("longest", "Longest query that runs", "seconds", "longest_query_seconds", take=max),
    Chart("wal", "WAL written", "bytes/s", "wal_bytes_total", is_counter=True),
    Chart("lag", "Lag of standbys", "seconds", "replica_lag_seconds", take=max),
)


class Recent:
    """Remembers a point of each chart every few seconds."""

    def __init__(self) -> None:
        self._points: dict[str, deque[Measured]] = {}
        self._totals: dict[str, tuple[float, float, float]] = {}
        self._next = 0.0

    def sample(self, state: ServiceState, now: float) -> None:
        """Take what the state holds, if it is time."""
        if self._next - STEP_S <= now < self._next:
            return
        self._next = now + STEP_S
        values = _values(state.families, stand_ins(state.targets))
        for chart in CHARTS:
            if (value := self._value(chart, values, now)) is not None:
                self._add(chart.key, now, value)
        for probe in state.probes.values():
            if probe.latency_s is not None:
                self._add(f"latency-{probe.name}", now, probe.latency_s)

    def points(self, key: str) -> tuple[Measured, ...]:
        """Return what is remembered of a chart, oldest first."""
        return tuple(self._points.get(key, ()))

    def _add(self, key: str, now: float, value: float) -> None:
        self._points.setdefault(key, deque(maxlen=KEPT)).append((now, value))

    def _value(self, chart: Chart, values: Mapping[str, list[float]], now: float) -> float | None:
        found = values.get(PREFIX + chart.metric)
        if not found:
            return None
        if not chart.is_counter:
            return chart.take(found)
        total, other = sum(found), sum(values.get(PREFIX + chart.per, [0.0]))
        before = self._totals.get(chart.key)
        self._totals[chart.key] = (now, total, other)
        if before is None or total < before[1] or other < before[2] or now <= before[0]:
            return None
        grown, seconds = total - before[1], now - before[0]
        if not chart.per:
            return grown / seconds
        calls = other - before[2]
        return grown / calls if calls > 0 else None


def _values(
    families: Mapping[str, tuple[Family, ...]], again: Collection[str]
) -> dict[str, list[float]]:
    """Return the values of all servers; ``again`` are targets whose server is there already."""
    wanted = {PREFIX + name for c in CHARTS for name in (c.metric, c.per) if name}
    found: dict[str, list[float]] = {}
    for family in _all(families):
        if family.name in wanted:
            found[family.name] = [
                s.value
                for s in family.samples
                if s.value == s.value and dict(s.labels).get("target", "") not in again
            ]
    return found


def _all(families: Mapping[str, tuple[Family, ...]]) -> Iterator[Family]:
    for each in families.values():
        yield from each
