"""Indexes that a failed build left behind.

## Why it matters
An invalid index answers no query, yet once it is ready every write maintains it. CREATE INDEX CONCURRENTLY IF NOT
EXISTS finds the name in use and does not repair it. An invalid unique index does not guarantee uniqueness.

## How sure we are
B: pg_index marks it as invalid.

## Not reported
Indexes that a session is building, rebuilding or dropping. Partitioned indexes created with ON ONLY, which stay invalid
until an index of every partition is attached: see `index-incomplete`.

## Remedy
REINDEX INDEX CONCURRENTLY if the index is needed; DROP INDEX CONCURRENTLY for what a failed REINDEX left behind (names
ending in `_ccnew` or `_ccold`) and for an index that a valid duplicate already replaces. If duplicate rows made the build
of a unique index fail, it fails again until they are removed.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from pgwatch_wed.facts import Index, Snapshot, Table
from pgwatch_wed.facts.derived import derived
from pgwatch_wed.findings import Finding, Grade, Impact, Remedy, Severity, Unknown
from pgwatch_wed.postgres import indexes as ix
from pgwatch_wed.postgres import privileges
from pgwatch_wed.quote import ident
from pgwatch_wed.remedies import indexes as rebuild
from pgwatch_wed.remedies import locks as held

NEEDS = ("indexes", "tables", "index_builds", "relation_locks")
PRIMARY_ONLY = True

_UNDO = "-- nothing to undo: as it is, no query can use it"
_LEFTOVER = re.compile(r"_cc(?:new|old)\d*\Z")


@dataclass(frozen=True, slots=True)
class Limits:
    """No thresholds: an index is valid, or it is not."""


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:  # noqa: ARG001 - none
    """Yield a finding for each invalid index that is not being built."""
    broken = [i for i in snapshot.indexes if not i.is_usable and i.kind != "I"]
    # A role without pg_read_all_stats sees that something is being built, but not what.
    if broken and any(not b.relation_oid for b in snapshot.index_builds):
        grant = privileges.grant_stats(snapshot.server)
        yield Unknown(
            "another role is building an index, which may be one of the invalid ones",
            f"run again when it is done{', or ' if grant else ''}{grant}",
        )
        return
    for index in broken:
        if not ix.is_being_built(snapshot, index):
            yield _finding(snapshot, index)


@derived
def _toast_owners(snapshot: Snapshot) -> dict[int, Table]:
    return {t.toast_oid: t for t in snapshot.tables if t.toast_oid is not None}


def _finding(snapshot: Snapshot, index: Index) -> Finding:
    twin = _twin(snapshot, index)
    leftover = _LEFTOVER.search(index.name) is not None
    size = ix.size_bytes(snapshot, index)
    maintained = "every write maintains it" if index.is_ready else "it was never completed"
    owner = _toast_owners(snapshot).get(index.table_oid)
    related = [ix.object_of(snapshot, twin)] if twin else []
    if owner is not None:
        related.append(ix.table_object(snapshot, owner))
    return Finding(
        object=ix.object_of(snapshot, index),
        related=tuple(related),
        severity=Severity.WARNING,
        grade=Grade.B,
        title=f"{index.qualified} is invalid",
        detail=f"Its build failed or was canceled: no query uses it, and {maintained}."
        + (f" {twin.name} is a valid duplicate." if twin else "")
        + (" A failed REINDEX CONCURRENTLY left it behind." if leftover else ""),
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
        "uniqueness is not guaranteed"
        if index.is_unique
        else "queries that need it scan the whole table"
    )


def _remedy(snapshot: Snapshot, index: Index, *, drop: bool) -> Remedy:
    name = ident(index.schema, index.name)
    if (drop or not index.is_live) and index.constraint_oid is None and index.parent_oid is None:
        return replace(rebuild.drop(snapshot, index), undo=_UNDO)
    if index.is_exclusion:
        return Remedy(
            sql=f"REINDEX INDEX {name};",
            lock="SHARE on the table, ACCESS EXCLUSIVE on the index: blocks writes until it is built "
            "(indexes of exclusion constraints cannot be rebuilt concurrently)",
            undo=_UNDO,
        )
    return Remedy(
        sql=f"REINDEX INDEX CONCURRENTLY {name};",
        lock=held.CONCURRENTLY,
        in_transaction=False,
        undo=_UNDO,
    )


def _caveats(index: Index) -> tuple[str, ...]:
    if not index.is_unique:
        return ()
    return ("If duplicate rows made the build fail, it fails again until they are removed.",)
