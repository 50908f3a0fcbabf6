"""Many connections that have been idle for a long time.

## Why it matters
An idle connection uses memory (its caches grow with every table that it has accessed) and one of `max_connections`; before 14 it
also slowed down every snapshot.

## How sure we are
A for that moment. Whether a pool keeps them on purpose is up to you.

## Not reported
- Connections idle for less than `min_idle`, which a pool keeps ready.
- Fewer than `min_sessions` of them, or less than `min_share` of the available connections.

## Remedy
Smaller pools, a shorter idle timeout in the pool, or a pooler in front of the server. `idle_session_timeout` (14 and later) ends
them on the server; a pool that does not check its connections then gets errors.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from pgwatch_wed import units
from pgwatch_wed.facts import Session, Snapshot
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Severity, Unknown
from pgwatch_wed.postgres import waits as locks
from pgwatch_wed.rules.connection.usage import available

NEEDS = ("sessions", "settings")
SCOPE = "cluster"


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # A connection in regular use is not idle for this long.
    min_idle: timedelta = timedelta(minutes=10)
    # Fewer do not matter.
    min_sessions: int = 20
    # Fractions of the connections available to applications.
    min_share: float = 0.25
    warn_share: float = 0.5


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding if idle connections take up a large part of those available."""
    room = available(snapshot)
    idle = [s for s in snapshot.sessions if _is_idle(snapshot, s, limits)]
    if room is None:
        yield Unknown("the setting max_connections cannot be read")
    elif len(idle) >= limits.min_sessions and len(idle) >= limits.min_share * room:
        yield _finding(snapshot, idle, room, limits)
    yield from locks.hidden(snapshot)


def _is_idle(snapshot: Snapshot, session: Session, limits: Limits) -> bool:
    idle = locks.since(session.state_change, snapshot) or timedelta()
    return locks.is_client(session) and session.state == "idle" and idle >= limits.min_idle


def _finding(snapshot: Snapshot, idle: list[Session], room: int, limits: Limits) -> Finding:
    owners = Counter(locks.label(s) for s in idle)
    listed = sorted(owners.items(), key=lambda item: (-item[1], item[0]))
    late = len(idle) >= limits.warn_share * room
    return Finding(
        object=Object("setting", "max_connections"),
        severity=Severity.WARNING if late else Severity.INFO,
        grade=Grade.A,
        title=f"{len(idle):,} of {room:,} available connections have been idle for more than "
        f"{units.words(limits.min_idle)}",
        detail="Most of them belong to "
        + ", ".join(f"{who} ({n:,})" for who, n in listed[:3])
        + ".",
        evidence={
            "idle": len(idle),
            "available": room,
            "by_owner": dict(listed[:20]),
            "longest_seconds": max(
                locks.seconds(locks.since(s.state_change, snapshot)) or 0.0 for s in idle
            ),
        },
        impact=Impact(risk="they use memory and connection slots that others may need"),
        caveats=("SQL cannot fix this: make the pools smaller in their configuration.",),
    )
