"""A large shared_buffers without huge pages.

## Why it matters
With 4 kB pages, each backend needs a page table for all of shared_buffers; with many connections these take up gigabytes, and
there are more TLB misses.

## How sure we are
B that they are not in use (huge_pages_status, 17 and later; before that, only the setting is known), D for the gain.

## Not reported
A small shared_buffers; servers with huge pages on, or with an unknown status. Before 17, with the setting try, the verdict is
unknown, since the operating system decides.

## Remedy
Reserve them in the operating system (vm.nr_hugepages on Linux; from 15 on, shared_memory_size_in_huge_pages shows how many), then
restart with huge_pages = try, or on if the server should not start without them. No SQL to run: without the reservation, a
server with huge_pages = on does not start.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed import units
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Severity, Unknown

NEEDS = ("settings",)
SCOPE = "cluster"


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # For a smaller cache the gain is not worth the effort.
    min_shared_buffers_bytes: int = 8 * 1024**3


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield one finding if a large cache uses small pages."""
    buffers = snapshot.setting_number("shared_buffers") or 0
    if buffers < limits.min_shared_buffers_bytes:
        return
    needed = snapshot.setting_number("shared_memory_size_in_huge_pages")
    wanted, status = snapshot.setting("huge_pages"), snapshot.setting("huge_pages_status")
    if status in ("on", "unknown") or (status is None and wanted == "on"):
        return
    if status is None and wanted == "try":
        yield Unknown("before 17 the server does not show whether huge pages are in use")
        return
    yield Finding(
        object=Object("setting", "huge_pages"),
        severity=Severity.INFO,
        grade=Grade.D,
        title=f"{units.size(buffers)} of shared_buffers without huge pages",
        detail="Each connection needs a page table for all of it."
        # -1: the operating system does not support huge pages
        + (f" It would take {needed:,.0f} huge pages." if needed and needed > 0 else ""),
        evidence={
            "shared_buffers_bytes": round(buffers),
            "huge_pages": wanted,
            "huge_pages_status": status,
            "huge_pages_needed": round(needed) if needed and needed > 0 else None,
        },
        impact=Impact(risk="page tables cost memory and time"),
    )
