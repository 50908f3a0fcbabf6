"""Turns what the board holds into families and bytes, in a thread of its own, after each change.

A scrape joins bytes that are already there: rendering 5,000 series takes 60 ms, which no other request should wait for.
"""

import logging
import threading
import time
from dataclasses import dataclass, field, replace

from pgwatch_wed import __version__
from pgwatch_wed.serve.metrics import postgres_exporter_names
from pgwatch_wed.serve.metrics.collection_families import collection_readings
from pgwatch_wed.serve.metrics.database_families import database_readings, table_readings
from pgwatch_wed.serve.metrics.facts_for_metrics import SeenFacts
from pgwatch_wed.serve.metrics.metric_registry import MetricReading, Readings, registered
from pgwatch_wed.serve.metrics.metrics_text import families, rendered
from pgwatch_wed.serve.metrics.probe_families import ProbeCounters, breaker_readings
from pgwatch_wed.serve.metrics.series_limit import SeriesLimit
from pgwatch_wed.serve.metrics.server_families import server_readings
from pgwatch_wed.serve.metrics.settings import MetricsSettings
from pgwatch_wed.serve.metrics.statement_families import StatementCounters
from pgwatch_wed.serve.metrics.table_sizes import DeadRowTables
from pgwatch_wed.serve.state import STALE_INTERVALS, Board, Clock, Collected, Family, ServiceState

log = logging.getLogger(__name__)

OURS = ("collected", "probe_results", "service")
PAGE, COMPATIBLE_PAGE = "metrics", "postgres_exporter"
# So often at least: what is too old has to disappear also while nothing new comes.
_IDLE_S = 5.0
# So often at most.
_PAUSE_S = 0.25
_STOP_S = 2.0

BUILD_INFO = registered("gauge", "build_info", "version", "service", "The version; always 1.")
SERIES = registered("gauge", "series", "", "service", "Series that are exposed.")
SERIES_LIMIT = registered("gauge", "series_limit", "", "service", "The most series allowed.")
DROPPED = registered(
    "counter",
    "series_dropped_total",
    "family",
    "service",
    "Series that were left out of a rendering because of the limit, by metric.",
)
RENDER_SECONDS = registered(
    "counter",
    "render_seconds_total",
    "",
    "service",
    "CPU time in which metrics were computed and rendered.",
)
RENDERINGS = registered(
    "counter", "renderings_total", "", "service", "How often metrics were rendered."
)


@dataclass(slots=True)
class TargetMetrics:
    """What is remembered of a target between two readings, and what was made of the last one."""

    statements: StatementCounters = field(default_factory=StatementCounters)
    tables: DeadRowTables = field(default_factory=DeadRowTables)
    made_of: Collected | None = None
    was_stale: bool = False
    made: tuple[MetricReading, ...] = ()

    def readings(self, collected: Collected, now: float) -> tuple[MetricReading, ...]:
        """Return the values of a target; without those of facts that nobody renews any more."""
        is_stale = _is_stale(collected, now)
        if self.made_of is not collected or self.was_stale is not is_stale:
            self.made = tuple(self._make(collected, is_stale, now))
            # not before: what failed must not leave the last values behind as if they were these
            self.made_of, self.was_stale = collected, is_stale
        return self.made

    def _make(self, collected: Collected, is_stale: bool, now: float) -> Readings:
        yield from collection_readings(collected)
        if collected.snapshot is None or is_stale:
            return
        seen = SeenFacts(collected.target, collected.snapshot, collected.taken_at)
        self.statements.update(seen.snapshot, now)
        self.tables.update(seen.snapshot, now)
        yield from server_readings(seen)
        yield from database_readings(seen)
        yield from table_readings(seen)
        yield from self.statements.readings(seen)
        yield from self.tables.readings(seen)


def _without_ours(state: ServiceState) -> ServiceState:
    return replace(
        state,
        families={n: f for n, f in state.families.items() if n not in OURS},
        rendered=dict.fromkeys(state.rendered, b""),
    )


