"""One block, while it runs: pgbench is followed, ended if need be, and what it did is summed up."""

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from pgwatch_wed import clock
from pgwatch_wed.errors import CollectError, Error, said
from pgwatch_wed.load.engine import block_counters
from pgwatch_wed.load.engine.block_tally import Tally, over_capacity_failures
from pgwatch_wed.load.engine.block_validity import BlockFacts, is_over_capacity, spoilt
from pgwatch_wed.load.engine.generator_machine import machine_of, machine_times, server_cpu_ms
from pgwatch_wed.load.engine.pgbench_log import LogStream
from pgwatch_wed.load.engine.pgbench_process import PgbenchProcess
from pgwatch_wed.load.load_model import (
    ALL_LOST,
    Block,
    BlockWatch,
    BlockWork,
    FailureKind,
    Ground,
    Order,
    Watched,
)
from pgwatch_wed.target.programs import Client

INTERRUPTED = "interrupted"
_STEP_S = 0.05
_PATIENCE_S = 10.0  # after the time that pgbench was given
_FLUSH_S = 1.0  # for pgbench to notice that its sessions have ended, and to write its log


@dataclass(frozen=True, slots=True)
class Setup:
    """What is run, and where."""

    ground: Ground
    order: Order
    client: Client
    name: str  # application_name of its sessions
    arguments: tuple[str, ...]
    log_prefix: Path
    threads: int
    run_s: int


