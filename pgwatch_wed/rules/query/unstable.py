"""Statements whose execution time varies widely.

## Why it matters
The mean hides it: most calls are fast, but some take seconds. The usual causes are skewed values, changing plans, lock waits
and cold caches.

## How sure we are
A for the variation, which is measured; D for its cause, which is not given.

## Not reported
Few calls; a slowest call that is still fast; little time in total; variation caused by a single call, such as the first one
after a restart; utility statements, including COMMIT, which may only wait for the disk.

## Remedy
auto_explain with log_min_duration between the mean and the maximum time records the slow calls and their plans; log_lock_waits
shows lock waits. No SQL to run.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed import units
from pgwatch_wed.facts import Snapshot, Statement
from pgwatch_wed.findings import Finding, Grade, Impact, Severity, Unknown
from pgwatch_wed.rules import _queries as q

NEEDS = ("statements", "statements_info")


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # With fewer calls the variation is not meaningful.
    min_calls: int = 50
    # Standard deviation divided by mean, without the slowest call. Ordinary queueing results in 1.
    min_stddev_to_mean: float = 2.0
    # Users do not notice if the slowest call takes less.
    min_max_ms: float = 100.0
    # A smaller share of the load is not worth investigating.
    min_load_share: float = 0.02
    # Only the costliest statements are reported.
    max_statements: int = 5


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each statement with a widely varying time."""
    load = q.Load.of(snapshot)
    yield from load.unknowns()
    found = [
        s
        for s in load.queries
        if s.calls >= limits.min_calls
        and s.max_exec_ms is not None
        and s.max_exec_ms >= limits.min_max_ms
        and load.share(s) >= limits.min_load_share
        and spread_without_worst(s) >= limits.min_stddev_to_mean
    ]
    found.sort(key=lambda s: (-s.stddev_exec_ms * s.calls, s.query_id))
    for s in found[: limits.max_statements]:
        yield _finding(load, s)


def spread_without_worst(s: Statement) -> float:
    """Return the standard deviation divided by the mean, over all calls except for the slowest."""
    n = s.calls - 1
    slowest = s.max_exec_ms or 0.0
    mean = (s.calls * s.mean_exec_ms - slowest) / n if n > 0 else 0.0
    if mean <= 0:
        return 0.0
    squares = s.calls * (s.stddev_exec_ms**2 + s.mean_exec_ms**2) - slowest**2
    return math.sqrt(max(squares / n - mean**2, 0.0)) / mean


def _range(s: Statement) -> str:
    least = "Up" if s.min_exec_ms is None else _time(s.min_exec_ms)
    return f"{least} to {_time(s.max_exec_ms or 0.0)} per call"


def _time(ms: float) -> str:
    return "below 0.1 ms" if 0 < ms < 0.05 else units.duration(ms)


def _finding(load: q.Load, s: Statement) -> Finding:
    ratio = s.stddev_exec_ms / s.mean_exec_ms if s.mean_exec_ms else 0.0
    return Finding(
        object=load.object_of(s),
        severity=Severity.INFO,
        grade=Grade.A,
        title=f"{_range(s)}: {q.short(s)}",
        detail=f"The mean is {_time(s.mean_exec_ms)}; the standard deviation is {ratio:.1f} times that.",
        evidence={
            "min_exec_ms": s.min_exec_ms and round(s.min_exec_ms, 3),
            "max_exec_ms": s.max_exec_ms and round(s.max_exec_ms, 3),
            "stddev_exec_ms": round(s.stddev_exec_ms, 3),
            "stddev_to_mean": round(ratio, 2),
            **load.evidence(s),
        },
        impact=Impact(risk="some calls take far longer than users expect"),
        caveats=("Execution time includes lock waits: the cause may be a lock and not the plan.",),
    )
