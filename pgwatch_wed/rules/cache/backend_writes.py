"""Client sessions write dirty blocks themselves.

## Why it matters
A query that needs a free buffer and finds only dirty ones writes one out first, and waits. The checkpointer and
the background writer are there to do that.

## How sure we are
B for the counts (pg_stat_io from 16 on, pg_stat_bgwriter before 17), D for the advice. Bulk operations write through
rings of their own and are left out from 16 on.

## Not reported
Few writes; a small part of all; before 16 loads cannot be told apart, so the grade is D throughout.

## Remedy
A more eager background writer (bgwriter_lru_maxpages, bgwriter_delay); a larger shared_buffers only where the data's working set is
known not to fit.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Remedy, Severity, Unknown

NEEDS = ("settings",)
SCOPE = "cluster"


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # Fewer writes than these (about 800 MB) are no pattern.
    min_writes: int = 100_000
    # Part of all buffers written that clients wrote themselves.
    min_share: float = 0.3


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield one finding where clients write a large part."""
    counts = _from_io(snapshot) if snapshot.io else _from_bgwriter(snapshot)
    if counts is None:
        yield Unknown(
            "neither pg_stat_io (16 and later) nor pg_stat_bgwriter's counters could be read",
            "GRANT pg_monitor TO the role",
        )
        return
    mine, everybody, source = counts
    if mine < limits.min_writes or mine / max(everybody, 1) < limits.min_share:
        return
    pages = snapshot.setting_number("bgwriter_lru_maxpages") or 100
    yield Finding(
        object=Object("server", "background writer"),
        severity=Severity.INFO,
        grade=Grade.D,
        title=f"Clients wrote {mine / everybody:.0%} of the dirty buffers themselves",
        detail=f"{mine:,} of {everybody:,} writes, as {source} counts.",
        evidence={"client_writes": mine, "all_writes": everybody, "source": source},
        impact=Impact(risk="queries wait for writes"),
        remedy=(
            Remedy(
                sql=f"ALTER SYSTEM SET bgwriter_lru_maxpages = {int(pages * 4)};\nSELECT pg_reload_conf();",
                lock="none",
                in_transaction=False,
                undo="ALTER SYSTEM RESET bgwriter_lru_maxpages;",
            ),
        ),
    )


def _from_io(snapshot: Snapshot) -> tuple[int, int, str] | None:
    rows = [r for r in snapshot.io if r.object == "relation" and r.writes is not None]
    normal = [r for r in rows if r.context == "normal"]
    mine = sum(r.writes or 0 for r in normal if r.backend_type == "client backend")
    return mine, sum(r.writes or 0 for r in normal), "pg_stat_io"


def _from_bgwriter(snapshot: Snapshot) -> tuple[int, int, str] | None:
    for c in snapshot.checkpoints:
        if c.buffers_backend is not None:
            everybody = c.buffers_backend + c.buffers_checkpoint + (c.buffers_clean or 0)
            return c.buffers_backend, everybody, "pg_stat_bgwriter"
    return None
