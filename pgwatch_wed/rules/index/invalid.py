"""Indexes that a failed build left behind.

## Why it matters
An invalid index answers no query, yet once it is ready every write maintains it. CREATE INDEX CONCURRENTLY IF NOT
EXISTS finds the name taken and does not mend it. An invalid unique index does not guarantee uniqueness.

## How sure we are
B: pg_index says so.

## Not reported
Indexes that a session is building now; partitioned indexes made with ON ONLY that merely wait for partitions to be
attached are for information.

## Remedy
REINDEX INDEX CONCURRENTLY where the index is wanted; DROP INDEX CONCURRENTLY for what a failed REINDEX left (names with
`_ccnew` or `_ccold`) and for one that a valid twin already replaces. A unique index whose build failed on duplicates
fails again until they are gone.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed.facts import Index, Snapshot, Table
from pgwatch_wed.findings import Finding, Grade, Impact, Remedy, Severity, Unknown
from pgwatch_wed.quote import ident
from pgwatch_wed.rules import _indexes as ix

NEEDS = ("indexes", "tables", "index_builds")
PRIMARY_ONLY = True

_LEFTOVER = re.compile(r"_cc(?:new|old)\d*\Z")


@dataclass(frozen=True, slots=True)
class Limits:
    """No thresholds: an index is valid, or it is not."""


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:  # noqa: ARG001 - none
    """Yield a finding for each invalid index that nobody is building."""
    for index in snapshot.indexes:
        if index.is_usable or ix.is_being_built(snapshot, index):
            continue
        if index.kind == "I":
            yield from _parent(snapshot, index)
        else:
            yield _finding(snapshot, index)


def _finding(snapshot: Snapshot, index: Index) -> Finding:
    twin = _twin(snapshot, index)
    leftover = _LEFTOVER.search(index.name) is not None
    size = ix.size_bytes(snapshot, index)
    maintained = "every write maintains it" if index.is_ready else "it was never completed"
    return Finding(
        object=ix.object_of(snapshot, index),
        related=(ix.object_of(snapshot, twin),) if twin else (),
        severity=Severity.WARNING,
        grade=Grade.B,
        title=f"{index.qualified} is invalid",
        detail=f"Its build failed or was cancelled: no query uses it, and {maintained}."
        + (f" {twin.name} is its valid twin." if twin else "")
        + (" A concurrent REINDEX left it behind." if leftover else ""),
        evidence={
            "size_bytes": size,
            "is_ready": index.is_ready,
            "is_unique": index.is_unique,
            "definition": snapshot.definition_by_oid.get(index.oid),
        },
        impact=Impact(bytes=size if twin or leftover else None, risk=_risk(index)),
        remedy=(_remedy(snapshot, index, drop=leftover or twin is not None),),
        caveats=_caveats(index),
    )


def _twin(snapshot: Snapshot, index: Index) -> Index | None:
    same = (
        other
        for other in snapshot.indexes_of[index.table_oid]
        if other.oid != index.oid
        and other.is_usable
        and ix.reads_like(other) == ix.reads_like(index)
        and ix.enforces_as_much(other, index)
    )
    return next(same, None)


def _risk(index: Index) -> str:
    return (
        "uniqueness is not guaranteed" if index.is_unique else "queries that need it read the table"
    )


def _remedy(snapshot: Snapshot, index: Index, *, drop: bool) -> Remedy:
    name = ident(index.schema, index.name)
    if drop and index.constraint_oid is None and index.parent_oid is None:
        return ix.drop(snapshot, index)
    return Remedy(
        sql=f"REINDEX INDEX CONCURRENTLY {name};",
        lock=ix.CONCURRENTLY,
        in_transaction=False,
        undo=f"DROP INDEX CONCURRENTLY {name};",
    )


def _caveats(index: Index) -> tuple[str, ...]:
    if not index.is_unique:
        return ()
    return ("If duplicates made the build fail, it fails again until they are removed.",)


def _parent(snapshot: Snapshot, index: Index) -> Iterator[Finding]:
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
        title=f"{index.qualified} is not yet valid: {len(lacking)} partitions lack it",
        detail=f"It was made with ON ONLY. Build it on the partitions that lack it ({names}) and attach each.",
        evidence={
            "partitions_without": [p.qualified for p in lacking[:50]],
            "attached": len(served),
        },
        impact=Impact(risk="new partitions get the index, old ones do not have it"),
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
        name = mine or ix.new_name(snapshot, part, snapshot.column_names(table.oid, index.keys))
        if mine is None:
            lines.append(
                f"CREATE {unique}INDEX CONCURRENTLY {ident(name)} ON {ident(part.schema, part.name)}{shape};"
            )
        lines.append(
            f"ALTER INDEX {ident(index.schema, index.name)} ATTACH PARTITION {ident(part.schema, name)};"
        )
    yield Remedy(
        sql="\n".join(lines),
        lock=ix.CONCURRENTLY,
        in_transaction=False,
        undo=f"DROP INDEX {ident(index.schema, index.name)};",
    )


def _existing(snapshot: Snapshot, index: Index, part: Table) -> str | None:
    """Return the partition's own index of the same shape, which only needs attaching."""
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
