"""Constraints of tables and domains that existing rows have not been checked against.

## Why it matters
NOT VALID adds a constraint without scanning the table; rows that existed before may still violate it, and the planner
cannot rely on it. The same holds for a constraint of a domain, for all columns of that type. It is meant as the first of two steps. NOT ENFORCED (18) checks nothing at all.

## How sure we are
B: pg_constraint marks it as not validated. Whether rows actually violate it is known only once it is validated.

## Not reported
Partitions and child tables, if their parent has the constraint too.

## Remedy
VALIDATE CONSTRAINT, which scans the table without blocking reads or writes; for a domain, it scans every table that has a column
of that type, and blocks writes to them meanwhile. If it fails, its message names a row to fix.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed.facts import Constraint, DomainConstraint, Snapshot, Table
from pgwatch_wed.findings import Finding, Grade, Impact, Object, Remedy, Severity, Unknown
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
    yield from _of_domains(snapshot)


def _of_domains(snapshot: Snapshot) -> Iterator[Finding | Unknown]:
    if "domain_constraints" in snapshot.missing:
        why = snapshot.missing["domain_constraints"]
        yield Unknown(f"constraints of domains: {why.reason}", why.mend)
    for constraint in snapshot.domain_constraints:
        if not constraint.is_validated:
            yield _domain_finding(snapshot, constraint)


def _domain_finding(snapshot: Snapshot, constraint: DomainConstraint) -> Finding:
    domain = f"{constraint.schema}.{constraint.domain}"
    database = snapshot.server.database
    tables = [
        t
        for oid in dict.fromkeys(constraint.table_oids)
        if (t := snapshot.table_by_oid.get(oid)) is not None
    ]
    rows = sum(ix.rows(snapshot, t) for t in tables if t.kind != "p")
    return Finding(
        object=Object("constraint", constraint.name, database, schema=constraint.schema),
        related=(
            Object("domain", constraint.domain, database, schema=constraint.schema),
            *(ix.table_object(snapshot, t) for t in tables[:20]),
        ),
        severity=Severity.WARNING,
        grade=Grade.B,
        title=f"The constraint {constraint.name} of the domain {domain} is not yet validated",
        detail="New values are checked, but values that existed before it have not been.",
        evidence={
            "kind": "check",
            "domain": domain,
            "columns": [_column(snapshot, key) for key in _columns(constraint)[:50]],
            "rows": round(rows),
        },
        impact=Impact(risk="rows may violate it"),
        remedy=(
            Remedy(
                sql=f"ALTER DOMAIN {ident(constraint.schema, constraint.domain)} "
                f"VALIDATE CONSTRAINT {ident(constraint.name)};",
                lock="SHARE on every table with a column of that type: blocks writes, but not reads, until all are scanned",
                undo="-- nothing to undo: the constraint checks new values as before",
            ),
        ),
    )


def _columns(constraint: DomainConstraint) -> list[tuple[int, int]]:
    return list(zip(constraint.table_oids, constraint.columns, strict=False))


def _column(snapshot: Snapshot, key: tuple[int, int]) -> str:
    table = snapshot.table_by_oid.get(key[0])
    name = snapshot.column_names(key[0], (key[1],))[0]
    return f"{table.qualified if table else '?'}.{name}"


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
