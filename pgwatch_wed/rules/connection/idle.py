"""Most connections do nothing.

## Why it matters
Idle connections take slots and memory, and before 14 made every snapshot slower.

## How sure we are
D: a moment's count. Pools keep some connections warm on purpose.

## Not reported
Few connections; connections that were busy lately.

## Remedy
Smaller pools, or one pooler for all applications; idle_session_timeout (14 and later) for interactive roles.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Severity, Unknown
from pgwatch_wed.rules import _sessions as ss

NEEDS = ("sessions", "settings")
SCOPE = "cluster"


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # Fewer connections are no burden.
    min_connections: int = 50
    # Part of them that has been idle for long.
    min_idle_share: float = 0.8
    # A pool's connection is used more often than this.
    min_idle: timedelta = timedelta(minutes=10)


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield one finding where most connections have been idle for long."""
    clients = ss.clients(snapshot)
    idle = [
        s
        for s in clients
        if s.state == "idle"
        and (ss.seconds_since(snapshot, s.state_change) or 0) >= limits.min_idle.total_seconds()
    ]
    if len(clients) < limits.min_connections or len(idle) / len(clients) < limits.min_idle_share:
        return
    whose = Counter(s.application_name or s.user or "?" for s in idle)
    most = ", ".join(
        f"{name} {n}" for name, n in sorted(whose.items(), key=lambda x: (-x[1], x[0]))[:5]
    )
    yield Finding(
        object=Object("server", "connections"),
        severity=Severity.INFO,
        grade=Grade.D,
        title=f"{len(idle)} of {len(clients)} connections have been idle for {limits.min_idle.total_seconds() / 60:.0f} min",
        detail=f"Most of them: {most}.",
        evidence={
            "connections": len(clients),
            "idle": len(idle),
            "idle_share": round(len(idle) / len(clients), 4),
        },
        impact=Impact(risk="slots and memory are held for nothing"),
    )