class BlockRun:
    """Runs a block once."""

    def __init__(
        self,
        setup: Setup,
        session: psycopg.Connection[Any],
        stop: Callable[[], str],
        watch: BlockWatch | None,
    ) -> None:
        self._setup, self._session, self._stop, self._watch = setup, session, stop, watch
        self._tally = Tally(setup.order, setup.threads)
        self._early = ""
        self._was_ended = False  # by us, before its time
        self._sessions = 0  # that were there then
        self._log_is_whole = True
        self._is_overdue = False
        self._given_up = 0  # transactions that had not ended when we ended them
        self._ended = 0.0
        self._lost: set[int] = set()
        self._unconnected: set[int] = set()
        self._errors: tuple[str, ...] = ()
        self._server_failed = ""
        self.connecting_s: float | None = None

    def block(self) -> Block:
        """Run it; raises :class:`Error` if nothing could run."""
        setup, order = self._setup, self._setup.order
        before = block_counters.read_counters(self._session)
        machine = machine_times(setup.ground.data_directory)
        if self._watch is not None:
            self._watch.begin(order, setup.name)
        try:
            with PgbenchProcess(setup.client, setup.arguments, order.scripts) as process:
                self._follow(process)
        except BaseException:
            self._end_watch(0.0, 0.0)
            raise
        finally:
            gone = self._end_sessions()
        now = machine_times(setup.ground.data_directory)
        seconds = self._close(process)
        began = self._tally.began or process.started
        watched = self._end_watch(began, began + seconds)
        work = None
        if gone and not self._was_ended:
            after = block_counters.read_counters(self._session)
            cpu_ms = server_cpu_ms(machine, now)
            work = before.work_until(after, self._tally.all_run, cpu_ms)
        facts = BlockFacts(
            order=order,
            seconds=seconds,
            transactions=self._tally.succeeded,
            ended_inside=self._tally.ended_inside,
            failures=self._failures(),
            spent=self._tally.spent(),
            machine=machine_of(machine, now, process.times(), setup.threads),
            threads=setup.threads,
            least_lags_s=self._tally.least_lags_s(),
            connecting_s=self.connecting_s,
            is_server_visible=setup.ground.data_directory is not None,
            watched=watched,
            ended_early=self._early,
        )
        return self._summed(facts, began, work)

    # --- while it runs

    def _follow(self, process: PgbenchProcess) -> None:
        """Read the log until pgbench has ended, or has to be ended."""
        setup = self._setup
        has_lag, has_retries = setup.order.is_open, setup.order.max_tries > 1
        log = LogStream(
            setup.log_prefix, process.pid, setup.threads, has_lag=has_lag, has_retries=has_retries
        )
        end = time.monotonic() + setup.run_s + _PATIENCE_S
        with closing(log):
            try:
                while not self._early and not process.wait(_STEP_S):
                    # the rest is read afterwards: counting must not take the CPU from what is measured
                    self._tally.add(list(log.news(all_of_it=False)))
                    self._early = self._stop() or self._overdue(end)
            except KeyboardInterrupt:
                self._early = INTERRUPTED
            self._was_ended = bool(self._early)
            self._ended = clock.now().timestamp()
            self._note_losses(process)
            if self._was_ended:
                self._end(process)
            self._tally.add(list(log.news()))
        if self._tally.began is None:
            self._check_that_it_ran(process)

    def _overdue(self, end: float) -> str:
        if time.monotonic() < end:
            return ""
        self._is_overdue = True
        return f"transactions had not ended {_PATIENCE_S:.0f} s after the block"

    def _note_losses(self, process: PgbenchProcess) -> None:
        """Note which clients were lost so far: those of sessions that we end are not."""
        complaints = process.complaints
        self._lost, self._unconnected = set(complaints.lost), set(complaints.not_connected)
        self._errors = complaints.errors
        if len(self._lost | self._unconnected) >= self._setup.order.clients and not self._early:
            self._early = ALL_LOST

    def _end(self, process: PgbenchProcess) -> None:
        """End pgbench; without sessions, it ends by itself and writes its whole log, if its clients notice."""
        try:
            self._sessions = block_counters.terminate(self._session, self._setup.name)
        except psycopg.Error as error:
            self._server_failed = said(error)
        if not process.wait(_FLUSH_S):
            self._log_is_whole = False
            process.interrupt()
        if self._is_overdue:
            self._given_up = len(process.complaints.lost - self._lost)

    def _end_sessions(self) -> bool:
        """End what is left; return whether the server told that all are gone. What ran counts even if it failed."""
        try:
            return block_counters.end_sessions(self._session, self._setup.name)
        except psycopg.Error:
            return False

    def _check_that_it_ran(self, process: PgbenchProcess) -> None:
        """Raise :class:`Error` if not one transaction was run."""
        if self._server_failed:
            raise CollectError(f"the server of the load test failed: {self._server_failed}")
        if self._is_overdue and not self._sessions:
            raise Error(
                f"connecting {self._setup.order.clients:,} clients took longer than {self._setup.run_s} s",
                "see the pooler's and the server's limits of connections and open files",
            )
        if process.status and not self._was_ended and not self._lost | self._unconnected:
            raise Error(f"pgbench failed: {process.complaints.why_it_failed()}")

    # --- afterwards

    def _end_watch(self, began: float, ended: float) -> Watched | None:
        return None if self._watch is None else self._watch.end(began, ended)

    def _close(self, process: PgbenchProcess) -> float:
        """Set the end of the measured part, and return its seconds."""
        if self._tally.first is None:
            self._tally.begin(process.started)
        else:
            self.connecting_s = max(0.0, self._tally.first - process.started)
        if not self._log_is_whole:
            return self._tally.close(self._tally.last_logged)
        return self._tally.close(min(self._ended, process.started + self._setup.run_s))

    def _failures(self) -> dict[FailureKind, int]:
        found = dict(self._tally.failures)
        never_begun = self._tally.never_begun() if self._log_is_whole else 0
        more = {
            FailureKind.LOST_CLIENT: len(self._lost),
            FailureKind.NOT_CONNECTED: len(self._unconnected),
            FailureKind.TIMEOUT: found.get(FailureKind.TIMEOUT, 0) + self._given_up,
            FailureKind.SKIPPED: found.get(FailureKind.SKIPPED, 0) + never_begun,
        }
        return {kind: number for kind, number in (found | more).items() if number}

    def _summed(self, facts: BlockFacts, began: float, work: BlockWork | None) -> Block:
        order, tally = self._setup.order, self._tally
        over = is_over_capacity(facts)
        failures = dict(facts.failures)
        if over and order.rate is not None:
            due = round(order.rate * facts.seconds)
            failures = over_capacity_failures(failures, due, tally.ended_inside, tally.late_inside)
        return Block(
            order=order,
            began=began,
            seconds=facts.seconds,
            transactions=tally.ended_inside - tally.late_inside if over else tally.succeeded,
            failures=failures,
            retries=tally.retries,
            spent=tally.served() if over else facts.spent,
            by_script=tally.served_by_script() if over else tally.by_script(),
            work=work,
            machine=facts.machine,
            errors=self._errors,
            spoilt=spoilt(facts),
            ended_early=self._early,
            samples=None if facts.watched is None else facts.watched.samples,
        )
