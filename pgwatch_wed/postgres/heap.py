"""How many pages a table's live rows need: a model of PostgreSQL's heap, with its margin of error.

A row consists of a line pointer of 4 bytes, a header of 23 bytes, a null bitmap if a value is NULL, and the columns,
each aligned as its type requires; the whole is padded to 8 bytes. Widths are those found by ANALYZE, as stored:
compressed, and a pointer of 18 bytes if the value was moved to TOAST.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from pgwatch_wed.facts import Column, ColumnStatistics, Snapshot, Table
from pgwatch_wed.postgres.storage import (
    ALIGNMENTS,
    LINE_POINTER,
    MAX_ALIGN,
    PAGE_HEADER,
    SHORT_VARLENA,
    maxalign,
)

TUPLE_HEADER = 23
TOAST_CHUNKS_PER_PAGE = 4
DEFAULT_FILLFACTOR = 100


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a table's rows need, in pages; the true number is between ``low`` and ``high``."""

    pages: int
    low: float
    likely: float
    high: float

    @property
    def wasted_share(self) -> float:
        """The likely share of the file that is not needed."""
        return max(1 - self.likely / self.pages, 0.0) if self.pages else 0.0

    @property
    def sure_share(self) -> float:
        """The share of the file that is not needed even if the model is too low."""
        return max(1 - self.high / self.pages, 0.0) if self.pages else 0.0

    @property
    def most_share(self) -> float:
        """The share of the file that is not needed if the model is too high."""
        return max(1 - self.low / self.pages, 0.0) if self.pages else 0.0


def estimate(snapshot: Snapshot, table: Table) -> Estimate | None:
    """Estimate what a table needs; None if statistics on a column are missing."""
    if table.pages <= 0 or table.rows < 0:
        return None
    if table.rows == 0:
        return Estimate(table.pages, 0.0, 0.0, 1.0)
    columns = snapshot.columns_of[table.oid]
    known = [snapshot.statistics_by_key.get((table.oid, c.attnum)) for c in columns]
    if not columns or any(s is None or s.is_inherited for s in known):
        return None
    width, error = _tuple_bytes(table, list(zip(columns, (s for s in known if s), strict=True)))
    usable = _usable_bytes(snapshot, table)
    fixed = all(
        c.length > 0 and (s is None or s.null_fraction == 0)
        for c, s in zip(columns, known, strict=True)
    )
    needs = [_pages(table.rows, width + e, usable, is_fixed=fixed) for e in (-error, 0.0, error)]
    # 2% for what a sample misses, and one page for the last one, which is partly empty.
    return Estimate(table.pages, needs[0] * 0.98, needs[1], needs[2] * 1.02 + 1)


def _usable_bytes(snapshot: Snapshot, table: Table) -> float:
    fill = table.option("fillfactor")
    share = float(fill) / 100 if fill and fill.isdigit() else DEFAULT_FILLFACTOR / 100
    block = snapshot.server.block_size
    return max(block - PAGE_HEADER - block * (1 - share), 1.0)


def _pages(rows: float, width: float, usable: float, *, is_fixed: bool) -> float:
    """Spread rows over pages; fixed-width rows leave a remainder, others half a row on average."""
    each = max(width, TUPLE_HEADER) + LINE_POINTER
    per_page = math.floor(usable / each) if is_fixed else (usable - each / 2) / each
    return math.ceil(rows / max(per_page, 1.0))


def _tuple_bytes(
    table: Table, columns: list[tuple[Column, ColumnStatistics]]
) -> tuple[float, float]:
    """Return the average width of a stored row, and how far the model may be off."""
    header, unsure = _header_bytes(table, [s for _, s in columns])
    offset, error, is_exact = 0.0, unsure, True
    for column, statistics in columns:
        there = 1 - min(max(statistics.null_fraction, 0.0), 1.0)
        align = _alignment(column, statistics)
        if is_exact:
            padding, doubt = -offset % align, 0.0
        else:
            padding, doubt = (align - 1) / 2, (align - 1) / 2
        is_exact = is_exact and column.length > 0 and there == 1
        offset += there * (padding + _width(column, statistics))
        error += there * doubt
    exact = (-(header + offset)) % MAX_ALIGN
    tail, doubt = (exact, 0.0) if is_exact else ((MAX_ALIGN - 1) / 2, (MAX_ALIGN - 1) / 2)
    # The errors of many paddings partly cancel out.
    return header + offset + tail, math.hypot(error / 2, doubt)


def _header_bytes(table: Table, statistics: Iterable[ColumnStatistics]) -> tuple[float, float]:
    """Return a row's header: 24 bytes, more if it has NULLs and over 8 columns."""
    bare = maxalign(TUPLE_HEADER)
    full = maxalign(TUPLE_HEADER + math.ceil(table.column_count / 8))
    fractions = [min(max(s.null_fraction, 0.0), 1.0) for s in statistics]
    together = 1 - math.prod(1 - f for f in fractions)
    least = max(fractions, default=0.0)
    most = min(sum(fractions), 1.0)
    return bare + (full - bare) * together, (full - bare) * (most - least) / 2


def _width(column: Column, statistics: ColumnStatistics) -> float:
    return float(column.length) if column.length > 0 else float(max(statistics.avg_width, 0))


def _alignment(column: Column, statistics: ColumnStatistics) -> int:
    """Return a value's alignment: a short one of variable length is not aligned."""
    align = ALIGNMENTS.get(column.type_align, MAX_ALIGN)
    if column.length == -1 and column.type_storage != "p" and statistics.avg_width <= SHORT_VARLENA:
        return 1
    return align if column.length != -2 else 1


def toast_pages(rows: float) -> float:
    """Return the most pages that TOAST rows need: any four of them fit on a page."""
    return math.ceil(max(rows, 0.0) / TOAST_CHUNKS_PER_PAGE)
