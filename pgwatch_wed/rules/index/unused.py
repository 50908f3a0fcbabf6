"""Indexes that no query reads.

## Why it matters
Every write has to maintain the index; VACUUM, backups and replicas have to process it.

## How sure we are
B once the counters cover the window on every node given, A if the lab has also planned the workload without the index,
C while standbys are connected whose counters were not supplied (`--standby`), or if the counters cover less than a day. Until the window is covered the verdict is
unknown: counters that were reset recently never prove an index unused.

## Not reported
- Indexes that enforce something: primary keys, unique indexes, exclusion constraints. Enforcing does not count as a scan.
- The replica identity, the index used by CLUSTER, indexes that foreign keys refer to, indexes of extensions.
- The only index that supports a foreign key, whether or not rows of the referenced table have been deleted so far.
- Individual partitions: the partitioned index is judged as a whole, and one partition in use keeps it. Indexes that a
  standby given with `--standby` uses.
- Indexes used within the window (`last_idx_scan`, 16 and later), invalid ones (`index-invalid`), and those being built.
- Indexes that may be younger than the window, where the verdict is unknown: they neither received the table's writes, nor was a
  table that was created later in use before. PostgreSQL does not record when an index was created.
- Duplicates and prefixes of other indexes, which `index-duplicate` and `index-redundant` report, and the index that
  replaces them: it is judged once they are gone, so that both are never dropped.
- Small indexes, and tables with no activity, whose counters prove nothing.

## Remedy
DROP INDEX CONCURRENTLY; to undo it, run the index definition. PostgreSQL cannot hide an index from the planner first, so
drop it outside busy hours and keep the definition at hand.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from pgwatch_wed.facts import Constraint, Index, Snapshot
from pgwatch_wed.findings import Finding, Grade, Impact, Severity, Unknown
from pgwatch_wed.postgres import indexes as ix
from pgwatch_wed.postgres import referential
from pgwatch_wed.remedies import indexes as rebuild
from pgwatch_wed.rules import _trials, _use
from pgwatch_wed.units import count, words

NEEDS = ("indexes", "index_usage", "nodes", "tables", "table_activity", "columns", "constraints")
PRIMARY_ONLY = True


# In a deduplicated B-tree, an entry is just a tuple identifier.
_LEAST_ENTRY_BYTES = 6
# Shorter counters are no proof, whatever window was requested.
_LEAST_PROOF = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # Long enough for a month-end job to have used the index.
    window: timedelta = timedelta(days=30)
    # Smaller indexes are not worth the effort.
    min_size_bytes: int = 100_000
    # An index of at least this size is a warning.
    warn_size_bytes: int = 10_000_000


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each index that is proven unused."""
    found = candidates(snapshot, limits.min_size_bytes)
    if not found:
        return
    young = _use.too_young(snapshot, limits.window)
    if young is not None:
        yield young
        return
    for index in found:
        if not _use.used(snapshot, index, limits.window):
            yield from _judge(snapshot, index, limits)


def candidates(snapshot: Snapshot, min_size_bytes: int) -> list[Index]:
    """Return the indexes that serve only queries and that no other rule reports.

    Leave out duplicates and prefixes, and also the index that replaces them: it will have to answer
    their queries.
    """
    pairs = (*ix.duplicates(snapshot), *ix.prefixes(snapshot))
    elsewhere = {i.oid for pair in pairs for i in (pair.index, pair.keeper)}
    return [
        i
        for i in snapshot.indexes
        if i.oid not in elsewhere and is_candidate(snapshot, i, min_size_bytes)
    ]


def is_candidate(snapshot: Snapshot, index: Index, min_size_bytes: int) -> bool:
    """Tell whether an index serves nothing but queries."""
    return (
        index.is_usable
        and not index.is_unique
        and not ix.is_bound(index)
        and not ix.is_being_built(snapshot, index)
        and max(ix.size_bytes(snapshot, index), _least_bytes(snapshot, index)) >= min_size_bytes
    )


def _least_bytes(snapshot: Snapshot, index: Index) -> int:
    """Return the least size of a B-tree on the table's rows, for when VACUUM has not recorded its size yet."""
    table = snapshot.table_by_oid.get(index.table_oid)
    if table is None or index.predicate is not None or index.access_method != "btree":
        return 0
    return int(ix.rows(snapshot, table) * _LEAST_ENTRY_BYTES)


