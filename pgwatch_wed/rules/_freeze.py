"""Ages compared with freeze ages: the same for transaction IDs and multixact IDs."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

from pgwatch_wed.facts import Database, Snapshot, SystemTable, Table
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Remedy, Severity, Unknown
from pgwatch_wed.postgres import autovacuum as vac
from pgwatch_wed.postgres import horizon
from pgwatch_wed.postgres import indexes as ix
from pgwatch_wed.remedies import holders, maintenance, sessions
from pgwatch_wed.remedies import locks as held
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
    def warn_left(self) -> int:
        """See the rules."""

    @property
    def critical_left(self) -> int:
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
    blame = Blame(snapshot, clock)
    for each in old[: limits.max_tables]:
        yield _table_finding(snapshot, each, clock, blame)
    for database in sorted(snapshot.databases, key=lambda d: d.name):
        found = _database(snapshot, database, limits, clock)
        if found is None:
            continue
        cause = blame.of_database(database, found)
        named = bool(old) and database.oid == snapshot.server.database_oid
        if not (named and len(old) <= limits.max_tables) or cause.is_apart:
            yield _database_finding(database, found, clock, cause)


@dataclass(frozen=True, slots=True)
class Hindrance:
    """What keeps something from being frozen, and what releases it."""

    detail: str
    age_xids: int | None = None
    remedy: tuple[Remedy, ...] = ()
    # It does not affect the user's tables, so no finding about them tells of it.
    is_apart: bool = False


@dataclass(frozen=True)
class Blame:
    """Who is to blame: found once, however many tables are old."""

    snapshot: Snapshot
    clock: WraparoundCounter

    @cached_property
    def _of_rows(self) -> list[horizon.Holder]:
        return [h for h in horizon.holders(self.snapshot) if h.pins_rows]

    @cached_property
    def _of_catalogs(self) -> list[horizon.Holder]:
        return sorted(horizon.holders(self.snapshot), key=horizon.catalog_age, reverse=True)

    @cached_property
    def _of_shared(self) -> list[horizon.Holder]:
        return horizon.holders_of_all(self.snapshot)

    @cached_property
    def _oldest_system_table(self) -> SystemTable | None:
        tables = self.snapshot.system_tables
        return max(tables, key=self._age, default=None)

    def _age(self, table: SystemTable) -> int:
        return int(getattr(table, self.clock.table_age))

    def of_table(self, old: Old) -> Hindrance:
        """Return what keeps one of the user's tables from being frozen."""
        return self._holder(self._of_rows, old) or self._nobody(old)

    def of_database(self, database: Database, old: Old) -> Hindrance:
        """Return what keeps a database from being frozen: its catalogs and temporary tables count, too."""
        system = self._oldest_system_table
        if database.oid != self.snapshot.server.database_oid:
            return self._holder(self._of_shared, old) or self._nobody(old, is_elsewhere=True)
        if system is None or self._age(system) < old.age:
            return self.of_table(old)
        if system.is_temporary:
            return self._temporary(system)
        held = self._holder(self._of_shared if system.is_shared else self._of_catalogs, old)
        rows = self._holder(self._of_rows, old)
        if held is None or rows is not None:
            return rows or self._nobody(old)
        what = "a shared catalog" if system.is_shared else "a system catalog"
        detail = f"{held.detail} It is {system.qualified}, {what}, that cannot be frozen."
        return replace(held, detail=detail, is_apart=True)

    def _holder(self, found: list[horizon.Holder], old: Old) -> Hindrance | None:
        """Return the oldest holder, if VACUUM could not freeze enough because of it."""
        if not found:
            return None
        is_apart = found is not self._of_rows
        age = horizon.catalog_age(found[0]) if is_apart else found[0].age_xids
        # what multixacts a transaction holds back is not known; its own age tells that it is old
        enough = min(old.freeze_age, old.age / 2) if self.clock is XIDS else 100_000
        if age < enough:
            return None
        who = horizon.describe(found[0])
        return Hindrance(
            f"{who[0].upper()}{who[1:]} holds back the horizon by {count(age, 'transaction')}, "
            "and nothing newer can be frozen: see vacuum-horizon.",
            age,
            tuple(holders.release(found[0])),
        )

    def _temporary(self, table: SystemTable) -> Hindrance:
        session = self.snapshot.session_by_pid.get(table.pid or 0)
        who = horizon.describe_session(session) if session else f"a session of role {table.owner}"
        return Hindrance(
            f"The oldest is {table.qualified}, a temporary table of {who}. No other session, and no autovacuum "
            "worker, can vacuum it: that session has to drop it, or end.",
            remedy=(sessions.terminate(session),) if session else (),
            is_apart=True,
        )

    def _nobody(self, old: Old, *, is_elsewhere: bool = False) -> Hindrance:
        if vac.is_off(self.snapshot):
            return Hindrance("Autovacuum is off, but it should run anyway to prevent wraparound.")
        if old.age <= old.freeze_age:
            return Hindrance(
                f"Autovacuum is not due before an age of {round(old.freeze_age):,}: {self.clock.setting} is too high."
            )
        unseen = (
            " A temporary table of a session of that database would prevent it, too: use --all-databases to look inside."
            if is_elsewhere
            else ""
        )
        return Hindrance(
            "A vacuum to prevent wraparound is due, but has failed, was canceled or does not keep up."
            + unseen
        )


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
    left = LAST_AGE - age
    if age >= critical or left <= limits.critical_left:
        return Severity.CRITICAL
    return Severity.WARNING if age >= warn or left <= limits.warn_left else None


def _table_finding(snapshot: Snapshot, old: Old, clock: WraparoundCounter, blame: Blame) -> Finding:
    cause = blame.of_table(old)
    assert old.table is not None
    table = old.table
    where = f"the TOAST table of {table.qualified}" if old.in_toast else table.qualified
    return Finding(
        object=ix.table_object(snapshot, table),
        severity=old.severity,
        grade=Grade.B,
        title=f"The oldest {clock.what} in {where} have an age of {old.age:,}, "
        f"{old.age / max(old.freeze_age, 1.0):.1f} times its freeze age",
        detail=cause.detail,
        evidence={**_evidence(old, cause), "in_toast": old.in_toast},
        impact=Impact(risk=_risk(old, clock)),
        remedy=(*cause.remedy, maintenance.vacuum(table, "FREEZE")),
    )


def _database_finding(
    database: Database, old: Old, clock: WraparoundCounter, cause: Hindrance
) -> Finding:
    return Finding(
        object=Object("database", database.name),
        severity=old.severity,
        grade=Grade.B,
        title=f"The oldest {clock.what} in database {database.name} have an age of {old.age:,}, "
        f"{old.age / max(old.freeze_age, 1.0):.1f} times the freeze age",
        detail=cause.detail,
        evidence={**_evidence(old, cause), "allows_connections": database.allows_connections},
        impact=Impact(risk=_risk(old, clock)),
        remedy=(*cause.remedy, *_vacuum_database(database)),
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


def _evidence(old: Old, cause: Hindrance) -> dict[str, int | float | str | None]:
    return {
        "age": old.age,
        "freeze_age": round(old.freeze_age),
        "times_freeze_age": round(old.age / max(old.freeze_age, 1.0), 2),
        "left_until_stop": max(LAST_AGE - old.age, 0),
        "oldest_horizon_age_xids": cause.age_xids,
    }


def _risk(old: Old, clock: WraparoundCounter) -> str:
    return f"PostgreSQL stops assigning {clock.what} after another {max(LAST_AGE - old.age, 0):,}"
