"""A replication slot keeps much WAL, or has lost what its consumer needs.

## Why it matters
WAL that a slot needs is never removed (unless max_slot_wal_keep_size bounds it), until the volume is full and the server stops. A
slot that is lost leaves its consumer to be built anew.

## How sure we are
B: positions and status are the server's.

## Not reported
Slots that keep little; a consumer that is merely a few files behind.

## Remedy
Start the consumer, or drop the slot; max_slot_wal_keep_size bounds what a slot may keep (and then loses it).
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
    # From here on it is a warning.
    warn_retained_bytes: int = 5 * 1024**3
    # Less than this left before the slot is lost is a warning, too.
    min_safe_bytes: int = 1024**3


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each slot that keeps too much, is about to be lost, or is lost."""
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
        title=f"Slot {slot.name} is lost",
        detail=f"The WAL that its consumer needs is gone ({slot.invalidation_reason or slot.wal_status}).",
        evidence=_evidence(slot),
        impact=Impact(risk="its standby or subscriber must be built anew"),
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
        title=f"Slot {slot.name} keeps {units.size(retained)} of WAL",
        detail=("Its consumer is connected and behind." if slot.is_active else "Nobody reads it.")
        + (" It is about to be lost." if endangered else ""),
        evidence=_evidence(slot),
        impact=Impact(
            bytes=retained,
            risk="the slot is lost at max_slot_wal_keep_size"
            if bounded
            else "pg_wal grows until its volume is full",
        ),
        remedy=() if slot.is_active else (_drop(slot),),
        caveats=("Drop a slot only when its consumer is gone for good.",),
    )


def _drop(slot: Slot) -> Remedy:
    return Remedy(
        sql=f"SELECT pg_drop_replication_slot({literal(slot.name)});",
        lock="none; its consumer cannot go on from where it was",
        undo="-- there is none: the consumer must be built anew",
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
