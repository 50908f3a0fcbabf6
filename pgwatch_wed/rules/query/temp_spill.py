"""Statements that write temporary files on every call.

## Why it matters
A sort or hash that does not fit into work_mem is written to disk and read back, which is many times slower than memory.

## How sure we are
C: the volume is counted by pg_stat_statements, but not the memory that would be required, nor what it would save: a sort in
memory saves the I/O, and is otherwise not always faster. Rows on disk are more compact than in memory, so
about twice the bytes written per call are assumed for one sort; less is needed if several plan nodes spill, or one spills in
several passes.

## Not reported
Roles whose calls do not spill, since their work_mem is larger; statements that ran once, such as a data load or an ad hoc report; statements that spill little; utility statements such as
CREATE INDEX, which use maintenance_work_mem. The server does not count statements that failed.

## Remedy
work_mem for each role that spills (ALTER ROLE … SET work_mem), up to a limit; beyond that none is suggested: an index that
provides the order, or sorting fewer rows, is the better way. Each session of the role may use that much.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pgwatch_wed import units
from pgwatch_wed.facts import Snapshot, Statement
from pgwatch_wed.findings import Finding, Grade, Impact, Remedy, Severity, Unknown
from pgwatch_wed.postgres import memory as mem
from pgwatch_wed.postgres import statements
from pgwatch_wed.quote import ident
from pgwatch_wed.remedies import settings
from pgwatch_wed.rules import _queries as q

NEEDS = ("statements", "statements_info", "settings")

_MB = 1024 * 1024
_MAX_ROLES = 5


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # Less per call may just be the batches of a hash.
    min_bytes_per_call: int = 1_000_000
    # Less in total costs next to nothing.
    min_bytes: int = 10_000_000
    # A statement that ran only once was probably a data load or an ad hoc report.
    min_calls: int = 2
    # At least this much per day is a warning.
    warn_bytes_per_day: int = 50_000_000_000
    # More memory for one sort is not suggested without looking at the plan.
    max_work_mem_bytes: int = 256 * 1024 * 1024
    # The server's RAM (0: unknown). All connections together may use half of it.
    memory_bytes: int = 0
    # Only the costliest statements are reported.
    max_statements: int = 10


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each statement that spills on every call."""
    load = q.Load.of(snapshot)
    yield from load.unknowns()
    found = [spill for s in load.queries if (spill := _spill(load, s, limits)) is not None]
    found.sort(key=lambda f: (-f.bytes, f.statement.query_id))
    for spill in found[: limits.max_statements]:
        yield _finding(load, spill, limits)


@dataclass(frozen=True, slots=True)
class _Role:
    """A role whose calls of a statement spill, and the memory that they would need."""

    name: str | None
    calls: int
    bytes: int
    work_mem: float

    @property
    def per_call(self) -> int:
        return round(self.bytes / self.calls)

    @property
    def wanted(self) -> int:
        return _rounded(self.work_mem + 2 * self.per_call)


@dataclass(frozen=True, slots=True)
class _Spill:
    """A statement, and the roles that spill with it, worst first: with another work_mem, it may not."""

    statement: Statement
    roles: tuple[_Role, ...]

    @property
    def bytes(self) -> int:
        return sum(r.bytes for r in self.roles)


def _spill(load: q.Load, s: Statement, limits: Limits) -> _Spill | None:
    snapshot = load.snapshot
    found = [
        _Role(
            each.user,
            each.calls,
            each.temp_blks_written * snapshot.server.block_size,
            mem.work_mem_of(snapshot, each.user),
        )
        for each in statements.by_role(snapshot).get(s.query_id, ())
    ]
    roles = sorted(
        (r for r in found if _is_much(r, limits)), key=lambda r: (-r.bytes, r.name or "")
    )
    return _Spill(s, tuple(roles)) if roles else None


def _is_much(role: _Role, limits: Limits) -> bool:
    return (
        role.calls >= limits.min_calls
        and role.bytes >= limits.min_bytes
        and role.bytes >= limits.min_bytes_per_call * role.calls
    )


def _finding(load: q.Load, spill: _Spill, limits: Limits) -> Finding:
    s, worst = spill.statement, spill.roles[0]
    rate = load.per_day(spill.bytes, s)
    is_much = load.least_per_day(spill.bytes, s) >= limits.warn_bytes_per_day
    bound = _bound(load.snapshot, limits)
    advised = [r for r in spill.roles[:_MAX_ROLES] if r.name and r.wanted <= bound]
    return Finding(
        object=load.object_of(s),
        severity=Severity.WARNING if is_much else Severity.INFO,
        grade=Grade.C,
        title=f"{units.size(worst.per_call)} of temporary files per call: {q.short(s)}",
        detail=f"work_mem is {units.size(worst.work_mem)}"
        + (f" for {worst.name}" if worst.name else "")
        + f"; about {units.size(worst.wanted)} would be needed to sort or hash in memory (an estimate, within a factor "
        "of two).",
        evidence={
            "temp_bytes_per_call": worst.per_call,
            "temp_bytes": spill.bytes,
            "temp_bytes_per_day": None if rate is None else round(rate),
            "temp_io_ms": s.temp_blk_ms,
            "work_mem_bytes": round(worst.work_mem),
            "work_mem_needed_bytes": worst.wanted,
            "roles_that_spill": [_evidence(r) for r in spill.roles[:_MAX_ROLES]],
            **load.evidence(s),
        },
        impact=_impact(load, s),
        remedy=tuple(_remedy(load.snapshot, r.name, r.wanted) for r in advised if r.name),
        caveats=(
            "Each sort and hash of each session may use that much: set it for this role only.",
        )
        if worst.wanted <= bound
        else (
            f"More than {units.size(bound)} per sort is not advised: use an index that provides the order.",
        ),
    )


def _evidence(role: _Role) -> dict[str, Any]:
    return {
        "user": role.name,
        "calls": role.calls,
        "temp_bytes": role.bytes,
        "work_mem_bytes": round(role.work_mem),
    }


def _impact(load: q.Load, s: Statement) -> Impact:
    """Return the time for writing and reading the files, as far as it is measured: more memory may save it, or less."""
    time = load.time(s.temp_blk_ms, s) if s.temp_blk_ms else None
    return Impact(cost=time, risk="every call writes data to disk and reads it back")


def _bound(snapshot: Snapshot, limits: Limits) -> float:
    """Return the most memory for one sort: less if there is not enough for all connections."""
    connections = snapshot.setting_number("max_connections") or 100.0
    if not limits.memory_bytes:
        return limits.max_work_mem_bytes
    return min(limits.max_work_mem_bytes, limits.memory_bytes / 2 / max(connections / 10, 1.0))


def _rounded(size: float) -> int:
    step = _MB if size < 16 * _MB else 8 * _MB
    return int(-(-size // step) * step)


def _remedy(snapshot: Snapshot, role: str, wanted: int) -> Remedy:
    return Remedy(
        sql=f"ALTER ROLE {ident(role)} SET work_mem = '{wanted // _MB}MB';",
        lock="none; takes effect in new sessions of the role",
        undo=settings.undo_role_setting(snapshot, role, "work_mem"),
    )
