"""Indexes that no query reads.

## Why it matters
Every write pays for an index; VACUUM, backups and replicas carry it.

## How sure we are
B once the counters cover the window on every node given, A when the lab has also re-planned the workload
without it. Before that the verdict is unknown: young counters never make "unused".

## Not reported
- Indexes that enforce something: primary keys, unique indexes, exclusion constraints. Enforcing is no scan.
- The replica identity, the CLUSTER index, targets of foreign keys, indexes of extensions.
- The only index that supports a foreign key whose parent is deleted from or updated.
- Partitions one by one: the partitioned index is judged, and one used partition keeps all. Indexes that a standby
  given by `--standby` reads.
- Indexes used within the window (`last_idx_scan`, 16 and later), invalid ones (`index-invalid`), those being built, and
  those that took too few of the table's writes to have been there all the time.
- Copies and prefixes of other indexes, which `index-duplicate` and `index-redundant` report.
- Small ones, and tables that nobody touched: nothing can be learnt from them.

## Remedy
DROP INDEX CONCURRENTLY; the way back is the definition. On 18 and earlier there is no way to hide an index
first, so drop outside busy hours and keep the definition at hand.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from pgwatch_wed.facts import Index, IndexUsage, Snapshot, Window
from pgwatch_wed.findings import Finding, Grade, Impact, Severity, Unknown
from pgwatch_wed.rules import _indexes as ix
from pgwatch_wed.rules import _trials

NEEDS = ("indexes", "index_usage", "tables", "table_activity", "columns", "constraints")
PRIMARY_ONLY = True


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # A month-end job must have had its chance to use the index.
    window: timedelta = timedelta(days=30)
    # Smaller indexes cost less than the time to think about them.
    min_size_bytes: int = 100_000
    # From this size on it is a warning.
    warn_size_bytes: int = 10_000_000


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each index that is proven unused."""
    candidates = [i for i in snapshot.indexes if is_candidate(snapshot, i, limits.min_size_bytes)]
    if not candidates:
        return
    young = too_young(snapshot, limits.window)
    if young is not None:
        yield young
        return
    for index in candidates:
        if not _used(snapshot, index, limits):
            yield from _judge(snapshot, index, limits)


def is_candidate(snapshot: Snapshot, index: Index, min_size_bytes: int) -> bool:
    """Tell whether only queries could want an index."""
    return (
        index.is_usable
        and not index.is_unique
        and not ix.is_bound(index)
        and not ix.is_being_built(snapshot, index)
        and ix.size_bytes(snapshot, index) >= min_size_bytes
    )


def too_young(snapshot: Snapshot, wanted: timedelta) -> Unknown | None:
    """Return why counters cannot tell yet, on this node or on a standby."""
    if not wanted:
        return None
    nodes = [("this server", snapshot.window)]
    nodes += [(n.node, Window(n.since, n.taken_at, "")) for n in snapshot.nodes]
    for node, window in nodes:
        length = window.length
        if length is None or length < wanted:
            known = (
                "an unknown time"
                if length is None
                else f"{length.total_seconds() / 86400:.1f} days"
            )
            return Unknown(
                f"the counters of {node} cover {known}, and {wanted.total_seconds() / 86400:g} days are "
                "wanted",
                "run again later, or say how many days are enough: --window DAYS",
            )
    return None


def _used(snapshot: Snapshot, index: Index, limits: Limits) -> bool:
    """Tell whether any node used the index, or any partition of it, within the window."""
    oids = {leaf.oid for leaf in ix.leaves(snapshot, index)} | {index.oid}
    return any(
        _was_used(usage, since)
        for usages, since in _nodes(snapshot, limits)
        for usage in usages
        if usage.oid in oids
    )


def _nodes(
    snapshot: Snapshot, limits: Limits
) -> Iterator[tuple[tuple[IndexUsage, ...], datetime | None]]:
    back = limits.window or None
    yield snapshot.index_usage, snapshot.now - back if back else None
    for node in snapshot.nodes:
        yield node.usages, node.taken_at - back if back else None


def _was_used(usage: IndexUsage, since: datetime | None) -> bool:
    """Count a scan unless it is known to be older than the window."""
    if usage.idx_scan == 0:
        return False
    return since is None or usage.last_idx_scan is None or usage.last_idx_scan >= since


