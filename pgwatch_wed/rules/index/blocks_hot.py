"""Indexes that keep updates from being HOT.

## Why it matters
An update that changes no indexed column, and finds room on its page, writes no index at all (HOT), and its old version
goes away without VACUUM. One index on a column that is updated all the time takes that from every such update: all
indexes of the table get an entry, WAL and bloat grow.

## How sure we are
C: the table's counters say how many updates were not HOT; which column was the reason follows from the columns that the
statements of pg_stat_statements set, weighed by their rows. A statement that sets a column to the value that it has
already does not block, and this the text does not show.

## Not reported
Tables most of whose updates are HOT, or have few of them; updates that went to another page for want of room (counted
from 16 on), which is a matter of fillfactor; BRIN indexes from 16 on, which no longer block. Where the updates of a table
are not among the visible statements, the verdict is unknown.

## Remedy
An index that nobody scans: drop it. Otherwise weigh what it serves against what it costs: leave the column out of its
INCLUDE list or predicate, or move the busy column to a table of its own.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed.facts import Index, Snapshot, Table
from pgwatch_wed.findings import Finding, Grade, Impact, Severity, Unknown
from pgwatch_wed.rules import _indexes as ix
from pgwatch_wed.rules import _updates

NEEDS = ("indexes", "tables", "table_activity", "columns", "index_usage")
PRIMARY_ONLY = True


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # Fewer updates than these are cheap, however they are done.
    min_updates: int = 1_000
    # Where more than this part of the updates, 0…1, is HOT, nothing is wrong.
    max_hot_share: float = 0.5
    # Blocked updates that stayed on their page must be at least this part, 0…1, of all (16+).
    min_blocked_share: float = 0.1
    # An index must be set by statements with at least this part, 0…1, of the table's updated rows.
    min_rows_share: float = 0.1
    # From this many blocked updates on it is a warning.
    warn_updates: int = 10_000


@dataclass(frozen=True, slots=True)
class _Case:
    table: Table
    updates: int
    hot: int
    new_page: int | None

    @property
    def blocked(self) -> int:
        """Updates that were not HOT although they may have had room."""
        return max(self.updates - self.hot - (self.new_page or 0), 0)


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each index whose columns are what updates change."""
    cases = [c for c in _cases(snapshot) if _is_blocked(snapshot, c, limits)]
    if not cases:
        return
    if "statements" in snapshot.missing:
        why = snapshot.missing["statements"]
        yield Unknown(f"which columns are updated is not known: {why.reason}", why.mend)
        return
    found = _updates.updates(snapshot)
    for case in cases:
        mine = [u for oid in ix.partitions(snapshot, case.table.oid) for u in found.get(oid, ())]
        if mine:
            yield from _blockers(snapshot, case, mine, limits)
        else:
            yield Unknown(
                "its updates are not among the visible statements",
                object=ix.table_object(snapshot, case.table),
            )


def _cases(snapshot: Snapshot) -> Iterator[_Case]:
    known = snapshot.activity_by_oid
    for table in snapshot.tables:
        if table.is_partition:
            continue
        all_ = [known[o] for o in ix.partitions(snapshot, table.oid) if o in known]
        pages = [a.n_tup_newpage_upd for a in all_ if a.n_tup_newpage_upd is not None]
        yield _Case(
            table,
            sum(a.n_tup_upd for a in all_),
            sum(a.n_tup_hot_upd for a in all_),
            sum(pages) if pages else None,
        )


def _is_blocked(snapshot: Snapshot, case: _Case, limits: Limits) -> bool:
    return (
        case.updates >= limits.min_updates
        and case.hot <= case.updates * limits.max_hot_share
        and case.blocked >= case.updates * limits.min_blocked_share
        and any(True for _ in _indexes(snapshot, case.table))
    )


def _indexes(snapshot: Snapshot, table: Table) -> Iterator[Index]:
    """Yield the indexes that updates must maintain, each partitioned one once."""
    for oid in ix.partitions(snapshot, table.oid):
        for index in snapshot.indexes_of[oid]:
            summarizes = index.access_method == "brin" and snapshot.server.major >= 16
            if index.is_ready and index.parent_oid is None and not summarizes:
                yield index


def _blockers(
    snapshot: Snapshot, case: _Case, updates: list[_updates.Update], limits: Limits
) -> Iterator[Finding]:
    total = sum(u.rows for u in updates)
    blocking: list[tuple[Index, list[_updates.Update]]] = []
    for index in _indexes(snapshot, case.table):
        columns = set(snapshot.column_names(index.table_oid, index.depends_on))
        guilty = [u for u in updates if u.columns & columns]
        if total and sum(u.rows for u in guilty) >= total * limits.min_rows_share:
            blocking.append((index, guilty))
    for index, guilty in blocking:
        others = [i.name for i, _ in blocking if i.oid != index.oid]
        share = sum(u.rows for u in guilty) / total
        yield _finding(snapshot, case, index, guilty, (share, others), limits)


def _finding(
    snapshot: Snapshot,
    case: _Case,
    index: Index,
    guilty: list[_updates.Update],
    context: tuple[float, list[str]],
    limits: Limits,
) -> Finding:
    share, others = context
    blocked = round(case.blocked * share)
    depends = set(snapshot.column_names(index.table_oid, index.depends_on))
    columns = sorted({c for u in guilty for c in u.columns} & depends)
    worst = max(guilty, key=lambda u: u.rows)
    scans = ix.scans(snapshot, index)
    return Finding(
        object=ix.object_of(snapshot, index),
        related=(ix.table_object(snapshot, case.table),),
        severity=Severity.WARNING if blocked >= limits.warn_updates else Severity.INFO,
        grade=Grade.C,
        title=f"{index.qualified} keeps updates of {', '.join(columns)} from being HOT",
        detail=f"{case.hot / case.updates:.0%} of {case.updates:,} updates of {case.table.qualified} "
        f"were HOT; about {blocked:,} of the others set a column that this index holds.",
        evidence={
            "columns": columns,
            "updates": case.updates,
            "hot_updates": case.hot,
            "new_page_updates": case.new_page,
            "blocked_updates": blocked,
            "scans": scans,
            "other_blocking_indexes": others,
            "query_ids": sorted({u.statement.query_id for u in guilty}),
            "query": worst.statement.text,
        },
        impact=Impact(risk="each such update writes every index of the table"),
        remedy=()
        if scans or index.is_unique or ix.is_bound(index)
        else (ix.drop(snapshot, index),),
        caveats=tuple(_caveats(index, scans, others)),
    )


def _caveats(index: Index, scans: int, others: list[str]) -> Iterator[str]:
    if others:
        yield f"{', '.join(others)} block updates too: only without all of them are updates HOT."
    if scans:
        yield f"{index.name} was scanned {scans:,} times: weigh what it serves."
    if index.is_unique:
        yield "It enforces uniqueness; only the application can leave the column unchanged."
    yield "Updates that set a column to the value it has do not block, and cannot be told apart here."
