"""What is compared with what: the latest intervals with those before."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from pgwatch_wed.facts import Missing
from pgwatch_wed.history.series import Interval

DAY = timedelta(days=1)
LEAST_CURRENT = 3
LEAST_BASE = 8
# Of the known intervals, at most this part is the current one.
PART = 4


@dataclass(frozen=True, slots=True)
class Periods:
    """The base ends where the current period begins; the last interval of the base began at ``changed_after``."""

    base_begins: datetime
    changed_after: datetime
    current_begins: datetime
    current_ends: datetime

    @property
    def current_days(self) -> float:
        """The length of the current period."""
        return (self.current_ends - self.current_begins) / DAY


def periods(known: Sequence[Interval], now: datetime) -> Periods | Missing:
    """Return the last day and the time before, or as many of the latest intervals as that takes.

    What is sampled for less than a few days is divided: the last quarter with the rest.
    """
    least = LEAST_BASE + LEAST_CURRENT
    if len(known) < max(least, LEAST_CURRENT * PART):
        return Missing(
            f"{len(known)} intervals between runs are known, and {LEAST_CURRENT * PART} are necessary to tell a change from chance",
            "db-analyze run --no-advise every hour: each run is kept in the history",
        )
    last_day = sum(i.ended_at > now - DAY for i in known)
    current = max(min(last_day, len(known) // PART), LEAST_CURRENT)
    base, latest = known[:-current], known[-current:]
    return Periods(base[0].began_at, base[-1].began_at, latest[0].began_at, latest[-1].ended_at)
