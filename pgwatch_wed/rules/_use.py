"""How long use of something could have been noticed: what every rule asks whose evidence is that nobody used it.

Counters start again after a reset or a crash, each server counts only its own, and an index is used only once it
exists. PostgreSQL does not record when an index was created. What proves its age is that it received the table's
writes, or that a table created after it (whose oid is higher) was in use at a known time.
"""

import math
from bisect import bisect_right
from collections.abc import Iterator
from datetime import datetime, timedelta

from pgwatch_wed.facts import Index, IndexUsage, Replica, Snapshot, TableActivity, Window
from pgwatch_wed.facts.derived import derived
from pgwatch_wed.findings import Unknown
from pgwatch_wed.postgres import indexes as ix
from pgwatch_wed.remedies.grants import grant_birth
from pgwatch_wed.units import count

# Fewer writes do not show how long an index has existed.
_TELLING_WRITES = 1000
# Of an entry of an inner page: tuple header, pointer and alignment; how full such a page is at least.
_ENTRY_BYTES = 16
_LEAST_FILLED = 0.6
_UNKNOWN_WIDTH = 32


def too_young(snapshot: Snapshot, wanted: timedelta) -> Unknown | None:
    """Return why the counters of this server or of a standby do not cover the window."""
    if not wanted:
        return None
    nodes = [("this server", snapshot.proven_window)]
    nodes += [(n.node, Window(n.since, n.taken_at, "")) for n in snapshot.nodes]
    for node, window in nodes:
        if window.length is None or window.length < wanted:
            is_certain = node != "this server" or window == snapshot.window
            doubt = "" if is_certain else f" ({window.reason})"
            mend = "run again later, or require fewer days with --window DAYS"
            return Unknown(
                f"the counters of {node} cover {_days(window.length)}{doubt}, but {_required(wanted)}",
                mend if is_certain else f"{grant_birth(snapshot)}; or {mend}",
            )
    return None


def statements_too_young(snapshot: Snapshot, wanted: timedelta) -> Unknown | None:
    """Return why the statements seen do not cover the window: others may have run before."""
    length = snapshot.statements_window.length
    if not wanted or "statements" in snapshot.missing or (length is not None and length >= wanted):
        return None
    return Unknown(
        f"pg_stat_statements covers {_days(length)}, but {_required(wanted)} to know which queries there are",
        "run again later, or require fewer days with --window DAYS",
    )


def _days(length: timedelta | None) -> str:
    return "an unknown period" if length is None else f"{length.total_seconds() / 86400:.1f} days"


def _required(wanted: timedelta) -> str:
    days = f"{wanted.total_seconds() / 86400:g}"
    return "1 day is required" if days == "1" else f"{days} days are required"


def used(snapshot: Snapshot, index: Index, window: timedelta) -> bool:
    """Tell whether any server used the index, or any partition of it, within the window.

    A scan counts unless it is known to be older. Without a window, any scan does.
    """
    oids = {leaf.oid for leaf in ix.leaves(snapshot, index)} | {index.oid}
    nodes = ((n.taken_at, u) for n, u in zip(snapshot.nodes, snapshot.usage_on_nodes, strict=True))
    return any(
        _was_used(usages[oid], taken_at - window if window else None)
        for taken_at, usages in ((snapshot.now, snapshot.usage_by_oid), *nodes)
        for oid in oids
        if oid in usages
    )


def _was_used(usage: IndexUsage, since: datetime | None) -> bool:
    if usage.idx_scan == 0:
        return False
    return since is None or usage.last_idx_scan is None or usage.last_idx_scan >= since


def unproven(snapshot: Snapshot, index: Index, window: timedelta) -> str | None:
    """Return why the counters, which cover the window, do not show that the index was not used in it."""
    if not ix.is_touched(snapshot, index.table_oid):
        return "its table has not been used since the counters began"
    if not window:
        return None
    if _was_reset(snapshot, index, window):
        return "its own counters were reset within the window"
    if _is_old(snapshot, index, window) or _received_the_writes(snapshot, index, window):
        return None
    if ix.writes(snapshot, index.table_oid) < _TELLING_WRITES:
        return "its table had too few writes to tell whether it has existed for the whole window"
    return "it received too few of the table's writes to have existed for the whole window"


def _was_reset(snapshot: Snapshot, index: Index, window: timedelta) -> bool:
    """Tell whether somebody reset the counters of this index alone, which 19 and later record."""
    usages = [snapshot.usage_by_oid.get(leaf.oid) for leaf in ix.leaves(snapshot, index)]
    since = snapshot.now - window
    return any(u.stats_reset is not None and u.stats_reset > since for u in usages if u)


