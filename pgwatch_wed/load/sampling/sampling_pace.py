"""How often to look: ten times a second, or so seldom that looking costs less than 1% of a core."""

from dataclasses import dataclass, field
from statistics import median

FASTEST_S = 0.1
MAX_SHARE = 0.009  # a core's 1%, less what is spent between looks
_SLOWEST_S = 2.0
_REMEMBERED = 9
_WARM = 3  # the first looks find nothing planned and cached


@dataclass(slots=True)
class SamplingPace:
    """Follows what looks cost the busier of the two sides, and spaces them accordingly."""

    _looks: int = 0
    _costs: list[float] = field(default_factory=list)

    def learned(self, *costs_s: float) -> None:
        """Take account of what the last look cost each side in CPU seconds."""
        self._looks += 1
        if self._looks > _WARM:
            self._costs = [*self._costs, max(costs_s, default=0.0)][-_REMEMBERED:]

    @property
    def interval_s(self) -> float:
        """Return the time between the beginnings of two looks."""
        cost = median(self._costs) if self._costs else 0.0
        mean = sum(self._costs) / len(self._costs) if self._costs else 0.0
        # a look that was interrupted cost much more, but says nothing of the next
        return min(max(FASTEST_S, min(mean, 2 * cost) / MAX_SHARE), _SLOWEST_S)
