"""A worker: it takes visits from the queue, makes them in threads, and looks after those of others that died.

procrastinate hands out the jobs; whether a visit is ours is decided by the visit log. Nothing here ends with a broken
connection: the worker waits and goes on.
"""

import asyncio
import logging
import signal
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Event, Semaphore, Thread

import sqlalchemy as sa
from procrastinate import App, BaseRetryStrategy, JobContext, RetryDecision
from procrastinate.jobs import Job as QueuedJob
from procrastinate.worker import Worker
from psycopg.types.json import Jsonb

from pgwatch_wed import clock, units
from pgwatch_wed.errors import Error, said
from pgwatch_wed.fleet import visit_log
from pgwatch_wed.fleet.failures import Failure
from pgwatch_wed.fleet.members import Member
from pgwatch_wed.fleet.queue import queue_jobs
from pgwatch_wed.fleet.queue.lent_slots import LendingWorker
from pgwatch_wed.fleet.queue.queue_connector import QueueConnector
from pgwatch_wed.fleet.queue.queue_jobs import VisitKey
from pgwatch_wed.fleet.queue.queue_tables import queue_conninfo, queue_cursor
from pgwatch_wed.fleet.visits import Visit, VisitEnding
from pgwatch_wed.history import remembered
from pgwatch_wed.history.store import Store
from pgwatch_wed.target import door

_BUSY_POLL_S = 0.3
_IDLE_POLL_S = 3.0
_LONGEST_PAUSE_S = 30.0
_ENDING_S = 0.5
_SLOW_S = 1.0
"""A host that has not answered after so many seconds is waited for beside another visit."""

_WATCH_S = 1.0
_PRUNED_A_CLUSTER = 20

MakeVisit = Callable[[int, tuple[Member, ...]], Visit | None]
"""Visits members that are one cluster, for a fleet run; see :func:`pgwatch_wed.fleet.visiting.visit_members`."""
Tell = Callable[[str], None]
NotBefore = datetime | None
"""When a visit may be tried again, if it has not ended."""
_MadeNow = tuple[VisitKey, asyncio.Future[NotBefore]]


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """How a worker works.

    ``lost_after_s``: of a worker that is silent for so long, the visits are made by others. ``patience_s``: so long a
    run waits for a worker whose inventory has a member. ``until_done``: end when no visit is left, instead of waiting
    for the next run. ``pause_of`` gives the pause after so many failed attempts, in s.
    """

    concurrency: int = 4
    lost_after_s: float = 60
    patience_s: float = 300
    until_done: bool = False
    pause_of: Callable[[int], float] = lambda attempts: 5.0 * attempts

    @property
    def beat_s(self) -> float:
        """How often it says that it lives."""
        return min(10.0, self.lost_after_s / 5)


class HandedBackError(Exception):
    """The visit is for later, or for another worker: not before a moment of the server's clock."""

    def __init__(self, not_before: datetime) -> None:
        super().__init__("handed back")
        self.not_before = not_before


class _Later(BaseRetryStrategy):
    """What is handed back waits behind what has yet to be tried: jobs of one lock are taken in order."""

    def get_retry_decision(
        self, *, exception: BaseException, job: QueuedJob
    ) -> RetryDecision | None:
        """Return when a job is taken again, or None for a fault of ours, which the rescue finds."""
        if not isinstance(exception, HandedBackError):
            return None
        return RetryDecision(retry_at=exception.not_before, priority=job.priority - 1)