def _judge(snapshot: Snapshot, index: Index, limits: Limits) -> Iterator[Finding | Unknown]:
    table = snapshot.table_by_oid.get(index.table_oid)
    if table is None or _trials.veto(snapshot, index):
        return
    doubt = _use.unproven(snapshot, index, limits.window)
    if doubt is not None:
        mend = "--window 0 evaluates it, whatever its age" if limits.window else ""
        yield Unknown(doubt, mend, ix.object_of(snapshot, index))
        return
    keys = ix.foreign_keys(snapshot, table.oid)
    # `index-missing-fk` would recommend to create it again
    if not any(_only_support(snapshot, index, k.oid) for k in keys):
        yield _finding(snapshot, index, limits)


def _only_support(snapshot: Snapshot, index: Index, key_oid: int) -> bool:
    """Tell whether a foreign key would be left without an index: of several unused ones, keep one."""
    key = next(c for c in snapshot.constraints_of[index.table_oid] if c.oid == key_oid)
    covers = [
        i
        for i in snapshot.indexes_of[index.table_oid]
        if ix.covers_foreign_key(snapshot, i, key) or _narrows(snapshot, i, key)
    ]
    if index not in covers:
        return False
    stays = min(
        covers,
        key=lambda i: (not (i.is_unique or ix.is_bound(i)), -ix.scans(snapshot, i), i.pages, i.oid),
    )
    return stays.oid == index.oid


def _narrows(snapshot: Snapshot, index: Index, key: Constraint) -> bool:
    """Tell whether `index-missing-fk` would report the foreign key without it."""
    rows = referential.rows_per_check(snapshot, index, key)
    return rows is not None and rows <= referential.FEW_ROWS


def _finding(snapshot: Snapshot, index: Index, limits: Limits) -> Finding:
    size = ix.size_bytes(snapshot, index)
    writes = ix.writes(snapshot, index.table_oid)
    usages = [
        u for leaf in ix.leaves(snapshot, index) if (u := snapshot.usage_by_oid.get(leaf.oid))
    ]
    last = max((u.last_idx_scan for u in usages if u.last_idx_scan), default=None)
    trial = _trials.trial(snapshot, index)
    length = snapshot.window.length
    unseen = _use.unseen_standbys(snapshot)
    return Finding(
        object=ix.object_of(snapshot, index),
        severity=Severity.WARNING
        if size >= limits.warn_size_bytes and not unseen
        else Severity.INFO,
        grade=Grade.C if unseen or _is_short(length) else _trials.grade(trial),
        title=f"No query reads {index.qualified}",
        detail=f"It has not been scanned since {last:%Y-%m-%d}."
        if last
        else f"It has not been scanned since the counters began, {words(length)} ago.",
        evidence={
            "size_bytes": size,
            "scans": sum(u.idx_scan for u in usages),
            "last_scan": last.isoformat() if last else None,
            "index_writes": writes,
            "window_seconds": round(length.total_seconds(), 1) if length else None,
            "nodes": ["this server", *(n.node for n in snapshot.nodes)],
            "definition": snapshot.definition_by_oid.get(index.oid),
            **_trials.evidence(trial),
        },
        impact=Impact(
            bytes=size, risk=f"{count(writes, 'write')} had to maintain it" if writes else ""
        ),
        remedy=(rebuild.drop(snapshot, index),),
        caveats=tuple(_caveats(snapshot, index)),
    )


def _is_short(length: timedelta | None) -> bool:
    """Tell whether only `--window` says that the counters cover enough time."""
    return length is None or length < _LEAST_PROOF


def _caveats(snapshot: Snapshot, index: Index) -> Iterator[str]:
    if _is_short(snapshot.window.length):
        yield "The counters cover less than a day, which proves little about jobs and reports."
    if _use.unseen_standbys(snapshot):
        yield "Standbys are connected, and their queries are counted separately: give each with --standby."
    if index.expressions is not None:
        yield (
            "ANALYZE collects statistics on its expressions, which help even plans that do not scan it: "
            "replace them using CREATE STATISTICS (14 and later)."
        )
    yield "A job that runs less often than the window may need it."
