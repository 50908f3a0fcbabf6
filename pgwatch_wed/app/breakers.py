"""Circuit breakers: a peer that fails again and again is left alone for a while, then tried by one call.

::

    from pgwatch_wed.app.breakers import breaker

    @breaker("stripe", failures=5, reset_s=30)
    async def charge(…): ...

    with breaker("redis").guarding():
        …

As a decorator, for functions and coroutine functions; as a context manager around anything. A call that a
deadline cut off or that was cancelled counts as a failure: that is how a peer that hangs looks. After ``reset_s``
one call goes through as a trial, all others are refused until it has ended; a trial that has not ended after
``trial_s`` has failed. Times are measured by the monotonic clock. Breakers are safe between threads and tasks.
"""

import functools
import inspect
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar, cast

F = TypeVar("F", bound=Callable[..., Any])


class BreakerState(StrEnum):
    """Whether calls go through."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class BreakerOpenError(Exception):
    """The call was refused, and the peer not asked. ``retry_in_s``: when a trial may be possible."""

    def __init__(self, name: str, retry_in_s: float) -> None:
        super().__init__(f"the circuit breaker {name} is open")
        self.name = name
        self.retry_in_s = retry_in_s


def _any_error(error: BaseException) -> bool:
    return not isinstance(error, KeyboardInterrupt | SystemExit)


@dataclass(slots=True, eq=False)
class Breaker:
    """The breaker of one peer; made by :func:`breaker`, which gives one a name.

    ``failures`` in a row open it. ``counts`` tells whether an error is the peer's: a declined card is not.
    """

    name: str
    failures: int = 5
    reset_s: float = 30.0
    trial_s: float = 60.0
    counts: Callable[[BaseException], bool] = _any_error
    monotonic: Callable[[], float] = time.monotonic
    _state: BreakerState = BreakerState.CLOSED
    _failed: int = 0
    _opened_at: float = 0.0
    _trial: "Permit | None" = None
    _era: int = 0  # a call of an earlier era says nothing about this one
    _transitions: dict[BreakerState, int] = field(
        default_factory=lambda: dict.fromkeys(BreakerState, 0)
    )
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def state(self) -> BreakerState:
        """The present state; an open breaker stays open until somebody tries."""
        with self._lock:
            self._expire()
            return self._state

    @property
    def transitions(self) -> Mapping[BreakerState, int]:
        """How often each state was entered."""
        with self._lock:
            return dict(self._transitions)

    def admit(self) -> "Permit":
        """Return a permit for one call, whose outcome must be told; raise BreakerOpenError."""
        with self._lock:
            self._expire()
            now = self.monotonic()
            if self._state is BreakerState.CLOSED:
                return Permit(self, self._era, now)
            left = self._opened_at + self.reset_s - now
            if self._state is BreakerState.HALF_OPEN or left > 0:
                raise BreakerOpenError(self.name, max(left, 0.0))
            self._enter(BreakerState.HALF_OPEN)
            self._trial = Permit(self, self._era, now)
            return self._trial

    @contextmanager
    def guarding(self) -> Iterator[None]:
        """Run a block if the breaker allows it, and note how it ended."""
        permit = self.admit()
        try:
            yield
        except BaseException as error:
            permit.end(is_failure=self.counts(error))
            raise
        permit.end(is_failure=False)

    def __call__(self, function: F) -> F:
        """Guard a function or a coroutine function."""
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError("a generator ends after the call: guard what it calls")
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def awaited(*args: Any, **more: Any) -> Any:
                with self.guarding():
                    return await function(*args, **more)

            return cast("F", awaited)

        @functools.wraps(function)
        def called(*args: Any, **more: Any) -> Any:
            with self.guarding():
                return function(*args, **more)

        return cast("F", called)

    def _ended(self, permit: "Permit", *, is_failure: bool) -> None:
        with self._lock:
            if permit.era != self._era:
                return
            if not is_failure:
                self._failed = 0
                if permit is self._trial:
                    self._enter(BreakerState.CLOSED)
                return
            self._failed += 1
            if permit is self._trial or self._failed >= self.failures:
                self._open(self.monotonic())

    def _expire(self) -> None:
        trial, now = self._trial, self.monotonic()
        if trial is not None and now - trial.begun_at >= self.trial_s:
            self._open(now)

    def _open(self, now: float) -> None:
        self._opened_at = now
        self._enter(BreakerState.OPEN)

    def _enter(self, state: BreakerState) -> None:
        self._state = state
        self._transitions[state] += 1
        self._era += 1
        self._trial = None
        self._failed = 0


@dataclass(slots=True, eq=False)
class Permit:
    """The right to make one call. :meth:`end` counts once, whoever calls it first."""

    breaker: Breaker
    era: int
    begun_at: float
    _has_ended: bool = False

    def end(self, *, is_failure: bool) -> None:
        """Tell how the call ended."""
        if not self._has_ended:
            self._has_ended = True
            self.breaker._ended(self, is_failure=is_failure)  # noqa: SLF001 - one thing in two parts


_named: dict[str, Breaker] = {}
_naming = threading.Lock()


def breaker(name: str, **settings: Any) -> Breaker:
    """Return the breaker of this name; the first call makes it, with the settings of :class:`Breaker`."""
    with _naming:
        if name not in _named:
            _named[name] = Breaker(name, **settings)
        return _named[name]


def show(made: Breaker) -> None:
    """Let a breaker that was made without :func:`breaker` be seen; the last of a name is."""
    with _naming:
        _named[made.name] = made


def states() -> dict[str, BreakerState]:
    """Return the state of each named breaker."""
    return {b.name: b.state for b in tuple(_named.values())}


def transitions() -> dict[str, Mapping[BreakerState, int]]:
    """Return how often each named breaker entered each state; 0 from its birth."""
    return {b.name: b.transitions for b in tuple(_named.values())}
