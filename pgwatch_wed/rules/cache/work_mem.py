"""work_mem times connections exceeds the server's memory.

## Why it matters
Each sort and each hash of each session may take work_mem. If all did at once, the operating system would kill the server.

## How sure we are
C: a bound, one sort or hash a connection. Statements use several or none; the peak is rarely near the bound.

## Not reported
Servers whose memory is unknown (`memory` in the configuration tells it); a bound that fits.

## Remedy
A smaller work_mem for all, with more for the roles that sort (`query-temp-spill` names their statements), or
fewer connections through a pooler.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Remedy, Severity, Unknown
from pgwatch_wed.rules import _memory as mem

NEEDS = ("settings",)
SCOPE = "cluster"


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # The server's RAM; 0: unknown. Set by `memory` in the configuration.
    memory_bytes: int = 0
    # Part of the memory beside shared_buffers that sorts of all connections may promise to take.
    max_share: float = 1.0
    # Beyond this it is a warning.
    warn_share: float = 2.0


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield one finding where the bound exceeds the memory."""
    bound = mem.worst_case_bytes(snapshot)
    buffers = snapshot.setting_number("shared_buffers")
    if not limits.memory_bytes:
        yield mem.no_memory()
        return
    if bound is None or buffers is None:
        yield Unknown("work_mem, max_connections or shared_buffers cannot be read")
        return
    room = max(limits.memory_bytes - buffers, 1)
    share = bound / room
    if share <= limits.max_share:
        return
    connections = snapshot.setting_number("max_connections") or 1
    fitting = max(int(room * 0.5 / connections / 1048576), 1)
    yield Finding(
        object=Object("setting", "work_mem"),
        severity=Severity.WARNING if share >= limits.warn_share else Severity.INFO,
        grade=Grade.C,
        title=f"work_mem of all connections could take {share:.1f} times the memory",
        detail=f"One sort or hash a connection: {bound / 1e9:,.1f} GB, beside shared_buffers there are {room / 1e9:,.1f} GB.",
        evidence={
            "bound_bytes": round(bound),
            "memory_bytes": limits.memory_bytes,
            "shared_buffers_bytes": round(buffers),
            "work_mem_bytes": snapshot.setting_number("work_mem"),
            "max_connections": round(connections),
        },
        impact=Impact(risk="the server may run out of memory"),
        remedy=(
            Remedy(
                sql=f"ALTER SYSTEM SET work_mem = '{fitting}MB';\nSELECT pg_reload_conf();",
                lock="none; running sessions take it up",
                in_transaction=False,
                undo="ALTER SYSTEM RESET work_mem;",
            ),
        ),
        caveats=("It is a bound, not a measure; statements may begin to spill with less.",),
    )
