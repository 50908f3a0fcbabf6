"""Looking at the sessions of a load ten times a second, in a thread with a connection of its own.

Looks are only kept while a block runs, and added up when it has ended: what that costs does not disturb it.
"""

import os
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from pgwatch_wed.errors import Error
from pgwatch_wed.facts.features import Features
from pgwatch_wed.load.ground.ground_connection import connected
from pgwatch_wed.load.load_model import Ground
from pgwatch_wed.load.sampling.active_samples import ActiveSamples, SamplerCost, WaitProfile
from pgwatch_wed.load.sampling.look_times import batch_error, long_idles, looks_between
from pgwatch_wed.load.sampling.root_blockers import worth_asking
from pgwatch_wed.load.sampling.sampling_pace import SamplingPace
from pgwatch_wed.load.sampling.session_look import SeenProcess, SessionLook
from pgwatch_wed.load.sampling.statement_names import StatementNames
from pgwatch_wed.load.sampling.time_flows import ROUND_TRIP_S, FlowBook
from pgwatch_wed.load.sampling.wait_profile import WaitProfileReader
from pgwatch_wed.target.queries import composed

_MOST_WAITERS = 32  # in a look; the others wait for the same on average
_RETRY_S = 0.5
_JITTER = 0.1  # so that looks do not fall into step with the load
_COSTS = 5
_COUNTED_S = 5.0  # in less, what is reported late matters
_SETTINGS = {
    "application_name": "pgwatch_wed sampler",
    "statement_timeout": "5s",
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
}


@dataclass(slots=True)
class LoadSampler:
    """Samples a ground until it is stopped; :meth:`samples` returns what was seen."""

    ground: Ground
    application_name: str = ""  # of the sessions of the block
    names: StatementNames = field(default_factory=StatementNames)
    _started: float = field(default_factory=time.monotonic)
    _ended: float | None = None
    _pace: SamplingPace = field(default_factory=SamplingPace)
    _looks: list[SessionLook] = field(default_factory=list)
    _known: set[int] = field(default_factory=set)
    _stop: threading.Event = field(default_factory=threading.Event)
    _ready: threading.Event = field(default_factory=threading.Event)
    _has_query_ids: bool = False
    _database_oid: int = 0
    _server_pid: int | None = None
    _counted: list[tuple[float, float]] = field(default_factory=list)  # moment, ms
    _recent: list[float] = field(default_factory=list)
    _profile_reader: WaitProfileReader = field(default_factory=WaitProfileReader)
    _profile: WaitProfile | None = None
    _server_s: float = 0.0
    _client_s: float = 0.0
    _failure: str = ""

    def run(self) -> None:
        """Look until it is stopped; a connection that is lost is a gap."""
        chance = random.Random(1)  # noqa: S311 - not a secret
        while not self._stop.is_set():
            try:
                with connected(self.ground) as connection:
                    self._prepare(connection)
                    while not self._stop.is_set():
                        begun = time.monotonic()
                        self._look(connection)
                        self._ready.set()
                        interval = self._pace.interval_s * (1 + chance.uniform(-_JITTER, _JITTER))
                        self._stop.wait(max(0.0, begun + interval - time.monotonic()))
                    self._place(connection)
                    self._profile = self._profile_reader.end(connection)
            except (psycopg.Error, Error) as error:
                lines = str(error).strip().splitlines()
                self._failure = lines[0] if lines else type(error).__name__
                self._ready.set()
                self._stop.wait(_RETRY_S)
        self._ended = time.monotonic()

    def stop(self) -> None:
        """End as soon as possible."""
        self._stop.set()

    def wait_until_ready(self, seconds: float) -> None:
        """Wait until the first look has succeeded or failed."""
        self._ready.wait(seconds)

    def _prepare(self, connection: psycopg.Connection[Any]) -> None:
        for name, value in _SETTINGS.items():
            connection.execute("select set_config(%s, %s, false)", (name, value))
        features = Features.of(self.ground.server_version)
        self._has_query_ids = bool(features.has_query_ids())
        row = self._place(connection)
        self._profile_reader.begin(connection)
        self._database_oid, pid, text_size = int(row[0]), int(row[1]), str(row[2])
        self.names.text_size = _bytes(text_size)
        self._server_pid = pid if self.ground.data_directory and _is_server(pid) else None

    def _place(self, connection: psycopg.Connection[Any]) -> tuple[Any, ...]:
        """Read where we are, and what the server has counted until now."""
        row: tuple[Any, ...] | None = connection.execute(composed("sampling", "ground")).fetchone()
        assert row is not None
        if row[3] is not None:
            self._counted.append((time.monotonic(), float(row[3])))
        return row

    def _look(self, connection: psycopg.Connection[Any]) -> None:
        client, server = time.thread_time(), self._server_cpu()
        asked = time.monotonic()
        rows = connection.execute(
            _looking(self._has_query_ids), {"known": sorted(self._known)}, binary=True, prepare=True
        ).fetchall()
        at = (asked + time.monotonic()) / 2
        processes = {r[0]: SeenProcess._make((*r[:11], _pids(r[11]), r[12])) for r in rows}
        self._ask_further(connection, processes)
        self._known.update(p.query_id for p in processes.values() if p.query_id and p.query)
        last = self._looks[-1].at if self._looks else self._started
        self._looks.append(SessionLook(at, at - last, tuple(processes.values())))
        spent = max((float(r[13]) for r in rows), default=0.0)
        self._learn(time.thread_time() - client, server, spent)

    def _ask_further(
        self, connection: psycopg.Connection[Any], processes: dict[int, SeenProcess]
    ) -> None:
        pids = worth_asking(processes, _MOST_WAITERS)
        if not pids:
            return
        rows = connection.execute(_asking(), {"pids": pids}, binary=True, prepare=True).fetchall()
        for pid, blocked_by in rows:
            processes[pid] = processes[pid]._replace(blocked_by=_pids(blocked_by))

    def _learn(self, client_s: float, server_before: float | None, spent_s: float) -> None:
        after = self._server_cpu()
        if server_before is not None and after is not None:
            server_s = after - server_before
        else:
            # of a server that we cannot see, the quickest of the last looks waited least for a core
            self._recent = [*self._recent, spent_s][-_COSTS:]
            server_s = min(self._recent)
        self._client_s += client_s
        self._server_s += server_s
        self._pace.learned(client_s, server_s)

    def _server_cpu(self) -> float | None:
        if self._server_pid is None:
            return None
        try:
            nanoseconds = Path(f"/proc/{self._server_pid}/schedstat").read_text(encoding="ascii")
            return int(nanoseconds.split()[0]) / 1e9
        except (OSError, ValueError):
            return None

    def samples(self, began: float | None = None, ended: float | None = None) -> ActiveSamples:
        """Return what was seen between two moments of the steady clock, by default since it was made until its end."""
        end = min(x for x in (self._ended, ended, time.monotonic()) if x is not None)
        start = self._started if began is None else max(began, self._started)
        looks = list(looks_between(self._looks, start, end))
        cores = os.cpu_count() if self._server_pid is not None else None
        book = FlowBook(self._database_oid, self.names, cores, self.application_name)
        book.long_idles = long_idles(self._looks, ROUND_TRIP_S)
        self.names.learn(self._looks)
        for look in looks:
            book.add(look)
        found = _samples(self, book, looks, start, end)
        return replace(
            found,
            counted_active=self._counted_active(),
            whole_active=self._whole_active(),
            profile=self._profile,
        )

    def _counted_active(self) -> float | None:
        """Return how many sessions were active by the server's count; it comes up to a second late."""
        if len(self._counted) != 2:  # the connection was lost in between, or it is not counted
            return None
        (began, before), (ended, after) = self._counted
        long_enough = ended - began >= _COUNTED_S and after >= before
        return (after - before) / 1000 / (ended - began) if long_enough else None

    def _whole_active(self) -> float | None:
        book = FlowBook(self._database_oid, self.names)
        for look in self._looks:
            book.add(look)
        return _ratio(book.active_s, book.seconds) if self._looks else None

    def cost(self) -> SamplerCost:
        """Return what looking cost as shares of a core."""
        seconds = (self._ended or time.monotonic()) - self._started
        return SamplerCost(
            client=self._client_s / seconds if seconds else 0.0,
            server=self._server_s / seconds if seconds and self._looks else None,
            is_server_measured=self._server_pid is not None,
        )

    @property
    def interval_s(self) -> float:
        """The present time between looks."""
        return self._pace.interval_s

    @property
    def failure(self) -> str:
        """Why a look failed, if one did."""
        return self._failure


