"""Indexes that no query reads.

## Why it matters
Every write pays for an index; VACUUM, backups and replicas carry it.

## How sure we are
B once the counters cover the window on every node given, A when the lab has also re-planned the workload
without it, C while standbys are connected whose counters nobody gave (`--standby`). Before that the verdict is
unknown: young counters never make "unused".

## Not reported
- Indexes that enforce something: primary keys, unique indexes, exclusion constraints. Enforcing is no scan.
- The replica identity, the CLUSTER index, targets of foreign keys, indexes of extensions.
- The only index that supports a foreign key whose parent is deleted from or updated.
- Partitions one by one: the partitioned index is judged, and one used partition keeps all. Indexes that a standby
  given by `--standby` reads.
- Indexes used within the window (`last_idx_scan`, 16 and later), invalid ones (`index-invalid`), those being built, and
  those that took too few of the table's writes to have been there all the time.
- Copies and prefixes of other indexes, which `index-duplicate` and `index-redundant` report, and the index that stays
  in their place: judge it once they are gone, so that never both are dropped.
- Small ones, and tables that nobody touched: nothing can be learnt from them.

## Remedy
DROP INDEX CONCURRENTLY; the way back is the definition. On 18 and earlier there is no way to hide an index
first, so drop outside busy hours and keep the definition at hand.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from pgwatch_wed.facts import Index, IndexUsage, Replica, Snapshot, Window
from pgwatch_wed.findings import Finding, Grade, Impact, Severity, Unknown
from pgwatch_wed.rules import _indexes as ix
from pgwatch_wed.rules import _trials
from pgwatch_wed.rules._window import grant_birth

NEEDS = ("indexes", "index_usage", "nodes", "tables", "table_activity", "columns", "constraints")
PRIMARY_ONLY = True


# A deduplicated B-tree entry is a tuple identifier.
_LEAST_ENTRY_BYTES = 6


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
    found = candidates(snapshot, limits.min_size_bytes)
    if not found:
        return
    young = too_young(snapshot, limits.window)
    if young is not None:
        yield young
        return
    for index in found:
        if not _used(snapshot, index, limits):
            yield from _judge(snapshot, index, limits)


def candidates(snapshot: Snapshot, min_size_bytes: int) -> list[Index]:
    """Return the indexes that only queries could want, and that no other finding is about.

    Of a copy or a prefix and the index that stays in its place, neither: what the one answered, the
    other will have to.
    """
    copies = ix.duplicates(snapshot)
    pairs = (*copies, *ix.prefixes(snapshot, copies))
    elsewhere = {i.oid for pair in pairs for i in (pair.index, pair.keeper)}
    return [
        i
        for i in snapshot.indexes
        if i.oid not in elsewhere and is_candidate(snapshot, i, min_size_bytes)
    ]


def is_candidate(snapshot: Snapshot, index: Index, min_size_bytes: int) -> bool:
    """Tell whether only queries could want an index."""
    return (
        index.is_usable
        and not index.is_unique
        and not ix.is_bound(index)
        and not ix.is_being_built(snapshot, index)
        and max(ix.size_bytes(snapshot, index), _least_bytes(snapshot, index)) >= min_size_bytes
    )


def _least_bytes(snapshot: Snapshot, index: Index) -> int:
    """Return what a B-tree of the table's rows takes at the least, before VACUUM wrote its size down."""
    table = snapshot.table_by_oid.get(index.table_oid)
    if table is None or index.predicate is not None or index.access_method != "btree":
        return 0
    return int(ix.rows(snapshot, table) * _LEAST_ENTRY_BYTES)


def too_young(snapshot: Snapshot, wanted: timedelta) -> Unknown | None:
    """Return why counters cannot tell yet, on this node or on a standby."""
    if not wanted:
        return None
    nodes = [("this server", snapshot.proven_window)]
    nodes += [(n.node, Window(n.since, n.taken_at, "")) for n in snapshot.nodes]
    for node, window in nodes:
        length = window.length
        if length is None or length < wanted:
            known = (
                "an unknown time"
                if length is None
                else f"{length.total_seconds() / 86400:.1f} days"
            )
            is_certain = node != "this server" or window == snapshot.window
            doubt = "" if is_certain else f" ({window.reason})"
            mend = "run again later, or say how many days are enough: --window DAYS"
            return Unknown(
                f"the counters of {node} cover {known}{doubt}, and {wanted.total_seconds() / 86400:g} days are "
                "wanted",
                mend if is_certain else f"{grant_birth(snapshot)}; or {mend}",
            )
    return None


