"""Ages compared with freeze ages: the same for transaction IDs and multixact IDs."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from pgwatch_wed.facts import Database, Snapshot, Table
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Remedy, Severity, Unknown
from pgwatch_wed.postgres import autovacuum as vac
from pgwatch_wed.postgres import horizon
from pgwatch_wed.postgres import indexes as ix
from pgwatch_wed.remedies import locks as held
from pgwatch_wed.remedies import maintenance
from pgwatch_wed.units import count

# The server stops assigning new IDs three million before the end.
LAST_AGE = 2**31 - 3_000_000
FAILSAFE_AGE = 1_600_000_000


@dataclass(frozen=True, slots=True)
class WraparoundCounter:
    """One of the two counters that can wrap around."""

    what: str
    setting: str
    failsafe: str
    table_age: str
    toast_age: str
    database_age: str


XIDS = WraparoundCounter(
    "transaction IDs",
    "autovacuum_freeze_max_age",
    "vacuum_failsafe_age",
    "xid_age_xids",
    "toast_xid_age_xids",
    "xid_age_xids",
)
MULTIXACTS = WraparoundCounter(
    "multixact IDs",
    "autovacuum_multixact_freeze_max_age",
    "vacuum_multixact_failsafe_age",
    "mxid_age",
    "toast_mxid_age",
    "mxid_age",
)


class Limits(Protocol):
    """The thresholds of both rules."""

    @property
    def warn_times_freeze_age(self) -> float:
        """See the rules."""

    @property
    def critical_times_freeze_age(self) -> float:
        """See the rules."""

    @property
    def max_tables(self) -> int:
        """See the rules."""


@dataclass(frozen=True, slots=True)
class Old:
    """Something that has passed its freeze age."""

    age: int
    freeze_age: float
    severity: Severity
    table: Table | None = None
    in_toast: bool = False


def check(
    snapshot: Snapshot, limits: Limits, clock: WraparoundCounter
) -> Iterator[Finding | Unknown]:
    """Yield tables of this database, and databases, that are far past their freeze age."""
    if snapshot.setting_number(clock.setting) is None:
        yield Unknown(f"the setting {clock.setting} cannot be read")
        return
    old = [o for table in vac.vacuumable(snapshot) if (o := _table(snapshot, table, limits, clock))]
    old.sort(key=lambda o: (-o.age, o.table.qualified if o.table else ""))
    for each in old[: limits.max_tables]:
        yield _table_finding(snapshot, each, clock)
    for database in sorted(snapshot.databases, key=lambda d: d.name):
        named = bool(old) and database.oid == snapshot.server.database_oid
        found = _database(snapshot, database, limits, clock)
        if found and not (named and len(old) <= limits.max_tables):
            yield _database_finding(snapshot, database, found, clock)


def _table(
    snapshot: Snapshot, table: Table, limits: Limits, clock: WraparoundCounter
) -> Old | None:
    found = []
    for heap in vac.heaps(snapshot, table):
        age = getattr(table, clock.toast_age if heap.is_toast else clock.table_age)
        freeze_age = vac.freeze_trigger(snapshot, heap, clock.setting)
        if age is None or freeze_age is None:
            continue
        severity = _severity(snapshot, age, freeze_age, limits, clock)
        if severity:
            found.append(Old(age, freeze_age, severity, table, heap.is_toast))
    return max(found, key=lambda o: (o.age / max(o.freeze_age, 1.0), o.age), default=None)


def _database(
    snapshot: Snapshot, database: Database, limits: Limits, clock: WraparoundCounter
) -> Old | None:
    age = getattr(database, clock.database_age)
    freeze_age = snapshot.setting_number(clock.setting) or 0.0
    severity = _severity(snapshot, age, freeze_age, limits, clock)
    return Old(age, freeze_age, severity) if severity else None


def _severity(
    snapshot: Snapshot, age: int, freeze_age: float, limits: Limits, clock: WraparoundCounter
) -> Severity | None:
    """Judge an age; if the freeze age is so high that twice is too late, warn halfway to critical."""
    failsafe = snapshot.setting_number(clock.failsafe) or FAILSAFE_AGE
    # PostgreSQL itself never uses a lower failsafe age than this.
    failsafe = max(failsafe, 1.05 * (snapshot.setting_number(clock.setting) or 0.0))
    critical = min(limits.critical_times_freeze_age * freeze_age, failsafe, LAST_AGE)
    warn = min(limits.warn_times_freeze_age * freeze_age, (freeze_age + critical) / 2)
    if age >= critical:
        return Severity.CRITICAL
    return Severity.WARNING if age >= warn else None


def _table_finding(snapshot: Snapshot, old: Old, clock: WraparoundCounter) -> Finding:
    assert old.table is not None
    table = old.table
    where = f"the TOAST table of {table.qualified}" if old.in_toast else table.qualified
    return Finding(
        object=ix.table_object(snapshot, table),
        severity=old.severity,
        grade=Grade.B,
        title=f"The oldest {clock.what} in {where} have an age of {old.age:,}, "
        f"{old.age / max(old.freeze_age, 1.0):.1f} times its freeze age",
        detail=_why(snapshot),
        evidence={**_evidence(snapshot, old), "in_toast": old.in_toast},
        impact=Impact(risk=_risk(old, clock)),
        remedy=(maintenance.vacuum(table, "FREEZE"),),
    )


def _database_finding(
    snapshot: Snapshot, database: Database, old: Old, clock: WraparoundCounter
) -> Finding:
    return Finding(
        object=Object("database", database.name),
        severity=old.severity,
        grade=Grade.B,
        title=f"The oldest {clock.what} in database {database.name} have an age of {old.age:,}, "
        f"{old.age / max(old.freeze_age, 1.0):.1f} times the freeze age",
        detail=_why(snapshot),
        evidence={**_evidence(snapshot, old), "allows_connections": database.allows_connections},
        impact=Impact(risk=_risk(old, clock)),
        remedy=_vacuum_database(database),
        caveats=()
        if database.allows_connections
        else (
            "It does not allow connections: autovacuum freezes it as soon as nothing prevents that.",
        ),
    )


def _vacuum_database(database: Database) -> tuple[Remedy, ...]:
    if not database.allows_connections:
        return ()
    return (
        Remedy(
            sql="VACUUM (FREEZE);",
            lock=f"{held.SHARE_UPDATE}; run it while connected to {database.name}",
            in_transaction=False,
            undo="-- nothing to undo",
        ),
    )


def _why(snapshot: Snapshot) -> str:
    oldest = next((h for h in horizon.holders(snapshot) if h.pins_rows), None)
    if oldest is not None and oldest.age_xids > 100_000:
        who = horizon.describe(oldest)
        return (
            f"{who[0].upper()}{who[1:]} holds back the horizon by {count(oldest.age_xids, 'transaction')}, "
            "and nothing newer can be frozen: see vacuum-horizon."
        )
    if vac.is_off(snapshot):
        return "Autovacuum is off, but it should run anyway to prevent wraparound."
    return (
        "A vacuum to prevent wraparound is due, but has failed, was canceled or does not keep up."
    )


def _evidence(snapshot: Snapshot, old: Old) -> dict[str, int | float | str | None]:
    oldest = next((h for h in horizon.holders(snapshot) if h.pins_rows), None)
    return {
        "age": old.age,
        "freeze_age": round(old.freeze_age),
        "times_freeze_age": round(old.age / max(old.freeze_age, 1.0), 2),
        "left_until_stop": max(LAST_AGE - old.age, 0),
        "oldest_horizon_age_xids": oldest.age_xids if oldest else None,
    }


def _risk(old: Old, clock: WraparoundCounter) -> str:
    return f"PostgreSQL stops assigning {clock.what} after another {max(LAST_AGE - old.age, 0):,}"
