"""The difference of two snapshots, itself a snapshot: what the counters counted in between.

Each view has its own epoch, and each row may have a shorter one. A row that continued is subtracted; one
that certainly began anew has counted since then what it shows; where neither is certain, it is left out
and said to be. So no number is negative, and nothing is counted twice.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from pgwatch_wed import units
from pgwatch_wed.errors import DeltaError
from pgwatch_wed.facts.counting import COUNTERS, Counters
from pgwatch_wed.facts.lineage import Bond, Lineage, lineage
from pgwatch_wed.facts.rows import (
    Database,
    DeltaCoverage,
    Index,
    IndexUsage,
    NodeIndexUsage,
    TableActivity,
    Wal,
)
from pgwatch_wed.facts.snapshot import REPORTED_LATE, Cause, Missing, Snapshot
from pgwatch_wed.facts.statement_delta import StatementDelta, statement_delta

_FIXED = ("checkpoints", "wal", "archiver", "slru", "io", "slot_spills")
_RESTS_ON_ALL = ("missing_indexes", "index_drop_trials")


def delta(old: Snapshot, new: Snapshot) -> Snapshot:
    """Return the second snapshot, with counters of the time between the two.

    Raises :class:`DeltaError` if they are of different servers or databases, or in the wrong order.
    """
    bond = lineage(old, new)
    if bond.bond is Bond.UPGRADED:
        return _since_upgrade(old, new)
    epoch = _epoch(old, new, bond)
    fixed = {fact: _fixed(old, new, fact, epoch) for fact in _FIXED}
    tables, indexes = _tables(old, new, epoch), _indexes(old, new, epoch)
    # a restart after a crash may have kept them
    emptied = bond.crashed if bond.bond is Bond.SAME else None
    statements = statement_delta(old, new, emptied)
    coverage = (tables.coverage, indexes.coverage, statements.coverage)
    changed: dict[str, Any] = {
        **{fact: rows for fact, rows in fixed.items() if rows is not None},
        "databases": tuple(_database(old, new, row, epoch) for row in new.databases),
        "table_activity": tables.rows,
        "index_usage": indexes.rows,
        "statements": statements.rows,
        "statements_info": statements.info,
        "nodes": tuple(_node(old, node) for node in new.nodes),
        **dict.fromkeys(_RESTS_ON_ALL, ()),
    }
    return replace(
        new,
        **changed,
        measured_since=old.now,
        delta_coverage=coverage,
        missing={**new.missing, **_lacking(old, new, fixed, statements), **_left_out(coverage)},
    )


def deltas(olds: Iterable[Snapshot], news: Iterable[Snapshot]) -> tuple[Snapshot, ...]:
    """Return the difference for each database; without older snapshots, the new ones as they are.

    Raises :class:`DeltaError` also if a database has no older snapshot.
    """
    before = {s.server.database_oid: s for s in olds}
    if not before:
        return tuple(news)
    found = []
    by_name = {s.server.database: s for s in before.values()}
    for new in news:
        # pg_upgrade to a version before 15 gives databases new oids
        old = before.get(new.server.database_oid) or by_name.get(new.server.database)
        if old is None and len(before) > 1:
            raise DeltaError(
                f"there is no older snapshot of database {new.server.database}",
                "use --since once for each database",
            )
        found.append(delta(old or next(iter(before.values())), new))
    return tuple(found)


def spoken_for(snapshot: Snapshot) -> str:
    """Say how much of the server a difference covers; nothing of a snapshot that is none."""
    if not snapshot.delta_coverage:
        return ""
    parts = [
        f"{share.known:,} of {units.count(share.rows, *_NOUNS.get(share.fact, _ROWS))}"
        for share in snapshot.delta_coverage
    ]
    active = snapshot.database.active_ms if snapshot.database else None
    spent = sum(s.total_exec_ms for s in snapshot.statements if s.is_toplevel)
    if active and snapshot.statements:
        parts.append(f"{min(spent / active, 1.0):.0%} of the time in which sessions were active")
    lost = [
        units.count(s.lost, *_NOUNS.get(s.fact, _ROWS)) for s in snapshot.delta_coverage if s.lost
    ]
    gone = f"; dropped or evicted since then: {', '.join(lost)}" if lost else ""
    return f"it covers {', '.join(parts)}{gone}"


_NOUNS = {
    "table_activity": ("table", "tables"),
    "index_usage": ("index", "indexes"),
    "statements": ("statement", "statements"),
}
_ROWS = ("row", "rows")  # a file may say anything


def _since_upgrade(old: Snapshot, new: Snapshot) -> Snapshot:
    """All counters of the new server began with it, and that was after the first snapshot."""
    begins = max(filter(None, (new.window.begins, new.proven_window.begins, old.now)))
    forgotten = new.statements_info[0].stats_reset if new.statements_info else None
    coverage = (
        _anew(old, new, "table_activity", begins),
        _anew(old, new, "index_usage", begins),
        _anew(old, new, "statements", max(forgotten or begins, begins)),
    )
    return replace(
        new,
        measured_since=begins,
        table_activity=_not_reset_alone(new.table_activity, begins),
        index_usage=_not_reset_alone(new.index_usage, begins),
        delta_coverage=coverage,
        missing={**new.missing, **_left_out(coverage)},
    )


def _anew(old: Snapshot, new: Snapshot, fact: str, begins: datetime) -> DeltaCoverage:
    rows = getattr(new, fact)
    present = {t.oid for t in new.tables} | new.index_by_oid.keys()
    # query ids are others, and tell nothing of which statements are gone
    gone = () if fact == "statements" else (r for r in getattr(old, fact) if r.oid not in present)
    lost = sum(COUNTERS[fact].counted(row) for row in gone)
    known = len(rows if fact == "statements" else _not_reset_alone(rows, begins))
    reason = "the server was upgraded in between, and its counters began anew"
    return DeltaCoverage(fact, len(rows), known, lost, begins, reason)


def _not_reset_alone(rows: tuple[Any, ...], begins: datetime) -> tuple[Any, ...]:
    return tuple(row for row in rows if not _is_later(row.stats_reset, begins))


# --- the epoch of a database's objects ------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Epoch:
    """What happened to the counters of a database's tables and indexes.

    ``reset``: when all of them were reset; None if they were not. ``is_servers``: so were all others. ``maybe``: at this time either all or a
    few were reset, so each row is looked at, and needs a date of its own to be believed.
    """

    reset: datetime | None = None
    maybe: datetime | None = None
    is_servers: bool = False


def _epoch(old: Snapshot, new: Snapshot, bond: Lineage) -> Epoch:
    if bond.crashed is not None:
        return Epoch(bond.crashed, is_servers=True)
    before, after = old.database, new.database
    if before is None or after is None:
        return Epoch(bond.fixed_reset, None)
    moved = after.stats_reset if _is_later(after.stats_reset, old.now) else None
    if COUNTERS["databases"].fell(before, after):
        if moved is None and bond.fixed_reset is None and bond.has_dates:
            raise DeltaError(
                "the counters fell, but nothing was reset: the server seems to have been set back to an "
                "older copy",
                "compare snapshots that were both taken before or after that",
            )
        # what resets a database's own counters resets those of all its objects
        return Epoch(moved or bond.fixed_reset or old.now)
    if moved is None or new.outlived(moved):
        return Epoch()
    return _told_by_rows(old, new, moved) or Epoch(maybe=moved)


def _told_by_rows(old: Snapshot, new: Snapshot, moved: datetime) -> Epoch | None:
    """Return what happened where rows have dates of their own (19): a reset of all sets that of each."""
    pairs = [(old.activity_by_oid.get(a.oid), a) for a in new.table_activity]
    counted = [a for was, a in pairs if was and COUNTERS["table_activity"].counted(was)]
    were_reset = [_is_later(a.stats_reset, old.now) for a in counted]
    if not any(_is_later(a.stats_reset, old.now) for a in new.table_activity):
        return None
    return Epoch(moved) if all(were_reset) else Epoch()


def _is_later(reset: datetime | None, moment: datetime) -> bool:
    """Tell whether a reset was after the first snapshot; one before may just have been reported late."""
    return reset is not None and reset > moment


_DATES = (
    *("last_seq_scan", "last_idx_scan", "last_vacuum", "last_autovacuum"),
    *("last_analyze", "last_autoanalyze"),
)


def _is_older(row: Any, reset: datetime) -> bool:
    dates = (getattr(row, name, None) for name in _DATES)
    return any(moment < reset - REPORTED_LATE for moment in dates if moment is not None)


# --- rows -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Rows:
    rows: tuple[Any, ...]
    coverage: DeltaCoverage


def _tables(old: Snapshot, new: Snapshot, epoch: Epoch) -> _Rows:
    before = {(a.oid,): a for a in _without_dropped_indexes(old, new)}
    is_whole = _is_whole(old, "tables", "table_activity")
    known = old.table_by_oid if is_whole else None
    return _rows("table_activity", before, new.table_activity, old.now, epoch, known)


def _indexes(old: Snapshot, new: Snapshot, epoch: Epoch) -> _Rows:
    before: dict[tuple[Any, ...], Any] = {(u.oid,): u for u in old.index_usage}
    before |= _rebuilt(old, new, before)
    is_whole = _is_whole(old, "indexes", "index_usage")
    known = old.index_by_oid if is_whole else None
    return _rows("index_usage", before, new.index_usage, old.now, epoch, known)


def _is_whole(old: Snapshot, *facts: str) -> bool:
    """Tell whether an object that the first snapshot does not have did not exist then."""
    return not any(n in old.missing or f"{n}:left-out" in old.missing for n in facts)


def _rows(
    fact: str,
    before: dict[tuple[Any, ...], Any],
    after: Iterable[Any],
    begins: datetime,
    epoch: Epoch,
    known: dict[int, Any] | None,
) -> _Rows:
    """Subtract row by row; ``known`` are the objects of the first snapshot, None if not all were read."""
    counters = COUNTERS[fact]
    found: list[Any] = []
    total = 0
    for row in after:
        total += 1
        was = before.pop(counters.key_of(row), None)
        is_new = was is None and known is not None and row.oid not in known
        # of this object alone: its time is shorter than that of the others
        is_reset = was and epoch.reset is None and _is_later(row.stats_reset, begins)
        difference = None if is_reset else _object(counters, was, row, epoch, is_new=is_new)
        if difference is not None:
            found.append(difference)
    lost = sum(counters.counted(row) for row in before.values())
    reason = "the counters were reset in between" if epoch.reset else ""
    return _Rows(
        tuple(found),
        DeltaCoverage(fact, total, len(found), lost, max(begins, epoch.reset or begins), reason),
    )


def _object(counters: Counters, was: Any, row: Any, epoch: Epoch, *, is_new: bool) -> Any:
    """Return what an object counted, or None if that is not certain."""
    if epoch.reset is not None or is_new or (was is not None and not counters.counted(was)):
        return row
    if was is None:
        return None
    if counters.fell(was, row):
        return None  # its time is shorter than that of the others
    if epoch.maybe is not None and not _is_older(row, epoch.maybe):
        return None
    return counters.subtract(was, row)


def _without_dropped_indexes(old: Snapshot, new: Snapshot) -> Iterator[TableActivity]:
    """Take dropped indexes out of their tables' counters, in whose sums they no longer are."""
    for activity in old.table_activity:
        there = [
            (i.oid in new.index_by_oid, old.usage_by_oid[i.oid])
            for i in old.indexes_of[activity.oid]
            if i.oid in old.usage_by_oid
        ]
        gone = [usage for is_left, usage in there if not is_left]
        left = [usage for is_left, usage in there if is_left]
        yield _less(activity, gone, left) if gone else activity


