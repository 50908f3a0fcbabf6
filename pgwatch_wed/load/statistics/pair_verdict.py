"""What the pairs of an experiment show: an effect, none that matters, or not enough."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pgwatch_wed import units
from pgwatch_wed.load.load_model import Proven
from pgwatch_wed.load.statistics.block_noise import MARGIN, noise_floor, pairs_needed
from pgwatch_wed.load.statistics.signed_rank import (
    CONFIDENCE,
    LEAST_PAIRS,
    hodges_lehmann,
    p_beyond,
    shift_interval,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PairVerdict:
    """The effect as a ratio, its interval, and what that shows; ``needed`` pairs in all would tell where these do not.

    ``p_value``: how probable such pairs are if the effect is within the margin.
    """

    pairs: int
    effect: float
    interval: tuple[float, float] | None
    shows: Proven
    p_value: float
    noise: float  # the standard deviation of the logarithms of the pairs' ratios
    needed: int | None

    @classmethod
    def of(
        cls,
        differences: Sequence[float],
        margin: float = MARGIN,
        confidence: float = CONFIDENCE,
        noise: float | None = None,
    ) -> "PairVerdict":
        """Judge the differences of logarithms, one a pair. ``noise``: that of identical pairs, if it was measured."""
        limit = math.log1p(margin)
        middle = hodges_lehmann(differences)
        interval = shift_interval(differences, confidence)
        shows = _shown(interval, limit)
        own = noise_floor(differences)
        return cls(
            pairs=len(differences),
            effect=math.exp(middle),
            interval=interval and (math.exp(interval[0]), math.exp(interval[1])),
            shows=shows,
            p_value=p_beyond(differences, limit),
            noise=own,
            needed=_needed(max(own, noise or 0.0), middle, limit, len(differences))
            if shows is Proven.NOT_PROVEN
            else None,
        )

    @property
    def change(self) -> float:
        """The effect as a change: 0.1 is 10% more."""
        return self.effect - 1

    @property
    def what_would_do(self) -> str:
        """What would tell, as part of a sentence; empty if these pairs do."""
        if self.shows is not Proven.NOT_PROVEN:
            return ""
        if self.needed is None:
            return "no reasonable number of pairs would tell"
        return f"{units.count(self.needed - self.pairs, 'more pair')} would do"


def _shown(interval: tuple[float, float] | None, limit: float) -> Proven:
    if interval is None:
        return Proven.NOT_PROVEN
    low, high = interval
    if low > limit or high < -limit:
        return Proven.PROVEN
    return Proven.REFUTED if -limit < low and high < limit else Proven.NOT_PROVEN


def _needed(noise: float, middle: float, limit: float, pairs: int) -> int | None:
    """Return how many pairs would tell: the nearer an effect is to the limit, the more."""
    if pairs < LEAST_PAIRS and not noise:
        return LEAST_PAIRS
    distance = min(limit, abs(abs(middle) - limit))
    needed = pairs_needed(noise, distance)
    return None if needed is None else max(needed, pairs + 1)
