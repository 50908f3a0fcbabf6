"""Tables or databases whose transaction age is far beyond what autovacuum allows.

## Why it matters
At two thousand million transactions without freezing PostgreSQL refuses to write, to protect the data.

## How sure we are
B: ages and limits are the server's own. The limit is the table's effective one, since a storage parameter can lower it.

## Not reported
Ages up to twice the limit: reaching the limit is when freezing begins, a saw-tooth that every healthy server shows.
At most the oldest twenty tables.

## Remedy
First what holds the horizon (`vacuum-horizon`), then VACUUM (FREEZE) of the oldest tables.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Finding, Unknown
from pgwatch_wed.rules._freezing import Clock, judge

NEEDS = ("tables", "databases", "settings")
PRIMARY_ONLY = True

_CLOCK = Clock(
    word="transactions",
    setting="autovacuum_freeze_max_age",
    failsafe="vacuum_failsafe_age",
    database_age="xid_age_xids",
    table_age="xid_age_xids",
    toast_age="toast_xid_age_xids",
)


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # Times the effective autovacuum_freeze_max_age: autovacuum had as long again to come.
    warn_times: float = 2.0
    # Times it; or vacuum_failsafe_age, whichever is lower.
    critical_times: float = 4.0
    # The oldest tables are enough to act on.
    max_tables: int = 20


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each table and database that is too old."""
    yield from judge(snapshot, _CLOCK, limits.warn_times, limits.critical_times, limits.max_tables)