def _less(activity: TableActivity, gone: list[IndexUsage], left: list[IndexUsage]) -> TableActivity:
    """Subtract indexes from the sums of their table.

    The indexes were read after the table, and may have counted more since then: no sum is less than that of
    the indexes that are left.
    """

    def less(total: int, name: str) -> int:
        lost: int = sum(getattr(u, name) for u in gone)
        least: int = sum(getattr(u, name) for u in left)
        return max(total - lost, least)

    return replace(
        activity,
        idx_scan=less(activity.idx_scan, "idx_scan"),
        idx_tup_fetch=less(activity.idx_tup_fetch, "idx_tup_fetch"),
        idx_blks_read=less(activity.idx_blks_read, "blks_read"),
        idx_blks_hit=less(activity.idx_blks_hit, "blks_hit"),
    )


def _rebuilt(
    old: Snapshot, new: Snapshot, before: dict[tuple[Any, ...], Any]
) -> dict[tuple[Any, ...], Any]:
    """Return the old counters of indexes under the oids that REINDEX CONCURRENTLY gave them.

    It copies the counters to the new index.
    """
    present = new.index_by_oid
    gone = {_place(i): i.oid for i in old.indexes if i.oid not in present}
    found: dict[tuple[Any, ...], Any] = {}
    for index in new.indexes:
        oid = gone.get(_place(index))
        if oid is not None and index.oid not in old.index_by_oid and (oid,) in before:
            usage = new.usage_by_oid.get(index.oid)
            was = before[(oid,)]
            if usage is not None and not COUNTERS["index_usage"].fell(was, usage):
                del before[(oid,)]
                found[(index.oid,)] = was
    return found


