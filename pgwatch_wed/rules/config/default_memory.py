"""Memory settings still have PostgreSQL's defaults, which suit the smallest machines.

## Why it matters
128 MB of shared_buffers and 64 MB of maintenance_work_mem are little for a database of several gigabytes.

## How sure we are
D: defaults may be right for a small database, so they are judged only if the data is larger. The source of the setting counts,
since hosting providers have defaults of their own.

## Not reported
Databases that fit into the default; values that were set; servers whose memory is known and so small that the default is right.

## Remedy
The documentation recommends a quarter of the memory as a starting value for shared_buffers (requires a restart);
effective_cache_size tells the planner how much the operating system caches. No SQL to run while the memory is unknown.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed import units
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Remedy, Severity, Unknown
from pgwatch_wed.postgres import memory as mem
from pgwatch_wed.remedies import settings

NEEDS = ("settings", "tables", "indexes")

_USUAL_SHARE = 0.25  # the starting value recommended by the documentation


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # For a smaller database the default is fine.
    min_database_bytes: int = 2 * 1024**3
    # The server's RAM (0: unknown). Set by --memory, or `memory` in the configuration.
    memory_bytes: int = 0


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield one finding if a large database runs with the defaults."""
    data = mem.database_bytes(snapshot)
    buffers = snapshot.setting_number("shared_buffers") or 0.0
    if data < limits.min_database_bytes or not mem.is_default(snapshot, "shared_buffers"):
        return
    if limits.memory_bytes and buffers * 2 > limits.memory_bytes * _USUAL_SHARE:
        return
    yield Finding(
        object=Object("setting", "shared_buffers"),
        severity=Severity.INFO,
        grade=Grade.D,
        title=f"shared_buffers is still the default of {units.size(buffers)}",
        detail=f"The size of this database is {units.size(data)}.",
        evidence={
            "shared_buffers_bytes": round(buffers),
            "database_bytes": data,
            "also_default": [
                n
                for n in ("effective_cache_size", "maintenance_work_mem", "work_mem")
                if mem.is_default(snapshot, n)
            ],
        },
        impact=Impact(risk="the cache is small for the data"),
        remedy=_remedy(snapshot, limits),
        caveats=settings.caveats(snapshot.setting_by_name.get("shared_buffers"))
        if limits.memory_bytes
        else ('Set memory = "16GB" (the server\'s RAM) in pgwatch_wed.toml to get a value.',),
    )


def _remedy(snapshot: Snapshot, limits: Limits) -> tuple[Remedy, ...]:
    if not limits.memory_bytes:
        return ()
    usual = int(limits.memory_bytes * _USUAL_SHARE / mem.MB)
    return (settings.alter_system(snapshot, "shared_buffers", f"'{usual}MB'"),)
