"""Work of many clusters on few threads: what may run at the same time, and what has to wait.

A lane has threads of its own and shares its :class:`LaneLimits` with others: of one server, one task runs at a time, whatever
the lane. The threads are daemons: one that waits for a host which does not answer cannot be interrupted, and must not
keep the program from ending.
"""

import heapq
import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from pgwatch_wed.fleet.members import Member

Counted = tuple[str, str]
"""What is counted, and of whom: ``("host", "db1")``."""


@dataclass(frozen=True, slots=True)
class LaneTask:
    """A piece of work for members: alone with its keys, and one of few with what is counted."""

    work: Callable[[], None]
    keys: frozenset[str] = frozenset()
    counted: tuple[Counted, ...] = ()
    members: tuple[Member, ...] = ()


@dataclass(slots=True)
class LaneLimits:
    """How many tasks may run at the same time, by kind of what is counted; None for no limit."""

    most: Mapping[str, int | None] = field(default_factory=dict)
    changed: threading.Condition = field(default_factory=threading.Condition)
    _busy: set[str] = field(default_factory=set)
    _running: Counter[Counted] = field(default_factory=Counter)

    def take(self, task: LaneTask) -> bool:
        """Let a task run if it may; hold :attr:`changed` meanwhile."""
        if not self._busy.isdisjoint(task.keys):
            return False
        for each in task.counted:
            most = self.most.get(each[0])
            if most is not None and self._running[each] >= most:
                return False
        self._busy |= task.keys
        self._running.update(task.counted)
        return True

    def give_back(self, task: LaneTask) -> None:
        """Note that a task has ended."""
        with self.changed:
            self._busy -= task.keys
            self._running.subtract(task.counted)
            for each in task.counted:
                if not self._running[each]:
                    del self._running[each]
            self.changed.notify_all()


@dataclass(slots=True)
class Lane:
    """Threads that run tasks, each when it is due and the limits allow it."""

    limits: LaneLimits
    threads: int
    failed: Callable[[BaseException], None]
    _waiting: list[tuple[float, int, LaneTask]] = field(default_factory=list)
    _order: Iterator[int] = field(default_factory=itertools.count)
    _since: dict[int, float] = field(default_factory=dict)
    _started: int = 0
    _is_closed: bool = False

    def add(self, task: LaneTask, delay_s: float = 0.0) -> None:
        """Take a task; a thread is started for it as long as there are fewer than allowed."""
        with self.limits.changed:
            due = time.monotonic() + delay_s
            heapq.heappush(self._waiting, (due, next(self._order), task))
            if self._started < self.threads:
                self._started += 1
                threading.Thread(target=self._serve, daemon=True).start()
            self.limits.changed.notify_all()

    def close(self) -> list[LaneTask]:
        """Begin nothing more; return the tasks that had not begun."""
        with self.limits.changed:
            left = [task for _, _, task in self._waiting]
            self._waiting.clear()
            self._is_closed = True
            self.limits.changed.notify_all()
        return left

    @property
    def is_idle(self) -> bool:
        """Whether nothing runs or waits."""
        with self.limits.changed:
            return not self._waiting and not self._since

    def is_settled(self, seconds: float) -> bool:
        """Tell whether nothing is due, and whatever runs has been running for so long."""
        with self.limits.changed:
            now = time.monotonic()
            is_due = any(due <= now for due, _, _ in self._waiting)
            return not is_due and all(now - since >= seconds for since in self._since.values())

    def _serve(self) -> None:
        while (task := self._next()) is not None:
            try:
                task.work()
            except BaseException as error:  # noqa: BLE001 - the main thread decides
                self.failed(error)
            finally:
                with self.limits.changed:
                    self._since.pop(id(task), None)
                self.limits.give_back(task)

    def _next(self) -> LaneTask | None:
        with self.limits.changed:
            while not self._is_closed:
                found = self._taken()
                if found is not None:
                    self._since[id(found)] = time.monotonic()
                    return found
                self.limits.changed.wait(self._patience())
        return None

    def _taken(self) -> LaneTask | None:
        now = time.monotonic()
        for place, (due, _, task) in enumerate(self._waiting):
            if due <= now and self.limits.take(task):
                self._waiting[place] = self._waiting[-1]
                self._waiting.pop()
                heapq.heapify(self._waiting)
                return task
        return None

    def _patience(self) -> float | None:
        now = time.monotonic()
        ahead: Iterable[float] = (due - now for due, _, _ in self._waiting if due > now)
        return min(ahead, default=None)
