"""The few of many that have a series of their own: in after a while at the top, out after a long while below.

Without patience, each reading would bring other names, and a database of series would grow without end.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

MOST = 20
ROUNDS_TO_ENTER = 3
SECONDS_TO_LEAVE = 3600.0


@dataclass(slots=True)
class StickyTop(Generic[K]):
    """Who is in; ``most`` is also how many are looked at in each round."""

    most: int = MOST
    _rounds: dict[K, int] = field(default_factory=dict)  # how often in a row it was at the top
    _seen_at: dict[K, float] = field(default_factory=dict)  # of those that are in

    def update(self, weights: Mapping[K, float], now: float) -> frozenset[K]:
        """Enter a round: the weight of each in it; return who is in now."""
        positive = [k for k, w in weights.items() if w > 0]
        top = sorted(positive, key=lambda k: (-weights[k], str(k)))[: self.most]
        self._rounds = {k: self._rounds.get(k, 0) + 1 for k in top}
        for key in top:
            if key in self._seen_at:
                self._seen_at[key] = now
        self._seen_at = {k: at for k, at in self._seen_at.items() if now - at < SECONDS_TO_LEAVE}
        for key in top:
            if self._rounds[key] >= ROUNDS_TO_ENTER and len(self._seen_at) < self.most:
                self._seen_at.setdefault(key, now)
        return frozenset(self._seen_at)