def _judge(snapshot: Snapshot, index: Index, limits: Limits) -> Iterator[Finding | Unknown]:
    table = snapshot.table_by_oid.get(index.table_oid)
    if table is None or _reported_elsewhere(snapshot, index) or _trials.veto(snapshot, index):
        return
    if not _touched(snapshot, index.table_oid):
        yield Unknown(
            "nobody touched its table since the counters began",
            object=ix.object_of(snapshot, index),
        )
        return
    if limits.window and _came_later(snapshot, index, limits):
        yield Unknown(
            "it took too few of the table's writes to have existed all the time",
            object=ix.object_of(snapshot, index),
        )
        return
    parents = [
        k for k in ix.foreign_keys(snapshot, table.oid) if _only_support(snapshot, index, k.oid)
    ]
    if any(_parent_changes(snapshot, k.referenced_oid) for k in parents):
        return
    yield _finding(snapshot, index, limits, supports=[k.name for k in parents])


def _reported_elsewhere(snapshot: Snapshot, index: Index) -> bool:
    if any(d.index.oid == index.oid for d in ix.duplicates(snapshot)):
        return True
    others = snapshot.indexes_of[index.table_oid]
    return any(o.oid != index.oid and o.is_usable and ix.is_prefix(index, o) for o in others)


def _touched(snapshot: Snapshot, table_oid: int) -> bool:
    a = snapshot.activity_by_oid.get(table_oid)
    own = a is not None and bool(a.seq_scan + a.idx_scan + a.n_tup_ins + a.n_tup_upd + a.n_tup_del)
    return own or any(_touched(snapshot, p.oid) for p in snapshot.partitions_of[table_oid])


def _came_later(snapshot: Snapshot, index: Index, limits: Limits) -> bool:
    """Tell whether the index saw too few writes: each write of the table touches one page of it.

    A partial index rightly misses writes, so nothing follows for it.
    """
    writes = ix.writes(snapshot, index.table_oid)
    if index.predicate is not None or writes < 1000:
        return False
    usages = [snapshot.usage_by_oid.get(leaf.oid) for leaf in ix.leaves(snapshot, index)]
    seen = sum(u.blks_hit + u.blks_read for u in usages if u)
    length = snapshot.window.length or timedelta()
    return seen < 0.9 * writes and length * (seen / writes) < limits.window


def _only_support(snapshot: Snapshot, index: Index, key_oid: int) -> bool:
    key = next(c for c in snapshot.constraints_of[index.table_oid] if c.oid == key_oid)
    covers = [
        i for i in snapshot.indexes_of[index.table_oid] if ix.covers_foreign_key(snapshot, i, key)
    ]
    return [i.oid for i in covers] == [index.oid]


def _parent_changes(snapshot: Snapshot, parent_oid: int | None) -> bool:
    a = snapshot.activity_by_oid.get(parent_oid or 0)
    return a is not None and a.n_tup_del + a.n_tup_upd > 0


def _finding(snapshot: Snapshot, index: Index, limits: Limits, supports: list[str]) -> Finding:
    size = ix.size_bytes(snapshot, index)
    writes = ix.writes(snapshot, index.table_oid)
    usages = [
        u for leaf in ix.leaves(snapshot, index) if (u := snapshot.usage_by_oid.get(leaf.oid))
    ]
    last = max((u.last_idx_scan for u in usages if u.last_idx_scan), default=None)
    trial = _trials.trial(snapshot, index)
    length = snapshot.window.length
    return Finding(
        object=ix.object_of(snapshot, index),
        severity=Severity.WARNING if size >= limits.warn_size_bytes else Severity.INFO,
        grade=Grade.A if trial else Grade.B,
        title=f"No query reads {index.qualified}",
        detail=f"It has not been scanned since {last:%Y-%m-%d}."
        if last
        else "It has never been scanned since the counters began.",
        evidence={
            "size_bytes": size,
            "scans": sum(u.idx_scan for u in usages),
            "last_scan": last.isoformat() if last else None,
            "index_writes": writes,
            "window_days": round(length.total_seconds() / 86400, 2) if length else None,
            "nodes": ["this server", *(n.node for n in snapshot.nodes)],
            "definition": snapshot.definition_by_oid.get(index.oid),
            **_trials.evidence(trial),
        },
        impact=Impact(bytes=size, risk=f"{writes:,} writes maintained it" if writes else ""),
        remedy=(ix.drop(snapshot, index),),
        caveats=tuple(_caveats(snapshot, supports)),
    )


def _caveats(snapshot: Snapshot, supports: list[str]) -> Iterator[str]:
    if supports:
        yield (
            f"It is the only index for the foreign key {', '.join(supports)}; deleting from the parent "
            "would then read the whole table."
        )
    if snapshot.replicas and not snapshot.nodes:
        yield "Standbys are connected, and their queries count apart: give each with --standby."
    yield "A job that runs more seldom than the window may want it."
