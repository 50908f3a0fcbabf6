"""Statements whose time varies wildly from call to call.

## Why it matters
The mean hides them: most calls are fast, and a few take seconds. Skewed values, changing plans, lock waits and cold caches are
the usual causes.

## How sure we are
A for the spread, which is measured; D for its cause, which is not named.

## Not reported
Few calls; a worst call that is still short; little time in all; a spread that one single call made, such as the first
after a start; utility statements, writes among them that only wait for the disk at COMMIT.

## Remedy
auto_explain with log_min_duration between the mean and the worst time catches the slow calls and their plans;
log_lock_waits tells waits apart. Nothing to paste.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed.facts import Snapshot, Statement
from pgwatch_wed.findings import Finding, Grade, Impact, Severity, Unknown
from pgwatch_wed.rules import _queries as q

NEEDS = ("statements", "statements_info")


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # Fewer calls have no spread to speak of.
    min_calls: int = 50
    # Standard deviation in means, the worst call left out. Ordinary waiting in queues makes one.
    min_stddev_to_mean: float = 2.0
    # The worst call in ms that somebody notices.
    min_max_ms: float = 100.0
    # A smaller part of the load is not worth the search.
    min_load_share: float = 0.02
    # The dearest few are what people act on.
    max_statements: int = 5


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each statement with a wide spread."""
    load = q.Load.of(snapshot)
    yield from load.unknowns()
    found = [
        s
        for s in load.queries
        if s.calls >= limits.min_calls
        and s.max_exec_ms >= limits.min_max_ms
        and load.share(s) >= limits.min_load_share
        and spread_without_worst(s) >= limits.min_stddev_to_mean
    ]
    found.sort(key=lambda s: (-s.stddev_exec_ms * s.calls, s.query_id))
    for s in found[: limits.max_statements]:
        yield _finding(load, s)


def spread_without_worst(s: Statement) -> float:
    """Return the standard deviation in means over all calls but the slowest."""
    n = s.calls - 1
    mean = (s.calls * s.mean_exec_ms - s.max_exec_ms) / n if n > 0 else 0.0
    if mean <= 0:
        return 0.0
    squares = s.calls * (s.stddev_exec_ms**2 + s.mean_exec_ms**2) - s.max_exec_ms**2
    return math.sqrt(max(squares / n - mean**2, 0.0)) / mean


def _finding(load: q.Load, s: Statement) -> Finding:
    ratio = s.stddev_exec_ms / s.mean_exec_ms if s.mean_exec_ms else 0.0
    return Finding(
        object=load.object_of(s),
        severity=Severity.INFO,
        grade=Grade.A,
        title=f"{s.min_exec_ms:,.3g} to {s.max_exec_ms:,.0f} ms a call: {q.short(s)}",
        detail=f"The mean is {s.mean_exec_ms:,.3g} ms, the standard deviation {ratio:.1f} times that.",
        evidence={
            "min_exec_ms": round(s.min_exec_ms, 3),
            "max_exec_ms": round(s.max_exec_ms, 3),
            "stddev_exec_ms": round(s.stddev_exec_ms, 3),
            "stddev_to_mean": round(ratio, 2),
            **load.evidence(s),
        },
        impact=Impact(risk="some calls take far longer than users expect"),
        caveats=("Lock waits count as execution: the cause may be a blocker and not the plan.",),
    )