@dataclass(slots=True)
class FleetWorker:
    """Works until it is told to stop."""

    store: Store
    members: Mapping[str, Member]
    name: str
    make: MakeVisit
    options: WorkerOptions = field(default_factory=WorkerOptions)
    tell: Tell = lambda _: None
    under_way: set[VisitKey] = field(default_factory=set)
    is_told_to_stop: Event = field(default_factory=Event)
    has_written: bool = False
    _looking: set[VisitKey] = field(default_factory=set)
    _asked_again: set[VisitKey] = field(default_factory=set)
    _made_now: set[_MadeNow] = field(default_factory=set)
    _turns: Semaphore = field(init=False)

    def __post_init__(self) -> None:
        self._turns = Semaphore(self.options.concurrency)

    @contextmanager
    def looking(self, fleet_run_id: int, member: str) -> Iterator[None]:
        """Say that a visit has begun with a look, which takes long if the host says nothing."""
        self._looking.add((fleet_run_id, member))
        try:
            yield
        finally:
            self._looking.discard((fleet_run_id, member))

    @contextmanager
    def in_turn(self, fleet_run_id: int, member: str) -> Iterator[None]:
        """Go on from the look: no more visits than asked for do at the same time."""
        self._looking.discard((fleet_run_id, member))
        if (fleet_run_id, member) in self._asked_again:
            # while it waits for its turn, it must not be taken for silent
            with self.store.writing() as connection:
                queue_jobs.note_answer(connection, fleet_run_id, member)
        with self._turns:
            yield

    def run(self) -> None:
        """Work; SIGTERM and SIGINT end it when the visits under way have ended, a second one at once."""
        logging.getLogger("procrastinate").addHandler(logging.NullHandler())
        logging.getLogger("procrastinate").propagate = False
        logging.getLogger("psycopg.pool").addHandler(logging.NullHandler())
        logging.getLogger("psycopg.pool").propagate = False
        asyncio.run(self._run())

    # --- sessions ---------------------------------------------------------------------------------

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        # a job whose end could not be written is found by the rescue
        loop.set_exception_handler(lambda *_: None)
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal, stop, loop)
        pause = 1.0
        while not stop.is_set():
            try:
                await self._session(stop)
                pause = 1.0
            except Exception as error:  # noqa: BLE001 - a worker goes on, whatever became of the queue
                self.tell(f"the queue cannot be reached: {_reason(error)}; trying again")
                await _wait(stop, pause)
                pause = min(pause * 2, _LONGEST_PAUSE_S)
        while self._made_now:
            await asyncio.wait([made for _, made in self._made_now])

    def _on_signal(self, stop: asyncio.Event, loop: asyncio.AbstractEventLoop) -> None:
        if stop.is_set():
            Thread(target=self._end_visits, daemon=True).start()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)
            return
        stop.set()
        if self.under_way:
            self.tell(f"{units.count(len(self.under_way), 'visit')} to finish first")

    def _end_visits(self) -> None:
        """End the visits under way, whatever they wait for: they are released, and wait again."""
        self.is_told_to_stop.set()
        while self.under_way:
            door.end_all()
            time.sleep(_ENDING_S)

    async def _session(self, stop: asyncio.Event) -> None:
        app = App(connector=QueueConnector(queue_conninfo(self.store.place.value)))

        async def visit(_: JobContext, fleet_run: int, member: str, others: list[str]) -> None:
            made = self._begun(fleet_run, member, others)
            await asyncio.wait([made], timeout=_SLOW_S)
            is_silent = not made.done() and (fleet_run, member) in self._looking
            has_lent = is_silent and worker.slots.lend()
            try:
                later = await made
            finally:
                if has_lent:
                    worker.slots.end_loan()
            if later is not None:
                raise HandedBackError(later)

        app.task(name=queue_jobs.VISIT_TASK, pass_context=True, retry=_Later())(visit)
        async with app.open_async():
            worker = LendingWorker(
                app,
                queues=[queue_jobs.QUEUE],
                name=self.name,
                concurrency=self.options.concurrency,
                fetch_job_polling_interval=_BUSY_POLL_S,
                listen_notify=False,
                delete_jobs="successful",
                install_signal_handlers=False,
                update_heartbeat_interval=self.options.beat_s,
                stalled_worker_timeout=max(30.0, self.options.lost_after_s),
            )
            side = [
                asyncio.create_task(self._look_after(worker, stop)),
                asyncio.create_task(_stop_with(worker, stop)),
            ]
            try:
                await worker.run()  # type: ignore[no-untyped-call]
            finally:
                for task in side:
                    task.cancel()
                await asyncio.gather(*side, return_exceptions=True)

    async def _look_after(self, worker: Worker, stop: asyncio.Event) -> None:
        known: int | None = None
        said_before = ""
        while True:
            try:
                ours = worker.worker_id  # it may be given meanwhile
                left = await asyncio.to_thread(self._round, ours, known)
                known = ours
                worker.fetch_job_polling_interval = _BUSY_POLL_S if left else _IDLE_POLL_S
                await self._leave_ended()
                if not left and self.has_written:
                    await asyncio.to_thread(self._tidy)
                if not left and self.options.until_done:
                    stop.set()
                said_before = ""
            except Exception as error:  # noqa: BLE001 - who looks after the others must not end
                if not said_before:
                    self.tell(f"{_reason(error)}; trying again")
                said_before = _reason(error)
            await self._pause()

    async def _pause(self) -> None:
        """Wait for the next round, or until nothing is left; hosts that say nothing are left alone meanwhile."""
        times = max(1, round(self.options.beat_s / _WATCH_S))
        for _ in range(times):
            await asyncio.sleep(self.options.beat_s / times)
            with suppress(Exception):  # the next round says why
                await self._leave_ended()
                if self.options.until_done and not await asyncio.to_thread(self._left):
                    return

    def _left(self) -> int:
        with self.store.reading() as connection:
            return queue_jobs.left(connection)

    async def _leave_ended(self) -> None:
        """Wait no longer for hosts that say nothing and whose visits have ended, by whichever worker."""
        looks = {key: made for key, made in self._made_now if key in self._looking}
        if not looks:
            return
        for key in await asyncio.to_thread(self._ended, looks):
            _set(looks[key], None)

    def _ended(self, visits: Collection[VisitKey]) -> frozenset[VisitKey]:
        with self.store.reading() as connection:
            return queue_jobs.ended(connection, visits)

    def _round(self, worker_id: int | None, known: int | None) -> int:
        """Say that we live, and make what others left behind wait again; return how many visits are left."""
        with self.store.writing() as connection:
            moment = queue_jobs.server_moment(connection)
            for fleet_run_id, member in tuple(self.under_way):
                visit_log.beat(connection, fleet_run_id, member, self.name, moment)
            if worker_id is not None and worker_id != known:
                self._register(connection, worker_id)
        with self.store.writing() as connection:
            lost_after = timedelta(seconds=self.options.lost_after_s)
            rescued = queue_jobs.rescue(connection, lost_after)
            over = queue_jobs.end_over_budget(connection)
            silent = queue_jobs.end_silent(connection)
            left = queue_jobs.left(connection)
        for member in rescued.again:
            self.tell(f"{member}: its worker is gone; it is visited again")
        for member in rescued.given_up:
            self.tell(f"{member}: given up, since it ended each of its workers")
        if over:
            self.tell(f"the time of the run is over: {len(over)} visits are not made")
        self._tell_ended(*silent)
        return left

    def _tidy(self) -> None:
        """Remove what is due once a run has ended; of several workers, one does it at a time."""
        self.has_written = False
        remembered.tidy(self.store, _PRUNED_A_CLUSTER * len(self.members))

    def _register(self, connection: sa.Connection, worker_id: int) -> None:
        with queue_cursor(connection) as cursor:
            cursor.execute(
                "INSERT INTO fleet_workers (worker_id, name, concurrency, members) "
                "SELECT id, %s, %s, %s FROM procrastinate_workers WHERE id = %s ON CONFLICT DO NOTHING",
                [self.name, self.options.concurrency, Jsonb(list(self.members)), worker_id],
            )

    # --- a visit ----------------------------------------------------------------------------------

    def _begun(self, fleet_run: int, member: str, others: list[str]) -> asyncio.Future[NotBefore]:
        """Make a visit in a thread that does not keep the program from ending: a look cannot be interrupted."""
        loop = asyncio.get_running_loop()
        made: asyncio.Future[NotBefore] = loop.create_future()
        now = ((fleet_run, member), made)
        self._made_now.add(now)
        made.add_done_callback(lambda _: self._made_now.discard(now))

        def work() -> None:
            later: NotBefore = None
            try:
                later = self._visit(fleet_run, member, others)
            finally:
                with suppress(RuntimeError):  # nobody waits any more
                    loop.call_soon_threadsafe(_set, made, later)

        Thread(target=work, name="visit", daemon=True).start()
        return made

    def _visit(self, fleet_run: int, member: str, others: list[str]) -> datetime | None:
        """Make a visit; return when it may be tried again, if it has not ended."""
        try:
            if member not in self.members:
                return self._pass_on(fleet_run, member)
            is_free, later = self._is_free(fleet_run, member)
            if not is_free:
                return later
            later = self._made(fleet_run, member, others)
            with self.store.writing() as connection:
                silent = queue_jobs.end_silent(connection)
            self._tell_ended(*silent)
            return later
        except Exception as error:  # noqa: BLE001 - of the history, or a fault of ours: others are visited
            self.tell(f"{member}: {_reason(error)}; it is visited again")
            return clock.now() + timedelta(seconds=self.options.pause_of(1))

    def _is_free(self, fleet_run: int, member: str) -> tuple[bool, datetime | None]:
        """Tell whether a visit waits for us, and if not, when to look again.

        One that we had and do not make any more, as after an error of the history, is ours again.
        """
        lost_after = timedelta(seconds=self.options.lost_after_s)
        with self.store.writing() as connection:
            stands = visit_log.stands(connection, fleet_run, member)
            if stands is None or stands.ending is not None:
                return False, None
            if (fleet_run, member) in self.under_way:
                # the queue forgot that we make it, as after a restart of its server
                return False, queue_jobs.server_moment(connection) + lost_after
            if stands.attempts:
                self._asked_again.add((fleet_run, member))
            if stands.began_at is None:
                return True, None
            moment = queue_jobs.server_moment(connection)
            expires = (stands.heartbeat_at or stands.began_at) + lost_after
            if stands.worker != self.name and moment < expires:
                return False, expires
            queue_jobs.release(connection, fleet_run, member, stands.worker)
        return True, None

    def _made(self, fleet_run: int, member: str, others: list[str]) -> datetime | None:
        named = tuple(self.members[n] for n in (member, *others) if n in self.members)
        self.under_way.add((fleet_run, member))
        try:
            done = self.make(fleet_run, named)
        finally:
            self.under_way.discard((fleet_run, member))
            self._asked_again.discard((fleet_run, member))
        if done is not None and done.ending is not None:
            self._tell_ended(done)
            return None
        with self.store.writing() as connection:
            stands = visit_log.stands(connection, fleet_run, member)
            if stands is None or stands.ending is not None:
                return None
            pause = timedelta(seconds=self.options.pause_of(stands.attempts))
            return queue_jobs.server_moment(connection) + pause

    def _tell_ended(self, *visits: Visit) -> None:
        for visit in visits:
            self.has_written = True
            reason = f": {visit.reason}" if visit.reason else ""
            self.tell(f"{visit.member}: {visit.ending}{reason}")

    def _pass_on(self, fleet_run: int, member: str) -> datetime | None:
        """Leave a visit to a worker whose inventory has the member; end it if there is none for long."""
        patience = timedelta(seconds=self.options.patience_s)
        lost_after = timedelta(seconds=self.options.lost_after_s)
        with self.store.writing() as connection:
            moment = queue_jobs.server_moment(connection)
            has_time = moment - queue_jobs.began_at(connection, fleet_run) < patience
            if has_time or queue_jobs.somebody_has(connection, member, lost_after):
                return moment + min(lost_after / 10, timedelta(seconds=5))
            queue_jobs.end_unread(connection, fleet_run, member, _IN_NO_INVENTORY)
        self.tell(f"{member}: skipped: no worker's inventory has it")
        return None


_IN_NO_INVENTORY = Failure(
    VisitEnding.SKIPPED,
    "no worker's inventory has it",
    "give a worker the inventory that it was enqueued from",
)


async def _stop_with(worker: Worker, stop: asyncio.Event) -> None:
    await stop.wait()
    worker.stop()  # type: ignore[no-untyped-call]


def _set(made: asyncio.Future[NotBefore], later: NotBefore) -> None:
    if not made.done():
        made.set_result(later)


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return


def _reason(error: BaseException) -> str:
    if isinstance(error, Error):
        return error.message
    return f"{type(error).__name__}: {said(error.__cause__ or error)}"
