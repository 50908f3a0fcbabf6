"""In how many cases an interval held, and how wide it was."""

import math
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from statistics import median

from pgwatch_wed.history.forecasts import Outlook, forecast

FIRST_DAY = datetime(2026, 1, 1, 3, tzinfo=UTC)
_DAY = timedelta(days=1)


@dataclass(slots=True)
class Score:
    """What became of forecasts: the limit was reached within the interval, earlier, or later."""

    held: int = 0
    earlier: int = 0
    later: int = 0
    untold: int = 0
    widths: list[float] = field(default_factory=list)

    @property
    def judged(self) -> int:
        return self.held + self.earlier + self.later

    @property
    def share(self) -> float:
        return self.held / self.judged if self.judged else math.nan

    @property
    def width(self) -> float:
        """The median width, relative to the distance."""
        return median(self.widths) if self.widths else math.nan

    def add(self, values: list[float], known: int, limit: float) -> None:
        """Forecast from the first ``known`` values when the rest reaches the limit."""
        points = [(FIRST_DAY + i * _DAY, value) for i, value in enumerate(values[:known])]
        now = points[-1][0]
        found = forecast(points, now, limit)
        if not isinstance(found, Outlook):
            self.untold += 1
            return
        after = (i for i, value in enumerate(values[known:], start=1) if value >= limit)
        reached = next(after, math.inf)
        low, _, high = ((d - now) / _DAY if d is not None else math.inf for d in found.reached)
        if reached < low:
            self.earlier += 1
        elif reached > high:
            self.later += 1
        else:
            self.held += 1
        if math.isfinite(reached):
            self.widths.append((min(high, 10 * reached) - low) / reached)
