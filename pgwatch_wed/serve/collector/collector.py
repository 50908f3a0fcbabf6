"""Reads a target's tiers when they are due, lets the rules judge, and publishes both.

It has a thread and a connection of its own. A round never waits for another: what was missed is not made up for.
After an error, the connection is renewed, with growing pauses.
"""

import threading
from contextlib import suppress
from dataclasses import dataclass, field, replace

from pgwatch_wed.config import Config
from pgwatch_wed.errors import Error
from pgwatch_wed.facts import Cause, Snapshot
from pgwatch_wed.findings import Report
from pgwatch_wed.serve.collector import known as knowing
from pgwatch_wed.serve.collector import tiers
from pgwatch_wed.serve.collector.judging import RoundJudge
from pgwatch_wed.serve.collector.kept import Era, KeptConnection, era_of
from pgwatch_wed.serve.collector.known import KnownFacts
from pgwatch_wed.serve.collector.ledger import Ledger
from pgwatch_wed.serve.collector.settings import CollectorSettings
from pgwatch_wed.serve.state import Board, Clock, Collected, ServiceState, TierReading

_FIRST_PAUSE_S = 1.0
_STOP_S = 2.0
# Catalogs are read early when tables or indexes have come or gone, but not more often than this many runs of the rules.
_EARLY_RUNS = 2
# What the check whether column statistics are hidden compares them with.
_WITH_CATALOGS = ("table_activity", *tiers.of_tiers((tiers.TABLES, tiers.CATALOGS)))
_AGAIN = frozenset((Cause.LOCKED, Cause.VANISHED, Cause.OUT_OF_TIME))


class AnotherServerError(Error):
    """Restarted, promoted or replaced: nothing that was read before still holds."""