def _is_stale(collected: Collected, now: float) -> bool:
    """Tell whether not even the facts that move most were renewed."""
    newest = max(collected.read_at.values(), default=0.0)
    return now - newest > STALE_INTERVALS * min(collected.intervals_s.values(), default=0.0)


@dataclass(slots=True)
class Exporter:
    """Writes families and rendered pages to ``board``; ``now`` returns Unix seconds."""

    board: Board
    settings: MetricsSettings
    now: Clock
    is_compatible: bool = False  # whether the names of postgres_exporter are served, too
    _targets: dict[str, TargetMetrics] = field(default_factory=dict)
    _probes: ProbeCounters = field(default_factory=ProbeCounters)
    _limit: SeriesLimit = field(init=False)
    _seconds: float = 0.0
    _count: int = 0
    _changed: threading.Event = field(default_factory=threading.Event)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __post_init__(self) -> None:
        self._limit = SeriesLimit(self.settings.series)

    def start(self) -> None:
        """Begin to render after each change of the board."""
        self.board.listen(lambda _state: self._changed.set())
        self._thread = threading.Thread(target=self._run, name="metrics", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End soon."""
        self._stop.set()
        self._changed.set()
        if self._thread is not None:
            self._thread.join(_STOP_S)

    def _run(self) -> None:
        while not self._stop.is_set():
            self._survive()
            self._changed.clear()  # our own change of the board
            self._stop.wait(_PAUSE_S)
            self._changed.wait(_IDLE_S)

    def _survive(self) -> None:
        try:
            self.run_once()
        except Exception as error:  # noqa: BLE001 - whatever it is, old values must not look like new ones
            log.error("metrics could not be made: unexpected %s", type(error).__name__)
            self.board.change(_without_ours)

    def run_once(self) -> None:
        """Make and render the metrics of this moment, and publish them."""
        begun = time.thread_time()
        state, now = self.board.state, self.now()
        made = {
            "collected": self._collected(state, now),
            "probe_results": self._of_probes(state, now),
        }
        cut = iter(self._limit.apply([f for part in made.values() for f in part]))
        made = {name: tuple(next(cut) for _ in part) for name, part in made.items()}
        others = [f for name, part in state.families.items() if name not in OURS for f in part]
        count = sum(len(f.samples) for f in (*made["collected"], *made["probe_results"], *others))
        made["service"] = families(self._own(count))
        page = rendered([*(f for part in made.values() for f in part), *others])
        pages = {PAGE: page}
        if self.is_compatible:
            pages[COMPATIBLE_PAGE] = rendered(self._compatible(state, now))
        self._seconds += time.thread_time() - begun
        self._count += 1

        def change(latest: ServiceState) -> ServiceState:
            return replace(
                latest,
                families={**latest.families, **made},
                rendered={**latest.rendered, **pages},
            )

        self.board.change(change)

    def _collected(self, state: ServiceState, now: float) -> tuple[Family, ...]:
        """Return the families of all targets; of one name, one family."""
        self._targets = {n: self._targets.get(n) or TargetMetrics() for n in state.targets}
        readings = [
            reading
            for name, collected in state.targets.items()
            for reading in self._targets[name].readings(collected, now)
        ]
        return families(readings)

    def _of_probes(self, state: ServiceState, now: float) -> tuple[Family, ...]:
        results = list(state.probes.values())
        self._probes.count(results)
        made = families(self._probes.readings(results, now))
        return (*made, self._probes.durations(results), *families(breaker_readings()))

    def _own(self, series: int) -> Readings:
        yield BUILD_INFO, (__version__,), 1
        yield SERIES_LIMIT, (), self._limit.limit
        yield RENDER_SECONDS, (), self._seconds
        yield RENDERINGS, (), self._count
        for name, dropped in sorted(self._limit.dropped.items()):
            yield DROPPED, (name,), dropped
        yield SERIES, (), series

    def _compatible(self, state: ServiceState, now: float) -> tuple[Family, ...]:
        return postgres_exporter_names.compatible(
            (
                SeenFacts(name, c.snapshot, c.taken_at)
                if c.snapshot is not None and not _is_stale(c, now)
                else None,
                name,
            )
            for name, c in state.targets.items()
        )
