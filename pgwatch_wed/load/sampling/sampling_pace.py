"""How often to look: ten times a second, or so seldom that looking costs less than 1% of a core."""

from dataclasses import dataclass

FASTEST_S = 0.1
MAX_SHARE = 0.009  # a core's 1%, less what is spent between looks
_SLOWEST_S = 2.0
_MEMORY = 0.8


@dataclass(slots=True)
class SamplingPace:
    """Follows what looks cost the busier of the two sides, and spaces them accordingly."""

    cost_s: float = 0.0

    def learned(self, *costs_s: float) -> None:
        """Take account of what the last look cost each side in CPU seconds."""
        latest = max(costs_s, default=0.0)
        self.cost_s = (_MEMORY * self.cost_s + (1 - _MEMORY) * latest) if self.cost_s else latest

    @property
    def interval_s(self) -> float:
        """Return the time between the beginnings of two looks."""
        return min(max(FASTEST_S, self.cost_s / MAX_SHARE), _SLOWEST_S)
