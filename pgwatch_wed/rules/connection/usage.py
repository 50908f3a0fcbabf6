"""Connections close to the limit of the server, a database or a role.

## Why it matters
At the limit, every new connection is refused, including yours when you try to find out why.

## How sure we are
A for that moment: sessions are counted and compared with the limits. Peaks between two runs are not seen.

## Not reported
- Usage below `info_share`. Connections reserved for superusers and (16 and later) `pg_use_reserved_connections` are not available
  to applications.
- Limits of databases and roles below `min_limit`, which are meant to keep a job from running twice. Superusers have none.
- As critical: connections of which half or more wait for a lock. They are the effect, and `lock-blocked` reports the cause.

## Remedy
A pooler (PgBouncer) or smaller pools, not more connections: each one uses memory, and only a few times the number of CPUs can work
at the same time. See `connection-idle` for idle ones.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed.facts import Session, Snapshot
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Remedy, Severity, Unknown
from pgwatch_wed.postgres import waits as locks
from pgwatch_wed.quote import ident

NEEDS = ("sessions", "settings", "databases", "roles")
SCOPE = "cluster"
_WHO = """SELECT datname, usename, application_name, client_addr, state, count(*)
FROM pg_stat_activity WHERE backend_type = 'client backend'
GROUP BY 1, 2, 3, 4, 5 ORDER BY 6 DESC LIMIT 20;"""


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # Fractions of the connections available to applications.
    info_share: float = 0.7
    warn_share: float = 0.85
    critical_share: float = 0.95
    # If at least this fraction of the connections waits for a lock, whoever holds it is the cause.
    max_waiting_share: float = 0.5
    # Lower limits of a database or role are meant to be reached.
    min_limit: int = 5


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each limit that has almost been reached."""
    clients = [s for s in snapshot.sessions if takes_room(s)]
    room = available(snapshot)
    if room is None:
        yield Unknown("the setting max_connections cannot be read")
    else:
        yield from _judge(snapshot, Object("setting", "max_connections"), clients, room, limits)
    for database in snapshot.databases:
        if database.connection_limit >= limits.min_limit:
            mine = [s for s in clients if s.database == database.name]
            name = Object("database", database.name)
            yield from _judge(snapshot, name, mine, database.connection_limit, limits)
    for role in snapshot.roles:
        if role.connection_limit >= limits.min_limit and not role.is_superuser:
            mine = [s for s in clients if s.user == role.name]
            yield from _judge(
                snapshot, Object("role", role.name), mine, role.connection_limit, limits
            )


def takes_room(session: Session) -> bool:
    """Tell whether it is a client; a hidden one differs from workers by its role and database."""
    hidden = locks.is_hidden(session) and session.user is not None and session.database is not None
    return hidden or locks.is_client(session)


def available(snapshot: Snapshot) -> int | None:
    """Return the number of connections available to ordinary roles."""
    most = snapshot.setting_number("max_connections")
    if most is None:
        return None
    reserved = ("superuser_reserved_connections", "reserved_connections")
    return max(int(most - sum(snapshot.setting_number(n) or 0 for n in reserved)), 1)


def _judge(
    snapshot: Snapshot, name: Object, sessions: list[Session], room: int, limits: Limits
) -> Iterator[Finding | Unknown]:
    share = len(sessions) / room
    if share < limits.info_share:
        return
    severity = Severity.WARNING if share >= limits.warn_share else Severity.INFO
    if share >= limits.critical_share:
        severity = Severity.CRITICAL
    stuck = locks.Waits(snapshot).by_pid
    waiting = [s for s in sessions if s.pid in stuck]
    is_effect = len(waiting) >= limits.max_waiting_share * len(sessions)
    if is_effect and severity is Severity.CRITICAL:
        severity = Severity.WARNING
    what = "the server" if name.kind == "setting" else f"the {name.kind} {name.name}"
    idle = sum(s.state == "idle" for s in sessions)
    yield Finding(
        object=name,
        severity=severity,
        grade=Grade.A,
        title=f"{len(sessions):,} of {room:,} connections of {what} are in use ({share:.0%})",
        detail=f"Of these, {'1 is' if idle == 1 else f'{idle:,} are'} idle."
        + (f" {len(waiting):,} wait for a lock: see lock-blocked first." if waiting else ""),
        evidence={
            "connections": len(sessions),
            "available": room,
            "share": round(share, 4),
            "idle": idle,
            "active": sum(s.state == "active" for s in sessions),
            "waiting_for_locks": len(waiting),
        },
        impact=Impact(risk="at the limit, new connections are refused"),
        remedy=tuple(_remedies(name, 0 if is_effect else room)),
        caveats=(
            "They are released once the lock is: neither a larger limit nor smaller pools would have helped."
            if is_effect
            else "More connections cost memory and do not help as long as most are idle.",
        ),
    )


def _remedies(name: Object, room: int) -> Iterator[Remedy]:
    yield Remedy(sql=_WHO, lock="none", undo="-- nothing to undo: it only reads")
    if name.kind in ("database", "role") and room:
        what = f"ALTER {name.kind.upper()} {ident(name.name)} CONNECTION LIMIT"
        yield Remedy(
            sql=f"{what} {room * 2};",
            lock="none; only if its pools cannot be made smaller",
            undo=f"{what} {room};",
        )
