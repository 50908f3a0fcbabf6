"""Tables and databases with old multixact IDs that autovacuum should have frozen.

## Why it matters
A row that several transactions lock at the same time (foreign key checks, SELECT … FOR SHARE) carries a multixact ID. Like
transaction IDs, they can wrap around, and their members can fill up their separate storage; then every such lock fails.

## How sure we are
B: ages are exact, and are compared with `autovacuum_multixact_freeze_max_age` or the table's own value, which can only be
lower.

## Not reported
- Ages up to twice the table's own freeze age, which are normal: autovacuum is at work, as long as more than `warn_left` IDs
  are left.
- The size of the member storage (`pg_multixact/members`), which no function returns before 19. Autovacuum checks it by itself
  and freezes earlier.
- More than the `max_tables` oldest tables of a database, and tables of other databases.

## Remedy
As for `vacuum-wraparound`: remove what holds back the horizon, then VACUUM (FREEZE).
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
    # Or vacuum_multixact_failsafe_age, whichever is lower.
    critical_times_freeze_age: float = 4.0
    # Whatever the freeze age: with fewer IDs left than this, little time remains to freeze large tables.
    warn_left: int = 500_000_000
    critical_left: int = 200_000_000
    # The number of tables to report, oldest first.
    max_tables: int = 20


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each table and database that is far past its freeze age."""
    yield from _freeze.check(snapshot, limits, _freeze.MULTIXACTS)
