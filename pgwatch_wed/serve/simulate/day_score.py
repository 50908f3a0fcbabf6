"""What the alerts of a simulated day were worth: which were false, which incidents were missed, how long finding took."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp

from pgwatch_wed.serve.simulate.day_plan import DayEvent
from pgwatch_wed.serve.simulate.day_run import ToldAlert

# An alert may come so long after the end of what it is about: windows, and what holds it.
_TAIL_S = 720.0
# The budget of an hour ago burns in the long windows.
_BURN_TAIL_S = {
    "SloBurnFast": 3600.0,
    "SloBurn": 6 * 3600.0,
    "SloBurnSlow": 86_400.0,
    "SloBudgetLow": 3 * 86_400.0,
}


@dataclass(frozen=True, slots=True)
class DayScore:
    """The score of one or several days."""

    alerts: int
    false: tuple[ToldAlert, ...]
    incidents: int
    missed: tuple[DayEvent, ...]
    critical_s: tuple[float, ...]
    lesser_s: tuple[float, ...]

    @property
    def mean_critical_s(self) -> float:
        """The mean time to detect critical incidents."""
        return sum(self.critical_s) / len(self.critical_s) if self.critical_s else float("nan")

    @property
    def false_below(self) -> float:
        """The share of false alerts, with 95% confidence at most (exact for none: 3/n; else by Poisson's upper bound)."""
        return upper_bound(len(self.false)) / self.alerts if self.alerts else 1.0


def upper_bound(seen: int) -> float:
    """Return the largest Poisson mean for which so few events are not surprising (5%)."""
    low, high = 0.0, 3.0 + 3 * seen + 10
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _at_most(seen, middle) > 0.05 else (low, middle)
    return high


def _at_most(seen: int, mean: float) -> float:
    term = total = exp(-mean)
    for k in range(1, seen + 1):
        term *= mean / k
        total += term
    return total


def score(events: Sequence[DayEvent], told: Sequence[ToldAlert]) -> DayScore:
    """Compare what was told with what happened."""
    incidents = [e for e in events if e.is_incident]
    found = {id(e): _first(e, told) for e in incidents}
    return DayScore(
        alerts=len(told),
        false=tuple(a for a in told if not any(_is_true(a, e) for e in events)),
        incidents=len(incidents),
        missed=tuple(e for e in incidents if found[id(e)] is None),
        critical_s=_times(incidents, found, is_critical=True),
        lesser_s=_times(incidents, found, is_critical=False),
    )


def together(scores: Sequence[DayScore]) -> DayScore:
    """Add days up."""
    return DayScore(
        alerts=sum(s.alerts for s in scores),
        false=tuple(a for s in scores for a in s.false),
        incidents=sum(s.incidents for s in scores),
        missed=tuple(e for s in scores for e in s.missed),
        critical_s=tuple(t for s in scores for t in s.critical_s),
        lesser_s=tuple(t for s in scores for t in s.lesser_s),
    )


def _is_true(alert: ToldAlert, event: DayEvent) -> bool:
    tail = _BURN_TAIL_S.get(alert.name, _TAIL_S)
    return alert.name in event.kind.alerts and event.begins <= alert.second <= event.ends + tail


def _first(event: DayEvent, told: Sequence[ToldAlert]) -> float | None:
    # Found while it lasts or just after; a burn alert that another incident raised long ago does not count.
    named = [
        a.second
        for a in told
        if a.name in event.kind.alerts and event.begins <= a.second <= event.ends + 60
    ]
    return min(named, default=None)


def _times(
    incidents: Sequence[DayEvent], found: dict[int, float | None], *, is_critical: bool
) -> tuple[float, ...]:
    return tuple(
        at - e.begins
        for e in incidents
        if e.kind.is_critical is is_critical and (at := found[id(e)]) is not None
    )
