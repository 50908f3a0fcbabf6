"""The time that a search may take, and what of it is left."""

import time
from collections.abc import Callable

# Shares of the time, at the end of which a phase ends.
EXPLORED = 0.6
SHARED = 0.75
SEARCHED = 0.9
ASKED = 0.97  # the rest is for what has to be told
_PATIENCE = 0.05
_NO_LESS = 0.01
_FIRST_PATIENCE = 1.0
_LEAST_PATIENCE = 0.05


class TimeLeft:
    """Begins with the object. ``clock`` returns seconds that only grow."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds = seconds
        self._clock = clock
        self._began = clock()
        self._patience = max(_FIRST_PATIENCE, seconds * _PATIENCE)

    def begin(self) -> None:
        """Begin again: all the time is left."""
        self._began = self._clock()

    @property
    def taken(self) -> float:
        """The seconds since the beginning."""
        return self._clock() - self._began

    def until(self, share: float) -> float:
        """Return the seconds until a share of the time is over; negative if it is."""
        return self.seconds * share - self.taken

    def is_over(self, share: float) -> bool:
        """Tell whether a share of the time is over."""
        return self.until(share) <= 0

    @property
    def patience(self) -> float:
        """How many seconds to wait for one plan."""
        return max(_LEAST_PATIENCE, min(self._patience, self.until(ASKED)))

    def lose_patience(self) -> None:
        """Wait half as long from now on, so that statements that are slow to plan leave time for the others."""
        self._patience = max(self._patience / 2, self.seconds * _NO_LESS)
