"""Where the rows are stored that have no value in a column of times, such as those of jobs that are not finished.

If values follow the order in which rows are stored, and the time that they span is shorter than that of the other columns, rows beyond
have none: the newest, if jobs have waited since then, or the oldest, if the column was added later. So many of the rows
without a value are there, the others anywhere.
"""

from pgwatch_wed.whatif.catalog import Catalog, CatalogColumn, CatalogTable, TimesSeen
from pgwatch_wed.whatif.choose.scatter import nearness

_FOLLOWS = 0.9
_LEAST = 0.02  # of the rows: two bins of a histogram
_MOST_FILLED = 1.02  # of the rows in the time that they span: with more, times differ


def share_of_blocks(catalog: Catalog, table: CatalogTable, column: CatalogColumn) -> float:
    """Return among which share of a table's blocks the rows are that have no value in a column: 1 if that is not known."""
    own = catalog.times.get((table.oid, column.name))
    if own is None or not 0 < column.null_fraction < 1 or not _follows(catalog, table, column):
        return 1.0
    spans = [
        _spanned(times, own)
        for other in table.columns.values()
        if not other.null_fraction and _is_turned(other) == _is_turned(column)
        if (times := catalog.times.get((table.oid, other.name))) is not None
        if _follows(catalog, table, other)
    ]
    spanned = max(spans, default=1.0)
    beyond = 1 - spanned
    if beyond < _LEAST or 1 - column.null_fraction > _MOST_FILLED * spanned:
        return 1.0
    share = min(1.0, beyond / column.null_fraction)
    return share * beyond + (1 - share)


def _follows(catalog: Catalog, table: CatalogTable, column: CatalogColumn) -> bool:
    return nearness(catalog, table, [column]) > _FOLLOWS


def _is_turned(column: CatalogColumn) -> bool:
    return (column.correlation or 0.0) < 0


def _spanned(times: TimesSeen, own: TimesSeen) -> float:
    """Return the share of rows in as long a time as another column spans, from the end of theirs that is nearer to its own."""
    span = own.last - own.first
    if abs(own.first - times.first) <= abs(times.last - own.last):
        return times.before(times.first + span)
    return 1 - times.before(times.last - span)
