"""How large a B-tree would be if it were built now: an estimate with bounds.

Leaf pages hold one tuple per entry or, since 13, one tuple per distinct key with six bytes per entry;
both are aligned to eight bytes, plus a line pointer of four. The bounds allow for what the model cannot
know: how often the keys of several columns repeat together, and how the widths of a variable-length
column are distributed.
"""

from dataclasses import dataclass

from pgwatch_wed.facts import Column, ColumnStatistics, Index, Snapshot, Table

_PAGE_OVERHEAD = 24 + 16  # header; special space
_TUPLE_HEADER = 8
_TUPLE_HEADER_WITH_NULLS = 16
_LINE_POINTER = 4
_TID = 6
_MAX_POSTING = 812  # bytes that CREATE INDEX allows for a posting list tuple
_SAMPLE = 30_000  # rows that ANALYZE samples at the default statistics target
_OFTEN = 10  # times that a rare value must appear in the sample to be counted correctly
_ALIGN = {"c": 1, "s": 2, "i": 4, "d": 8}
# Types whose equal values have the same bytes, so that their keys can be deduplicated; others may be.
_MERGEABLE = frozenset(
    (
        *(
            "bool",
            "int2",
            "int4",
            "int8",
            "oid",
            "text",
            "varchar",
            "bpchar",
            "uuid",
            "date",
            "time",
        ),
        *("timestamp", "timestamptz", "bytea", "char", "macaddr", "macaddr8"),
    )
)
_NEVER_MERGED = frozenset(("numeric", "float4", "float8", "jsonb", "interval"))


@dataclass(frozen=True, slots=True)
class PageEstimate:
    """Pages of a freshly built index: at least, likely and at most."""

    least: float
    likely: float
    most: float


@dataclass(frozen=True, slots=True)
class _Key:
    """A key or INCLUDE column: its alignment, its width in bytes where it is not NULL, its values.

    ``sure_share`` is the fraction of its values whose number of distinct values ANALYZE cannot have got
    wrong: its common values, and the others only if the sample saw each of them many times.
    """

    align: int
    width: float
    is_variable: bool
    null_fraction: float
    distinct: float
    merges: bool | None
    sure_share: float


def expected(snapshot: Snapshot, index: Index, table: Table) -> PageEstimate | None:
    """Return the size of a freshly built B-tree; None if statistics or types do not allow an estimate."""
    rows = index.rows if index.predicate is not None else table.rows
    keys = [_key(snapshot, index, place, rows) for place in range(len(index.columns))]
    known = [k for k in keys if k is not None]
    if rows < 0 or len(known) < len(keys) or not known:
        return None
    parts = known[: index.key_count]
    distinct = [max(1.0, min(k.distinct, rows)) for k in parts]
    product = 1.0
    for each in distinct:
        product = min(product * each, rows)
    merged = _merges(index, parts)
    narrow, usual, wide = (_tuple_bytes(known, spread) for spread in (-1, 0, 1))
    few, many = max(distinct), max(product, max(distinct))
    nulls = parts[0].null_fraction if len(parts) == 1 else 0.0
    sure = parts[0].sure_share if len(parts) == 1 else 1.0
    alone = rows * (1 - nulls) * (1 - sure)
    return PageEstimate(
        _pages(snapshot, index, (rows, nulls, few), narrow, is_merged=merged is not False),
        _pages(snapshot, index, (rows, nulls, many), usual, is_merged=merged is not False),
        _pages(snapshot, index, (rows, nulls, many), wide, is_merged=merged is True, alone=alone)
        * 1.03
        + 2,
    )


def _key(snapshot: Snapshot, index: Index, place: int, rows: float) -> _Key | None:
    attnum = index.columns[place]
    if attnum == 0:
        statistics = snapshot.statistics_by_key.get((index.oid, place + 1))
        return _of(None, statistics, rows) if statistics else None
    column = snapshot.column_by_key.get((index.table_oid, attnum))
    statistics = snapshot.statistics_by_key.get((index.table_oid, attnum))
    if column is None or statistics is None or column.base_type == "name":
        return None
    return _of(column, statistics, rows)


