"""shared_buffers does not fit the server's memory.

## Why it matters
A small fraction of the memory leaves PostgreSQL without a cache of its own; most of it leaves none to
the operating system and to sorts.

## How sure we are
D: the usual fraction is a rule of thumb, and is judged only where the memory is known. A hit ratio is never the reason.

## Not reported
Servers whose memory is unknown; databases that fit into what there is; fractions between the limits.

## Remedy
ALTER SYSTEM SET shared_buffers, then a restart; compare the same hours before and after.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Remedy, Severity, Unknown
from pgwatch_wed.rules import _memory as mem

NEEDS = ("settings", "tables", "indexes")


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # The server's RAM; 0: unknown. Set by `memory` in the configuration.
    memory_bytes: int = 0
    # A smaller part of the memory is unusual.
    min_share: float = 0.1
    # A larger part leaves too little to everything else.
    max_share: float = 0.6
    # What the documentation names as a start.
    usual_share: float = 0.25


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield one finding where the fraction is unusual and the data would need more."""
    buffers = snapshot.setting_number("shared_buffers")
    if not limits.memory_bytes:
        yield mem.no_memory()
        return
    if buffers is None:
        yield Unknown("shared_buffers cannot be read")
        return
    share = buffers / limits.memory_bytes
    data = sum(t.pages + (t.toast_pages or 0) for t in snapshot.tables)
    data = (data + sum(i.pages for i in snapshot.indexes)) * snapshot.server.block_size
    if (share < limits.min_share and data > buffers) or share > limits.max_share:
        wanted = int(limits.memory_bytes * limits.usual_share / 1048576)
        yield Finding(
            object=Object("setting", "shared_buffers"),
            severity=Severity.INFO,
            grade=Grade.D,
            title=f"shared_buffers is {share:.0%} of the memory",
            detail=f"{buffers / 1e9:,.2f} GB of {limits.memory_bytes / 1e9:,.1f} GB; this database holds {data / 1e9:,.2f} GB.",
            evidence={
                "shared_buffers_bytes": round(buffers),
                "memory_bytes": limits.memory_bytes,
                "memory_share": round(share, 4),
                "database_bytes": data,
            },
            impact=Impact(
                risk="blocks are fetched again and again"
                if share < limits.min_share
                else "little is left for sorts and the operating system"
            ),
            remedy=(
                Remedy(
                    sql=f"ALTER SYSTEM SET shared_buffers = '{wanted}MB';",
                    lock="none; it takes effect after a restart",
                    in_transaction=False,
                    undo="ALTER SYSTEM RESET shared_buffers;",
                ),
            ),
            caveats=("A quarter of the memory is where to start, not the answer; measure.",),
        )
