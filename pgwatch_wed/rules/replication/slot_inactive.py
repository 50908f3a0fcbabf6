"""A replication slot without a consumer.

## Why it matters
It retains WAL, and may hold back VACUUM, for a consumer that may never return.

## How sure we are
B that it is inactive now; since when is known from 17 on. The slot of a standby that restarts is briefly inactive.

## Not reported
Temporary slots; slots synchronized from a primary, which are always inactive; slots inactive for less than the limit, if that is
known; lost ones, which `replication-slot-retention` reports.

## Remedy
Start the consumer; drop the slot if the consumer is gone for good.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from pgwatch_wed import units
from pgwatch_wed.facts import Slot, Snapshot
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Remedy, Severity, Unknown
from pgwatch_wed.quote import literal

NEEDS = ("slots",)
SCOPE = "cluster"


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # Longer than a restart of the consumer takes; known from 17 on.
    min_inactive: timedelta = timedelta(minutes=10)
    # Being inactive for this long is a warning.
    warn_inactive: timedelta = timedelta(days=1)
    # Retaining this much WAL is a warning, too.
    warn_retained_bytes: int = 1024**3


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each slot without a consumer."""
    for slot in snapshot.slots:
        if slot.is_active or slot.is_temporary or slot.is_synced or slot.wal_status == "lost":
            continue
        idle = snapshot.now - slot.inactive_since if slot.inactive_since else None
        keeps = slot.retained_bytes is not None or slot.xmin_age_xids is not None
        if (idle is None or idle >= limits.min_inactive) and keeps:
            yield _finding(slot, idle, limits)


def _finding(slot: Slot, idle: timedelta | None, limits: Limits) -> Finding:
    retained = slot.retained_bytes or 0
    warns = retained >= limits.warn_retained_bytes or (
        idle is not None and idle >= limits.warn_inactive
    )
    since = f" for {idle.total_seconds() / 3600:,.1f} h" if idle is not None else ""
    return Finding(
        object=Object("slot", slot.name),
        severity=Severity.WARNING if warns else Severity.INFO,
        grade=Grade.B,
        title=f"Replication slot {slot.name} has been inactive{since}"
        if since
        else f"Replication slot {slot.name} is inactive",
        detail=f"It retains {units.size(retained)} of WAL"
        + (" and holds back VACUUM." if slot.xmin_age_xids is not None else "."),
        evidence={
            "slot_type": slot.slot_type,
            "plugin": slot.plugin,
            "database": slot.database,
            "retained_bytes": slot.retained_bytes,
            "inactive_since": slot.inactive_since.isoformat() if slot.inactive_since else None,
            "xmin_age_xids": slot.xmin_age_xids,
            "catalog_xmin_age_xids": slot.catalog_xmin_age_xids,
        },
        impact=Impact(
            bytes=retained or None, risk="WAL is retained for a consumer that may not return"
        ),
        remedy=(
            Remedy(
                sql=f"SELECT pg_drop_replication_slot({literal(slot.name)});",
                lock="none; its consumer cannot continue from where it was",
                undo="-- none: if the consumer is still needed, start it instead",
            ),
        ),
        caveats=("Check with its owner: the consumer may have been stopped on purpose.",),
    )
