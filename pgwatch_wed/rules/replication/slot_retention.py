"""A replication slot retains a lot of WAL, or has lost what its consumer needs.

## Why it matters
WAL that a slot needs is never removed (unless max_slot_wal_keep_size limits it), until the disk is full and the server stops. If a
slot is lost, its consumer has to be rebuilt.

## How sure we are
B: positions and status come from the server.

## Not reported
Slots that retain little; a consumer that is only a few files behind.

## Remedy
Start the consumer, or drop the slot; max_slot_wal_keep_size limits what a slot may retain (beyond that, it is lost).
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed import units
from pgwatch_wed.facts import Slot, Snapshot
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Remedy, Severity, Unknown
from pgwatch_wed.quote import literal

NEEDS = ("slots", "settings")
SCOPE = "cluster"


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # A consumer that is this far behind is worth a look.
    min_retained_bytes: int = 1024**3
    # At least this much is a warning.
    warn_retained_bytes: int = 5 * 1024**3
    # If less than this is left before the slot is lost, it is a warning, too.
    min_safe_bytes: int = 1024**3


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each slot that retains too much, is about to be lost, or is lost."""
    for slot in snapshot.slots:
        if slot.wal_status == "lost" or slot.invalidation_reason:
            yield _lost(slot)
            continue
        retained = slot.retained_bytes or 0
        endangered = slot.wal_status == "unreserved" or (
            slot.safe_wal_bytes is not None
            and slot.safe_wal_bytes < limits.min_safe_bytes
            and retained > slot.safe_wal_bytes
        )
        if retained >= limits.min_retained_bytes or endangered:
            yield _keeping(snapshot, slot, retained, limits, endangered=endangered)


def _lost(slot: Slot) -> Finding:
    return Finding(
        object=Object("slot", slot.name),
        severity=Severity.WARNING,
        grade=Grade.B,
        title=f"Replication slot {slot.name} is lost",
        detail=f"It has been invalidated ({slot.invalidation_reason or slot.wal_status}): its consumer cannot continue.",
        evidence=_evidence(slot),
        impact=Impact(risk="its standby or subscriber has to be rebuilt"),
        remedy=(_drop(slot),),
    )


def _keeping(
    snapshot: Snapshot, slot: Slot, retained: int, limits: Limits, *, endangered: bool
) -> Finding:
    bounded = (snapshot.setting_number("max_slot_wal_keep_size") or -1) > 0
    warns = retained >= limits.warn_retained_bytes or endangered
    return Finding(
        object=Object("slot", slot.name),
        severity=Severity.WARNING if warns else Severity.INFO,
        grade=Grade.B,
        title=f"Replication slot {slot.name} retains {units.size(retained)} of WAL",
        detail=(
            "Its consumer is connected but behind."
            if slot.is_active
            else "Its consumer is not connected."
        )
        + (" It is about to be lost." if endangered else ""),
        evidence=_evidence(slot),
        impact=Impact(
            bytes=retained,
            risk="the slot is lost at max_slot_wal_keep_size"
            if bounded
            else "pg_wal grows until the disk is full",
        ),
        remedy=() if slot.is_active else (_drop(slot),),
        caveats=("Drop a slot only if its consumer is gone for good.",),
    )


def _drop(slot: Slot) -> Remedy:
    return Remedy(
        sql=f"SELECT pg_drop_replication_slot({literal(slot.name)});",
        lock="none; its consumer cannot continue from where it was",
        undo="-- none: the consumer has to be rebuilt",
    )


def _evidence(slot: Slot) -> dict[str, object]:
    return {
        "slot_type": slot.slot_type,
        "plugin": slot.plugin,
        "is_active": slot.is_active,
        "retained_bytes": slot.retained_bytes,
        "safe_wal_bytes": slot.safe_wal_bytes,
        "wal_status": slot.wal_status,
        "inactive_since": slot.inactive_since.isoformat() if slot.inactive_since else None,
        "invalidation_reason": slot.invalidation_reason,
    }
