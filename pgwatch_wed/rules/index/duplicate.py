"""Indexes identical to another index of the same table.

## Why it matters
Every insert, and every update that is not HOT, has to maintain each index; VACUUM, backups, replicas and the cache carry
the duplicate as well. It makes no query faster.

## How sure we are
B: access method, key columns in order, operator classes, collations, DESC and NULLS options, expressions, predicate and
INCLUDE columns are compared in the catalogs, not as text. Storage parameters such as fillfactor do not make a
difference.

## Not reported
The index that should stay: one that belongs to a constraint rather than one that does not, a unique one rather than a
plain one, then the one that is used more. Never both of a pair. Indexes that something other than queries needs: primary
keys, exclusion constraints, the replica identity, the index used by CLUSTER, indexes that foreign keys refer to,
partitions of a partitioned index (their parent is judged). An invalid index replaces nothing. UNIQUE and UNIQUE NULLS NOT
DISTINCT enforce different things, and so do a deferrable and an immediate constraint. Operator classes with different
parameters, and BRIN indexes with a different pages_per_range, are not duplicates.

## Remedy
DROP INDEX CONCURRENTLY, or DROP CONSTRAINT if the duplicate belongs to a second constraint; to undo it, run the index
definition.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed.facts import Index, Snapshot
from pgwatch_wed.findings import Finding, Grade, Impact, Severity, Unknown
from pgwatch_wed.postgres import indexes as ix
from pgwatch_wed.remedies import indexes as rebuild

NEEDS = ("indexes", "tables", "columns")
PRIMARY_ONLY = True


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # A smaller duplicate is reported as info.
    warn_size_bytes: int = 1_000_000


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each index that can be dropped."""
    for pair in ix.duplicates(snapshot):
        yield _finding(snapshot, pair, limits)


def _finding(snapshot: Snapshot, pair: ix.Duplicate, limits: Limits) -> Finding:
    index, keeper = pair.index, pair.keeper
    size = ix.size_bytes(snapshot, index)
    return Finding(
        object=ix.object_of(snapshot, index),
        related=(ix.object_of(snapshot, keeper),),
        severity=Severity.WARNING if size >= limits.warn_size_bytes else Severity.INFO,
        grade=Grade.B,
        title=f"{index.qualified} duplicates {keeper.name}",
        detail=f"Both are {index.access_method} indexes on the same columns with the same options. "
        f"Keep {keeper.name}{_because(keeper)}; queries that use {index.name} will use it instead.",
        evidence={
            "size_bytes": size,
            "columns": list(snapshot.column_names(index.table_oid, index.keys)),
            "index_writes": ix.writes(snapshot, index.table_oid),
            "scans": ix.scans(snapshot, index),
            "keeper": keeper.qualified,
            "definition": snapshot.definition_by_oid.get(index.oid),
        },
        impact=Impact(bytes=size, risk="every write maintains the same index twice"),
        remedy=(rebuild.drop(snapshot, index),),
        caveats=_caveats(index.constraint_name),
    )


def _because(keeper: Index) -> str:
    if keeper.is_primary:
        return ", the primary key"
    if keeper.constraint_oid is not None:
        return ", which a constraint needs"
    return ", which is unique" if keeper.is_unique else ""


def _caveats(constraint: str | None) -> tuple[str, ...]:
    if constraint is None:
        return ()
    return ("Check that the application does not name it in ON CONFLICT ON CONSTRAINT.",)
