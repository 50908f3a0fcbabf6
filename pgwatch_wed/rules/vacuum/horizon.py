"""Something keeps VACUUM from removing dead rows: an old transaction, a prepared transaction, a slot, a standby.

## Why it matters
VACUUM can only remove rows that died before the oldest snapshot still in use. A single forgotten session is enough: vacuums
run but remove nothing, tables and indexes grow, and transaction IDs cannot be frozen.

## How sure we are
B: what holds back the horizon is known exactly. If a vacuum ran after it began and left dead rows past a table's trigger, it
is the cause. A session that waits for a lock is not to blame: what it waits for is reported instead, once. Only what affects
this database's tables is reported: a session of another database does not; a slot, or a standby with hot_standby_feedback,
does, wherever it is. The catalog_xmin of a slot affects only the catalogs.

## Not reported
- Anything younger than `min_held` and `min_age_xids`, unless vacuums already fail because of it.
- A transaction that has neither an ID nor a snapshot, however long it has been idle: it holds back nothing
  (`lock-idle-in-transaction` may still report it).
- VACUUM itself and autovacuum workers, whose snapshots do not count.
- Sessions whose snapshot is only as old as another's transaction that was running when it was taken.

## Remedy
It depends on the cause. Cancel a running query; terminate a session that is idle in transaction; roll back a prepared
transaction that its transaction manager has forgotten; restart a slot's consumer or drop the slot. A standby reports the
oldest horizon of its queries and of its own slots, or of what it has not yet replayed: the remedy, to be run there, stops a
query only if its snapshot is the one that was reported. Autovacuum then does the rest.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from pgwatch_wed import units
from pgwatch_wed.facts import PreparedTransaction, Replica, Session, Slot, Snapshot
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Severity, Unknown
from pgwatch_wed.postgres import autovacuum as vac
from pgwatch_wed.postgres import horizon
from pgwatch_wed.postgres import indexes as ix
from pgwatch_wed.postgres import waits as locks
from pgwatch_wed.postgres.horizon import Holder
from pgwatch_wed.remedies import holders

NEEDS = ("sessions", "prepared_transactions", "slots", "replicas", "tables", "table_activity")
PRIMARY_ONLY = True


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # No application transaction should take this long.
    min_held: timedelta = timedelta(minutes=5)
    # Long enough for a report or a backup.
    warn_held: timedelta = timedelta(hours=1)
    # On a busy server, time alone is not enough; and before 17 the age of a slot is unknown.
    min_age_xids: int = 1_000_000
    warn_age_xids: int = 10_000_000
    # The longest time to be idle in transaction while tables need VACUUM.
    min_idle: timedelta = timedelta(seconds=10)
    # A vacuum within this time that left dead rows behind ran in vain.
    recently: timedelta = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class _Held:
    """What all holders together hold back: found once, however many they are."""

    overdue: tuple[vac.Heap, ...]
    oldest_xids: int

    def harmed(self, holder: Holder) -> tuple[vac.Heap, ...]:
        """Return the heaps that need the VACUUM which a holder holds back."""
        return self.overdue if holder.pins_rows else ()


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for everything that holds back the horizon for too long."""
    found_holders = horizon.holders(snapshot)
    oldest = next((h.age_xids for h in found_holders if h.pins_rows), 0)
    held_back = _Held(horizon.overdue(snapshot) if found_holders else (), oldest)
    found = [
        (holder, severity)
        for holder in found_holders
        if (severity := _severity(snapshot, holder, held_back, limits))
    ]
    sessions = [h.source for h, _ in found if isinstance(h.source, Session)]
    names = dict(zip((s.pid for s in sessions), locks.objects(sessions), strict=True))
    for holder, severity in found:
        yield _finding(snapshot, holder, severity, held_back, limits, names)
    yield from locks.hidden(snapshot)


def _severity(
    snapshot: Snapshot, holder: Holder, held_back: _Held, limits: Limits
) -> Severity | None:
    held = holder.held(snapshot.now)
    harmed = held_back.harmed(holder)
    if _in_vain(snapshot, holder, held_back, limits):
        return Severity.WARNING
    if (held and held >= limits.warn_held) or holder.age_xids >= limits.warn_age_xids:
        return Severity.WARNING
    if (held and held >= limits.min_held) or holder.age_xids >= limits.min_age_xids:
        return Severity.WARNING if harmed else Severity.INFO
    if _is_abandoned(holder):
        slot = isinstance(holder.source, Slot)
        return Severity.INFO if slot or (harmed and held and held >= limits.min_idle) else None
    return None


def _is_abandoned(holder: Holder) -> bool:
    """Tell whether nothing is running that would end by itself."""
    match holder.source:
        case Session() as s:
            return locks.is_idle_in_transaction(s)
        case Slot() as s:
            return not s.is_active and not s.is_temporary
        case PreparedTransaction():
            return True
        case Replica():
            return False


def _in_vain(
    snapshot: Snapshot, holder: Holder, held_back: _Held, limits: Limits
) -> list[vac.Heap]:
    """Return the heaps in which a vacuum left dead rows because of the holder.

    Only the oldest holder is to blame, and others of similar age.
    """
    if holder.age_xids < held_back.oldest_xids / 2:
        return []
    harmed = held_back.harmed(holder)
    return [h for h in harmed if horizon.vacuumed_in_vain(snapshot, h, holder, limits.recently)]


