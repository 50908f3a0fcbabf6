"""The time that a search may take, and what of it is left."""

import time
from collections.abc import Callable


class TimeLeft:
    """Begins with the object. ``clock`` returns seconds that only grow."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._began = clock()

    def begin(self) -> None:
        """Begin again: all the time is left."""
        self._began = self._clock()

    @property
    def taken(self) -> float:
        """The seconds since the beginning."""
        return self._clock() - self._began

    def until(self, share: float) -> float:
        """Return the seconds until a share of the time is over; negative if it is."""
        return self._seconds * share - self.taken
