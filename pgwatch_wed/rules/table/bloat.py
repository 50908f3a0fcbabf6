"""Tables whose files have far more pages than their rows need.

## Why it matters
Sequential scans, backups and the cache have to deal with the empty pages. VACUUM makes their space available for reuse, but
seldom returns it to the operating system.

## How sure we are
C: a model of PostgreSQL's heap (alignment, headers, null bitmap, fillfactor, values in TOAST), based on the column widths that
ANALYZE found, with a margin of error; only what is wasted at the cautious end of the margin counts. Compared with pgstattuple
on tables of many kinds, it is off by less than five percentage points. A with `--exact-bloat`, which uses pgstattuple.

## Not reported
- Dead rows that VACUUM has not removed yet: `vacuum-dead-tuples`.
- Space that fillfactor leaves free on purpose, padding, and values in TOAST (`toast-bloat`).
- Tables that waste less than `min_wasted_share` or `min_wasted_bytes`: an updated table needs some free space.
- Unknown instead of a guess: tables whose statistics are missing, stale or not visible to the role, and tables with dropped
  columns whose remaining data looks like free space.

## Remedy
Find the cause first: `vacuum-disabled`, `vacuum-horizon`, `vacuum-trigger-too-late`, or a one-time bulk delete. Then VACUUM, so
that the space can be reused. If the table will never be as large again, rewrite it with pg_repack or pg_squeeze (19 and
later: REPACK), which do not block reads and writes meanwhile. VACUUM FULL blocks all reads and writes until it is done.
A materialized view is rewritten by REFRESH MATERIALIZED VIEW, which blocks reads; CONCURRENTLY, which does not, is what leaves the
empty space.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed import units
from pgwatch_wed.facts import ExactBloat, Snapshot, Table
from pgwatch_wed.findings import Finding, Grade, Impact, Severity, Unknown
from pgwatch_wed.postgres import autovacuum as vac
from pgwatch_wed.postgres import heap as bloat
from pgwatch_wed.postgres import indexes as ix
from pgwatch_wed.postgres import privileges
from pgwatch_wed.remedies import maintenance

NEEDS = ("tables", "table_activity", "columns")
PRIMARY_ONLY = True


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # An updated table needs some free space.
    min_wasted_share: float = 0.3
    # Less is not worth a rewrite.
    min_wasted_bytes: int = 1_000_000
    # At or above both of these it is a warning.
    warn_wasted_share: float = 0.5
    warn_wasted_bytes: int = 50_000_000
    # The fraction of a table that may have changed since ANALYZE measured its column widths.
    max_changed_share: float = 0.2


@dataclass(frozen=True, slots=True)
class Waste:
    """The empty space of a table, with bounds, as fractions of the file."""

    pages_bytes: int
    sure: float
    likely: float
    most: float
    is_exact: bool = False

    @property
    def bytes(self) -> int:
        """The likely waste in bytes."""
        return int(self.likely * self.pages_bytes)


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each table with far more pages than its rows need."""
    exact = {e.oid: e for e in snapshot.exact_bloat if e.leaf_density is None}
    blind: dict[str, list[Table]] = {}
    for table in vac.vacuumable(snapshot):
        if table.pages * snapshot.server.block_size < limits.min_wasted_bytes:
            continue
        waste = _judge(snapshot, table, exact.get(table.oid), limits)
        if isinstance(waste, str):
            blind.setdefault(waste, []).append(table)
        elif waste is not None and _is_much(waste, limits):
            yield _finding(snapshot, table, waste, limits)
    yield from _unknowns(snapshot, blind)


def _judge(
    snapshot: Snapshot, table: Table, exact: ExactBloat | None, limits: Limits
) -> Waste | str | None:
    """Return a table's waste, or why it is unknown."""
    if exact is not None:
        return _exact(table, exact)
    if table.access_method not in (None, "heap"):
        return f"the table access method {table.access_method} is not supported"
    estimate = bloat.estimate(snapshot, table)
    if estimate is None:
        return "no statistics on its columns are visible"
    if _is_stale(snapshot, table, limits):
        return "its statistics are stale"
    waste = _less_dead(snapshot, table, estimate)
    dropped = table.column_count > len(snapshot.columns_of[table.oid])
    if dropped and table.rows > 0 and _is_much(waste, limits):
        return "the data of dropped columns looks like free space"
    return waste