def _finding(
    snapshot: Snapshot,
    holder: Holder,
    severity: Severity,
    held_back: _Held,
    limits: Limits,
    names: dict[int, Object],
) -> Finding:
    held = holder.held(snapshot.now)
    harmed = held_back.harmed(holder)
    vain = _in_vain(snapshot, holder, held_back, limits)
    length = f" for {units.words(held)}" if held is not None else ""
    return Finding(
        object=_object(holder, names),
        severity=severity,
        grade=Grade.B,
        title=f"{_subject(holder)} back VACUUM{length}",
        detail=_detail(holder, harmed, vain),
        evidence={
            "holder": _kind(holder),
            "age_xids": holder.age_xids,
            "held_seconds": locks.seconds(held),
            "pins": "rows" if holder.pins_rows else "catalogs",
            "tables_beyond_trigger": [h.label for h in harmed[:20]],
            "vacuumed_in_vain": [h.label for h in vain[:20]],
            "dead_rows": sum(h.dead for h in harmed),
            "waiting_pids": list(holder.waiters[:100]),
            **_details(snapshot, holder),
        },
        impact=Impact(
            bytes=sum(vac.dead_bytes(snapshot, h) for h in vain) or None,
            risk="dead rows accumulate in every table, and nothing newer can be frozen"
            if holder.pins_rows
            else "dead rows accumulate in the system catalogs only, and they cannot be frozen further",
        ),
        remedy=tuple(holders.release(holder)),
        caveats=tuple(_caveats(holder)),
        related=tuple(
            {
                h.table.oid: ix.table_object(snapshot, h.table) for h in (vain or harmed)[:20]
            }.values()
        ),
    )


def _subject(holder: Holder) -> str:
    name = horizon.describe(holder)
    if holder.is_indirect:
        waiters = units.count(len(holder.waiters), "session")
        return f"{waiters} waiting for {name} {'holds' if len(holder.waiters) == 1 else 'hold'}"
    return f"{name[0].upper()}{name[1:]} holds"


def _kind(holder: Holder) -> str:
    match holder.source:
        case Session():
            return "session"
        case PreparedTransaction():
            return "prepared_transaction"
        case Slot():
            return "slot"
        case Replica():
            return "standby"


def _object(holder: Holder, names: dict[int, Object]) -> Object:
    match holder.source:
        case Session() as s:
            return names[s.pid]
        case PreparedTransaction() as p:
            return Object("prepared_transaction", p.gid)
        case Slot() as s:
            return Object("slot", s.name)
        case Replica() as r:
            return Object("standby", r.application_name or f"pid {r.pid}")


def _detail(holder: Holder, harmed: Sequence[vac.Heap], vain: Sequence[vac.Heap]) -> str:
    if vain:
        dead = sum(h.dead for h in vain)
        names = ", ".join(sorted({h.label for h in vain})[:5])
        return (
            f"A vacuum has run since, but had to leave {units.count(dead, 'dead row')} in {names}."
        )
    if harmed:
        past = "table is past its" if len(harmed) == 1 else "tables are past their"
        return f"{len(harmed):,} {past} autovacuum trigger; rows that died after it began cannot be removed."
    what = "in any table" if holder.pins_rows else "in the system catalogs"
    said = (
        f"Rows that died {what} after it began cannot be removed "
        f"({units.count(holder.age_xids, 'transaction')} so far)."
    )
    return said if holder.pins_rows else f"{said} Those of user tables can."


def _details(snapshot: Snapshot, holder: Holder) -> dict[str, object]:
    match holder.source:
        case Session() as s:
            return locks.evidence(snapshot, s)
        case PreparedTransaction() as p:
            return {"gid": p.gid, "owner": p.owner, "prepared_at": p.prepared_at.isoformat()}
        case Slot() as s:
            walsender = next((r for r in snapshot.replicas if r.slot_name == s.name), None)
            return {
                "slot_type": s.slot_type,
                "is_active": s.is_active,
                "retained_bytes": s.retained_bytes,
                "standby": walsender.application_name if walsender else None,
            }
        case Replica() as r:
            return {"pid": r.pid, "application_name": r.application_name, "state": r.state}


def _caveats(holder: Holder) -> Iterator[str]:
    match holder.source:
        case PreparedTransaction():
            yield "Check with its transaction manager first: it may still intend to commit it."
        case Slot() as s if not s.is_active:
            yield (
                "Drop it only if its consumer is gone for good; otherwise restart the consumer. "
                "max_slot_wal_keep_size limits the WAL that it retains, but not the rows."
            )
        case Slot() as s if s.slot_type == "logical":
            yield "Its consumer is connected but does not confirm what it has received: look there."
        case Slot() if not holder.pins_rows:
            yield (
                "A logical slot on the standby holds it, not a query: see catalog_xmin in "
                "pg_replication_slots there."
            )
        case Slot() | Replica():
            yield (
                "If the statement returns no row on the standby, no query there is to blame, but a slot of the "
                "standby (xmin in pg_replication_slots) or a delay of its replay."
            )
            yield (
                "The standby reports its queries because hot_standby_feedback is on there. If it is off, long "
                "queries may be canceled instead (max_standby_streaming_delay)."
            )
        case Session() as s if s.state in locks.RUNNING:
            yield "It is running a query: a report or a backup may be worth waiting for."
        case Session() as s if not locks.is_idle_in_transaction(s):
            yield "It may be running a query: a report or a backup may be worth waiting for."