def _place(index: Index) -> tuple[int, str, str]:
    return index.table_oid, index.schema, index.name


def _database(old: Snapshot, new: Snapshot, row: Database, epoch: Epoch) -> Database:
    """Return a database with what it counted; its age, size and limits are as they are now."""
    counters = COUNTERS["databases"]
    was = next((d for d in old.databases if d.oid == row.oid), None)
    if was is None:
        # created since then, if the others were read
        return row if old.databases else counters.without(row)
    if epoch.is_servers or counters.fell(was, row):
        return row
    is_ours = row.oid == new.server.database_oid
    is_certain = not _is_later(row.stats_reset, old.now) or (is_ours and epoch.maybe is None)
    return counters.subtract(was, row) if is_certain else counters.without(row)


def _fixed(old: Snapshot, new: Snapshot, fact: str, epoch: Epoch) -> tuple[Any, ...] | None:
    """Subtract counters of the whole server; None if a row fell and nothing tells when it was reset."""
    counters = COUNTERS[fact]
    before = counters.by_key(getattr(old, fact))
    found: list[Any] = []
    for row in getattr(new, fact):
        was = before.get(counters.key_of(row))
        if was is None and fact in old.missing:
            return None
        if was is None:
            found.append(row)
        elif epoch.is_servers or _is_later(row.stats_reset, old.now):
            found.append(_positioned(was, row, row))  # it says since when it counts
        elif counters.fell(was, row):
            return None
        else:
            found.append(_positioned(was, row, counters.subtract(was, row)))
    return tuple(found)


