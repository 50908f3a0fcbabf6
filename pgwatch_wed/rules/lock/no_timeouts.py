"""No timeout ends sessions that are idle in transaction, run forever or wait for a lock forever.

## Why it matters
A single forgotten transaction, or one ALTER TABLE waiting in a queue, stops an application until somebody finds it. A timeout
ends it automatically.

## How sure we are
B: it follows from the settings of the server, its roles and databases. An application may also set timeouts in its sessions,
which cannot be seen.

## Not reported
- Timeouts that are set for the server, for this database, or for all roles with the LOGIN attribute that are not superusers.
- `transaction_timeout` (17 and later) also limits idle time and statements; `statement_timeout` also limits lock waits.
- It is never more than info, since these are PostgreSQL's defaults.

## Remedy
Set them for the application's roles rather than for the server: backups and migrations need more time. The values below are a
starting point.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Remedy, Severity, Unknown
from pgwatch_wed.quote import ident, literal
from pgwatch_wed.remedies import settings
from pgwatch_wed.units import count

NEEDS = ("settings", "role_settings", "roles")


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # The suggested values, in seconds.
    idle_seconds: int = 60
    statement_seconds: int = 300
    lock_seconds: int = 10


@dataclass(frozen=True, slots=True)
class Timeout:
    """A timeout, other settings that can replace it, and what happens without it."""

    name: str
    substitutes: tuple[str, ...]
    without: str


TIMEOUTS = (
    Timeout(
        "idle_in_transaction_session_timeout",
        ("transaction_timeout",),
        "a session that is idle in transaction can keep its locks and hold back VACUUM forever",
    ),
    Timeout(
        "statement_timeout",
        ("transaction_timeout",),
        "a statement can run, and keep its locks, forever",
    ),
    Timeout(
        "lock_timeout",
        ("statement_timeout", "transaction_timeout"),
        "a session can wait for a lock forever, while others queue up behind it",
    ),
)


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each timeout that is not set, or not for all roles."""
    seconds = (limits.idle_seconds, limits.statement_seconds, limits.lock_seconds)
    for timeout, value in zip(TIMEOUTS, seconds, strict=True):
        bare = _uncovered(snapshot, (timeout.name, *timeout.substitutes))
        if bare:
            yield _finding(snapshot, timeout, bare, value)


def _uncovered(snapshot: Snapshot, names: tuple[str, ...]) -> list[str]:
    """Return the roles for which none of these is set; () if one is set for the server or the database."""
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
    """Tell whether it is set for the server or this database, not just for our own role."""
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
    all_of_them = len(roles) == sum(r.can_login and not r.is_superuser for r in snapshot.roles)
    more = f" and {count(len(roles) - 5, 'more role')}" if len(roles) > 5 else ""
    who = "" if all_of_them else f" for {', '.join(roles[:5])}{more}"
    return Finding(
        object=Object("setting", timeout.name),
        severity=Severity.INFO,
        grade=Grade.B,
        title=f"{timeout.name} is not set{who}",
        detail=f"Without it, {timeout.without}.",
        evidence={"roles_without": roles[:50], "roles_without_count": len(roles)},
        impact=Impact(risk=timeout.without),
        remedy=_remedies(snapshot, timeout.name, roles, f"{seconds}s"),
        caveats=("The application may set it in its own sessions, which cannot be seen.",),
    )


def _remedies(snapshot: Snapshot, name: str, roles: list[str], value: str) -> tuple[Remedy, ...]:
    if 0 < len(roles) <= 10:
        return tuple(
            Remedy(
                sql=f"ALTER ROLE {ident(role)} SET {name} = {literal(value)};",
                lock="none; takes effect in new sessions",
                undo=settings.undo_role_setting(snapshot, role, name),
            )
            for role in roles
        )
    change = settings.alter_system(snapshot, name, literal(value))
    return (
        replace(
            change, lock=f"{change.lock}; first set longer timeouts for backup and migration roles"
        ),
    )
