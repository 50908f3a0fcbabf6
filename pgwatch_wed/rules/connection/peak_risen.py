"""There are many more connections than there were.

## Why it matters
A leak of connections, or a new service without a pool, is seen in their number long before `max_connections` is reached.

## How sure we are
B: connections are counted at each run, so short peaks between runs are not seen. The latest runs (a day, or the last quarter of
what is known) are compared with those before at the same hours; the rise is larger than chance and than any within the base.
docs/regressions.md describes the statistics.

## Not reported
Less than twice as many, or fewer than 10 more; a single run. With fewer than 12 intervals nothing is told.

## Remedy
No SQL: `connection-usage` and `connection-idle` show whose they are.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Severity
from pgwatch_wed.rules import _risen
from pgwatch_wed.units import short

NEEDS = ("level_shifts",)
SCOPE = "cluster"


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # From this multiple on, somebody should know why.
    warn_ratio: float = 4.0


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding]:
    """Yield a finding if there are more connections than before."""
    for shift in _risen.of(snapshot, "connections"):
        is_bad = shift.ratio >= limits.warn_ratio
        yield Finding(
            object=Object("server", "number of connections"),
            severity=Severity.WARNING if is_bad else Severity.INFO,
            grade=Grade.B,
            title=f"There are {short(shift.ratio)} times as many connections as before",
            detail=(
                f"There were {shift.after:,.0f} on average at the runs since {_risen.since(shift)}, and {shift.before:,.0f} before."
            ),
            evidence={
                "connections_before": round(shift.before, 1),
                "connections_after": round(shift.after, 1),
                **_risen.evidence(shift),
            },
            impact=Impact(risk="max_connections may be reached"),
        )