def _used(snapshot: Snapshot, index: Index, limits: Limits) -> bool:
    """Tell whether any node used the index, or any partition of it, within the window."""
    oids = {leaf.oid for leaf in ix.leaves(snapshot, index)} | {index.oid}
    back = limits.window or None
    nodes = ((n.taken_at, u) for n, u in zip(snapshot.nodes, snapshot.usage_on_nodes, strict=True))
    return any(
        _was_used(usages[oid], taken_at - back if back else None)
        for taken_at, usages in ((snapshot.now, snapshot.usage_by_oid), *nodes)
        for oid in oids
        if oid in usages
    )


def _was_used(usage: IndexUsage, since: datetime | None) -> bool:
    """Count a scan unless it is known to be older than the window."""
    if usage.idx_scan == 0:
        return False
    return since is None or usage.last_idx_scan is None or usage.last_idx_scan >= since


def _judge(snapshot: Snapshot, index: Index, limits: Limits) -> Iterator[Finding | Unknown]:
    table = snapshot.table_by_oid.get(index.table_oid)
    if table is None or _trials.veto(snapshot, index):
        return
    if not ix.is_touched(snapshot, index.table_oid):
        yield Unknown(
            "nobody touched its table since the counters began",
            object=ix.object_of(snapshot, index),
        )
        return
    if limits.window and _was_reset(snapshot, index, limits):
        yield Unknown(
            "its own counters were reset within the window", object=ix.object_of(snapshot, index)
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


def _was_reset(snapshot: Snapshot, index: Index, limits: Limits) -> bool:
    """Tell whether somebody reset the counters of this index alone, which 19 and later record."""
    usages = [snapshot.usage_by_oid.get(leaf.oid) for leaf in ix.leaves(snapshot, index)]
    since = snapshot.now - limits.window
    return any(u.stats_reset is not None and u.stats_reset > since for u in usages if u)


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
    """Tell whether a foreign key would be left without an index: of several idle ones, one stays."""
    key = next(c for c in snapshot.constraints_of[index.table_oid] if c.oid == key_oid)
    covers = [
        i for i in snapshot.indexes_of[index.table_oid] if ix.covers_foreign_key(snapshot, i, key)
    ]
    if index not in covers:
        return False
    stays = min(
        covers,
        key=lambda i: (not (i.is_unique or ix.is_bound(i)), -ix.scans(snapshot, i), i.pages, i.oid),
    )
    return stays.oid == index.oid


def _parent_changes(snapshot: Snapshot, parent_oid: int | None) -> bool:
    return any(ix.changes(snapshot, parent_oid))


def _finding(snapshot: Snapshot, index: Index, limits: Limits, supports: list[str]) -> Finding:
    size = ix.size_bytes(snapshot, index)
    writes = ix.writes(snapshot, index.table_oid)
    usages = [
        u for leaf in ix.leaves(snapshot, index) if (u := snapshot.usage_by_oid.get(leaf.oid))
    ]
    last = max((u.last_idx_scan for u in usages if u.last_idx_scan), default=None)
    trial = _trials.trial(snapshot, index)
    length = snapshot.window.length
    unseen = _unseen_standbys(snapshot)
    return Finding(
        object=ix.object_of(snapshot, index),
        severity=Severity.WARNING
        if size >= limits.warn_size_bytes and not unseen
        else Severity.INFO,
        grade=Grade.C if unseen else Grade.A if trial else Grade.B,
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
        caveats=tuple(_caveats(snapshot, index, supports)),
    )


def _caveats(snapshot: Snapshot, index: Index, supports: list[str]) -> Iterator[str]:
    if supports:
        yield (
            f"It is the only index for the foreign key {', '.join(supports)}; deleting from the parent "
            "would then read the whole table."
        )
    if _unseen_standbys(snapshot):
        yield "Standbys are connected, and their queries count apart: give each with --standby."
    if index.expressions is not None:
        yield (
            "ANALYZE keeps statistics on its expressions, which help plans that never scan it: replace "
            "them by CREATE STATISTICS (14 and later)."
        )
    yield "A job that runs more seldom than the window may want it."


def _unseen_standbys(snapshot: Snapshot) -> bool:
    """Tell whether physical standbys are connected whose counters nobody gave."""
    return len(snapshot.nodes) < sum(_is_standby(snapshot, r) for r in snapshot.replicas)


def _is_standby(snapshot: Snapshot, replica: Replica) -> bool:
    logical = {s.name for s in snapshot.slots if s.slot_type == "logical"}
    tools = ("pg_receivewal", "pg_basebackup", "pg_recvlogical", "barman", "pgbackrest")
    name = replica.application_name or ""
    return replica.slot_name not in logical and not name.startswith(tools)
