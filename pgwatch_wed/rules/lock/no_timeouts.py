"""Nothing ends a session that idles in its transaction, runs for ever or waits for a lock for ever.

## Why it matters
One forgotten transaction or one ALTER TABLE in a queue stops an application until somebody finds it. A timeout ends it by itself.

## How sure we are
B: it is what the server's settings, and those bound to roles and databases, say. An application may also set them in its sessions,
which nobody sees from outside.

## Not reported
- Timeouts that are set for the server, for this database, or for every role that may log in and is no superuser.
- `transaction_timeout` (17 and later) bounds idleness and statements too; `statement_timeout` bounds waiting for locks too.
- It is never more than info: PostgreSQL ships like this.

## Remedy
Set them for the application's roles rather than for the server: backups and migrations need longer. The values below are a
start.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Remedy, Severity, Unknown
from pgwatch_wed.quote import ident, literal

NEEDS = ("settings", "role_settings", "roles")


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # What is proposed for each, in seconds.
    idle_seconds: int = 60
    statement_seconds: int = 300
    lock_seconds: int = 10


@dataclass(frozen=True, slots=True)
class Timeout:
    """A timeout, what else would do its work, and what happens without."""

    name: str
    substitutes: tuple[str, ...]
    without: str


TIMEOUTS = (
    Timeout(
        "idle_in_transaction_session_timeout",
        ("transaction_timeout",),
        "a session that idles in its transaction keeps its locks and the horizon for ever",
    ),
    Timeout(
        "statement_timeout",
        ("transaction_timeout",),
        "a statement may run, and hold what it holds, for ever",
    ),
    Timeout(
        "lock_timeout",
        ("statement_timeout", "transaction_timeout"),
        "whoever waits for a lock waits for ever, with everybody else behind",
    ),
)


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each timeout that is set nowhere, or not for every role."""
    seconds = (limits.idle_seconds, limits.statement_seconds, limits.lock_seconds)
    for timeout, value in zip(TIMEOUTS, seconds, strict=True):
        bare = _uncovered(snapshot, (timeout.name, *timeout.substitutes))
        if bare:
            yield _finding(snapshot, timeout, bare, value)


def _uncovered(snapshot: Snapshot, names: tuple[str, ...]) -> list[str]:
    """Return the roles for which none of these is set; () where the server or database sets one."""
    if any(_is_set_for_all(snapshot, name) for name in names):
        return []
    roles = [r.name for r in snapshot.roles if r.can_login and not r.is_superuser]
    if not roles:
        return [""]
    bound = {
        s.role
        for s in snapshot.role_settings
        if s.name in names and s.database in (None, snapshot.server.database) and _is_on(s.value)
    }
    return sorted(r for r in roles if r not in bound)


def _is_set_for_all(snapshot: Snapshot, name: str) -> bool:
    """Tell whether the server or this database sets it; our own role's setting is not the server's."""
    setting = snapshot.setting_by_name.get(name)
    here = snapshot.server.database
    mine = [s for s in snapshot.role_settings if s.name == name]
    if any(s.role is None and s.database in (None, here) and _is_on(s.value) for s in mine):
        return True
    own = any(s.role == snapshot.server.role and s.database in (None, here) for s in mine)
    return setting is not None and not own and _is_on(setting.reset_val)


def _is_on(value: str | None) -> bool:
    return (value or "0").strip().lstrip("0").strip() not in ("", "ms", "s", "min", "h", "d")


def _finding(snapshot: Snapshot, timeout: Timeout, bare: list[str], seconds: int) -> Finding:
    roles = [r for r in bare if r]
    everybody = len(roles) == sum(r.can_login and not r.is_superuser for r in snapshot.roles)
    who = "for nobody" if everybody else f"not for {', '.join(roles[:5])}"
    return Finding(
        object=Object("setting", timeout.name),
        severity=Severity.INFO,
        grade=Grade.B,
        title=f"{timeout.name} is set {who}",
        detail=f"Without it {timeout.without}.",
        evidence={"roles_without": roles[:50], "roles_without_count": len(roles)},
        impact=Impact(risk=timeout.without),
        remedy=_remedies(timeout.name, roles, f"{seconds}s"),
        caveats=("An application may set it in its own sessions; that is not seen from outside.",),
    )


def _remedies(name: str, roles: list[str], value: str) -> tuple[Remedy, ...]:
    if 0 < len(roles) <= 10:
        return tuple(
            Remedy(
                sql=f"ALTER ROLE {ident(role)} SET {name} = {literal(value)};",
                lock="none; new sessions follow it",
                undo=f"ALTER ROLE {ident(role)} RESET {name};",
            )
            for role in roles
        )
    return (
        Remedy(
            sql=f"ALTER SYSTEM SET {name} = {literal(value)}; SELECT pg_reload_conf();",
            lock="none; give backup and migration roles longer ones first",
            in_transaction=False,
            undo=f"ALTER SYSTEM RESET {name}; SELECT pg_reload_conf();",
        ),
    )
