"""B-trees that take up far more pages than their entries need.

## Why it matters
Scans, the cache, VACUUM, backups and replicas have to deal with half-empty pages. A B-tree does not shrink after a mass
delete: space inside a page is reused only for keys that belong there.

## How sure we are
C: the size of a freshly built index is computed from the rows, column widths and number of distinct values that ANALYZE
found, filling pages as PostgreSQL does: alignment, NULLs, fillfactor and deduplication included. On 61 freshly built
indexes of all kinds the error was 1% in the median and at most 13% for nine in ten; keys of several columns whose values
go together are overestimated. Only an index that is bloated even at the cautious end of its bounds is reported. A with
`--exact-bloat`, which uses pgstatindex.

## Not reported
- Pages that are two thirds full, which is normal for keys inserted in random order.
- Small amounts of waste; access methods other than B-tree.
- Unknown instead of a guess: column statistics that are missing, stale or not visible to the role, and tables whose dead
  rows VACUUM has not removed yet.

## Remedy
REINDEX INDEX CONCURRENTLY, which temporarily needs space for a second copy. If the bloat returns, look for its cause: a
queue whose rows are deleted in key order, or VACUUM running too late.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed import units
from pgwatch_wed.facts import ExactBloat, Index, Snapshot, Table
from pgwatch_wed.findings import Finding, Grade, Impact, Remedy, Severity, Unknown
from pgwatch_wed.postgres import autovacuum as vac
from pgwatch_wed.postgres import fresh, privileges
from pgwatch_wed.postgres import indexes as ix
from pgwatch_wed.quote import ident
from pgwatch_wed.remedies import locks as held

NEEDS = ("indexes", "tables", "table_activity", "columns")
PRIMARY_ONLY = True


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # The fraction that is wasted at least; keys in random order alone leave 0.28 unused.
    min_wasted_share: float = 0.4
    # Less is not worth a rebuild.
    min_wasted_bytes: int = 1_000_000
    # At or above both of these it is a warning.
    warn_wasted_share: float = 0.5
    warn_wasted_bytes: int = 50_000_000
    # The fraction of a table that may have changed since ANALYZE, or be waiting for VACUUM.
    max_changed_share: float = 0.2


@dataclass(frozen=True, slots=True)
class _Waste:
    """The fraction of an index that a fresh one would not have: at least, likely, at most."""

    sure: float
    likely: float
    most: float
    density: float | None = None

    @property
    def is_exact(self) -> bool:
        """It was measured."""
        return self.density is not None


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each bloated B-tree, and say how many could not be judged."""
    measured = {e.oid: e for e in snapshot.exact_bloat if e.kind == "index"}
    unjudged: dict[str, list[str]] = {}
    for index in snapshot.indexes:
        size = index.pages * snapshot.server.block_size
        table = snapshot.table_by_oid.get(index.table_oid)
        if not _is_candidate(index, size, limits) or table is None:
            continue
        waste = _judge(snapshot, index, table, measured.get(index.oid), limits)
        if isinstance(waste, str):
            unjudged.setdefault(waste, []).append(index.qualified)
        elif waste is not None and (
            waste.sure >= limits.min_wasted_share and waste.likely * size >= limits.min_wasted_bytes
        ):
            yield _finding(snapshot, index, waste, limits)
    for reason, names in sorted(unjudged.items()):
        some = ", ".join(sorted(names)[:3]) + (", …" if len(names) > 3 else "")
        yield Unknown(
            f"{units.count(len(names), 'index', 'indexes')} ({some}): {reason}",
            _mend(snapshot, reason),
        )


_HIDDEN = "the role may not see the statistics on its columns"


def _mend(snapshot: Snapshot, reason: str) -> str:
    unread = snapshot.missing.get("column_statistics")
    if unread is not None and reason == unread.reason:
        return unread.mend or "use --exact-bloat"
    if reason == _HIDDEN:
        grant = privileges.grant_column_statistics(snapshot.server)
        return " or ".join(filter(None, (grant, "use --exact-bloat")))
    return "run ANALYZE, or use --exact-bloat"


