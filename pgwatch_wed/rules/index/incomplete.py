"""Partitioned indexes that are missing on some partitions.

## Why it matters
An index created on a partitioned table with ON ONLY is only a template: new partitions get it, but existing partitions
have it only once their own index is built and attached. Until then, queries scan partitions without it in full, and a
unique index guarantees nothing across partitions.

## How sure we are
B: the catalogs show which partitions have no valid index attached. They do not show whether somebody is still working on
it, in which case this is the normal state; hence info.

## Not reported
Partitioned tables without partitions; indexes that a session is building; a part of a larger partitioned index, which is
reported as a whole. If some partitions are in schemas that the configuration skips, the verdict is unknown.

## Remedy
Create the index on each partition that lacks it with CREATE INDEX CONCURRENTLY, then attach it. If a partition already
has an identical index, it only needs to be attached. A foreign table can have no index, and an index created with ON ONLY
waits for one: it is replaced by one created without ONLY, once the other partitions have theirs.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed.facts import Index, OtherRelation, Snapshot, Table
from pgwatch_wed.findings import Finding, Grade, Impact, Severity, Unknown
from pgwatch_wed.postgres import indexes as ix
from pgwatch_wed.remedies.indexes import IndexBuilder, has_unseen_parts
from pgwatch_wed.units import count

NEEDS = ("indexes", "tables", "columns", "index_builds", "index_definitions")
PRIMARY_ONLY = True


@dataclass(frozen=True, slots=True)
class Limits:
    """No thresholds: a partition has the index, or it does not."""


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:  # noqa: ARG001 - none
    """Yield a finding for each partitioned index that is not complete."""
    building = {b.relation_oid for b in snapshot.index_builds}
    builder = IndexBuilder(snapshot)
    for index in snapshot.indexes:
        # a part of an incomplete index is completed with the whole
        if index.kind != "I" or index.is_usable or index.parent_oid is not None:
            continue
        table = snapshot.table_by_oid.get(index.table_oid)
        if table is not None and not building & set(ix.partitions(snapshot, table.oid)):
            yield from _judge(builder, snapshot, index, table)


def _judge(
    builder: IndexBuilder, snapshot: Snapshot, index: Index, table: Table
) -> Iterator[Finding | Unknown]:
    """Judge a partitioned index, which is valid once every partition has an attached, valid one."""
    if has_unseen_parts(snapshot, table):
        yield Unknown(
            "some of its partitions are in skipped schemas, so it is not known whether they have the index",
            object=ix.object_of(snapshot, index),
        )
        return
    lacking = list(_lacking(snapshot, index, table))
    if not lacking and not snapshot.partition_indexes_of[index.oid]:
        return  # there is no partition that could lack it
    remedy = builder.completed(table, index)
    yield Finding(
        object=ix.object_of(snapshot, index),
        severity=Severity.INFO,
        grade=Grade.B,
        title=_title(index, lacking),
        detail=_detail(lacking),
        evidence={
            "partitions_without": [p.qualified for p in lacking[:50]],
            "attached": len(snapshot.partition_indexes_of[index.oid]),
        },
        impact=Impact(risk="new partitions get the index, existing ones do not have it"),
        remedy=(remedy,) if remedy is not None else (),
    )


def _lacking(snapshot: Snapshot, index: Index, table: Table) -> Iterator[Table | OtherRelation]:
    """Yield the partitions, at every level, to which no valid index is attached."""
    children = {i.table_oid: i for i in snapshot.partition_indexes_of[index.oid]}
    for part in snapshot.partitions_of[table.oid]:
        child = children.get(part.oid)
        if child is not None and part.kind == "p" and not child.is_usable:
            yield from _lacking(snapshot, child, part)
        elif child is None or not child.is_usable:
            yield part
    yield from (part for part in snapshot.other_partitions_of[table.oid] if part.kind == "f")


def _title(index: Index, lacking: list[Table | OtherRelation]) -> str:
    if not lacking:
        return f"{index.qualified} is not yet valid, although every partition has it"
    return (
        f"{index.qualified} is not yet valid: it is missing on {count(len(lacking), 'partition')}"
    )


def _detail(lacking: list[Table | OtherRelation]) -> str:
    if not lacking:
        return "An index of a partition became valid after it was attached, which PostgreSQL did not notice."
    foreign = [p.name for p in lacking if isinstance(p, OtherRelation)]
    if foreign:
        return (
            f"It was created with ON ONLY, and {foreign[0]} is a foreign table, which can have no index: like this "
            "it never becomes valid. An index that is created without ONLY leaves foreign tables out."
        )
    names = ", ".join(p.name for p in lacking[:5])
    return f"It was created with ON ONLY. Create it on the partitions without it ({names}) and attach each."
