"""Memory settings are still PostgreSQL's defaults, made to start on the smallest machine.

## Why it matters
128 MB of shared_buffers and 64 MB of maintenance_work_mem are little for a database of gigabytes.

## How sure we are
D: defaults may be right for a small database, so they are judged only where the data is larger. Judged by the setting's source,
since hosts have defaults of their own.

## Not reported
Databases that fit into the default; values that somebody chose; servers whose memory is known and so small that the default fits.

## Remedy
A quarter of the memory for shared_buffers is the documentation's start (needs a restart); effective_cache_size
tells the planner what the operating system caches. Nothing to paste while the memory is unknown.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed import units
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Remedy, Severity, Unknown
from pgwatch_wed.postgres import memory as mem
from pgwatch_wed.remedies import settings

NEEDS = ("settings", "tables", "indexes")

_USUAL_SHARE = 0.25  # the documentation's start


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # A smaller database is served well by the default.
    min_database_bytes: int = 2 * 1024**3
    # The server's RAM; 0: unknown. Set by `memory` in the configuration.
    memory_bytes: int = 0


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield one finding where a large database runs on the defaults."""
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
        title=f"shared_buffers is still the default of {buffers / 1048576:.0f} MB",
        detail=f"This database holds {units.size(data)}.",
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
        else ('Say `memory = "16GB"` in pgwatch_wed.toml for a value.',),
    )


def _remedy(snapshot: Snapshot, limits: Limits) -> tuple[Remedy, ...]:
    if not limits.memory_bytes:
        return ()
    usual = int(limits.memory_bytes * _USUAL_SHARE / mem.MB)
    return (settings.alter_system(snapshot, "shared_buffers", f"'{usual}MB'"),)
