"""A worker that starts while the queue's server is down waits for it."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event
from types import FrameType
from typing import TypeVar

from pgwatch_wed.errors import HistoryPlaceError
from pgwatch_wed.fleet import failures

T = TypeVar("T")

_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 30.0


class ToldToStopError(BaseException):
    """SIGTERM came while there was nothing to finish."""


def waited_for(work: Callable[[], T], tell: Callable[[str], None], most_s: float) -> T:
    """Do what needs the queue's server, again and again with growing pauses as long as that cannot be reached.

    Raises :class:`HistoryPlaceError` if it is not there within ``most_s`` seconds, or at once if waiting does not help;
    :class:`ToldToStopError` after SIGTERM.
    """
    until, pause = time.monotonic() + most_s, _FIRST_PAUSE_S
    with _stoppable() as told:
        while True:
            if told.is_set():  # its exception was lost
                raise ToldToStopError
            try:
                return work()
            except HistoryPlaceError as error:
                left = until - time.monotonic()
                if left <= 0 or not failures.passes(error.message):
                    raise
                seconds = min(pause, left)
                tell(f"{error.message}; trying again in {seconds:.0f} s")
                time.sleep(seconds)
                pause = min(2 * pause, _LONGEST_PAUSE_S)


@contextmanager
def _stoppable() -> Iterator[Event]:
    told = Event()

    def stop(_: int, __: FrameType | None) -> None:
        told.set()
        raise ToldToStopError

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield told
    finally:
        signal.signal(signal.SIGTERM, before)
