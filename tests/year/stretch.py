"""A day in seconds: what a real server reported, in stretched time.

Nothing else is changed, and all by the same rule: a moment between two runs is the same share of the day
between them, and whatever took a time took ``FACTOR`` times as long. All counts, sizes and texts, and all
ratios of durations, are those that the server reported.
"""

from bisect import bisect_left
from dataclasses import fields, is_dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from pgwatch_wed.facts import Snapshot
from pgwatch_wed.facts.fields import fact_names

FACTOR = 5_000


class Calendar:
    """Which real moments are which simulated ones: those of the runs are given, between them it is even."""

    def __init__(self, begins: datetime, first: datetime) -> None:
        self._real = [first]
        self._dates = [begins]

    def add(self, real: datetime, date: datetime) -> None:
        """Say when a run took place."""
        assert real > self._real[-1]
        assert date > self._dates[-1]
        self._real.append(real)
        self._dates.append(date)

    def date(self, real: datetime) -> datetime:
        """Return the simulated time of a moment."""
        place = bisect_left(self._real, real)
        if place == 0:
            return self._dates[0] + (real - self._real[0])
        if place == len(self._real):
            return self._dates[-1] + (real - self._real[-1])
        whole = self._real[place] - self._real[place - 1]
        share = (real - self._real[place - 1]) / whole
        return self._dates[place - 1] + share * (self._dates[place] - self._dates[place - 1])


def stretched(snapshot: Snapshot, calendar: Calendar) -> Snapshot:
    """Return the snapshot of a simulated day."""
    found: dict[str, Any] = {
        name: tuple(_stretched(row, calendar) for row in getattr(snapshot, name))
        for name in fact_names()
    }
    return replace(snapshot, server=_stretched(snapshot.server, calendar), **found)


def _stretched(row: Any, calendar: Calendar) -> Any:
    if not is_dataclass(row):
        return row
    changed: dict[str, Any] = {}
    for each in fields(row):
        value = getattr(row, each.name)
        if isinstance(value, datetime):
            changed[each.name] = calendar.date(value)
        elif value is not None and each.name.endswith("_ms"):
            changed[each.name] = value * FACTOR
    return replace(row, **changed) if changed else row  # type: ignore[type-var]


def day(begins: datetime, number: int) -> datetime:
    """Return when the run of a day takes place."""
    return begins + timedelta(days=number)
