"""Looking at a server's sessions every second or so, for the cost of two short queries.

It runs beside the collection of snapshots, in a thread and a session of its own. What it cannot see, because the
server does not respond or the connection is lost, becomes a gap.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from pgwatch_wed.errors import Error
from pgwatch_wed.facts import Cause, LockWait, Missing, QueryCost, Server, Snapshot
from pgwatch_wed.facts.fields import fact_types
from pgwatch_wed.postgres import privileges
from pgwatch_wed.postgres.sampling import Recorder, Sampled, SampledSession
from pgwatch_wed.target import collect, connect, queries
from pgwatch_wed.target.session import CollectLimits, Reader, Rows, reading

_RETRY_S = 5.0
_STATEMENT_MS = 2_000
FACTS = ("sampled_minutes", "activity_minutes", "lock_episodes")


_LOST = "the connection was lost"
_UNREAD = "the sessions could not be read"


def _why(missing: Missing) -> str:
    reasons = {Cause.BROKEN: _LOST, Cause.OUT_OF_TIME: "the server took too long to respond"}
    return reasons.get(missing.cause, _UNREAD)


@dataclass(slots=True)
class Sampler:
    """Samples a target until it is stopped; :meth:`add_to` hands over what was recorded."""

    conninfo: str
    interval_s: float
    failure: str = ""
    _stop: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _recorder: Recorder | None = None
    _begun: float = field(default_factory=time.monotonic)
    _last: float = 0.0  # by our clock
    _last_at: datetime | None = None  # by the server's
    _texts: dict[str, bytes] = field(default_factory=dict)
    _looks: int = 0
    _cost_s: float = 0.0
    _blind: str = ""

    def run(self) -> None:
        """Sample until it is stopped, over as many connections as it takes."""
        limits = CollectLimits(statement_ms=_STATEMENT_MS)
        while not self._stop.is_set():
            try:
                with reading(self.conninfo, limits, None) as reader:
                    self._watch(reader)
            except Error as error:
                self._failed("could not connect", error.message)
            self._stop.wait(min(_RETRY_S, max(self.interval_s, 0.5)))

    def stop(self) -> None:
        """End as soon as possible."""
        self._stop.set()

    def _failed(self, reason: str, said: str) -> None:
        """Note why there is no sample: in few words for the gap, and in full if there is never one."""
        with self._lock:
            self.failure = said
            if self._recorder is not None:
                self._recorder.failed(reason)

    def _watch(self, reader: Reader) -> None:
        server = reader.server = collect.identify(reader)
        self._texts.clear()  # it may be another version than before
        due = time.monotonic()
        while not (self._stop.is_set() or reader.is_broken):
            self._look(reader, server)
            # what was missed is not made up for: it is a gap
            due += self.interval_s * max(1, -(-(time.monotonic() - due) // self.interval_s))
            self._stop.wait(max(0.0, due - time.monotonic()))
        if reader.is_broken:
            self._failed(_LOST, reader.why_broken().reason)

    def _look(self, reader: Reader, server: Server) -> None:
        rows = self._read(reader, "activity", server)
        moment = time.monotonic()
        if isinstance(rows, Missing):
            return self._failed(_why(rows), rows.reason)
        sessions = [SampledSession(*row) for row in rows]
        if not sessions:
            return self._failed(_UNREAD, "the server shows no sessions")
        at = sessions[0].sampled_at
        pid = reader.door.info.backend_pid
        others = [s for s in sessions if s.pid != pid and not connect.is_ours(s.application_name)]
        with self._lock:
            recorder = self._recorded(server, at, moment)
            covered = recorder.activity(others, at, timedelta(seconds=moment - self._last))
            self._last, self._last_at = moment, at
            self._looks += 1
        if not any(s.wait_event_type == "Lock" for s in others):
            with self._lock:
                recorder.nobody_waits(at)
            return None
        waits = self._read(reader, "lock_waits", server)
        if isinstance(waits, Missing):
            return self._failed(_why(waits), waits.reason)
        found: tuple[LockWait, ...] = waits
        with self._lock:
            recorder.locks(others, found, at, covered)
        return None

    def _recorded(self, server: Server, at: datetime, moment: float) -> Recorder:
        if self._recorder is None:
            # how long it took to connect is no gap, unless it failed at first
            self._last = self._begun if self.failure else moment
            began = at - timedelta(seconds=moment - self._last)
            self._recorder = Recorder(server, timedelta(seconds=self.interval_s), began)
            if self.failure:
                self._recorder.failed("could not connect")
        return self._recorder

    def _read(self, reader: Reader, name: str, server: Server) -> Rows | Missing:
        if name not in self._texts:
            query = queries.choose(name, server.major, {})
            assert query is not None
            self._texts[name] = query.sql.encode()
        begun = time.monotonic()
        try:
            is_fact = name in fact_types()
            return (reader.run if is_fact else reader.fetch)(name, self._texts[name])
        finally:
            reader.costs.clear()
            with self._lock:
                self._cost_s += time.monotonic() - begun

    def add_to(self, snapshot: Snapshot) -> Snapshot:
        """Return the snapshot with what was recorded since this was last called."""
        with self._lock:
            found, cost = self._taken()
        missing = {n: m for n, m in snapshot.missing.items() if n not in FACTS}
        missing |= lacking(found, snapshot) if found else self._nothing()
        rows = {
            "sampled_minutes": found.minutes if found else (),
            "activity_minutes": found.activity if found else (),
            "lock_episodes": found.episodes if found else (),
        }
        rows = {name: () if name in missing else value for name, value in rows.items()}
        costs = (*snapshot.query_costs, cost)
        return replace(snapshot, missing=missing, query_costs=costs, **rows)  # type: ignore[arg-type]

    def _taken(self) -> tuple[Sampled | None, QueryCost]:
        cost = QueryCost("activity", self._looks, round(self._cost_s, 6))
        self._looks, self._cost_s = 0, 0.0
        if self._recorder is None or self._last_at is None:
            return None, cost
        at = self._last_at + timedelta(seconds=time.monotonic() - self._last)
        found = self._recorder.take(at)
        return found, cost

    def _nothing(self) -> dict[str, Missing]:
        reason = f"no sample was taken: {self.failure or 'it was stopped at once'}"
        return dict.fromkeys(FACTS, Missing(reason, "run again", Cause.BROKEN, self.failure))


@contextmanager
def sampling(conninfo: str, interval_s: float) -> Iterator[Sampler]:
    """Sample in the background for the duration of the block."""
    sampler = Sampler(conninfo, interval_s)
    thread = threading.Thread(target=sampler.run, name="sampler", daemon=True)
    thread.start()
    try:
        yield sampler
    finally:
        sampler.stop()
        thread.join()


def lacking(found: Sampled, snapshot: Snapshot) -> dict[str, Missing]:
    """Return what the samples cannot tell, and what would allow it."""
    server = snapshot.server
    hidden = max((m.hidden_sessions for m in found.minutes), default=0)
    if hidden and not privileges.reads_all_stats(server):
        reason = f"{server.role} may not see what other sessions do, nor whether they wait"
        mend = privileges.grant_stats(server)
        return dict.fromkeys(FACTS[1:], Missing(reason, mend, Cause.DENIED))
    if any(a.state == "disabled" for a in found.activity):
        reason = "track_activities is off for some sessions"
        return dict.fromkeys(FACTS[1:], Missing(reason, "turn it on: it costs next to nothing"))
    missing = {}
    if why := _no_query_ids(found, snapshot):
        missing["activity_minutes:left-out"] = why
    if found.left_out:
        missing["lock_episodes:left-out"] = Missing(
            f"{found.left_out:,} kinds of activity or lock episodes with little time were left out",
            "",
            Cause.LEFT_OUT,
        )
    return missing


def _no_query_ids(found: Sampled, snapshot: Snapshot) -> Missing | None:
    active = [
        a for a in found.activity if a.state == "active" and a.backend_type == "client backend"
    ]
    if not active or any(a.query_id is not None for a in active):
        return None
    if not snapshot.server.features.has_query_ids():
        reason = (
            "the samples have no query ids: pg_stat_activity shows them in PostgreSQL 14 and later"
        )
        return Missing(reason, "", Cause.NOT_OFFERED)
    setting = snapshot.setting("compute_query_id") or "unknown"
    return Missing(
        f"the samples have no query ids: compute_query_id is {setting}",
        "ALTER SYSTEM SET compute_query_id = on; and reload the configuration",
        Cause.NOT_ASKED,
    )