@cache
def _looking(has_query_ids: bool) -> bytes:
    """Return the query of a look as text: composing it costs more than running it."""
    query_id = sql.SQL("a.query_id") if has_query_ids else sql.SQL("null::int8")
    most = sql.Literal(_MOST_WAITERS)
    query = composed("sampling", "active_sessions", query_id=query_id, most_waiters=most)
    return query.as_bytes(None)


@cache
def _asking() -> bytes:
    return composed("sampling", "blockers").as_bytes(None)


def _samples(
    sampler: LoadSampler, book: FlowBook, looks: list[SessionLook], started: float, ended: float
) -> ActiveSamples:
    gaps = [look.stands_for_s for look in looks]
    gaps.append(max(ended - (looks[-1].at if looks else started), 0.0))
    seconds = book.seconds
    return ActiveSamples(
        seconds=seconds,
        looks=len(looks),
        interval_s=sampler.interval_s,
        largest_gap_s=max(gaps),
        cost=sampler.cost(),
        busy_sessions=_ratio(sum(s * n for s, n in book.busy), seconds),
        busy_error=batch_error(book.busy),
        mean_active=_ratio(book.active_s, seconds),
        mean_in_transaction=_ratio(book.in_transaction_s, seconds),
        most_active=book.most_active,
        mean_running=_ratio(book.running_s, seconds),
        running_over_cores=None
        if book.cores is None
        else _ratio(book.waiting_for_core_s, book.running_s),
        server_cores=book.cores,
        connecting_s=book.connecting_s,
        in_transit_s=book.in_transit_s,
        checkpoint_s=book.checkpoint_s,
        hidden=book.hidden,
        untracked=book.untracked,
        flows=book.flows,
        background=dict(book.background),
        statements=book.names.statements(),
        failure=sampler.failure,
    )


@contextmanager
def load_sampling(ground: Ground) -> Iterator[LoadSampler]:
    """Sample in the background for the duration of the block; it is stopped afterwards, and can tell what it saw."""
    sampler = LoadSampler(ground)
    thread = threading.Thread(target=sampler.run, name="load sampler", daemon=True)
    thread.start()
    sampler.wait_until_ready(_RETRY_S)
    try:
        yield sampler
    finally:
        sampler.stop()
        thread.join()


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def _pids(found: list[int] | None) -> tuple[int, ...] | None:
    return None if found is None else tuple(found)


def _bytes(size: str) -> int:
    from pgwatch_wed.units import read_size

    try:
        return read_size(size)
    except ValueError:
        return 1024


def _is_server(pid: int) -> bool:
    """Tell whether the process of this number here is a PostgreSQL server's."""
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").startswith("postgres")
    except OSError:
        return False
