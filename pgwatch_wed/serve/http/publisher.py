"""Answers follow the state: a thread of its own makes them anew after a change, and every second for ages."""

import logging
import threading
import time
from collections.abc import Callable

from pgwatch_wed.serve.http.answers import Answers, answers, broken
from pgwatch_wed.serve.state import Board, ServiceState

log = logging.getLogger(__name__)

_EVERY_S = 1.0
# Changes that come within this time are published together.
_TOGETHER_S = 0.05
# Answers that were not made anew for so long are not given any more.
_LATE_S = 10.0


class Publisher:
    """Keeps the newest answers."""

    def __init__(self, board: Board, now: Callable[[], float]) -> None:
        self._board = board
        self._now = now
        self._changed = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)
        self._listeners: list[Callable[[ServiceState, float], None]] = []
        self._current: Answers = answers(board.state, now())
        self._made_at = time.monotonic()
        board.listen(lambda _state: self._changed.set())

    @property
    def current(self) -> Answers:
        """The newest answers; without new ones for long, that nothing is known."""
        if time.monotonic() - self._made_at > _LATE_S:
            return broken(self._now())
        return self._current

    def listen(self, listener: Callable[[ServiceState, float], None]) -> None:
        """Call ``listener`` in the publisher's thread after each publication."""
        self._listeners.append(listener)

    @property
    def is_alive(self) -> bool:
        """Whether answers are kept new."""
        return self._thread.is_alive() and time.monotonic() - self._made_at <= _LATE_S

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; at once, as there is nothing to wait for."""
        self._stopping.set()
        self._changed.set()

    def publish(self) -> None:
        """Make the answers anew."""
        state, now = self._board.state, self._now()
        self._current = answers(state, now)
        self._made_at = time.monotonic()
        for listener in self._listeners:
            listener(state, now)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self.publish()
            except Exception:
                log.exception("the answers could not be made")
                self._current = broken(self._now())
            self._changed.wait(_EVERY_S)
            self._stopping.wait(_TOGETHER_S)
            self._changed.clear()
