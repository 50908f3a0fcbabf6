"""Indexes that keep updates from being HOT.

## Why it matters
An update that changes no indexed column and finds room on the same page does not write to any index (HOT), and its old
row version is removed without VACUUM. A single index on a column that is updated all the time defeats this for every such
update: all indexes of the table get a new entry, and WAL and bloat grow.

## How sure we are
C: the table's counters show how many updates were not HOT; which column is the cause follows from the columns that the
statements in pg_stat_statements set, weighted by their rows, and from those that BEFORE triggers in PL/pgSQL and stored
generated columns set with them. A statement that sets a column to its current value does not
prevent HOT, but that cannot be seen in its text.

## Not reported
Tables with few updates, or whose updates are mostly HOT; updates that moved to another page for lack of room (counted
from 16 on), which is a matter of fillfactor; BRIN indexes from 16 on, which no longer prevent HOT. If the updates of a
table are not among the visible statements, or none of those sets a column of an index, the verdict is unknown: a trigger
in another language may, or one that assigns the whole row.

## Remedy
Drop the index if it is proven unused, by the same standard as in `index-unused`. Otherwise weigh its benefit against its cost: remove the column from its INCLUDE list
or predicate, or move the frequently updated column to a table of its own.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

from pgwatch_wed.facts import Index, Snapshot, Table
from pgwatch_wed.findings import Finding, Grade, Impact, Severity, Unknown
from pgwatch_wed.postgres import implied
from pgwatch_wed.postgres import indexes as ix
from pgwatch_wed.postgres import updates as changes
from pgwatch_wed.remedies import indexes as rebuild
from pgwatch_wed.rules import _use
from pgwatch_wed.units import count

NEEDS = ("indexes", "tables", "table_activity", "columns", "index_usage", "implied_changes")
PRIMARY_ONLY = True


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # Fewer updates are cheap, HOT or not.
    min_updates: int = 1_000
    # If more than this fraction of the updates is HOT, nothing is wrong.
    max_hot_share: float = 0.5
    # At least this fraction of all updates must stay on their page without being HOT (16 and later).
    min_blocked_share: float = 0.1
    # Statements that set the index's columns must account for at least this fraction of the updated rows.
    min_rows_share: float = 0.1
    # At least this many updates that could have been HOT are a warning.
    warn_updates: int = 10_000
    # The counters must cover this time to show that nothing scans the index.
    window: timedelta = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class _Case:
    table: Table
    updates: int
    hot: int
    new_page: int | None

    @property
    def blocked(self) -> int:
        """Updates that were not HOT although there may have been room on the page."""
        return max(self.updates - self.hot - (self.new_page or 0), 0)


@dataclass(frozen=True, slots=True)
class _Change:
    """A statement, and what it changes without naming it: the reason by column."""

    update: changes.Update
    implied: Mapping[str, str]

    @property
    def rows(self) -> int:
        return self.update.rows

    @property
    def columns(self) -> frozenset[str]:
        return self.update.columns | self.implied.keys()


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each index on columns that updates change."""
    cases = [c for c in _cases(snapshot) if _is_blocked(snapshot, c, limits)]
    if not cases:
        return
    if "statements" in snapshot.missing:
        why = snapshot.missing["statements"]
        yield Unknown(f"the updated columns are not known: {why.reason}", why.mend)
        return
    found = changes.updates(snapshot)
    for case in cases:
        oids = tuple(ix.partitions(snapshot, case.table.oid))
        mine = [
            _Change(u, implied.by(snapshot, oids, u.columns))
            for o in oids
            for u in found.get(o, ())
        ]
        blockers = [*_blockers(snapshot, case, mine, limits)]
        yield from blockers
        if not blockers:
            yield Unknown(
                _why_unknown(snapshot, case, oids, mine),
                object=ix.table_object(snapshot, case.table),
            )


