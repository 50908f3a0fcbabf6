"""Where probes stand: what was changed, in which order, and how all of it is put back."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

import psycopg

from pgwatch_wed.embedded.server import EmbeddedServer
from pgwatch_wed.errors import Error, UsageError, said
from pgwatch_wed.load.ground.ground_connection import connected
from pgwatch_wed.load.ground.stress_objects import without_interrupts
from pgwatch_wed.load.load_model import Block, BlockRunner, Ground, Order
from pgwatch_wed.load.proof import undo_journal
from pgwatch_wed.load.proof.checkpoint_clock import checkpoints_by_the_clock
from pgwatch_wed.load.proof.load_probes import LoadProbe, NotTriedError, ProbeLever
from pgwatch_wed.whatif.proof import copies

_RELOAD_S = 10.0
LONGEST_CHANGE_S = 120.0
"""No statement that takes a cause away may take longer; what puts it back may."""
_PINNED = "select pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', false)"

T = TypeVar("T")


@dataclass(slots=True)
class StandingProbe:
    """A probe whose trial is prepared: ``is_away`` says whether the cause is taken away now."""

    probe: LoadProbe
    lever: ProbeLever
    held: ExitStack
    is_away: bool = False
    noted_set_up: int | None = None
    noted_away: int | None = None
    settings_before: dict[str, str] | None = None


class ProofBench:
    """A ground on which causes are taken away one by one; all is put back when it is closed.

    ``server``: the embedded server, if the ground is on one. ``is_pinned``: others can create objects there, so only
    PostgreSQL's own are found without their schema.
    """

    def __init__(
        self,
        ground: Ground,
        runner: BlockRunner,
        server: EmbeddedServer | None = None,
        *,
        is_pinned: bool = False,
    ) -> None:
        self.ground = ground
        self._is_pinned = is_pinned
        self.left_behind: list[str] = []
        self._runner = runner
        self._server = server
        self._standing: list[StandingProbe] = []
        self._has_journal = False

    @property
    def has_server(self) -> bool:
        """Whether the server may be configured and restarted."""
        return self._server is not None

    def open(self) -> int:
        """Start the journal; return how many changes of a killed proof were undone."""
        with self._session() as connection:
            undone = undo_journal.begin(connection)
        self._has_journal = True
        return undone

    def close(self) -> None:
        """Put everything back, last first; what could not be is told in ``left_behind``."""
        with without_interrupts():  # half put back is neither here nor there
            for standing in reversed(self._standing):
                self._attempt(partial(self._withdraw, standing), f"{standing.probe.tried}: ")
            self._standing.clear()
            if self._has_journal:
                self._has_journal = False
                self._attempt(self._end_journal)

    @contextmanager
    def _session(self) -> Iterator[psycopg.Connection[Any]]:
        with connected(self.ground) as connection:
            if self._is_pinned:
                connection.execute(_PINNED)
            yield connection

    def _end_journal(self) -> None:
        with self._session() as connection:
            undo_journal.recover(connection)

    def _attempt(self, work: Callable[[], None], about: str = "") -> None:
        try:
            work()
        except Error as error:
            self.left_behind.append(f"{about}{error}")
        except (psycopg.Error, OSError) as error:
            self.left_behind.append(f"{about}{said(error)}")

    # Questions

    def rows(
        self, query: str, values: Sequence[object] | Mapping[str, object] = ()
    ) -> list[tuple[Any, ...]]:
        """Return the rows of a query on the ground."""
        with self._session() as connection:
            found: list[tuple[Any, ...]] = connection.execute(
                query.encode(), values or None
            ).fetchall()
            return found

    def one(self, query: str, values: Sequence[object] | Mapping[str, object] = ()) -> Any:
        """Return the first column of the first row; None without rows."""
        rows = self.rows(query, values)
        return rows[0][0] if rows else None

    def setting(self, name: str, order: Order) -> str:
        """Return a setting as the sessions of an order have it."""
        return order.settings.get(name) or str(
            self.one("select pg_catalog.current_setting(%s)", [name])
        )

    def hold(self, resource: AbstractContextManager[T]) -> T:
        """Keep something open until the probe that is being set up is taken down."""
        return self._standing[-1].held.enter_context(resource)

    # Orders

    def order(self, base: Order, arm: StandingProbe | None = None) -> Order:
        """Return the order with what stays away, and for a trial with what both of its orders have."""
        for standing in self._standing:
            if standing is not arm:
                base = standing.lever.changed(standing.lever.both(base))
        if arm is not None:
            base = arm.lever.both(base)
            base = arm.lever.changed(base) if arm.is_away else base
        return base

    def run(self, base: Order, arm: StandingProbe | None = None) -> Block:
        """Run a block as things stand."""
        order = self.order(base, arm)
        every_s = max((s.lever.checkpoint_every_s for s in self._standing), default=0.0)
        if not every_s:
            return self._runner(order)
        with checkpoints_by_the_clock(self.ground, order, every_s) as clock:
            block = self._runner(order)
        if arm is not None and not block.ended_early:
            clock.check()
        return block

    def run_as_it_is(self, order: Order) -> Block:
        """Run a block of an order to which nothing is to be added."""
        return self._runner(order)

    # Probes

    def set_up(self, probe: LoadProbe, order: Order) -> StandingProbe:
        """Prepare a trial with an order; raise :class:`NotTriedError` if the probe cannot be tried here."""
        standing = StandingProbe(probe, ProbeLever(), ExitStack())
        self._standing.append(standing)
        try:
            base = self.order(order)
            standing.lever = probe.lever(self, base)
            self._check(standing.lever, base)
            self._prepare(standing)
        except (psycopg.Error, Error, OSError) as error:
            self.take_down(standing)
            text = error.message if isinstance(error, Error) else said(error)
            raise NotTriedError(text) from None
        except NotTriedError:
            self.take_down(standing)
            raise
        return standing

    def _check(self, lever: ProbeLever, base: Order) -> None:
        if base.conninfo is not None and lever.changed(base).settings != base.settings:
            raise NotTriedError("the load goes through a pooler, whose clients set nothing")
        if lever.server_settings and self._server is None:
            names = ", ".join(lever.server_settings)
            raise NotTriedError(
                f"{names} belongs to the whole server, and only the embedded server is configured for a proof"
            )

    def _prepare(self, standing: StandingProbe) -> None:
        lever = standing.lever
        if not (lever.set_up or lever.after_set_up):
            return
        with self._session() as connection:
            if lever.set_up:
                standing.noted_set_up = self._change(connection, lever.set_up, lever.clean_up)
            for statement in lever.after_set_up:
                connection.execute(statement.encode())

    def switch(self, standing: StandingProbe, *, away: bool) -> bool:
        """Take the cause away, or put it back; return whether that changed anything."""
        if standing.is_away is away:
            return False
        if away:
            self._take_away(standing)
        else:
            self._put_back(standing)
        return True

    def _take_away(self, standing: StandingProbe) -> None:
        lever = standing.lever
        standing.is_away = True
        if lever.take_away:
            with self._session() as connection:
                standing.noted_away = self._change(connection, lever.take_away, lever.put_back)
        if lever.server_settings and self._server is not None:
            standing.settings_before = dict(self._server.settings)
            self._configure({**self._server.settings, **lever.server_settings}, lever)

    def _change(
        self, connection: psycopg.Connection[Any], statements: Sequence[str], undoing: Sequence[str]
    ) -> int:
        try:
            return undo_journal.change(connection, statements, undoing, LONGEST_CHANGE_S)
        except psycopg.errors.QueryCanceled:
            raise NotTriedError(f"changing it takes longer than {LONGEST_CHANGE_S:.0f} s") from None
        except psycopg.errors.LockNotAvailable:
            raise NotTriedError("somebody else holds a lock on it") from None

    def _put_back(self, standing: StandingProbe) -> None:
        lever = standing.lever
        if standing.settings_before is not None:
            self._configure(standing.settings_before, lever)
            standing.settings_before = None
        if standing.noted_away is not None:
            with self._session() as connection:
                undo_journal.undo(connection, standing.noted_away)
            standing.noted_away = None
        standing.is_away = False

    def _configure(self, settings: Mapping[str, str], lever: ProbeLever) -> None:
        assert self._server is not None
        self._server.settings = dict(settings)
        if lever.needs_restart:
            self._server.restart()
            return
        with connected(self.ground) as connection:
            row = connection.execute(
                "select pg_catalog.clock_timestamp()::text, pg_catalog.pg_sleep(0.01)"
            ).fetchone()
            assert row is not None
            self._server.configure()
            connection.execute("select pg_catalog.pg_reload_conf()")
        self._await_reload(row[0])

    def _await_reload(self, since: str) -> None:
        """Wait until new sessions have the new settings: the signal is only sent, not waited for."""
        until = time.monotonic() + _RELOAD_S
        loaded = "select pg_catalog.pg_conf_load_time() > %s::timestamptz"
        while not self.one(loaded, [since]) and time.monotonic() < until:
            time.sleep(0.05)

    def keep(self, standing: StandingProbe) -> None:
        """Leave the cause taken away until the bench is closed."""
        self.switch(standing, away=True)

    def take_down(self, standing: StandingProbe) -> None:
        """Put back what a probe changed, and end its trial; what fails is tried again when the bench is closed."""
        with without_interrupts():  # half put back is neither here nor there
            self._withdraw(standing)
            self._standing.remove(standing)

    def _withdraw(self, standing: StandingProbe) -> None:
        with standing.held:
            if standing.is_away:
                self._put_back(standing)
            if standing.noted_set_up is not None:
                with self._session() as connection:
                    undo_journal.undo(connection, standing.noted_set_up)
                standing.noted_set_up = None


@contextmanager
def proving(
    ground: Ground,
    runner: BlockRunner,
    server: EmbeddedServer | None = None,
    target: str | None = None,
    *,
    is_reserved: bool = False,
) -> Iterator[ProofBench]:
    """Yield a bench, and put everything back afterwards, whatever happened.

    Causes are taken away only on the embedded server, or on a copy of ``target``, which must not be the target itself.
    ``is_reserved``: the ground is a copy, was checked to be one, and nobody else proves there until we have finished; its
    tables are production's. Raises :class:`UsageError` for any other ground.
    """
    with nullcontext() if is_reserved else _allowed(ground, target):
        bench = ProofBench(ground, runner, server, is_pinned=is_reserved)
        try:
            bench.open()
            yield bench
        finally:
            bench.close()


@contextmanager
def _allowed(ground: Ground, target: str | None) -> Iterator[None]:
    if ground.is_embedded:
        yield
    elif target is None:
        raise UsageError(
            "--prove changes indexes, statistics and settings, which is done only on the embedded server or on a copy",
            "specify a copy of the target with --copy, or omit TARGET",
        )
    else:
        with copies.opened(ground.conninfo, target):  # nobody else proves there meanwhile
            yield


def with_settings(order: Order, settings: Mapping[str, str]) -> Order:
    """Return an order whose sessions have more settings."""
    return replace(order, settings={**order.settings, **settings})
