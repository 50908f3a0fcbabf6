"""Which facts are read how often.

What is judged every few minutes is read together, right before: a rule that compares facts never compares those of
different tiers' times. Only what changes by DDL and ANALYZE is older, and is judged when it is read.
"""

from collections.abc import Iterable, Mapping

from pgwatch_wed.rules import Rule
from pgwatch_wed.target.collect import ORDER

MOVING = "moving"
ACTIVITY = "activity"
TABLES = "tables"
CATALOGS = "catalogs"

_MOVING = (
    *("sessions", "subtransactions", "lock_waits", "relation_locks", "lock_table", "vacuums"),
    *("index_builds", "prepared_transactions", "replicas", "slots", "slot_spills", "recovery"),
    *("databases", "checkpoints", "wal", "io", "slru", "archiver"),
)
_ACTIVITY = ("settings", "table_activity", "index_usage", "statements_info", "statements")
_TABLES = (
    *("role_settings", "file_settings", "roles", "rights", "schemas"),
    *("tables", "other_relations", "system_tables", "file_sizes"),
)

# From what moves most to what hardly does; the last holds all that is not named above.
FACTS: Mapping[str, tuple[str, ...]] = {
    MOVING: _MOVING,
    ACTIVITY: _ACTIVITY,
    TABLES: _TABLES,
    CATALOGS: tuple(n for n in ORDER if n not in {*_MOVING, *_ACTIVITY, *_TABLES}),
}
TIER_OF: Mapping[str, str] = {name: tier for tier, names in FACTS.items() for name in names}
# What a query of a tier may take: what is needed now is worth no long wait.
STATEMENT_MS: Mapping[str, int] = {MOVING: 2_000, ACTIVITY: 5_000, TABLES: 10_000, CATALOGS: 30_000}
# Read together when the rules run; the catalogs are only judged with them when they are read, too.
TOGETHER = (MOVING, ACTIVITY, TABLES)


# These need no catalogs, but estimate the width of rows from what they tell. They judge between two readings of
# the catalogs only as long as there are the same tables and indexes.
LOOKS_AT_CATALOGS = frozenset(
    {"analyze-never", "analyze-stale", "vacuum-dead-tuples", "vacuum-disabled", "vacuum-never"}
)


def of_tiers(tiers: Iterable[str]) -> tuple[str, ...]:
    """Return the facts of some tiers."""
    return tuple(name for tier in tiers for name in FACTS[tier])


def is_quick(rule: Rule) -> bool:
    """Tell whether a rule needs nothing that only the catalogs tell."""
    return all(TIER_OF.get(name) in TOGETHER for name in rule.needs)
