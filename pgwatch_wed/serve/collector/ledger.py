"""What reading costs the server, and how the intervals grow when it is more than the budget.

The time from a query's start until its whole result is there, without the time that an empty transaction takes to travel there and
back, is what it took the server at most: its backend waits, too. So the budget is kept rather early than late.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pgwatch_wed.facts import QueryCost
from pgwatch_wed.serve.collector import tiers

# How much a new measurement counts against those before it.
_NEW = 0.3
_MOST_STRETCH = 20.0
# What an empty transaction takes the server: the rest is the way.
_OF_EMPTY_S = 0.0002
# The moving facts may take this share of the budget before they are read less often themselves.
_OF_MOVING = 0.6


@dataclass(slots=True)
class Ledger:
    """The costs of one target since the service began."""

    budget: float
    intervals: Mapping[str, float]
    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    rows: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    per_round: dict[str, float] = field(default_factory=dict)

    def add(self, tier: str, costs: Iterable[QueryCost], empty_s: float = 0.0) -> None:
        """Enter what a round of a tier took; ``empty_s`` is how long an empty transaction takes now."""
        total = 0.0
        travel = max(0.0, empty_s - _OF_EMPTY_S)
        for cost in costs:
            taken = max(0.0, cost.seconds - travel)
            self.seconds[cost.name] += taken
            self.rows[cost.name] += cost.rows
            total += taken
        before = self.per_round.get(tier, total)
        self.per_round[tier] = before + _NEW * (total - before)

    @property
    def share(self) -> float:
        """How much of a core the intervals as configured would take."""
        return sum(self._share(tier) for tier in self.intervals)

    def _share(self, tier: str) -> float:
        return self.per_round.get(tier, 0.0) / self.intervals[tier]

    def stretches(self) -> Mapping[str, float]:
        """Return by how much each interval is to be longer than configured, so that all keep the budget."""
        moving = self._share(tiers.MOVING)
        others = self.share - moving
        if moving + others <= self.budget:
            return dict.fromkeys(self.intervals, 1.0)
        for_moving = min(moving, max(_OF_MOVING * self.budget, self.budget - others))
        of_moving = _bounded(moving, for_moving)
        of_others = _bounded(others, self.budget - for_moving)
        return {t: of_moving if t == tiers.MOVING else of_others for t in self.intervals}


def _bounded(share: float, allowed: float) -> float:
    if share <= allowed:
        return 1.0
    return min(share / allowed, _MOST_STRETCH) if allowed > 0 else _MOST_STRETCH
