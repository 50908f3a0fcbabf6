"""Statements that spend a large part of their time on JIT compilation.

## Why it matters
JIT compilation pays off for long-running analytical statements. For others it only adds time to every call.

## How sure we are
A: measured by pg_stat_statements (extension 1.10, server 15 and later); before that the verdict is unknown, unless JIT is off.

## Not reported
Little compilation in total, or a small part of the statement's time; servers with jit = off. Compilation in parallel workers
is counted, and may add up to more than the statement's own time.

## Remedy
jit = off for the roles that run it, or a higher jit_above_cost; both can be tried in a session first.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed.facts import Snapshot, Statement
from pgwatch_wed.findings import Effort, Finding, Grade, Impact, MeasuredTime, Remedy, Unknown
from pgwatch_wed.postgres import memory as mem
from pgwatch_wed.postgres import statements
from pgwatch_wed.quote import ident
from pgwatch_wed.remedies import settings
from pgwatch_wed.rules import _gains
from pgwatch_wed.rules import _queries as q
from pgwatch_wed.units import count, duration

NEEDS = ("statements", "statements_info", "settings")

_MAX_ROLES = 5


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # The fraction of the statement's time spent on JIT compilation.
    min_jit_share: float = 0.2
    # Less in total is not worth a change.
    min_jit_ms: float = 200.0
    # A statement that ran only once is probably ad hoc.
    min_calls: int = 2
    # Compilation that takes this share of the load, or this much time per day, is a warning,
    warn_load_share: float = 0.1
    warn_ms_per_day: float = 60_000
    # unless it is less than this fraction of the elapsed time.
    min_warn_of_elapsed: float = 0.000_1
    # Only the costliest statements are reported.
    max_statements: int = 10


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each statement that compiles too much."""
    load = q.Load.of(snapshot)
    yield from load.unknowns()
    if load.queries and all(s.jit_ms is None for s in load.queries):
        if snapshot.setting_on("jit") is not False:
            yield Unknown(
                "the installed version of pg_stat_statements does not track JIT compilation",
                "version 1.10 of the extension does (server 15 and later)",
            )
        return
    found = [
        (s, roles)
        for s in load.queries
        if _is_heavy(s, limits) and (roles := _compiling(snapshot, s, limits))
    ]
    found.sort(key=lambda f: (-(f[0].jit_ms or 0), f[0].query_id))
    for s, roles in found[: limits.max_statements]:
        yield _finding(load, s, roles, limits)


def _compiling(snapshot: Snapshot, s: Statement, limits: Limits) -> list[Statement]:
    """Return the counters of the roles that JIT still costs too much: others may have turned it off."""
    each = [r for r in statements.by_role(snapshot).get(s.query_id, ()) if r.jit_ms]
    left = [r for r in each if not _is_off(snapshot, r)]
    heavy = [r for r in left if _is_heavy(r, limits)]
    # each may be below the limits that all of them together exceed
    return sorted(heavy or left, key=lambda r: (-(r.jit_ms or 0), r.user or ""))


def _is_heavy(s: Statement, limits: Limits) -> bool:
    spent = s.jit_ms or 0.0
    return (
        s.calls >= limits.min_calls
        and spent >= limits.min_jit_ms
        and spent >= limits.min_jit_share * s.total_exec_ms
    )


def _is_off(snapshot: Snapshot, s: Statement) -> bool:
    """Tell whether JIT has been turned off in the meantime."""
    own = mem.role_setting(snapshot, s.user, "jit")
    return own == "off" or (own is None and snapshot.setting_on("jit") is False)


def _waited(load: q.Load, s: Statement, roles: list[Statement]) -> MeasuredTime:
    """Return how long calls waited for compilation: leader and workers compile at the same time."""
    processes = 1 + (s.parallel_workers_launched or 0) / max(s.calls, 1)
    return load.time(sum(r.jit_ms or 0.0 for r in roles) / processes, s)


def _finding(load: q.Load, s: Statement, roles: list[Statement], limits: Limits) -> Finding:
    spent = s.jit_ms or 0.0
    part = min(spent / s.total_exec_ms, 1.0) if s.total_exec_ms > 0 else 1.0
    roles = [r for r in roles if r.user][:_MAX_ROLES] or roles
    names = dict.fromkeys(r.user for r in roles)
    remedy = tuple(_remedy(load.snapshot, name) for name in names if name)
    time = _waited(load, s, roles)
    return Finding(
        object=load.object_of(s),
        severity=_gains.severity(
            time, limits.warn_load_share, limits.warn_ms_per_day, limits.min_warn_of_elapsed
        ),
        grade=Grade.A,
        title=f"It spends {part:.0%} of its time on JIT compilation: {q.short(s)}",
        detail=f"{count(s.jit_functions or 0, 'function')} compiled in {count(s.calls, 'call')}, "
        f"taking {duration(spent / s.calls)} per call.",
        evidence={
            "jit_ms": round(spent, 3),
            "jit_share": round(part, 4),
            "jit_functions": s.jit_functions,
            "jit_above_cost": load.snapshot.setting("jit_above_cost"),
            **load.evidence(s),
        },
        impact=Impact(
            gain=time if remedy else None,
            cost=None if remedy else time,
            effort=Effort.SETTING,
            risk="every call compiles again",
        ),
        remedy=remedy,
        caveats=("Without JIT, execution itself may become slower; compare in a session first.",),
    )


def _remedy(snapshot: Snapshot, role: str) -> Remedy:
    return Remedy(
        sql=f"ALTER ROLE {ident(role)} SET jit = off;",
        lock="none; takes effect in new sessions of the role",
        undo=settings.undo_role_setting(snapshot, role, "jit"),
    )