def _of(column: Column | None, statistics: ColumnStatistics, rows: float) -> _Key:
    fixed = column is not None and column.length > 0
    width = float(column.length) if column is not None and fixed else float(statistics.avg_width)
    share = statistics.n_distinct
    distinct = -share * rows if share < 0 else share
    kind = column.base_type if column is not None else ""
    merges = True if kind in _MERGEABLE else None
    if kind in _NEVER_MERGED or (column is not None and column.type_category in "AR"):
        merges = False
    long = not fixed and width > 126
    align = _ALIGN.get(column.type_align, 4) if column is not None and (fixed or long) else 1
    sure = _sure_share(statistics, distinct, rows)
    return _Key(align, width, not fixed, statistics.null_fraction, distinct, merges, sure)


def _sure_share(statistics: ColumnStatistics, distinct: float, rows: float) -> float:
    """Allow for ANALYZE's underestimate if many values are rare: most of them are not in its sample."""
    values = 1 - statistics.null_fraction
    common = min(statistics.mcv_fraction or 0.0, values)
    others = distinct - statistics.mcv_count
    seen = min(rows, _SAMPLE) * (values - common)
    if values <= 0 or rows <= _SAMPLE or others <= 0 or seen >= _OFTEN * others:
        return 1.0
    return common / values


def _merges(index: Index, keys: list[_Key]) -> bool | None:
    off = index.option("deduplicate_items") in ("off", "false", "no", "0")
    if off or index.included or index.is_unique:
        return False
    if any(k.merges is False for k in keys):
        return False
    return True if all(k.merges for k in keys) else None


def _tuple_bytes(keys: list[_Key], spread: int) -> float:
    """Return a tuple's bytes with its line pointer; ``spread`` shifts the cost of varying widths."""
    has_nulls = any(k.null_fraction > 0 for k in keys[1:])
    at: float = _TUPLE_HEADER_WITH_NULLS if has_nulls else _TUPLE_HEADER
    for key in keys:
        share = 1 - key.null_fraction if len(keys) > 1 else 1.0
        at = _up(at, key.align) + key.width * share
    variable = any(k.is_variable for k in keys)
    if variable and spread < 0:
        return at + _LINE_POINTER
    return _up(at + (4 * spread if variable else 0), 8) + _LINE_POINTER


def _up(size: float, align: int) -> float:
    whole = int(size) if size == int(size) else int(size) + 1
    return float(-(-whole // align) * align)


def _pages(
    snapshot: Snapshot,
    index: Index,
    counts: tuple[float, float, float],
    tuple_bytes: float,
    *,
    is_merged: bool,
    alone: float = 0.0,
) -> float:
    """Return pages for rows, their fraction of NULLs and distinct values; ``alone`` entries are not merged."""
    rows, nulls, distinct = counts
    values = rows * (1 - nulls)
    used = (
        _entries(values - alone, distinct, tuple_bytes, is_merged=is_merged) + alone * tuple_bytes
    )
    used += _entries(rows * nulls, 1, _TUPLE_HEADER_WITH_NULLS + _LINE_POINTER, is_merged=is_merged)
    block = snapshot.server.block_size
    fill = float(_whole(index.option("fillfactor"), 90))
    run = tuple_bytes + _TID * values / max(min(distinct, values), 1.0) if is_merged else 0.0
    last = max(tuple_bytes, min(run, _MAX_POSTING))  # on average half of one no longer fits
    room = block - _PAGE_OVERHEAD - block * (100 - fill) / 100 - min(last, block / 4) / 2
    leaves = max(used / max(room, 100), 1.0)
    fanout = max((block - _PAGE_OVERHEAD) * 0.7 / (tuple_bytes + 4), 4)
    return leaves * (1 + 1 / (fanout - 1)) + 1


def _entries(rows: float, distinct: float, tuple_bytes: float, *, is_merged: bool) -> float:
    """Return the bytes of entries: one tuple each, or one for each group of equal keys."""
    distinct = min(distinct, rows)
    if not is_merged or rows <= distinct or distinct <= 0:
        return rows * tuple_bytes
    in_one = max((_MAX_POSTING - tuple_bytes) / _TID, 1)
    tuples = distinct * max(1.0, rows / distinct / in_one)
    merged = tuples * tuple_bytes + (rows - distinct if rows < 2 * distinct else rows) * _TID
    return min(merged, rows * tuple_bytes)


def _whole(text: str | None, default: int) -> int:
    try:
        return min(max(int(text), 10), 100) if text is not None else default
    except ValueError:
        return default
