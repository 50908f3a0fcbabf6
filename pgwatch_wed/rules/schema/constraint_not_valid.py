"""Constraints that existing rows have not been checked against.

## Why it matters
NOT VALID adds a constraint without scanning the table; rows that existed before may still violate it, and the planner
cannot rely on it. It is meant as the first of two steps. NOT ENFORCED (18) checks nothing at all.

## How sure we are
B: pg_constraint marks it as not validated. Whether rows actually violate it is known only once it is validated.

## Not reported
Partitions and child tables, if their parent has the constraint too.

## Remedy
VALIDATE CONSTRAINT, which scans the table without blocking reads or writes. If it fails, its message names a row to fix.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed.facts import Constraint, Snapshot, Table
from pgwatch_wed.findings import Finding, Grade, Impact, Remedy, Severity, Unknown
from pgwatch_wed.postgres import indexes as ix
from pgwatch_wed.quote import ident

NEEDS = ("constraints", "tables")
PRIMARY_ONLY = True

_KINDS = {"f": "foreign key", "c": "check", "n": "not-null constraint"}


@dataclass(frozen=True, slots=True)
class Limits:
    """No thresholds: a constraint is either validated or not."""


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:  # noqa: ARG001 - none
    """Yield a finding for each constraint that is not validated or not enforced."""
    open_ = {(c.table_oid, c.name) for c in snapshot.constraints if not c.is_validated}
    for constraint in snapshot.constraints:
        table = snapshot.table_by_oid.get(constraint.table_oid)
        if constraint.is_validated or constraint.kind not in _KINDS or table is None:
            continue
        inherited = (table.parent_oid, constraint.name) in open_
        if constraint.parent_oid is None and not inherited:
            yield _finding(snapshot, constraint, table)


def _finding(snapshot: Snapshot, constraint: Constraint, table: Table) -> Finding:
    kind = _KINDS[constraint.kind]
    enforced = constraint.is_enforced
    state = "not yet validated" if enforced else "not enforced"
    return Finding(
        object=ix.constraint_object(snapshot, constraint, table),
        related=(ix.table_object(snapshot, table),),
        severity=Severity.WARNING if enforced else Severity.INFO,
        grade=Grade.B,
        title=f"The {kind} {constraint.name} on {table.qualified} is {state}",
        detail="New rows are checked, but rows that existed before it have not been."
        if enforced
        else "It documents a condition that PostgreSQL does not check.",
        evidence={
            "kind": kind,
            "columns": list(snapshot.column_names(table.oid, constraint.columns)),
            "rows": round(ix.rows(snapshot, table)),
            "is_enforced": enforced,
        },
        impact=Impact(risk="rows may violate it"),
        remedy=tuple(_remedy(constraint, table)),
        caveats=("If rows violate it, the statement fails and changes nothing.",),
    )


def _remedy(constraint: Constraint, table: Table) -> Iterator[Remedy]:
    where, name = ident(table.schema, table.name), ident(constraint.name)
    if constraint.is_enforced:
        also = " and ROW SHARE on the table it refers to" if constraint.kind == "f" else ""
        yield Remedy(
            sql=f"ALTER TABLE {where} VALIDATE CONSTRAINT {name};",
            lock=f"SHARE UPDATE EXCLUSIVE on the table{also}: does not block reads or writes",
            undo="-- nothing to undo: the constraint checks new rows as before",
        )
    elif constraint.kind == "f":
        yield Remedy(
            sql=f"ALTER TABLE {where} ALTER CONSTRAINT {name} ENFORCED;",
            lock="ACCESS EXCLUSIVE on both tables while all rows are checked: blocks all reads and writes",
            undo=f"ALTER TABLE {where} ALTER CONSTRAINT {name} NOT ENFORCED;",
        )
