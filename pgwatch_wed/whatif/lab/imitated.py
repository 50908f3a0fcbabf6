"""What the lab imitates of its target beside tables and indexes."""

from collections.abc import Callable
from dataclasses import dataclass, field

from pgwatch_wed.facts.features import Feature, Features
from pgwatch_wed.whatif.lab.security import Security


@dataclass(slots=True)
class Imitated:
    """Row-level security, and what the target's version can do; None if that is not known.

    Filled step by step while the lab is made.
    """

    security: Security = field(default_factory=Security)
    features: Features | None = None

    def has(self, feature: Callable[[Features], Feature]) -> bool:
        """Tell whether the target's version has a feature."""
        return self.features is None or bool(feature(self.features))
