"""Ctrl-C and SIGTERM: the first one raises; further ones are ignored, or end at once what can be ended so.

Python loses an exception that a handler raises within a callback, a finalizer or the like: it prints or drops it, and goes on.
So what takes long asks whether a signal came.
"""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType
from typing import NoReturn

_NUMBERS = (signal.SIGTERM, signal.SIGINT)
_PATIENCE_S = 2.0


@dataclass(slots=True)
class _Interruption:
    """The first signal that came, and when, in seconds of the monotonic clock."""

    number: int | None = None
    at: float = 0.0
    may_end_at_once: bool = False


_first = _Interruption()


def listen() -> None:
    """Raise ``SystemExit(143)`` on SIGTERM and ``KeyboardInterrupt`` on Ctrl-C from now on; a process has one such listener."""
    _first.number, _first.may_end_at_once = None, False
    for each in _NUMBERS:
        signal.signal(each, _told)


def ignore() -> None:
    """Ignore signals, and forget what came: the work is done, what remains is to stop servers of ours."""
    # A handler would raise within that, and while the interpreter ends, Python puts the default action, death, in
    # the place of its handlers.
    for each in _NUMBERS:
        signal.signal(each, signal.SIG_IGN)
    _first.number = None


def end_at_once_when_told_again() -> None:
    """Let a later signal end the program without cleaning up: nothing is left that matters."""
    _first.may_end_at_once = True


def end_if_told() -> None:
    """Raise again what a signal raised, in case it was lost; call it now and then in the main thread."""
    if _first.number is not None:
        _end(_first.number)


@contextmanager
def nothing_begun() -> Iterator[None]:
    """End at once if a signal comes while modules are loaded: Python may lose an exception in there, or print it."""
    before = {each: signal.getsignal(each) for each in _NUMBERS}
    if set(before.values()) != {_told}:
        yield  # called as a library, by a test or for the documentation: signals are its affair
        return
    try:
        for each in before:
            signal.signal(each, _end_at_once)
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _told(number: int, _frame: FrameType | None) -> None:
    if _first.number is not None:
        # a moment later is still the same: users press twice, and queries are canceled and servers stopped
        if _first.may_end_at_once and time.monotonic() - _first.at > _PATIENCE_S:
            _end_at_once(number, None)
        return
    _first.number, _first.at = number, time.monotonic()
    if number == signal.SIGTERM:
        _say("terminated")
    _end(number)


def _end(number: int) -> NoReturn:
    # `finally` blocks run: queries are canceled, embedded servers stopped, incomplete files removed
    if number == signal.SIGTERM:
        raise SystemExit(128 + number)
    raise KeyboardInterrupt


def _end_at_once(number: int, _frame: FrameType | None) -> NoReturn:
    _say("terminated" if number == signal.SIGTERM else "interrupted")
    os._exit(128 + number)


def _say(what: str) -> None:
    # not by way of Python's own stream, in which the signal may have come
    with suppress(OSError):
        os.write(2, f"db-analyze: {what}\n".encode())
