"""Tables and databases whose multixact ids grow old although autovacuum should have frozen them.

## Why it matters
A row that several transactions lock at once (foreign key checks, SELECT … FOR SHARE) carries a multixact id. They run out
like transaction ids do, and their members fill a store of their own; then every such lock fails.

## How sure we are
B: ages are exact, and judged against `autovacuum_multixact_freeze_max_age` or the table's own, which can only be lower.

## Not reported
- Ages up to twice the table's own freeze age: autovacuum comes there, all is normal.
- The space of the members (`pg_multixact/members`): before 19 no function tells it. Autovacuum looks at it by itself and freezes
  earlier.
- All but the `max_tables` oldest tables of a database, and tables of other databases.

## Remedy
As for `vacuum-wraparound`: end what holds the horizon, then VACUUM (FREEZE).
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
    # Or at vacuum_multixact_failsafe_age, whichever is lower.
    critical_times_freeze_age: float = 4.0
    # So many tables are named, the oldest first.
    max_tables: int = 20


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each table and database that is far beyond its freeze age."""
    yield from _freeze.check(snapshot, limits, _freeze.MULTIXACTS)
