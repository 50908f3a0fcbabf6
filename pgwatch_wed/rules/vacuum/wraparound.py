"""Tables and databases whose transaction ids grow old although autovacuum should have frozen them.

## Why it matters
Transaction ids are used again after 2 billion. Before that PostgreSQL refuses every command that would need a new one, and
the application stands still until somebody has vacuumed by hand. Long before, at `vacuum_failsafe_age`, vacuums
drop all consideration for the workload.

## How sure we are
B: ages are exact. At `autovacuum_freeze_max_age` (or the table's own, which can only be lower) autovacuum starts to freeze, so
an age somewhat above it is normal; twice as much says that freezing fails or does not keep up.

## Not reported
- Ages up to twice the table's own freeze age: the normal sawtooth, however it looks as a share of 2 billion.
- All but the `max_tables` oldest tables of a database. The database itself is reported then.
- Other databases stand for their tables: `--all-databases` looks inside.

## Remedy
Look first at `vacuum-horizon`: while something holds the horizon, no vacuum can freeze past it. Then VACUUM (FREEZE) the
oldest tables. A database that nobody can connect to (template0) is frozen by autovacuum once nothing
holds the horizon.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Finding, Unknown
from pgwatch_wed.rules import _freeze

NEEDS = ("tables", "databases", "settings")
PRIMARY_ONLY = True


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # Autovacuum begins to freeze at the freeze age; at so many times it has failed.
    warn_times_freeze_age: float = 2.0
    # Or at vacuum_failsafe_age, whichever is lower.
    critical_times_freeze_age: float = 4.0
    # So many tables are named, the oldest first.
    max_tables: int = 20


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each table and database that is far beyond its freeze age."""
    yield from _freeze.check(snapshot, limits, _freeze.XIDS)
