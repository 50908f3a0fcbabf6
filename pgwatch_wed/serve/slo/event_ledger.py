"""Good and bad events by the minute, for as long as the longest window: a few hundred kilobytes an objective."""

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

MINUTE_S = 60


@dataclass(frozen=True, slots=True)
class Events:
    """What is known of a time. ``minutes`` are those with an event, good or bad."""

    good: float = 0.0
    bad: float = 0.0
    minutes: int = 0

    @property
    def total(self) -> float:
        """All events."""
        return self.good + self.bad

    @property
    def bad_ratio(self) -> float | None:
        """The share that is bad; None if nothing happened."""
        return self.bad / self.total if self.total else None


class EventLedger:
    """Running sums at the end of each minute in which something happened, so that any window is two look-ups."""

    def __init__(self, keep_s: float) -> None:
        self._keep = int(keep_s // MINUTE_S) + 2
        self._minutes: list[int] = []
        self._good: list[float] = []
        self._bad: list[float] = []
        self._base = (0.0, 0.0)

    def add(self, at: float, good: float, bad: float) -> None:
        """Add events of now. After the clock was set back they count to the newest minute that is known."""
        if good <= 0 and bad <= 0:
            return
        minute = int(at // MINUTE_S)
        if self._minutes and minute < self._minutes[-1]:
            if self._minutes[-1] - minute > self._keep:
                self._forget_all()
            else:
                minute = self._minutes[-1]
        if not self._minutes or minute > self._minutes[-1]:
            last = (self._good[-1], self._bad[-1]) if self._minutes else self._base
            self._minutes.append(minute)
            self._good.append(last[0])
            self._bad.append(last[1])
        self._good[-1] += good
        self._bad[-1] += bad
        self._forget(minute - self._keep)

    def within(self, now: float, window_s: float) -> Events:
        """Return the events of the last seconds, rounded up to a minute.

        After the clock was set back, the newest minute that is known is now: events are counted there.
        """
        if not self._minutes:
            return Events()
        if self._minutes[-1] - now // MINUTE_S <= self._keep:
            now = max(now, self._minutes[-1] * MINUTE_S)
        first = bisect_right(self._minutes, int((now - window_s) // MINUTE_S) - 1)
        last = bisect_right(self._minutes, int(now // MINUTE_S))
        if first >= last:
            return Events()
        before = (self._good[first - 1], self._bad[first - 1]) if first else self._base
        return Events(
            self._good[last - 1] - before[0], self._bad[last - 1] - before[1], last - first
        )

    def _forget(self, oldest: int) -> None:
        # Rarely, so that it costs nothing.
        if self._minutes[0] >= oldest - 600:
            return
        count = bisect_right(self._minutes, oldest)
        self._base = (self._good[count - 1], self._bad[count - 1])
        del self._minutes[:count], self._good[:count], self._bad[:count]

    def _forget_all(self) -> None:
        self._minutes, self._good, self._bad, self._base = [], [], [], (0.0, 0.0)

    def document(self) -> dict[str, Any]:
        """Return what is to be kept over a restart."""
        return {
            "minutes": self._minutes,
            "good": self._good,
            "bad": self._bad,
            "base": list(self._base),
        }

    @classmethod
    def read(cls, document: Mapping[str, Any], keep_s: float) -> "EventLedger":
        """Return what was kept; ValueError or TypeError if it makes no sense."""
        ledger = cls(keep_s)
        good, bad = _rising(document["good"]), _rising(document["bad"])
        minutes = [int(m) for m in _rising(document["minutes"])]
        base = (_rising(document["base"][:1])[0], _rising(document["base"][1:])[0])
        if not len(minutes) == len(good) == len(bad) or len(set(minutes)) != len(minutes):
            raise ValueError("not of one length")
        ledger._minutes, ledger._good, ledger._bad, ledger._base = minutes, good, bad, base
        return ledger


def _rising(values: Sequence[Any]) -> list[float]:
    found = [float(v) for v in values]
    if not all(map(math.isfinite, found)) or any(b < a for a, b in pairwise(found)):
        raise ValueError("a running sum falls")
    return found
