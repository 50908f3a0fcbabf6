"""work_mem for all connections exceeds the server's memory.

## Why it matters
Each sort and each hash of each session may use work_mem. If all of them did so at the same time, the operating system would kill
the server.

## How sure we are
C if the amount of memory is known (`--memory`, or `memory` in the configuration): it is an upper bound, with one hash per connection. Statements
use several or none; actual peaks are rarely close to the bound. D if it is unknown: then only a bound that few servers could
satisfy is reported.

## Not reported
A bound that fits; an ordinary bound if the memory is unknown, in which case the verdict is unknown.

## Remedy
A lower work_mem for all, with more for the roles that need it (the statements that spill are listed, `query-temp-spill` suggests a
value), or fewer connections through a pooler.
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

_DEFAULT_MB = 4  # if the memory is unknown, never suggest less than PostgreSQL's default
_BUFFERS_OF_MEMORY = (
    4  # the starting value recommended by the documentation: a quarter of the memory
)


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # The server's RAM (0: unknown). Set by --memory, or `memory` in the configuration.
    memory_bytes: int = 0
    # The fraction of the memory without shared_buffers that all connections may use at most.
    max_share: float = 1.0
    # At least this fraction is a warning.
    warn_share: float = 2.0
    # If the memory is unknown, a bound that only the largest servers satisfy.
    max_bound_bytes: int = 64 * 1024**3
    # The bound must also exceed this multiple of shared_buffers, which is large on such a server.
    max_times_shared_buffers: float = 16.0


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield one finding if the bound exceeds the memory."""
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
        title=f"All connections together could use {units.size(bound)} of work_mem",
        detail=f"{units.count(round(connections), 'connection')} with one hash of {units.size(current * hashes)} each; "
        + (
            f"the memory without shared_buffers is {units.size(room)}."
            if room is not None
            else f"shared_buffers is {units.size(buffers)}, so the server is unlikely to have that much memory."
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
            "This is an upper bound, not a measurement; with a lower work_mem, statements may start to spill.",
            *(
                ()
                if room is not None
                else ("Set memory = in pgwatch_wed.toml for a more reliable answer.",)
            ),
        ),
    )
