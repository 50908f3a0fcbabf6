"""Foreign keys whose type differs from that of the key they refer to.

## Why it matters
A referencing column that is narrower than its key fails once the key outgrows it. If the two types have no common B-tree
operators, such as integer and numeric, PostgreSQL converts the referencing column for each check, so that no index on it
can be used; joins have the same problem.

## How sure we are
B: the column types are in the catalogs. The cost depends on the data.

## Not reported
Types that PostgreSQL treats as the same: text and varchar of any length, a domain and its base type, numeric of any
precision, timestamps of any precision. An integer that is wider than the one it refers to: nothing can be lost, and an
index serves both types; `schema-int-overflow` tells whether the key runs out. Individual partitions.

## Remedy
ALTER COLUMN … TYPE on the referencing column. It rewrites the table and its indexes.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed.facts import Column, Constraint, Snapshot, Table
from pgwatch_wed.findings import Finding, Grade, Impact, Remedy, Severity, Unknown
from pgwatch_wed.postgres import indexes as ix
from pgwatch_wed.quote import ident
from pgwatch_wed.remedies import rebuilt

NEEDS = ("constraints", "columns", "tables")
PRIMARY_ONLY = True

_WIDTH = {"int2": 2, "int4": 4, "int8": 8}
# Types in one operator family, so that an index on one serves comparisons with the others.
_FAMILIES = (
    frozenset(_WIDTH),
    frozenset(("text", "varchar", "name")),
    frozenset(("float4", "float8")),
    frozenset(("date", "timestamp", "timestamptz")),
)


@dataclass(frozen=True, slots=True)
class Limits:
    """No thresholds: two types are either the same or not."""


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:  # noqa: ARG001 - none
    """Yield a finding for each foreign key with a column of another type."""
    for key in snapshot.constraints:
        table = snapshot.table_by_oid.get(key.table_oid)
        if key.kind == "f" and key.parent_oid is None and table is not None:
            pairs = [p for p in _pairs(snapshot, key) if _differ(*p)]
            if pairs:
                yield _finding(snapshot, key, table, pairs)


def _pairs(snapshot: Snapshot, key: Constraint) -> Iterator[tuple[Column, Column]]:
    for own, theirs in zip(key.columns, key.referenced_columns, strict=False):
        mine = snapshot.column_by_key.get((key.table_oid, own))
        aim = snapshot.column_by_key.get((key.referenced_oid or 0, theirs))
        if mine is not None and aim is not None:
            yield mine, aim


def _differ(own: Column, aim: Column) -> bool:
    if own.base_type == aim.base_type:
        return False
    mine, theirs = _WIDTH.get(own.base_type), _WIDTH.get(aim.base_type)
    if mine is not None and theirs is not None:
        return mine < theirs
    return not {own.base_type, aim.base_type} <= {"text", "varchar"}


def _harm(own: Column, aim: Column) -> str:
    """Describe the effect of the difference; empty if it is only untidy."""
    if {own.base_type, aim.base_type} <= _WIDTH.keys():
        return "values out of range for the narrower type cannot be stored"
    if any({own.base_type, aim.base_type} <= family for family in _FAMILIES):
        return ""
    return "the column is converted for each check and join, so no index on it can be used"


def _finding(
    snapshot: Snapshot, key: Constraint, table: Table, pairs: list[tuple[Column, Column]]
) -> Finding:
    parent = snapshot.table_by_oid.get(key.referenced_oid or 0)
    referenced = parent.qualified if parent else "the referenced table"
    harms = [harm for own, aim in pairs if (harm := _harm(own, aim))]
    own, aim = pairs[0]
    return Finding(
        object=ix.constraint_object(snapshot, key, table),
        related=(ix.table_object(snapshot, table),),
        severity=Severity.WARNING if harms else Severity.INFO,
        grade=Grade.B,
        title=f"{table.qualified}.{own.name} is {own.type}, {referenced}.{aim.name} is {aim.type}",
        detail=f"The foreign key {key.name} joins columns of different types"
        + (f": {harms[0]}." if harms else "."),
        evidence={
            "columns": [
                {"column": o.name, "type": o.type, "refers_to": a.name, "its_type": a.type}
                for o, a in pairs
            ],
            "child_rows": round(ix.rows(snapshot, table)),
        },
        impact=Impact(risk=harms[0] if harms else ""),
        remedy=(_remedy(snapshot, table, pairs),),
        caveats=("It rewrites the table and its indexes unless the types are binary coercible.",),
    )


def _remedy(snapshot: Snapshot, table: Table, pairs: list[tuple[Column, Column]]) -> Remedy:
    where = ident(table.schema, table.name)

    def change(types: list[tuple[str, str]]) -> str:
        parts = ", ".join(f"ALTER COLUMN {ident(name)} TYPE {kind}" for name, kind in types)
        return f"ALTER TABLE {where} {parts};"

    return Remedy(
        sql="\n".join(
            (
                *rebuilt.warnings(snapshot, table),
                change([(own.name, aim.type) for own, aim in pairs]),
            )
        ),
        lock="ACCESS EXCLUSIVE on the table while it and its indexes are rewritten: blocks all reads and writes",
        undo=change([(own.name, own.type) for own, _ in pairs]),
    )
