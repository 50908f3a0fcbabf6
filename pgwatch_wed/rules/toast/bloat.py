"""TOAST tables whose files hold far more pages than their values need.

## Why it matters
Long values live in a table of their own behind each table. After many updates of them it may be mostly empty, several times larger than the
table itself, and no tool that looks at the table alone sees it.

## How sure we are
C, as a lower bound: a value's pieces are at most a quarter of a page each, so that four of them always fit. What is there beyond
a page for every four pieces is empty for certain; with short last pieces more of it is. A with `--exact-bloat`.

## Not reported
- Pieces that died since VACUUM counted them: `vacuum-dead-tuples`.
- TOAST tables that were never vacuumed: only VACUUM counts their rows. Unknown, if they are large.
- Less than `min_wasted_share` or `min_wasted_bytes`.

## Remedy
As for `table-bloat`: the cause first, then VACUUM (it does the TOAST too), then a rewrite if the space is not needed again. Do not update
long columns that did not change.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed.facts import ExactBloat, Snapshot, Table
from pgwatch_wed.findings import Finding, Grade, Impact, Severity, Unknown
from pgwatch_wed.rules import _bloat, _rewrite
from pgwatch_wed.rules import _indexes as ix
from pgwatch_wed.rules import _vacuum as vac

NEEDS = ("tables", "table_activity")
PRIMARY_ONLY = True
_PIECE_BYTES = 2000


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # Values come and go; some room is normal.
    min_wasted_share: float = 0.3
    # Less is not worth a rewrite, nor a thought.
    min_wasted_bytes: int = 1_000_000
    # From both of these on it is a warning.
    warn_wasted_share: float = 0.5
    warn_wasted_bytes: int = 50_000_000
    # TOAST that nobody has counted yet and that may be this large makes the verdict unknown.
    unknown_bytes: int = 100_000_000


def check(snapshot: Snapshot, limits: Limits) -> Iterator[Finding | Unknown]:
    """Yield a finding for each TOAST table with far more pages than its rows need."""
    exact = {e.oid: e for e in snapshot.exact_bloat}
    for table in vac.vacuumable(snapshot):
        toast = vac.toast_of(snapshot, table)
        if toast is None:
            continue
        measured = exact.get(table.toast_oid or 0)
        if measured is None and (toast.pages == 0 or toast.rows < 0):
            if toast.live * _PIECE_BYTES >= limits.unknown_bytes:
                yield _never_counted(snapshot, table)
            continue
        size, share = _measured(measured) if measured else _estimated(snapshot, toast)
        if share >= limits.min_wasted_share and share * size >= limits.min_wasted_bytes:
            yield _finding(snapshot, toast, size, share, limits, is_exact=measured is not None)


def _never_counted(snapshot: Snapshot, table: Table) -> Unknown:
    return Unknown(
        "its TOAST was never vacuumed, and only VACUUM counts its rows",
        "VACUUM, or --exact-bloat",
        ix.table_object(snapshot, table),
    )


def _measured(exact: ExactBloat) -> tuple[int, float]:
    return exact.total_bytes, exact.free_bytes / max(exact.total_bytes, 1)


def _estimated(snapshot: Snapshot, toast: vac.Heap) -> tuple[int, float]:
    """Return the size, and the share that was surely empty when VACUUM counted the rows."""
    held = _bloat.toast_pages(toast.rows) + 1
    size = toast.pages * snapshot.server.block_size
    return size, max(1 - held / toast.pages, 0.0)


def _finding(
    snapshot: Snapshot,
    toast: vac.Heap,
    size: int,
    share: float,
    limits: Limits,
    *,
    is_exact: bool,
) -> Finding:
    table = toast.table
    wasted = int(size * share)
    much = share >= limits.warn_wasted_share and wasted >= limits.warn_wasted_bytes
    return Finding(
        object=ix.table_object(snapshot, table),
        severity=Severity.WARNING if much else Severity.INFO,
        grade=Grade.A if is_exact else Grade.C,
        title=f"{'' if is_exact else 'At least '}{share:.0%} of the TOAST of {table.qualified} is empty space",
        detail=f"{wasted / 1e6:,.1f} MB of {size / 1e6:,.1f} MB; "
        f"{toast.rows:,.0f} pieces lie on {toast.pages:,} pages.",
        evidence={
            "toast_bytes": size,
            "wasted_bytes": wasted,
            "wasted_share_low": round(share, 4),
            "toast_rows": round(toast.rows),
            "toast_pages": toast.pages,
            "is_exact": is_exact,
        },
        impact=Impact(bytes=wasted, risk="backups and the cache carry empty pages"),
        remedy=_rewrite.remedies(snapshot, table),
        caveats=("New values fill it again: leave it if they will come.",),
    )