def _is_candidate(index: Index, size: int, limits: Limits) -> bool:
    return (
        index.kind == "i"
        and index.access_method == "btree"
        and index.is_usable
        and size >= limits.min_wasted_bytes
    )


def _judge(
    snapshot: Snapshot, index: Index, table: Table, exact: ExactBloat | None, limits: Limits
) -> _Waste | str | None:
    """Return the waste, None where it is too little, or why it is unknown."""
    if exact is not None:
        return _measured(index, exact)
    if "column_statistics" in snapshot.missing:
        return snapshot.missing["column_statistics"].reason
    activity = snapshot.activity_by_oid.get(table.oid)
    if activity is None or table.rows < 0:
        return "the table was never analyzed"
    allowed = max(table.rows, float(activity.n_live_tup), 1.0) * limits.max_changed_share
    if activity.n_mod_since_analyze > allowed:
        return "much of the table has changed since ANALYZE"
    if activity.n_dead_tup > allowed:
        return "many dead rows are still waiting for VACUUM"
    size = fresh.expected(snapshot, index, table)
    if size is None:
        is_seen = privileges.reads_all_statistics(snapshot.server)
        is_hidden = not is_seen and vac.last_analyze(activity) is not None
        return _HIDDEN if is_hidden else "statistics on its columns are missing"
    pages = max(index.pages, 1)
    sure = 1 - size.most / pages
    if sure < limits.min_wasted_share:
        return None
    return _Waste(sure, 1 - size.likely / pages, 1 - size.least / pages)


def _measured(index: Index, exact: ExactBloat) -> _Waste:
    """Compare the leaves' density with the fillfactor; empty and deleted pages are all waste."""
    fill = float(index.option("fillfactor") or 90)
    total = max(exact.total_bytes, 1)
    density = exact.leaf_density or 0.0
    full = (total - exact.dead_bytes) * min(density / fill, 1.0)
    share = 1 - full / total
    return _Waste(share, share, share, density)


def _finding(snapshot: Snapshot, index: Index, waste: _Waste, limits: Limits) -> Finding:
    size = index.pages * snapshot.server.block_size
    wasted = round(waste.likely * size)
    large = waste.sure >= limits.warn_wasted_share and wasted >= limits.warn_wasted_bytes
    bounds = "" if waste.is_exact else f" (between {waste.sure:.0%} and {waste.most:.0%})"
    return Finding(
        object=ix.object_of(snapshot, index),
        severity=Severity.WARNING if large else Severity.INFO,
        grade=Grade.A if waste.is_exact else Grade.C,
        title=f"{waste.likely:.0%} of {index.qualified} is wasted",
        detail=f"A freshly built index would be {units.size(wasted)} smaller{bounds}.",
        evidence={
            "size_bytes": size,
            "wasted_bytes": wasted,
            "wasted_share": round(waste.likely, 3),
            "wasted_share_least": round(waste.sure, 3),
            "wasted_share_most": round(waste.most, 3),
            "leaf_density_percent": waste.density,
            "rows": index.rows,
        },
        impact=Impact(bytes=wasted, risk="scans read, and the cache holds, mostly empty pages"),
        remedy=(_rebuild(index),),
        caveats=() if waste.is_exact else ("This is an estimate: --exact-bloat measures it.",),
    )


def _rebuild(index: Index) -> Remedy:
    name = ident(index.schema, index.name)
    if index.is_exclusion:
        return Remedy(
            sql=f"REINDEX INDEX {name};",
            lock="SHARE on the table, ACCESS EXCLUSIVE on the index: blocks writes until it is built",
            undo="-- nothing to undo: it is the same index, only smaller",
        )
    return Remedy(
        sql=f"REINDEX INDEX CONCURRENTLY {name};",
        lock=held.CONCURRENTLY,
        in_transaction=False,
        undo="-- nothing to undo: it is the same index, only smaller",
    )
