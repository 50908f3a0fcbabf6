"""The table ``[serve.collector]``: how often facts are read, and what that may cost.

Its keys and defaults::

[serve.collector]
moving = 15      # seconds: sessions, locks, replication, databases, checkpoints, WAL
activity = 60    # statements, tables and indexes: what was done
catalogs = 3600  # what there is
rules = 300      # the rules, on facts that are read together
budget = 0.01    # of one core of the server, averaged over an hour
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pgwatch_wed.errors import UsageError
from pgwatch_wed.serve.collector import tiers
from pgwatch_wed.suggestions import unknown_key

# Below, a round would often not be over when the next is due.
_LEAST_S = 1.0
_MOST_S = 86_400.0
_KEYS = ("moving", "activity", "catalogs", "rules", "budget")


@dataclass(frozen=True, slots=True)
class CollectorSettings:
    """Seconds between two readings; ``budget`` is a share of one core of the server."""

    moving_s: float = 15.0
    activity_s: float = 60.0
    catalogs_s: float = 3600.0
    rules_s: float = 300.0
    budget: float = 0.01

    @property
    def intervals(self) -> Mapping[str, float]:
        """How often each tier is to be read; what is judged is read when the rules run."""
        return {
            tiers.MOVING: self.moving_s,
            tiers.ACTIVITY: self.activity_s,
            tiers.TABLES: self.rules_s,
            tiers.CATALOGS: self.catalogs_s,
        }


def parse(table: Mapping[str, Any], source: str) -> CollectorSettings:
    """Read the table; an error names the file and the key."""
    where = f"{source}: serve.collector"
    for key in table:
        if key not in _KEYS:
            raise unknown_key(where, key, _KEYS)
    default = CollectorSettings()
    settings = CollectorSettings(
        moving_s=_number(table, "moving", default.moving_s, where, _LEAST_S, _MOST_S),
        activity_s=_number(table, "activity", default.activity_s, where, _LEAST_S, _MOST_S),
        catalogs_s=_number(table, "catalogs", default.catalogs_s, where, _LEAST_S, _MOST_S),
        rules_s=_number(table, "rules", default.rules_s, where, _LEAST_S, _MOST_S),
        budget=_number(table, "budget", default.budget, where, 0.0001, 1.0),
    )
    ordered = (settings.moving_s, settings.activity_s, settings.rules_s, settings.catalogs_s)
    if list(ordered) != sorted(ordered):
        raise UsageError(f"{where}: moving, activity, rules and catalogs must ascend")
    return settings


def _number(
    table: Mapping[str, Any], key: str, default: float, where: str, least: float, most: float
) -> float:
    value = table.get(key, default)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or not least <= value <= most:
        raise UsageError(f"{where}.{key} must be a number from {least:g} to {most:g}")
    return float(value)
