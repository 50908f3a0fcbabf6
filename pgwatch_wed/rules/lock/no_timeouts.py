"""No timeout ends sessions that are idle in transaction, run forever or wait for a lock forever.

## Why it matters
A single forgotten transaction, or one ALTER TABLE waiting in a queue, stops an application until somebody finds it. A timeout
ends it automatically.

## How sure we are
B: it follows from the settings of the server, its roles and databases. An application may also set timeouts in its sessions,
which cannot be seen.

## Not reported
- Timeouts that are set for the server, for this database, or for all roles of applications.
- Roles of superusers, of monitoring (members of `pg_read_all_stats` or `pg_monitor`) and of replication, and those that cannot log
  in: a timeout of theirs frees no application.
- `transaction_timeout` (17 and later) also limits idle time and statements; `statement_timeout` also limits lock waits.
- It is never more than info, since these are PostgreSQL's defaults.

## Remedy
One script for all roles and timeouts. Set them for the application's roles rather than for the server: backups and migrations
need more time. The values below are a starting point.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from pgwatch_wed.facts import Role, Snapshot
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


# With more roles than this, the server's own setting is the shorter script.
_MOST_ROLES = 10


@dataclass(frozen=True, slots=True)
class _Gap:
    """A timeout that is not set, the suggested value, and the roles for which it is not; () for the server."""

    timeout: Timeout
    seconds: int
    roles: tuple[str, ...]


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield one finding for all timeouts that are not set, or not for all roles."""
    seconds = (limits.idle_seconds, limits.statement_seconds, limits.lock_seconds)
    uncovered = [_uncovered(snapshot, (t.name, *t.substitutes)) for t in TIMEOUTS]
    gaps = [
        _Gap(timeout, value, roles)
        for timeout, value, roles in zip(TIMEOUTS, seconds, uncovered, strict=True)
        if roles is not None
    ]
    if gaps:
        yield _finding(snapshot, gaps)


def _uncovered(snapshot: Snapshot, names: tuple[str, ...]) -> tuple[str, ...] | None:
    """Return the roles for which none of these is set, () if there are no roles of applications; None if all have one."""
    if any(_is_set_for_all(snapshot, name) for name in names):
        return None
    roles = [r.name for r in snapshot.roles if _is_of_application(r)]
    bound = {
        s.role
        for s in snapshot.role_settings
        if s.name in names and s.database in (None, snapshot.server.database) and _is_on(s.value)
    }
    bare = tuple(sorted(r for r in roles if r not in bound))
    return bare if bare or not roles else None


def _is_of_application(role: Role) -> bool:
    """Tell whether a timeout of the role could free an application."""
    apart = role.is_superuser or role.is_monitoring or role.is_replication
    return role.can_login and not apart


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


def _finding(snapshot: Snapshot, gaps: Sequence[_Gap]) -> Finding:
    roles = sorted({role for gap in gaps for role in gap.roles})
    names = [gap.timeout.name for gap in gaps]
    are_all = len(roles) == sum(map(_is_of_application, snapshot.roles))
    what = f"{names[0]} is" if len(names) == 1 else f"{len(names)} timeouts are"
    return Finding(
        object=Object("setting", "timeouts"),
        severity=Severity.INFO,
        grade=Grade.B,
        title=f"{what} not set{'' if are_all else f' for {_listed(roles)}'}",
        detail=" ".join(_without(gap, roles) for gap in gaps),
        evidence={
            "timeouts": names,
            "roles_without": roles[:50],
            "roles_without_count": len(roles),
            "roles_by_timeout": {gap.timeout.name: list(gap.roles[:50]) for gap in gaps},
        },
        impact=Impact(risk=gaps[0].timeout.without),
        remedy=(_remedy(snapshot, gaps, roles),),
        caveats=("The application may set them in its own sessions, which cannot be seen.",),
    )


def _listed(roles: Sequence[str]) -> str:
    more = f" and {count(len(roles) - 5, 'more role')}" if len(roles) > 5 else ""
    return f"{', '.join(roles[:5])}{more}"


def _without(gap: _Gap, all_roles: Sequence[str]) -> str:
    whose = "" if list(gap.roles) == list(all_roles) else f" (of {_listed(gap.roles)})"
    return f"Without {gap.timeout.name}{whose}, {gap.timeout.without}."


def _remedy(snapshot: Snapshot, gaps: Sequence[_Gap], roles: Sequence[str]) -> Remedy:
    """Return one script: for each role what it lacks, or for the server if there are no roles or too many."""
    if not 0 < len(roles) <= _MOST_ROLES:
        changes = (
            settings.alter_system(snapshot, gap.timeout.name, literal(f"{gap.seconds}s"))
            for gap in gaps
        )
        change = settings.together(tuple(changes))
        lock = f"{change.lock}; first set longer timeouts for backup and migration roles"
        return replace(change, lock=lock)
    lacking = [(role, gap) for role in roles for gap in gaps if role in gap.roles]
    return Remedy(
        sql="\n".join(_set(role, gap) for role, gap in lacking),
        lock="none; takes effect in new sessions",
        undo="\n".join(_undone(snapshot, lacking)),
    )


def _set(role: str, gap: _Gap) -> str:
    return f"ALTER ROLE {ident(role)} SET {gap.timeout.name} = {literal(f'{gap.seconds}s')};"


def _undone(snapshot: Snapshot, lacking: Iterable[tuple[str, _Gap]]) -> Iterator[str]:
    return (settings.undo_role_setting(snapshot, role, gap.timeout.name) for role, gap in lacking)
