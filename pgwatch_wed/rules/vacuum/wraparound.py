"""Tables and databases with old transaction IDs that autovacuum should have frozen.

## Why it matters
Transaction IDs wrap around after 2 billion. Before that, PostgreSQL refuses all commands that need a new one, and the
application is down until the tables have been vacuumed manually. Long before, at `vacuum_failsafe_age`, vacuums stop taking
the workload into consideration.

## How sure we are
B: ages are exact. Autovacuum starts freezing at `autovacuum_freeze_max_age` (or the table's own value, which can only be
lower), so a somewhat higher age is normal; twice that age means that freezing fails or does not keep up. What prevents it is
named if it is old enough to be the cause: for the system catalogs that may be a slot's catalog_xmin, for the shared ones a
session of any database, and nobody but its own session can vacuum a temporary table.

## Not reported
- Ages up to twice the table's own freeze age, which is the normal sawtooth, as long as more than `warn_left` IDs are left.
- More than the `max_tables` oldest tables of a database; in that case the database itself is reported.
- Tables of other databases, which are reported as a whole: use `--all-databases` to look inside.

## Remedy
First release what holds back the horizon (see `vacuum-horizon`): until then, no vacuum can freeze anything newer. Then VACUUM
(FREEZE) the oldest tables. A database that does not allow connections (template0) is frozen by autovacuum once nothing holds
back the horizon.
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

    # Autovacuum starts freezing at the freeze age; at this multiple of it, it has failed.
    warn_times_freeze_age: float = 2.0
    # Or vacuum_failsafe_age, whichever is lower.
    critical_times_freeze_age: float = 4.0
    # Whatever the freeze age: with fewer IDs left than this, little time remains to freeze large tables.
    warn_left: int = 500_000_000
    critical_left: int = 200_000_000
    # The number of tables to report, oldest first.
    max_tables: int = 20


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each table and database that is far past its freeze age."""
    yield from _freeze.check(snapshot, limits, _freeze.XIDS)
