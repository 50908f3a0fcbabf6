"""work_mem times connections exceeds the server's memory.

## Why it matters
Each sort and each hash of each session may take work_mem. If all did at once, the operating system would kill the server.

## How sure we are
C where the memory is known (`memory` in the configuration tells it): a bound, one hash a connection. Statements use several or none; the peak
is rarely near the bound. D where it is not: then only a bound that few servers could meet is reported.

## Not reported
A bound that fits; with the memory unknown, an ordinary bound: the verdict is unknown then.

## Remedy
A smaller work_mem for all, with more for the roles that sort (the statements that spill are named, `query-temp-spill` gives
the size), or fewer connections through a pooler.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed import units
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Severity, Unknown
from pgwatch_wed.postgres import memory as mem
from pgwatch_wed.remedies import settings
from pgwatch_wed.rules import _queries as q

NEEDS = ("settings",)
SCOPE = "cluster"

_DEFAULT_MB = 4  # without the memory known, nobody is told to go below PostgreSQL's own
_BUFFERS_OF_MEMORY = 4  # the documentation's start: a quarter of the memory


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # The server's RAM; 0: unknown. Set by `memory` in the configuration.
    memory_bytes: int = 0
    # Part of the memory beside shared_buffers that sorts of all connections may promise to take.
    max_share: float = 1.0
    # From this part on it is a warning.
    warn_share: float = 2.0
    # With the memory unknown: a bound that only the largest servers meet.
    max_bound_bytes: int = 64 * 1024**3
    # And this many times shared_buffers, which on such a server would be large, too.
    max_times_shared_buffers: float = 16.0


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield one finding where the bound exceeds the memory."""
    hidden = settings.hidden(snapshot, "work_mem", "hash_mem_multiplier")
    if hidden is not None:
        yield hidden
        return
    bound = mem.worst_case_bytes(snapshot)
    buffers = snapshot.setting_number("shared_buffers")
    if bound is None or buffers is None:
        yield Unknown("work_mem, max_connections or shared_buffers cannot be read")
    elif limits.memory_bytes:
        room = max(limits.memory_bytes - buffers, 1.0)
        if bound > limits.max_share * room:
            yield _finding(snapshot, bound, buffers, room, limits)
    elif bound >= max(limits.max_bound_bytes, limits.max_times_shared_buffers * buffers):
        yield _finding(snapshot, bound, buffers, None, limits)
    else:
        yield mem.no_memory()


def _finding(
    snapshot: Snapshot, bound: float, buffers: float, room: float | None, limits: Limits
) -> Finding:
    connections = max(snapshot.setting_number("max_connections") or 1.0, 1.0)
    hashes = max(snapshot.setting_number("hash_mem_multiplier") or 1.0, 1.0)
    has_room = room if room is not None else buffers * (_BUFFERS_OF_MEMORY - 1)
    least = 1 if room is not None else _DEFAULT_MB
    fitting = max(int(has_room * 0.5 / connections / hashes / mem.MB), least)
    current = snapshot.setting_number("work_mem") or 0.0
    spilling = [s for s in q.Load.of(snapshot).queries if s.temp_blks_written]
    spilling.sort(key=lambda s: (-s.temp_blks_written, s.query_id))
    warns = room is not None and bound >= limits.warn_share * room
    return Finding(
        object=Object("setting", "work_mem"),
        severity=Severity.WARNING if warns else Severity.INFO,
        grade=Grade.C if room is not None else Grade.D,
        title=f"work_mem of all connections could take {units.size(bound)}",
        detail=f"{connections:,.0f} connections with one hash of {current * hashes / mem.MB:,.0f} MB each; "
        + (
            f"beside shared_buffers there are {units.size(room)}."
            if room is not None
            else f"shared_buffers has {units.size(buffers)}, so that the server hardly has that much."
        ),
        evidence={
            "bound_bytes": round(bound),
            "memory_bytes": limits.memory_bytes or None,
            "shared_buffers_bytes": round(buffers),
            "work_mem_bytes": round(current),
            "hash_mem_multiplier": hashes,
            "max_connections": round(connections),
            "queries": [s.text for s in spilling[:5] if s.text],
        },
        impact=Impact(risk="the server may run out of memory"),
        remedy=(settings.alter_system(snapshot, "work_mem", f"'{fitting}MB'"),)
        if fitting * mem.MB < current
        else (),
        caveats=(
            "It is a bound, not a measure; statements may begin to spill with less.",
            *(() if room is not None else ("memory = in pgwatch_wed.toml gives a surer answer.",)),
        ),
    )
