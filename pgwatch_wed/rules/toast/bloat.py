"""TOAST tables whose files have far more pages than their values need.

## Why it matters
Long values are stored in a separate TOAST table. After many updates of these values it may be mostly empty and several times
larger than the table itself, and tools that only look at the table do not notice.

## How sure we are
C, as a lower bound: each chunk of a value takes at most a quarter of a page, so four of them always fit. Whatever exceeds one
page for every four chunks is certainly empty; as the last chunk of a value is often shorter, there is more. A with
`--exact-bloat`.

## Not reported
- Chunks that died since VACUUM counted them: `vacuum-dead-tuples`.
- TOAST tables that were never vacuumed, since only VACUUM counts their rows. Unknown, if they are large.
- Less than `min_wasted_share` or `min_wasted_bytes`.

## Remedy
As for `table-bloat`: find the cause first, then VACUUM (which includes the TOAST table), then a rewrite if the space is not
needed again. Avoid updating long columns with the same value.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pgwatch_wed import units
from pgwatch_wed.facts import ExactBloat, Snapshot, Table
from pgwatch_wed.findings import Finding, Grade, Impact, Severity, Unknown
from pgwatch_wed.postgres import autovacuum as vac
from pgwatch_wed.postgres import heap as bloat
from pgwatch_wed.postgres import indexes as ix
from pgwatch_wed.remedies import maintenance

NEEDS = ("tables", "table_activity")
PRIMARY_ONLY = True
_PIECE_BYTES = 2000


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds."""

    # Some free space is normal.
    min_wasted_share: float = 0.3
    # Less is not worth a rewrite.
    min_wasted_bytes: int = 1_000_000
    # At or above both of these it is a warning.
    warn_wasted_share: float = 0.5
    warn_wasted_bytes: int = 50_000_000
    # A TOAST table that may be this large and has never been counted makes the verdict unknown.
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
        "its TOAST table was never vacuumed, and only VACUUM counts its rows",
        "run VACUUM, or use --exact-bloat",
        ix.table_object(snapshot, table),
    )


def _measured(exact: ExactBloat) -> tuple[int, float]:
    return exact.total_bytes, exact.free_bytes / max(exact.total_bytes, 1)


def _estimated(snapshot: Snapshot, toast: vac.Heap) -> tuple[int, float]:
    """Return the size, and the share that was certainly empty when VACUUM counted the rows."""
    held = bloat.toast_pages(toast.rows) + 1
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
        title=f"{'' if is_exact else 'At least '}{share:.0%} of the TOAST table of {table.qualified} is empty space",
        detail=f"{units.size(wasted)} of {units.size(size)}; "
        f"{units.count(round(toast.rows), 'chunk')} on {units.count(toast.pages, 'page')}.",
        evidence={
            "toast_bytes": size,
            "wasted_bytes": wasted,
            "wasted_share_low": round(share, 4),
            "toast_rows": round(toast.rows),
            "toast_pages": toast.pages,
            "is_exact": is_exact,
        },
        impact=Impact(bytes=wasted, risk="backups read, and the cache holds, empty pages"),
        remedy=maintenance.remedies(snapshot, table),
        caveats=("New values will reuse the space: do nothing if they are expected.",),
    )
