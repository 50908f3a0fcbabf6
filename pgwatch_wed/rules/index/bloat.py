"""B-trees that take far more pages than their entries need.

## Why it matters
Scans and the cache carry half-empty pages, and so do VACUUM, backups and replicas. After a mass delete a B-tree keeps its
size: space inside a page is only used again by keys that belong there.

## How sure we are
C: the size of a freshly built index is computed from the rows, the widths and the number of values that ANALYZE found, with
alignment, NULLs, fillfactor and, from 13 on, deduplication. On 27 indexes of all shapes it was within 6 points of a
real REINDEX for common types, and within 17 for numeric keys and tiny partial indexes, whose bounds are wider. Only what
is too much at the far end of the bounds is reported. A with `--exact-bloat`, which asks pgstatindex.

## Not reported
- Pages that are two thirds full, as keys in random order leave them: that is how B-trees live.
- Small waste; access methods other than B-tree.
- Unknown instead of a guess: statistics that the role may not see, that are missing or stale, and tables whose dead rows
  VACUUM has not yet removed.

## Remedy
REINDEX INDEX CONCURRENTLY, which needs space for a second copy meanwhile. If the waste comes back, look for its cause: a
queue whose rows are deleted in the order of the key, or VACUUM that comes too late.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed.facts import ExactBloat, Index, Snapshot, Table
from pgwatch_wed.findings import Finding, Grade, Impact, Remedy, Severity, Unknown
from pgwatch_wed.quote import ident
from pgwatch_wed.rules import _btree
from pgwatch_wed.rules import _indexes as ix

NEEDS = ("indexes", "tables", "table_activity", "columns")
PRIMARY_ONLY = True


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # The part, 0…1, that is surely wasted; keys in random order alone leave 0.28.
    min_wasted_share: float = 0.4
    # Less is not worth a rebuild.
    min_wasted_bytes: int = 1_000_000
    # From both of these on it is a warning.
    warn_wasted_share: float = 0.5
    warn_wasted_bytes: int = 50_000_000
    # So much of a table may have changed since ANALYZE, or wait for VACUUM.
    max_changed_share: float = 0.2


@dataclass(frozen=True, slots=True)
class _Waste:
    """The part of an index, 0…1, that a fresh one would not have: at least, likely, at most."""

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
        elif (
            waste.sure >= limits.min_wasted_share and waste.likely * size >= limits.min_wasted_bytes
        ):
            yield _finding(snapshot, index, waste, limits)
    for reason, names in sorted(unjudged.items()):
        some = ", ".join(sorted(names)[:3]) + (", …" if len(names) > 3 else "")
        yield Unknown(f"{len(names)} indexes ({some}): {reason}", "ANALYZE, or --exact-bloat")


def _is_candidate(index: Index, size: int, limits: Limits) -> bool:
    return (
        index.kind == "i"
        and index.access_method == "btree"
        and index.is_usable
        and size >= limits.min_wasted_bytes
    )


def _judge(
    snapshot: Snapshot, index: Index, table: Table, exact: ExactBloat | None, limits: Limits
) -> _Waste | str:
    """Return the waste, or why it cannot be told."""
    if exact is not None:
        return _measured(index, exact)
    if "column_statistics" in snapshot.missing:
        return snapshot.missing["column_statistics"].reason
    activity = snapshot.activity_by_oid.get(table.oid)
    if activity is None or table.rows < 0:
        return "the table was never analysed"
    allowed = max(table.rows, float(activity.n_live_tup), 1.0) * limits.max_changed_share
    if activity.n_mod_since_analyze > allowed:
        return "much of the table has changed since ANALYZE"
    if activity.n_dead_tup > allowed:
        return "dead rows still wait for VACUUM"
    size = _btree.expected(snapshot, index, table)
    if size is None:
        return "statistics of its columns are missing"
    pages = max(index.pages, 1)
    return _Waste(*(1 - s / pages for s in (size.most, size.likely, size.least)))


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
        detail=f"A freshly built one would be smaller by {wasted / 1_000_000:,.1f} MB{bounds}.",
        evidence={
            "size_bytes": size,
            "wasted_bytes": wasted,
            "wasted_share": round(waste.likely, 3),
            "wasted_share_least": round(waste.sure, 3),
            "wasted_share_most": round(waste.most, 3),
            "leaf_density_percent": waste.density,
            "rows": index.rows,
        },
        impact=Impact(bytes=wasted, risk="scans and the cache carry empty pages"),
        remedy=(_rebuild(index),),
        caveats=() if waste.is_exact else ("It is a model: --exact-bloat measures it.",),
    )


def _rebuild(index: Index) -> Remedy:
    name = ident(index.schema, index.name)
    if index.is_exclusion:
        return Remedy(
            sql=f"REINDEX INDEX {name};",
            lock="SHARE on the table, ACCESS EXCLUSIVE on the index: writes wait until it is built",
            undo="-- nothing to undo: the same index, smaller",
        )
    return Remedy(
        sql=f"REINDEX INDEX CONCURRENTLY {name};",
        lock=ix.CONCURRENTLY,
        in_transaction=False,
        undo="-- nothing to undo: the same index, smaller",
    )
