"""The server writes much more WAL than it did.

## Why it matters
WAL is written, archived, sent to standbys and replayed: what fills disks and delays replicas usually began on a certain day, with a
new job or a new version of an application.

## How sure we are
B: WAL positions of the runs are subtracted. The latest intervals (a day, or the last quarter of what is known) are compared with
those before at the same hours; the rise is larger than chance and than any within the base. docs/regressions.md describes
the statistics.

## Not reported
Less than twice as much, or less than 1 GB a day more; a single interval, such as a bulk load. With fewer than 12 intervals
nothing is told.

## Remedy
No SQL: `query-wal-heavy` names the statements that write most, and `query-table-load-risen` the tables.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Severity
from pgwatch_wed.rules import _risen
from pgwatch_wed.units import short, size

NEEDS = ("level_shifts",)
SCOPE = "cluster"


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # From this multiple on, somebody should know why.
    warn_ratio: float = 4.0


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding]:
    """Yield a finding if more WAL is written than before."""
    for shift in _risen.of(snapshot, "wal_position"):
        is_bad = shift.ratio >= limits.warn_ratio
        yield Finding(
            object=Object("server", "WAL volume"),
            severity=Severity.WARNING if is_bad else Severity.INFO,
            grade=Grade.B,
            title=f"The server writes {short(shift.ratio)} times as much WAL as before",
            detail=(
                f"It writes WAL at a rate of {size(shift.after)} a day since {_risen.since(shift)}, and wrote {size(shift.before)} a day before."
            ),
            evidence={
                "before_per_day_bytes": round(shift.before),
                "after_per_day_bytes": round(shift.after),
                **_risen.evidence(shift),
            },
            impact=Impact(risk="disks, archives and standbys have to keep up with it"),
        )
