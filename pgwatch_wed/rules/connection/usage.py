"""Connections are nearly used up: of the server, a database or a role.

## Why it matters
The next client is refused, and so may be the DBA who comes to help.

## How sure we are
B: sessions are counted against max_connections less the reserved ones, and against CONNECTION LIMITs. It is a
moment's count.

## Not reported
Usage below the limit, whatever its absolute number; background processes, which take no such slot.

## Remedy
A pooler before a larger max_connections: each connection costs memory and snapshots time. End sessions that idle.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Severity, Unknown
from pgwatch_wed.rules import _sessions as ss

NEEDS = ("sessions", "settings", "databases")
SCOPE = "cluster"


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # Time to think about it.
    min_used_share: float = 0.7
    # The next peak may be refused.
    warn_used_share: float = 0.85
    # Refusals are near.
    critical_used_share: float = 0.95
    # A limit of a few connections is meant to be reached.
    min_limit: int = 5


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for the server and for each limited database that is nearly full."""
    # our own session is not among the facts, but takes a slot
    used = len(ss.clients(snapshot)) + 1
    total = snapshot.setting_number("max_connections")
    if total is None:
        yield Unknown("max_connections cannot be read")
        return
    reserved = sum(
        snapshot.setting_number(n) or 0
        for n in ("superuser_reserved_connections", "reserved_connections")
    )
    yield from _judge(
        snapshot, Object("server", "connections"), used, int(total - reserved), limits
    )
    for database in snapshot.databases:
        if database.connection_limit >= limits.min_limit:
            mine = sum(s.database == database.name for s in ss.clients(snapshot))
            what = Object("database", database.name)
            yield from _judge(snapshot, what, mine, database.connection_limit, limits)
    for role in snapshot.roles:
        if role.connection_limit >= limits.min_limit and not role.is_superuser:
            mine = sum(s.user == role.name for s in ss.clients(snapshot))
            yield from _judge(
                snapshot, Object("role", role.name), mine, role.connection_limit, limits
            )


def _judge(
    snapshot: Snapshot, what: Object, used: int, room: int, limits: Limits
) -> Iterator[Finding]:
    share = used / room if room > 0 else 1.0
    if share < limits.min_used_share:
        return
    severity = Severity.INFO
    if share >= limits.warn_used_share:
        severity = Severity.WARNING
    if share >= limits.critical_used_share:
        severity = Severity.CRITICAL
    idle = sum(s.state == "idle" for s in ss.clients(snapshot))
    whose = "the server" if what.kind == "server" else f"{what.kind} {what.name}"
    yield Finding(
        object=what,
        severity=severity,
        grade=Grade.B,
        title=f"{used} of {room} connections of {whose} are used",
        detail=f"{share:.0%}; {idle} sessions of the server are idle.",
        evidence={"used": used, "room": room, "used_share": round(share, 4), "idle": idle},
        impact=Impact(risk="new clients are refused"),
        caveats=("It is a moment's count; the peak may be higher.",),
    )
