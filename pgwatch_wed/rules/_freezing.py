"""The two freeze clocks, transactions and multixacts, judged alike."""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed.facts import Snapshot, Table
from pgwatch_wed.findings import (
    Finding,
    Grade,
    Impact,
    Object,
    Remedy,
    Severity,
)
from pgwatch_wed.quote import ident
from pgwatch_wed.rules import _indexes as ix
from pgwatch_wed.rules import _vacuum as av

WRAPAROUND = 2**31


@dataclass(frozen=True, slots=True)
class Clock:
    """Which ages, which settings, which word."""

    word: str
    setting: str
    failsafe: str
    database_age: str
    table_age: str
    toast_age: str


def judge(
    snapshot: Snapshot, clock: Clock, warn_times: float, critical_times: float, most: int
) -> Iterator[Finding]:
    """Yield the oldest tables of this database, and other databases, beyond the limits."""
    found = [
        f for t in snapshot.tables if (f := _table(snapshot, t, clock, warn_times, critical_times))
    ]
    found.sort(key=lambda f: (-f.evidence["age"], f.object.label))
    yield from found[:most]
    for database in snapshot.databases:
        if database.oid == snapshot.server.database_oid and found:
            continue
        age = getattr(database, clock.database_age)
        limit = av.freeze_limit(snapshot, None, clock.setting)
        severity = _severity(snapshot, clock, age, limit, warn_times, critical_times)
        if severity is not None and limit is not None:
            yield Finding(
                object=Object("database", database.name),
                severity=severity,
                grade=Grade.B,
                title=f"Database {database.name} is {age:,} {clock.word} old",
                detail=_detail(age, limit, clock),
                evidence={"age": age, "limit": round(limit), "of_wraparound_share": _share(age)},
                impact=Impact(risk=_risk(age)),
                remedy=(_database_remedy(database.name),),
            )


def _table(
    snapshot: Snapshot, table: Table, clock: Clock, warn_times: float, critical_times: float
) -> Finding | None:
    ages = (getattr(table, clock.table_age), getattr(table, clock.toast_age))
    age = max((a for a in ages if a is not None), default=None)
    limit = av.freeze_limit(snapshot, table, clock.setting)
    severity = _severity(snapshot, clock, age, limit, warn_times, critical_times)
    if severity is None or age is None or limit is None:
        return None
    running = " A vacuum works on it now." if av.is_being_vacuumed(snapshot, table) else ""
    return Finding(
        object=ix.table_object(snapshot, table),
        severity=severity,
        grade=Grade.B,
        title=f"{table.qualified} is {age:,} {clock.word} old",
        detail=_detail(age, limit, clock) + running,
        evidence={
            "age": age,
            "limit": round(limit),
            "of_wraparound_share": _share(age),
            "size_bytes": ix.table_bytes(snapshot, table),
        },
        impact=Impact(risk=_risk(age)),
        remedy=(
            Remedy(
                sql=f"VACUUM (FREEZE, VERBOSE) {ident(table.schema, table.name)};",
                lock=av.SUX,
                in_transaction=False,
                undo="-- nothing to undo",
            ),
        ),
        caveats=("VACUUM cannot advance past the oldest transaction; see vacuum-horizon first.",),
    )


def _severity(
    snapshot: Snapshot,
    clock: Clock,
    age: int | None,
    limit: float | None,
    warn_times: float,
    critical_times: float,
) -> Severity | None:
    if age is None or limit is None or age < limit * warn_times:
        return None
    failsafe = snapshot.setting_number(clock.failsafe) or 1.6e9
    return Severity.CRITICAL if age >= min(limit * critical_times, failsafe) else Severity.WARNING


def _detail(age: int, limit: float, clock: Clock) -> str:
    return (
        f"Autovacuum should have frozen it at {limit:,.0f}; it is {age / limit:.1f} times that. "
        f"{WRAPAROUND - age:,} {clock.word} are left before the server refuses to write."
    )


def _share(age: int) -> float:
    return round(age / WRAPAROUND, 4)


def _risk(age: int) -> str:
    return f"{age / WRAPAROUND:.0%} of the way to the point where the server stops writing"


def _database_remedy(name: str) -> Remedy:
    return Remedy(
        sql="VACUUM (FREEZE);",
        lock=f"run it in {name}; each table in turn, {av.SUX[0].lower()}{av.SUX[1:]}",
        in_transaction=False,
        undo="-- nothing to undo",
    )
