"""Tables or databases whose multixact age is far beyond what autovacuum allows.

## Why it matters
Rows locked by several transactions at once (foreign keys do that) use multixact ids, which run out as transaction ids
do, and then the server refuses to write.

## How sure we are
B: ages and limits are the server's own.

## Not reported
Ages up to twice the limit, which autovacuum is about to freeze. At most the oldest twenty tables. The space of multixact
members has no counter that SQL can read; a server that runs out of it freezes earlier by itself.

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
    word="multixacts",
    setting="autovacuum_multixact_freeze_max_age",
    failsafe="vacuum_multixact_failsafe_age",
    database_age="mxid_age",
    table_age="mxid_age",
    toast_age="toast_mxid_age",
)


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # Times the effective autovacuum_multixact_freeze_max_age.
    warn_times: float = 2.0
    # Times it; or vacuum_multixact_failsafe_age, whichever is lower.
    critical_times: float = 4.0
    # The oldest tables are enough to act on.
    max_tables: int = 20


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each table and database that is too old."""
    yield from judge(snapshot, _CLOCK, limits.warn_times, limits.critical_times, limits.max_tables)
