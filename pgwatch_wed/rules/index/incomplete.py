"""Partitioned indexes that are missing on some partitions.

## Why it matters
An index created on a partitioned table with ON ONLY is only a template: new partitions get it, but existing partitions
have it only once their own index is built and attached. Until then, queries scan partitions without it in full, and a
unique index guarantees nothing across partitions.

## How sure we are
B: the catalogs show which partitions have no valid index attached. They do not show whether somebody is still working on
it, in which case this is the normal state; hence info.

## Not reported
Partitioned tables without partitions; indexes that a session is building.

## Remedy
Create the index on each partition that lacks it with CREATE INDEX CONCURRENTLY, then attach it. If a partition already
has an identical index, it only needs to be attached.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed.facts import Index, Snapshot, Table
from pgwatch_wed.findings import Finding, Grade, Impact, Remedy, Severity, Unknown
from pgwatch_wed.postgres import indexes as ix
from pgwatch_wed.quote import ident
from pgwatch_wed.remedies import indexes as rebuild
from pgwatch_wed.remedies import locks as held
from pgwatch_wed.units import count

NEEDS = ("indexes", "tables", "columns", "index_builds", "index_definitions")
PRIMARY_ONLY = True


@dataclass(frozen=True, slots=True)
class Limits:
    """No thresholds: a partition has the index, or it does not."""


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:  # noqa: ARG001 - none
    """Yield a finding for each partitioned index that is not complete."""
    tables = {b.relation_oid for b in snapshot.index_builds}
    for index in snapshot.indexes:
        if index.kind != "I" or index.is_usable:
            continue
        parts = snapshot.partitions_of[index.table_oid]
        if not tables & {index.table_oid, *(p.oid for p in parts)}:
            yield from _judge(snapshot, index)


def _judge(snapshot: Snapshot, index: Index) -> Iterator[Finding]:
    """Judge a partitioned index, which is valid once every partition has an attached, valid one."""
    table = snapshot.table_by_oid.get(index.table_oid)
    children = snapshot.partition_indexes_of[index.oid]
    served = {c.table_oid for c in children if c.is_usable}
    lacking = [p for p in snapshot.partitions_of[index.table_oid] if p.oid not in served]
    if table is None or not lacking:
        return
    names = ", ".join(p.name for p in lacking[:5])
    yield Finding(
        object=ix.object_of(snapshot, index),
        severity=Severity.INFO,
        grade=Grade.B,
        title=f"{index.qualified} is not yet valid: it is missing on {count(len(lacking), 'partition')}",
        detail=f"It was created with ON ONLY. Create it on the partitions without it ({names}) and attach each.",
        evidence={
            "partitions_without": [p.qualified for p in lacking[:50]],
            "attached": len(served),
        },
        impact=Impact(risk="new partitions get the index, existing ones do not have it"),
        remedy=tuple(_attach(snapshot, index, table, lacking)),
    )


def _attach(
    snapshot: Snapshot, index: Index, table: Table, lacking: list[Table]
) -> Iterator[Remedy]:
    definition = snapshot.definition_by_oid.get(index.oid)
    if definition is None or any(p.kind == "p" for p in lacking):
        return
    lines: list[str] = []
    head, _, tail = definition.partition(" ON ONLY ")
    unique = "UNIQUE " if head.startswith("CREATE UNIQUE") else ""
    where = ident(table.schema, table.name)
    shape = tail.removeprefix(where)
    for part in lacking:
        mine = _existing(snapshot, index, part)
        name = mine or rebuild.new_name(
            snapshot, part, snapshot.column_names(table.oid, index.keys)
        )
        if mine is None:
            lines.append(
                f"CREATE {unique}INDEX CONCURRENTLY {ident(name)} ON {ident(part.schema, part.name)}{shape};"
            )
        lines.append(
            f"ALTER INDEX {ident(index.schema, index.name)} ATTACH PARTITION {ident(part.schema, name)};"
        )
    yield Remedy(
        sql="\n".join(lines),
        lock=held.CONCURRENTLY,
        in_transaction=False,
        undo=f"DROP INDEX {ident(index.schema, index.name)};",
    )


def _existing(snapshot: Snapshot, index: Index, part: Table) -> str | None:
    """Return the partition's own identical index, which only needs to be attached."""
    wanted = snapshot.column_names(index.table_oid, index.columns)
    for other in snapshot.indexes_of[part.oid]:
        same = snapshot.column_names(part.oid, other.columns) == wanted
        if (
            same
            and other.is_usable
            and other.parent_oid is None
            and other.is_unique == index.is_unique
            and (other.opclasses, other.collations, other.indoptions)
            == (index.opclasses, index.collations, index.indoptions)
            and (other.predicate is None) == (index.predicate is None)
            and other.expressions is None is index.expressions
        ):
            return other.name
    return None