def _exact(table: Table, exact: ExactBloat) -> Waste:
    fill = table.option("fillfactor")
    reserved = (100 - int(fill)) / 100 if fill and fill.isdigit() else 0.0
    share = max(exact.free_bytes / max(exact.total_bytes, 1) - reserved, 0.0)
    return Waste(exact.total_bytes, share, share, share, is_exact=True)


def _less_dead(snapshot: Snapshot, table: Table, estimate: bloat.Estimate) -> Waste:
    """Subtract what dead rows take up: VACUUM will free it, and another rule reports it.

    Pages that were all-visible when pages and rows were counted had no dead rows.
    """
    heap = vac.heap_of(snapshot, table)
    dead = heap.dead / (max(table.rows, 0.0) + heap.dead) if heap.dead else 0.0
    # Dead rows are as wide as live ones, so they take up a proportional share of the used space.
    held = (1 - estimate.wasted_share) * dead / (1 - dead) if dead < 1 else 1.0
    held = min(held, max(1 - table.all_visible_pages / table.pages, 0.0))
    size = table.pages * snapshot.server.block_size
    bounds = (estimate.sure_share, estimate.wasted_share, estimate.most_share)
    sure, likely, most = (max(share - held, 0.0) for share in bounds)
    return Waste(size, sure, likely, most)


def _is_stale(snapshot: Snapshot, table: Table, limits: Limits) -> bool:
    """Tell whether column widths may have changed; those of fixed-length columns never do."""
    varying = any(c.length < 0 for c in snapshot.columns_of[table.oid])
    changed = vac.changed_rows(snapshot, table)
    return varying and table.rows > 0 and changed > limits.max_changed_share * table.rows


def _is_much(waste: Waste, limits: Limits) -> bool:
    return waste.sure >= limits.min_wasted_share and waste.bytes >= limits.min_wasted_bytes


def _finding(snapshot: Snapshot, table: Table, waste: Waste, limits: Limits) -> Finding:
    much = waste.sure >= limits.warn_wasted_share and waste.bytes >= limits.warn_wasted_bytes
    about = "" if waste.is_exact else "About "
    return Finding(
        object=ix.table_object(snapshot, table),
        severity=Severity.WARNING if much else Severity.INFO,
        grade=Grade.A if waste.is_exact else Grade.C,
        title=f"{about}{waste.likely:.0%} of {table.qualified} is empty space",
        detail=f"{units.size(waste.bytes)} of {units.size(waste.pages_bytes)}"
        + ("." if waste.is_exact else f"; between {waste.sure:.0%} and {waste.most:.0%}."),
        evidence={
            "size_bytes": waste.pages_bytes,
            "wasted_bytes": waste.bytes,
            "wasted_share": round(waste.likely, 4),
            "wasted_share_low": round(waste.sure, 4),
            "wasted_share_high": round(waste.most, 4),
            "rows": round(table.rows),
            "is_exact": waste.is_exact,
            "fillfactor": table.option("fillfactor"),
        },
        impact=Impact(
            bytes=waste.bytes, risk="scans and backups read, and the cache holds, empty pages"
        ),
        remedy=maintenance.remedies(snapshot, table),
        caveats=("New rows will reuse the space: do nothing if the table will grow again.",),
    )


def _unknowns(snapshot: Snapshot, blind: dict[str, list[Table]]) -> Iterator[Unknown]:
    grant = privileges.grant_column_statistics(snapshot.server)
    if privileges.reads_all_statistics(snapshot.server):
        grant = ""
    for reason, tables in sorted(blind.items()):
        mend = "use --exact-bloat, which measures it"
        if "statistics" in reason:
            mend = " or ".join(filter(None, ("run ANALYZE;", grant, f"{mend}")))
        for table in tables[:10]:
            yield Unknown(reason, mend, ix.table_object(snapshot, table))
        if len(tables) > 10:
            yield Unknown(f"{reason}: {units.count(len(tables) - 10, 'more table')}", mend)
