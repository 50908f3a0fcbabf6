"""Maintenance windows: when, and of what, nothing new is told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from pgwatch_wed.serve.notify.inhibition import matches

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True, slots=True)
class Once:
    """From one moment to another."""

    begins: datetime
    ends: datetime

    def holds(self, at: datetime) -> bool:
        """Tell whether a moment is within."""
        return self.begins <= at < self.ends


@dataclass(frozen=True, slots=True)
class Weekly:
    """From one time of day to another, on some days, in a time zone; over midnight if it ends earlier than it begins."""

    begins: time
    ends: time
    days: Sequence[str] = DAYS
    zone: str = "UTC"

    def holds(self, at: datetime) -> bool:
        """Tell whether a moment is within."""
        local = at.astimezone(ZoneInfo(self.zone))
        if self.begins < self.ends:
            return self._is_day(local) and self.begins <= local.time() < self.ends
        begun = self._is_day(local) and local.time() >= self.begins
        return begun or (self._is_day(local - timedelta(days=1)) and local.time() < self.ends)

    def _is_day(self, local: datetime) -> bool:
        return DAYS[local.weekday()] in self.days


@dataclass(frozen=True, slots=True)
class QuietHours:
    """A window with its reason, and the labels of what it is about; without labels, everything."""

    reason: str
    when: Once | Weekly
    match: Mapping[str, str]

    def holds(self, labels: Mapping[str, str], now: float) -> bool:
        """Tell whether an alert with these labels is not to be told now."""
        return self.when.holds(datetime.fromtimestamp(now, UTC)) and matches(labels, self.match)
