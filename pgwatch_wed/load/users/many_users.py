"""Users: as many connections through PgBouncer, each of which does something once in a think time."""

import contextlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import psutil

from pgwatch_wed import units
from pgwatch_wed.errors import UsageError
from pgwatch_wed.load.load_model import Scenario
from pgwatch_wed.load.users.own_pooler import OwnPooler

_STEP_S = 0.5


@dataclass(frozen=True, slots=True)
class UsersCost:
    """What it took; None where it could not be seen. Memory is the most that was seen at a time."""

    seconds_of_cpu: float | None  # PgBouncer
    pooler_bytes: int | None
    generator_bytes: int | None
    connected: int | None

    @property
    def words(self) -> str:
        """What it took, in one sentence."""
        if self.seconds_of_cpu is None:
            return "what PgBouncer took could not be seen"
        return (
            f"{units.count(self.connected or 0, 'connection')} at a time through PgBouncer, which used "
            f"{self.seconds_of_cpu:.1f} s of CPU and {units.size(self.pooler_bytes or 0)} of memory; "
            f"pgbench used {units.size(self.generator_bytes or 0)}"
        )


def with_users(scenario: Scenario, users: int, think_s: float) -> Scenario:
    """Return a scenario with so many users, each of whom does one transaction in ``think_s`` on average.

    By Little's law, that is a rate of users / think time. Raises :class:`UsageError` for less than one user or no time.
    """
    if users < 1:
        raise UsageError(f"there must be at least one user, not {users:,}")
    if not 0 < think_s < float("inf"):
        raise UsageError(f"the think time must be above 0, not {think_s:g} s")
    return replace(scenario, clients=users, think_s=think_s, pooler=True)


def rate_of(scenario: Scenario) -> float | None:
    """Return the transactions a second of a scenario with users; None without a think time."""
    return scenario.clients / scenario.think_s if scenario.think_s else None


class CostWatch:
    """Looks at the pooler and at pgbench now and then, until :meth:`cost` is asked."""

    def __init__(self, pooler: OwnPooler) -> None:
        self._pooler = pooler
        self._done = threading.Event()
        self._first = _cpu_s(pooler.pid)
        self._pooler_bytes = self._generator_bytes = self._connected = 0
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def cost(self) -> UsersCost:
        """Return what it took until now."""
        last = _cpu_s(self._pooler.pid)
        spent = last - self._first if last is not None and self._first is not None else None
        return UsersCost(
            spent,
            self._pooler_bytes or None,
            self._generator_bytes or None,
            self._connected or None,
        )

    def end(self) -> None:
        """Stop looking."""
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        me = psutil.Process(os.getpid())
        while True:
            self._pooler_bytes = max(self._pooler_bytes, _bytes_of(self._pooler.pid))
            with contextlib.suppress(psutil.Error):
                found = (_bytes_of(p.pid) for p in me.children() if p.name() == "pgbench")
                self._generator_bytes = max(self._generator_bytes, sum(found))
            self._connected = max(self._connected, self._pooler.clients())
            if self._done.wait(_STEP_S):
                return


@contextmanager
def costs(pooler: OwnPooler) -> Iterator[CostWatch]:
    """Watch what users cost during a ``with`` block."""
    watch = CostWatch(pooler)
    try:
        yield watch
    finally:
        watch.end()


def _cpu_s(pid: int) -> float | None:
    with contextlib.suppress(psutil.Error):
        times = psutil.Process(pid).cpu_times()
        return float(times.user + times.system)
    return None


def _bytes_of(pid: int) -> int:
    with contextlib.suppress(psutil.Error):
        return int(psutil.Process(pid).memory_info().rss)
    return 0