def _received_the_writes(snapshot: Snapshot, index: Index, window: timedelta) -> bool:
    """Tell whether the index received writes for the whole window: each goes from the root to a leaf.

    VACUUM reads an index as well. Writes may bypass a partial index, or go to the last leaf at once; then the
    index seems younger than it is.
    """
    writes = ix.writes(snapshot, index.table_oid)
    if writes < _TELLING_WRITES:
        return False
    leaves = ix.leaves(snapshot, index)
    received = sum(_accesses(snapshot, leaf) / _pages_of_a_write(snapshot, leaf) for leaf in leaves)
    length = snapshot.window.length or timedelta()
    return received >= 0.9 * writes or length * (received / writes) >= window


def _pages_of_a_write(snapshot: Snapshot, leaf: Index) -> int:
    """Return how many pages a write accesses: one on each level of the tree."""
    pivot = _ENTRY_BYTES + sum(
        _width(snapshot, leaf, place) for place in range(max(leaf.key_count, 1))
    )
    fan_out = max(_LEAST_FILLED * snapshot.server.block_size / pivot, 2.0)
    return 1 + math.ceil(math.log(max(leaf.pages - 1, 1), fan_out))


def _width(snapshot: Snapshot, leaf: Index, place: int) -> float:
    attnum = leaf.columns[place] if place < len(leaf.columns) else 0
    column = snapshot.column_by_key.get((leaf.table_oid, attnum))
    if column is not None and column.length > 0:
        return column.length
    key = (leaf.table_oid, attnum) if attnum else (leaf.oid, place + 1)
    statistics = snapshot.statistics_by_key.get(key)
    return statistics.avg_width if statistics is not None else _UNKNOWN_WIDTH


def _accesses(snapshot: Snapshot, leaf: Index) -> int:
    """Return how often pages of an index were accessed, other than by VACUUM."""
    usage = snapshot.usage_by_oid.get(leaf.oid)
    table = snapshot.activity_by_oid.get(leaf.table_oid)
    if usage is None or table is None:
        return 0
    vacuums = table.vacuum_count + table.autovacuum_count
    return max(usage.blks_hit + usage.blks_read - vacuums * leaf.pages, 0)


def _is_old(snapshot: Snapshot, index: Index, window: timedelta) -> bool:
    """Tell whether a table that was created later was in use before the window began."""
    oids, earliest = _dates_by_oid(snapshot)
    place = bisect_right(oids, index.oid)
    return place < len(oids) and earliest[place] <= snapshot.now - window


@derived
def _dates_by_oid(snapshot: Snapshot) -> tuple[list[int], list[datetime]]:
    """Return oids of tables, ascending, and the earliest date at which any of that or a higher oid was in use."""
    dated = sorted((a.oid, min(dates)) for a in snapshot.table_activity if (dates := [*_dates(a)]))
    earliest: list[datetime] = []
    for _, date in reversed(dated):
        earliest.append(min(date, earliest[-1]) if earliest else date)
    return [oid for oid, _ in dated], earliest[::-1]


def _dates(activity: TableActivity) -> Iterator[datetime]:
    read = (activity.last_seq_scan, activity.last_idx_scan)
    maintained = (activity.last_vacuum, activity.last_autovacuum)
    analyzed = (activity.last_analyze, activity.last_autoanalyze)
    yield from filter(None, (*read, *maintained, *analyzed))


def never_used(snapshot: Snapshot, index: Index, window: timedelta) -> str | None:
    """Return what keeps one from dropping an index that seems unused; None if it is proven unused.

    For rules that are about something else than use, and would drop the index if nothing used it.
    """
    if used(snapshot, index, window):
        return "it was scanned within the window"
    young = too_young(snapshot, window)
    if young is not None:
        return young.reason
    if "nodes" in snapshot.missing:
        return f"the counters of standbys are not known: {snapshot.missing['nodes'].reason}"
    if n := unseen_standbys(snapshot):
        return f"{count(n, 'connected standby', 'connected standbys')} may use it: give each with --standby"
    return unproven(snapshot, index, window)


def unseen_standbys(snapshot: Snapshot) -> int:
    """Count the physical standbys that are connected and whose counters were not supplied."""
    connected = sum(_is_standby(snapshot, r) for r in snapshot.replicas)
    return max(connected - len(snapshot.nodes), 0)


def _is_standby(snapshot: Snapshot, replica: Replica) -> bool:
    logical = {s.name for s in snapshot.slots if s.slot_type == "logical"}
    tools = ("pg_receivewal", "pg_basebackup", "pg_recvlogical", "barman", "pgbackrest")
    name = replica.application_name or ""
    return replica.slot_name not in logical and not name.startswith(tools)
