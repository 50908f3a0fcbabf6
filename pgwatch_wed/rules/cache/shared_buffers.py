"""shared_buffers is unusually small or large for the server's memory.

## Why it matters
With a tiny fraction of the memory, PostgreSQL has hardly any cache of its own; with most of it, too little is left for the
operating system and for sorts.

## How sure we are
D: the usual fraction is a rule of thumb, and is judged only if the amount of memory is known. A hit ratio is never the reason.

## Not reported
Servers whose memory is unknown (the verdict is unknown); databases that fit into shared_buffers; fractions within the limits.

## Remedy
ALTER SYSTEM SET shared_buffers, then a restart: a quarter of the memory, but not more than this database, all that has been read in
others, and room to grow. Compare the same time of day before and after.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed import units
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Severity, Unknown
from pgwatch_wed.postgres import memory as mem
from pgwatch_wed.remedies import settings

NEEDS = ("settings", "tables", "indexes")
SCOPE = "cluster"


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # The server's RAM (0: unknown). Set by --memory, or `memory` in the configuration.
    memory_bytes: int = 0
    # A smaller fraction of the memory is unusual.
    min_share: float = 0.1
    # A larger fraction leaves too little for everything else.
    max_share: float = 0.6
    # The starting value recommended by the documentation.
    usual_share: float = 0.25
    # More than the data, with this much room to grow, is never used.
    growth: float = 1.25


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield one finding if the fraction is too large, or too small for the data."""
    buffers = snapshot.setting_number("shared_buffers")
    if not limits.memory_bytes:
        yield mem.no_memory()
    elif buffers is None:
        yield Unknown("shared_buffers cannot be read")
    else:
        share = buffers / limits.memory_bytes
        data = mem.database_bytes(snapshot)
        if (share < limits.min_share and data > buffers) or share > limits.max_share:
            yield _finding(snapshot, buffers, data, limits)


def _finding(snapshot: Snapshot, buffers: float, data: int, limits: Limits) -> Finding:
    share = buffers / limits.memory_bytes
    usual = limits.memory_bytes * limits.usual_share
    if share < limits.min_share:
        usual = min(usual, mem.most_data_bytes(snapshot) * limits.growth)
    wanted = max(math.ceil(usual / mem.MB), 1)
    return Finding(
        object=Object("setting", "shared_buffers"),
        severity=Severity.INFO,
        grade=Grade.D,
        title=f"shared_buffers is {share:.1%} of the server's memory",
        detail=f"{units.size(buffers)} of {units.size(limits.memory_bytes)}; "
        f"the size of {snapshot.server.database} is {units.size(data)}.",
        evidence={
            "shared_buffers_bytes": round(buffers),
            "memory_bytes": limits.memory_bytes,
            "memory_share": round(share, 4),
            "database_bytes": data,
            "most_data_bytes": mem.most_data_bytes(snapshot),
        },
        impact=Impact(
            risk="blocks are read again and again"
            if share < limits.min_share
            else "little memory is left for sorts and the operating system"
        ),
        remedy=(settings.alter_system(snapshot, "shared_buffers", f"'{wanted}MB'"),),
        caveats=(
            "This size is only a starting point; measure the effect.",
            *settings.caveats(snapshot.setting_by_name.get("shared_buffers")),
        ),
    )