def _positioned(was: Any, row: Any, difference: Any) -> Any:
    """Without pg_stat_wal, the positions tell how much WAL was written."""
    is_needed = isinstance(difference, Wal) and difference.wal_bytes is None
    if not is_needed or was.lsn_bytes is None or row.lsn_bytes is None:
        return difference
    return replace(difference, wal_bytes=max(row.lsn_bytes - was.lsn_bytes, 0))


def _node(old: Snapshot, node: NodeIndexUsage) -> NodeIndexUsage:
    """Subtract a standby's counters if they continued; otherwise they are as good as they were."""
    was = next((n for n in old.nodes if n.node == node.node and n.since == node.since), None)
    if was is None or was.since is None:
        return node
    before = {u.oid: u for u in was.usages}
    counters = COUNTERS["index_usage"]
    pairs = [(before.get(u.oid), u) for u in node.usages]
    if any(a is not None and counters.fell(a, b) for a, b in pairs):
        return node
    usages = tuple(b if a is None else counters.subtract(a, b) for a, b in pairs)
    return replace(node, since=was.taken_at, usages=usages)


# --- what cannot be said --------------------------------------------------------------------------


def _lacking(
    old: Snapshot,
    new: Snapshot,
    fixed: dict[str, tuple[Any, ...] | None],
    statements: StatementDelta,
) -> dict[str, Missing]:
    lacking = {
        fact: old.missing[fact]
        for fact in ("table_activity", "index_usage", "statements")
        if fact in old.missing and fact not in new.missing
    }
    for fact, rows in fixed.items():
        if rows is None and fact not in new.missing:
            lacking[fact] = old.missing.get(fact) or Missing(
                "counters fell between the two snapshots, and nothing tells when they were reset",
                "",
                Cause.OTHER,
            )
    if statements.missing is not None:
        lacking.setdefault("statements", statements.missing)
    reason = "it rests on counters of another time than the difference of two snapshots"
    for fact in _RESTS_ON_ALL:
        if fact not in new.missing:
            lacking[fact] = Missing(
                reason, "run db-analyze run TARGET --since, or omit --since", Cause.NOT_ASKED
            )
    return lacking


def _left_out(coverage: Iterable[DeltaCoverage]) -> dict[str, Missing]:
    found = {}
    for share in coverage:
        if share.known < share.rows:
            what = units.count(share.rows, *_NOUNS.get(share.fact, _ROWS))
            found[f"{share.fact}:left-out"] = Missing(
                f"{share.rows - share.known:,} of {what}: their counters were reset between "
                "the two snapshots, or it is not certain that they were not",
                "",
                Cause.LEFT_OUT,
            )
    return found
