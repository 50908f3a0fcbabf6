"""What keeps VACUUM from removing dead rows: a session, prepared transaction, slot or standby.

## Why it matters
VACUUM removes a row only when no transaction can still see it. One forgotten transaction holds back every table
of its database; a slot or a standby holds back the whole server.

## How sure we are
B: the server names each holder's horizon. Proven harm (a table that was vacuumed after the holder began and still has dead
rows) is reported at once; otherwise the holder must be old.

## Not reported
Short transactions; sessions of other databases, whose snapshots do not hold back this one's tables; autovacuum workers and
lazy VACUUM, which PostgreSQL itself leaves out; active logical slots' catalog horizon while it is young.

## Remedy
By kind: end the session, roll the prepared transaction back (or commit it), drop the slot or start its consumer, end
the standby's long query or reconsider hot_standby_feedback.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Remedy, Severity, Unknown
from pgwatch_wed.quote import literal
from pgwatch_wed.rules import _sessions as ss

NEEDS = ("sessions", "prepared_transactions", "slots", "replicas", "tables", "table_activity")
PRIMARY_ONLY = True


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # An OLTP transaction is over by then.
    min_held: timedelta = timedelta(minutes=5)
    # From here on it is a warning even without proven harm.
    warn_held: timedelta = timedelta(minutes=30)
    # Transactions that passed since: old by any measure.
    max_age_xids: int = 10_000_000
    # Dead rows that a vacuum left behind: proof of harm.
    min_dead_rows: int = 1_000


PROFILES = {
    "analytics": {"min_held": timedelta(hours=1), "warn_held": timedelta(hours=6)},
    "mixed": {},
    "oltp": {},
}


@dataclass(frozen=True, slots=True)
class _Holder:
    object: Object
    kind: str
    age_xids: int
    since: datetime | None
    detail: str
    evidence: dict[str, Any]
    remedy: tuple[Remedy, ...]
    is_stuck: bool = False


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each holder that is old or has done harm."""
    for holder in (
        *_sessions(snapshot),
        *_prepared(snapshot),
        *_slots(snapshot),
        *_standbys(snapshot),
    ):
        held = ss.seconds_since(snapshot, holder.since)
        harmed = _harmed(snapshot, holder.since, limits)
        old = held is not None and held >= limits.min_held.total_seconds()
        if old or harmed or holder.is_stuck or holder.age_xids >= limits.max_age_xids:
            yield _finding(snapshot, holder, held, harmed, limits)


def _sessions(snapshot: Snapshot) -> Iterator[_Holder]:
    for s in ss.clients(snapshot):
        ages = [a for a in (s.xid_age_xids, s.xmin_age_xids) if a is not None]
        if not ages or s.database != snapshot.server.database:
            continue
        idle = ss.is_idle_in_transaction(s)
        yield _Holder(
            ss.object_of(s),
            "session",
            max(ages),
            s.xact_start,
            "It is idle inside an open transaction."
            if idle
            else "Its transaction is still working.",
            dict(ss.evidence(snapshot, s)),
            (ss.end(s),),
        )


def _prepared(snapshot: Snapshot) -> Iterator[_Holder]:
    for p in snapshot.prepared_transactions:
        if p.database != snapshot.server.database:
            continue
        yield _Holder(
            Object("prepared transaction", p.gid, database=p.database),
            "prepared transaction",
            p.xid_age_xids,
            p.prepared_at,
            "It was prepared and neither committed nor rolled back. It survives restarts.",
            {"gid": p.gid, "owner": p.owner, "prepared_at": p.prepared_at.isoformat()},
            (
                Remedy(
                    sql=f"ROLLBACK PREPARED {literal(p.gid)};",
                    lock=f"none; run it in database {p.database} as its owner or a superuser",
                    in_transaction=False,
                    undo="-- there is none: ask the transaction manager first; COMMIT PREPARED keeps its work",
                ),
            ),
        )


def _slots(snapshot: Snapshot) -> Iterator[_Holder]:
    for s in snapshot.slots:
        age = s.xmin_age_xids if s.xmin_age_xids is not None else s.catalog_xmin_age_xids
        if age is None:
            continue
        what = "rows of all tables" if s.xmin_age_xids is not None else "rows of the catalogs"
        yield _Holder(
            Object("slot", s.name),
            f"{s.slot_type} slot",
            age,
            s.inactive_since,
            f"It holds back {what}" + (", and nobody reads it." if not s.is_active else "."),
            {
                "slot": s.name,
                "slot_type": s.slot_type,
                "is_active": s.is_active,
                "plugin": s.plugin,
            },
            (
                Remedy(
                    sql=f"SELECT pg_drop_replication_slot({literal(s.name)});",
                    lock="none; the slot's consumer must be built anew afterwards",
                    undo="-- there is none: start the consumer instead, if it is still wanted",
                ),
            ),
            is_stuck=not s.is_active and s.xmin_age_xids is not None,
        )


def _standbys(snapshot: Snapshot) -> Iterator[_Holder]:
    for r in snapshot.replicas:
        if r.backend_xmin_age_xids is None:
            continue
        name = r.application_name or str(r.pid)
        yield _Holder(
            Object("standby", name),
            "standby",
            r.backend_xmin_age_xids,
            None,
            "A query on the standby needs old rows, and hot_standby_feedback says so to the primary.",
            {"standby": name, "pid": r.pid, "state": r.state},
            (),
        )


def _harmed(snapshot: Snapshot, since: datetime | None, limits: Limits) -> list[str]:
    """Name tables that were vacuumed after the holder began and still have dead rows."""
    if since is None:
        return []
    harmed: list[str] = []
    for table in snapshot.tables:
        a = snapshot.activity_by_oid.get(table.oid)
        if a is None or a.n_dead_tup < limits.min_dead_rows:
            continue
        vacuumed = max((m for m in (a.last_vacuum, a.last_autovacuum) if m), default=None)
        if vacuumed is not None and vacuumed >= since:
            harmed.append(table.qualified)
    return harmed


def _finding(
    snapshot: Snapshot, holder: _Holder, held: float | None, harmed: list[str], limits: Limits
) -> Finding:
    long = held is not None and held >= limits.warn_held.total_seconds()
    ancient = holder.age_xids >= limits.max_age_xids
    severe = bool(harmed) or long or ancient or holder.is_stuck
    dead = sum(a.n_dead_tup for a in snapshot.table_activity)
    return Finding(
        object=holder.object,
        severity=Severity.WARNING if severe else Severity.INFO,
        grade=Grade.B,
        title=f"A {holder.kind} holds back VACUUM: {holder.object.name}",
        detail=holder.detail
        + (f" VACUUM ran since and left dead rows in {', '.join(harmed[:3])}." if harmed else ""),
        evidence={
            "kind": holder.kind,
            "age_xids": holder.age_xids,
            "held_seconds": None if held is None else round(held, 1),
            "dead_rows": dead,
            "tables_harmed": harmed[:20],
            **holder.evidence,
        },
        impact=Impact(risk="dead rows stay in every table until it ends"),
        remedy=holder.remedy,
    )
