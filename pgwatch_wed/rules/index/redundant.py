"""Indexes whose keys are the leading keys of a wider index.

## Why it matters
The wider B-tree can answer every query that the narrower one can. Without the narrower one, every write maintains one
index fewer.

## How sure we are
B that the wider index can answer the same queries. It is larger, so scans of large ranges read more pages; the finding
gives both sizes.

## Not reported
Unique indexes (a prefix of a unique key is not unique); indexes needed by a constraint, the replica identity, CLUSTER or a
partitioned parent; indexes that differ in operator class, collation, DESC or NULLS options, predicate or expression; an
index whose INCLUDE columns are keys of the other; access methods other than B-tree, in which the order of keys does not
matter in this way; exact duplicates (`index-duplicate`); a wider index that is invalid. Skip scan (18) does not make an
index redundant: it makes the second key usable, not cheap.

## Remedy
DROP INDEX CONCURRENTLY. If the narrower index is much smaller and heavily used, keep it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed.facts import Index, Snapshot
from pgwatch_wed.findings import Finding, Impact, Severity, Unknown
from pgwatch_wed.postgres import indexes as ix
from pgwatch_wed.remedies import indexes as rebuild
from pgwatch_wed.rules import _trials

NEEDS = ("indexes", "tables", "columns")
PRIMARY_ONLY = True


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # A smaller index is reported as info.
    warn_size_bytes: int = 10_000_000
    # If the wider index is more than this many times larger, range scans cost more: reported as info.
    max_size_ratio: float = 4.0


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each index that a wider one covers."""
    for pair in ix.prefixes(snapshot):
        if not _trials.veto(snapshot, pair.index):
            yield _finding(snapshot, pair.index, pair.keeper, limits)


def _finding(snapshot: Snapshot, index: Index, cover: Index, limits: Limits) -> Finding:
    size, wide = ix.size_bytes(snapshot, index), ix.size_bytes(snapshot, cover)
    ratio = wide / size if size else 1.0
    large = size >= limits.warn_size_bytes and ratio <= limits.max_size_ratio
    trial = _trials.trial(snapshot, index)
    return Finding(
        object=ix.object_of(snapshot, index),
        related=(ix.object_of(snapshot, cover),),
        severity=Severity.WARNING if large else Severity.INFO,
        grade=_trials.grade(trial),
        title=f"{index.qualified} is a prefix of {cover.name}",
        detail=f"{cover.name} starts with the same columns and can answer the same queries.",
        evidence={
            "size_bytes": size,
            "cover_size_bytes": wide,
            "columns": list(snapshot.column_names(index.table_oid, index.keys)),
            "cover_columns": list(snapshot.column_names(cover.table_oid, cover.columns)),
            "scans": ix.scans(snapshot, index),
            "cover_scans": ix.scans(snapshot, cover),
            "index_writes": ix.writes(snapshot, index.table_oid),
            "definition": snapshot.definition_by_oid.get(index.oid),
            **_trials.evidence(trial),
        },
        impact=Impact(bytes=size, risk="every write maintains an index that another one covers"),
        remedy=(rebuild.drop(snapshot, index),),
        caveats=tuple(_caveats(snapshot, index, cover, limits)),
    )


def _caveats(snapshot: Snapshot, index: Index, cover: Index, limits: Limits) -> Iterator[str]:
    size = ix.size_bytes(snapshot, index)
    ratio = ix.size_bytes(snapshot, cover) / size if size else 1.0
    if ratio > limits.max_size_ratio:
        yield (
            f"{cover.name} is {ratio:.1f} times as large: scans of many rows and index-only scans read "
            "more pages."
        )
    bound = cover.is_unique or ix.is_bound(cover)
    if ix.scans(snapshot, index) and not ix.scans(snapshot, cover) and not bound:
        yield (
            f"{cover.name} itself has not been scanned: if no query needs its additional columns, drop "
            f"it and keep {index.name}. Drop one of the two, never both."
        )