def _why_unknown(
    snapshot: Snapshot, case: _Case, oids: tuple[int, ...], changes: list[_Change]
) -> str:
    if not changes:
        return "its updates are not among the visible statements"
    hot = f"{case.hot / case.updates:.0%} of {count(case.updates, 'update')} were HOT, but no visible statement sets"
    triggers = implied.unclear(snapshot, oids)
    if triggers:
        return f"{hot} an indexed column; which columns the trigger {', '.join(triggers)} sets is not known"
    return f"{hot} an indexed column often enough to explain it; its pages may be full"


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
    may_skip_brin = snapshot.server.features.has_hot_updates_beside_brin()
    for oid in ix.partitions(snapshot, table.oid):
        for index in snapshot.indexes_of[oid]:
            summarizes = index.access_method == "brin" and may_skip_brin
            if index.is_ready and index.parent_oid is None and not summarizes:
                yield index


def _blockers(
    snapshot: Snapshot, case: _Case, updates: list[_Change], limits: Limits
) -> Iterator[Finding]:
    total = sum(u.rows for u in updates)
    blocking: list[tuple[Index, list[_Change]]] = []
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
    guilty: list[_Change],
    context: tuple[float, list[str]],
    limits: Limits,
) -> Finding:
    share, others = context
    blocked = round(case.blocked * share)
    depends = set(snapshot.column_names(index.table_oid, index.depends_on))
    columns = sorted({c for u in guilty for c in u.columns} & depends)
    causes = sorted({w for u in guilty for c, w in u.implied.items() if c in columns})
    worst = max(guilty, key=lambda u: u.rows)
    scans = ix.scans(snapshot, index)
    keeps = _why_kept(snapshot, index, limits)
    return Finding(
        object=ix.object_of(snapshot, index),
        related=(ix.table_object(snapshot, case.table),),
        severity=Severity.WARNING if blocked >= limits.warn_updates else Severity.INFO,
        grade=Grade.C,
        title=f"{index.qualified} keeps updates of {', '.join(columns)} from being HOT",
        detail=f"Of {count(case.updates, 'update')} of {case.table.qualified}, "
        f"{case.hot / case.updates:.0%} were HOT; about {blocked:,} of the others set a column of this index."
        + (f" They do not name it: {'; '.join(causes)}." if causes else ""),
        evidence={
            "columns": columns,
            "updates": case.updates,
            "hot_updates": case.hot,
            "new_page_updates": case.new_page,
            "blocked_updates": blocked,
            "set_indirectly": causes,
            "scans": scans,
            "other_blocking_indexes": others,
            "query_ids": sorted({u.update.statement.query_id for u in guilty}),
            "query": worst.update.statement.text,
        },
        impact=Impact(risk="each of these updates writes to every index of the table"),
        remedy=() if keeps else (rebuild.drop(snapshot, index),),
        caveats=tuple(_caveats(index, scans, others, keeps)),
    )


def _why_kept(snapshot: Snapshot, index: Index, limits: Limits) -> str | None:
    """Return why the index must not simply be dropped; None if it is proven unused."""
    if index.is_unique or ix.is_bound(index):
        return "it enforces something, or something else depends on it"
    return _use.never_used(snapshot, index, limits.window)


def _caveats(index: Index, scans: int, others: list[str], keeps: str | None) -> Iterator[str]:
    if others:
        also = "prevents" if len(others) == 1 else "prevent"
        yield (
            f"{', '.join(others)} also {also} HOT updates: they become HOT only once none of these "
            "indexes is left."
        )
    if scans:
        yield f"{index.name} was scanned {count(scans, 'time')}: weigh its benefit against this cost."
    elif keeps is not None and not index.is_unique:
        yield f"It has not been scanned since the counters began, but that does not prove it unused: {keeps}."
    if index.is_unique:
        yield "It enforces uniqueness; only the application can avoid changing the column."
    yield (
        "Updates that set a column to its current value do not prevent HOT, but cannot be told apart "
        "here."
    )
