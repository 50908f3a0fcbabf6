"""Logical decoding that writes large transactions to disk.

## Why it matters
Changes are collected per transaction until it commits. What exceeds `logical_decoding_work_mem` is written to files in
pg_replslot, read back and sent: the same changes go through the disk twice more, and the subscriber falls behind.

## How sure we are
B: the server counts what it spilled, from 14 on. Before that it does not, and the verdict is unknown if there is a logical slot.

## Not reported
Less than `min_bytes_per_day`, or a small part of what was decoded, as with one large load a month.

## Remedy
A larger `logical_decoding_work_mem`, which each walsender of a logical slot may use. For subscriptions of PostgreSQL 14 and
later, streaming sends large transactions while they run instead.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed import units
from pgwatch_wed.facts import Slot, SlotSpill, Snapshot
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Remedy, Severity, Unknown
from pgwatch_wed.postgres import memory as mem
from pgwatch_wed.postgres import pace
from pgwatch_wed.remedies import settings

NEEDS = ("slots", "settings")
SCOPE = "cluster"

_SETTING = "logical_decoding_work_mem"


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # Writing and reading back less than this a day goes unnoticed.
    min_bytes_per_day: int = 100_000_000
    # The fraction of the decoded bytes below which it is an exception.
    min_spill_share: float = 0.1
    # At least this much a day is a warning.
    warn_bytes_per_day: int = 10_000_000_000
    # No more memory than this is advised for one walsender.
    max_work_mem_bytes: int = 1024 * mem.MB


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each logical slot whose decoding spills."""
    logical = {s.name: s for s in snapshot.slots if s.slot_type == "logical"}
    if not logical:
        return
    if "slot_spills" in snapshot.missing:
        why = snapshot.missing["slot_spills"]
        yield Unknown(f"what logical decoding spilled is not known: {why.reason}", why.mend)
        return
    for spill in snapshot.slot_spills:
        slot = logical.get(spill.slot_name)
        daily = pace.least_per_day(spill.spill_bytes, _seconds(snapshot, spill))
        much = spill.spill_bytes >= limits.min_spill_share * max(spill.total_bytes, 1)
        if slot is not None and daily >= limits.min_bytes_per_day and much:
            yield _finding(snapshot, slot, spill, daily, limits)


def _seconds(snapshot: Snapshot, spill: SlotSpill) -> float:
    """Return how long it has been counted: at most since the cluster's counters began, if it was never reset."""
    cluster = (c.stats_reset for c in snapshot.checkpoints if c.stats_reset)
    begins = spill.stats_reset or min(cluster, default=snapshot.server.started_at)
    begins = max(begins, snapshot.measured_since or begins)
    return max((snapshot.now - begins).total_seconds(), 1.0)


def _finding(
    snapshot: Snapshot, slot: Slot, spill: SlotSpill, daily: float, limits: Limits
) -> Finding:
    since = f" since {spill.stats_reset:%Y-%m-%d}" if spill.stats_reset else ""
    current = snapshot.setting_number(_SETTING)
    return Finding(
        object=Object("slot", slot.name),
        severity=Severity.WARNING if daily >= limits.warn_bytes_per_day else Severity.INFO,
        grade=Grade.B,
        title=f"Logical decoding for slot {slot.name} wrote {units.size(spill.spill_bytes)} to disk",
        detail=f"{units.count(spill.spill_txns, 'transaction')} did not fit into {_SETTING}"
        + (f" ({units.size(current)})" if current else "")
        + f"{since}.",
        evidence={
            "spilled_transactions": spill.spill_txns,
            "spilled_bytes": spill.spill_bytes,
            "decoded_transactions": spill.total_txns,
            "decoded_bytes": spill.total_bytes,
            "streamed_transactions": spill.stream_txns,
            "plugin": slot.plugin,
            "database": slot.database,
        },
        impact=Impact(
            risk="large transactions reach the subscriber late, and the disk is written twice"
        ),
        remedy=tuple(_remedies(snapshot, spill, current, limits)),
        caveats=(
            "Each walsender with a logical slot may use that much memory.",
            (
                "If the subscriber is PostgreSQL 14 or later, ALTER SUBSCRIPTION … SET (streaming = on) there sends large "
                "transactions while they are still running; from 16 on, streaming = parallel applies them at once."
            ),
        ),
    )


def _remedies(
    snapshot: Snapshot, spill: SlotSpill, current: float | None, limits: Limits
) -> Iterator[Remedy]:
    """Yield a setting that holds one and a half average transactions of those that spilled, and is at least doubled."""
    if current is None:
        return
    average = spill.spill_bytes / max(spill.spill_txns, 1)
    wanted = mem.MB
    while wanted < max(1.5 * average, 2 * current):
        wanted *= 2
    wanted = min(wanted, limits.max_work_mem_bytes)
    if wanted > current:
        yield settings.alter_system(snapshot, _SETTING, f"'{wanted // mem.MB}MB'")