@dataclass(slots=True)
class Collector:
    """Collects one target into ``board``. ``now`` returns Unix seconds, ``monotonic`` never goes back."""

    board: Board
    name: str
    conninfo: str = field(repr=False)
    settings: CollectorSettings
    config: Config
    now: Clock
    monotonic: Clock
    ledger: Ledger = field(init=False)
    _connection: KeptConnection = field(init=False)
    _judge: RoundJudge = field(init=False)
    _known: KnownFacts | None = None
    _era: Era | None = None
    _due: dict[str, float] = field(default_factory=dict)
    _readings: dict[str, TierReading] = field(default_factory=dict)
    _report: Report | None = None
    _judged_at: float | None = None
    _objects: tuple[frozenset[int], frozenset[int]] = (frozenset(), frozenset())
    _catalogs_read: float = 0.0
    _failures: int = 0
    _pause_until: float = 0.0
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.settings.budget, self.settings.intervals)
        self._connection = KeptConnection(self.conninfo)
        self._judge = RoundJudge(self.config, self.name)
        self._all_due()

    # --- the thread -----------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to collect; an unreachable target is no error."""
        name = f"collector {self.name}"
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End soon; a query that still runs is ended by the server, which notices that we are gone."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(_STOP_S)

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._stop.wait(self._survived())
        finally:
            self._connection.close()

    def _survived(self) -> float:
        try:
            return self.run_once()
        except Exception as error:  # noqa: BLE001 - whatever it is, the next round may succeed
            with suppress(
                Exception
            ):  # if even that fails, what was published gets old, and that is told
                self._failed(f"unexpected {type(error).__name__}; please report this")
            return self.settings.moving_s

    # --- a round --------------------------------------------------------------------------------------

    def run_once(self) -> float:
        """Read what is due, publish it, and return how many seconds later something is due next."""
        if self.monotonic() < self._pause_until:
            return self._pause_until - self.monotonic()
        due = [tier for tier in tiers.FACTS if self._due[tier] <= self.monotonic()]
        try:
            if due:
                self._connection.open()
                self._round(due)
            self._failures = 0
        except AnotherServerError as error:
            self._begin_anew()
            self._publish(error.message)
        except Error as error:
            self._failed(error.message)
        return max(0.0, max(min(self._due.values()), self._pause_until) - self.monotonic())

    def _round(self, due: list[str]) -> None:
        if tiers.CATALOGS in due:  # judged together, so they are read together
            due = list(tiers.FACTS)
        elif tiers.TABLES in due:
            due = list(tiers.TOGETHER)
        for tier in due:
            if tier == tiers.TABLES and tiers.CATALOGS in due:
                continue  # it is read with the catalogs
            self._read(tier)
            if self._stop.is_set():
                return
        if tiers.TABLES in due:
            self._let_rules_judge(tiers.CATALOGS in due)
        if tiers.CATALOGS in due:
            self._connection.close()  # what the backend keeps of the catalogs is not needed for an hour

    def _read(self, tier: str) -> None:
        begun, at = self.monotonic(), self.now()
        names = _WITH_CATALOGS if tier == tiers.CATALOGS else tiers.FACTS[tier]
        if tier == tiers.CATALOGS:
            part = self._connection.read(tier, names, self._moving_meanwhile)
        else:
            part = self._connection.read(tier, names)
        self._check_era(part)
        self._known = knowing.added(self._known, part, names, at)
        self.ledger.add(tier, part.query_costs, self._connection.empty_s())
        broken = self._connection.why_broken
        took = self.monotonic() - begun
        before = self._readings.get(tier)
        last = before.succeeded_at if before else None
        succeeded = at if broken is None else last
        reading = TierReading(took, broken is None, succeeded)
        self._readings[tier] = reading
        if tier == tiers.CATALOGS:  # they were read together
            self._readings[tiers.TABLES] = reading
        if broken is not None:
            raise Error(broken.reason)
        self._plan_next(tier, part)
        self._publish()

    def _moving_meanwhile(self, _name: str, _share: float) -> None:
        """Read the moving facts between two of the catalogs, which may take long."""
        if self._due[tiers.MOVING] <= self.monotonic() and self._connection.is_usable:
            self._read(tiers.MOVING)

    def _check_era(self, part: Snapshot) -> None:
        era = era_of(part.server)
        if self._era not in (None, era):
            raise AnotherServerError("the server was restarted, promoted or replaced")
        self._era = era

    def _plan_next(self, tier: str, part: Snapshot) -> None:
        now = self.monotonic()
        interval = self._intervals()[tier]
        if tier == tiers.CATALOGS:
            self._catalogs_read = now
            self._objects = self._present()
            self._due[tiers.TABLES] = self._after(tiers.TABLES, now)
            if any(m.cause in _AGAIN for m in part.missing.values()):
                self._due[tier] = now + self.settings.rules_s
                return
        elif tier == tiers.TABLES and self._present() != self._objects:
            early = self._catalogs_read + _EARLY_RUNS * self._intervals()[tiers.TABLES]
            self._due[tiers.CATALOGS] = min(self._due[tiers.CATALOGS], early)
        self._due[tier] = self._after(tier, now, interval)

    def _after(self, tier: str, now: float, interval: float | None = None) -> float:
        """Return when a tier is due next: in its rhythm, without what was missed."""
        every = interval or self._intervals()[tier]
        return self._due[tier] + every * max(1, -(-(now - self._due[tier]) // every))

    def _present(self) -> tuple[frozenset[int], frozenset[int]]:
        """Return the tables and indexes that there are now, whether or not the catalogs were read since."""
        if self._known is None:
            return frozenset(), frozenset()
        snapshot = self._known.snapshot
        tables = frozenset(t.oid for t in snapshot.tables)
        return tables, frozenset(u.oid for u in snapshot.index_usage)

    def _intervals(self) -> dict[str, float]:
        stretches = self.ledger.stretches()
        return {tier: s * stretches[tier] for tier, s in self.settings.intervals.items()}

    def _let_rules_judge(self, with_catalogs: bool) -> None:
        assert self._known is not None
        at = self.now()
        snapshot = self._known.as_of(at, self._intervals())
        same = self._present() == self._objects
        self._report = self._judge.judge(
            snapshot, at, with_catalogs=with_catalogs, same_objects=same
        )
        self._judged_at = at
        self._publish()

    # --- what becomes of it ---------------------------------------------------------------------------

    def _publish(self, failure: str = "") -> None:
        collected = self._collected(failure)

        def change(state: ServiceState) -> ServiceState:
            return replace(state, targets={**state.targets, self.name: collected})

        self.board.change(change)

    def _collected(self, failure: str) -> Collected:
        known, intervals = self._known, self._intervals()
        moments = {t: m for t in tiers.FACTS if known and (m := known.of_tier(t)) is not None}
        return Collected(
            target=self.name,
            snapshot=known.as_of(self.now(), intervals) if known else None,
            read_at=moments,
            intervals_s=intervals,
            report=self._report,
            judged_at=self._judged_at,
            failure=failure,
            rules_judged_at=self._judge.moments(),
            taken_at={n: at.server for n, at in known.read_at.items()} if known else {},
            readings=dict(self._readings),
            query_seconds=dict(self.ledger.seconds),
            query_rows=dict(self.ledger.rows),
            cost_share=self.ledger.share,
            stretched=self.ledger.stretches(),
        )

    def _failed(self, message: str) -> None:
        self._connection.close()
        pause = min(_FIRST_PAUSE_S * 2**self._failures, self.settings.moving_s)
        self._failures += 1
        self._pause_until = self.monotonic() + pause
        before = self._readings.get(tiers.MOVING)
        last = before.succeeded_at if before else None
        self._readings[tiers.MOVING] = TierReading(0.0, False, last)
        self._publish(message)

    def _begin_anew(self) -> None:
        self._connection.close()
        self._judge.forget()
        self._known = self._era = self._report = self._judged_at = None
        self._all_due()

    def _all_due(self) -> None:
        self._due = dict.fromkeys(tiers.FACTS, self.monotonic())
