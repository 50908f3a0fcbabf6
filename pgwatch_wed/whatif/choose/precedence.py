"""How far rows that a condition excludes come before those that it does not, in the order of an index that is read until LIMIT is satisfied.

Of ``created_at >= $1 ORDER BY id DESC``, those that match come first, for both follow the order in which rows are stored. The rows of a tenant
are spread evenly over them if its values do not follow that order. Of others, nothing is known: a state that most rows have may
be that of old ones.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from pgwatch_wed.sqltext import terms
from pgwatch_wed.sqltext.plan_trees import PlanNode
from pgwatch_wed.sqltext.terms import Kind, Term
from pgwatch_wed.whatif.catalog import Catalog, CatalogColumn, CatalogTable
from pgwatch_wed.whatif.choose.scatter import correlation_of_equal, nearness
from pgwatch_wed.whatif.choose.stored import order_columns
from pgwatch_wed.whatif.choose.worked_off import ColumnsSet, is_worked_off
from pgwatch_wed.whatif.oracle import IndexShape

_MOST = 0.5
_FOLLOWS = 0.7
_ENDED = 0.5
_STATES = 20  # a column with fewer values may be a state
_LEAST = 0.02  # the share of a value below which its rows do not change the correlation more than chance does
_CHANCE = 0.02  # of a correlation, in a sample of ANALYZE
_MOST_NULLS = 0.05

RowsMeeting = Callable[..., float | None]
# Returns which share of the rows that a scan reads satisfy a condition; None if that is not known.
Share = Callable[[str], float | None]


@dataclass(frozen=True, slots=True)
class Precedence:
    """Which share of the rows are in the range that the order follows, 1 if there is none; whether they come first.

    ``fear`` from 0 to 1 is how far the others that match may come last. ``is_last``: those that match certainly come after nearly all others.
    """

    share: float = 1.0
    is_first: bool = True
    fear: float = 1.0
    is_last: bool = False


def precedence(
    catalog: Catalog,
    table: CatalogTable,
    scan: PlanNode,
    shape: Callable[[str], IndexShape | None],
    meeting: RowsMeeting | None,
    columns_set: ColumnsSet = (),
) -> Precedence:
    """Return what is known of the rows that the filter of a scan excludes; ``columns_set`` are those that the workload sets."""
    share = _shares(scan, meeting)
    order, is_descending = _order(
        table, scan, shape(scan["Index Name"]) if "Index Name" in scan else None
    )
    group = terms.conditions(str(scan.get("Filter") or ""))
    # what is compared as a row is bounded by its first column
    bound = {t.operand.text for t in terms.of_index(scan)}
    open_ = [t for t in group.terms if t.operand.text not in bound]
    follows = min((nearness(catalog, table, [c]) for c in order), default=0.0)
    own = order[0] if len(order) == 1 else None
    ranges = [t for t in open_ if _is_followed(catalog, table, t, own, follows)]
    part = share(" AND ".join(f"({t.text})" for t in ranges)) if ranges else None
    if part is None or len({_is_first(table, order, is_descending, t) for t in ranges}) > 1:
        part, ranges = 1.0, []
    is_first = not ranges or _is_first(table, order, is_descending, ranges[0])
    others = [t for t in open_ if t not in ranges]
    others += (t for arm in group.arms for t in arm.terms)
    is_unknown = not (group.terms or group.arms) or any(a.arms or not a.terms for a in group.arms)
    known = follows if order else None
    fears = (_fear(catalog, table, t, known, share) for t in others)
    fear = 1.0 if is_unknown else max(fears, default=0.0)
    is_last = False
    if columns_set and own is not None and follows > _FOLLOWS:
        among = _rows_of_equal(table, scan, group.terms, meeting)
        is_last = any(
            is_worked_off(catalog, table, t, own, among, columns_set)
            and is_descending == _is_turned(table, own, t)
            for t in open_
        )
    return Precedence(min(1.0, part), is_first, fear, is_last)


def _rows_of_equal(
    table: CatalogTable, scan: PlanNode, filtered: Iterable[Term], meeting: RowsMeeting | None
) -> float:
    """Return how many rows have the values that a scan compares for equality, in its index or in its filter."""
    bound = terms.of_index(scan)
    equal = [t.text for t in (*bound, *filtered) if t.kind in terms.OF_VALUES and t.is_constant]
    if meeting is None or "Index Name" not in scan:
        return table.rows
    found = meeting({**scan, "Index Cond": " AND ".join(f"({text})" for text in equal)})
    return table.rows if found is None else found


def _shares(scan: PlanNode, meeting: RowsMeeting | None) -> Share:
    bound = str(scan.get("Index Cond") or "")

    def share(condition: str) -> float | None:
        if meeting is None or "Index Name" not in scan:
            return None
        text = f"{bound} AND {condition}" if bound else condition
        some, every = (meeting({**scan, "Index Cond": each}) for each in (text, bound))
        return None if some is None or not every else some / every

    return share


def _order(
    table: CatalogTable, scan: PlanNode, shape: IndexShape | None
) -> tuple[Sequence[CatalogColumn], bool]:
    """Return the columns whose order a scan follows, and whether that is descending."""
    if shape is None or not shape.texts:
        return [], False
    position, columns = order_columns(table, scan, shape)
    return columns, (position in shape.descending) != (scan.get("Scan Direction") == "Backward")


def _is_followed(
    catalog: Catalog, table: CatalogTable, term: Term, own: CatalogColumn | None, follows: float
) -> bool:
    """Tell whether the order follows a range: one of its ``own`` column, such as in another collation, or both follow that of storage."""
    column = table.columns.get(term.operand.column or "")
    if term.kind is not Kind.RANGE or column is None:
        return False
    return column is own or (follows > _FOLLOWS and nearness(catalog, table, [column]) > _FOLLOWS)


def _is_first(
    table: CatalogTable, order: Sequence[CatalogColumn], is_descending: bool, term: Term
) -> bool:
    """Tell whether the rows in a range come first."""
    wants_high = term.operator.startswith(">")
    return (wants_high != _is_turned(table, order[0], term)) == is_descending


def _is_turned(table: CatalogTable, order: CatalogColumn, term: Term) -> bool:
    """Tell whether the column of a condition rises where that of the order falls."""
    column = table.columns[term.operand.column or ""]
    return ((column.correlation or 0.0) > 0) != ((order.correlation or 0.0) > 0)


def _fear(
    catalog: Catalog, table: CatalogTable, term: Term, follows: float | None, share: Share
) -> float:
    """Return how far rows with a value may come last in an order that follows that of storage so far; None if it is not known."""
    column = table.columns.get(term.operand.column or "")
    passing = share(term.text) if term.is_constant else None
    if passing is not None and passing > _MOST:
        return 0.0
    if column is None or column.correlation is None or follows is None:
        return 1.0
    if column.distinct < _STATES and not (
        passing is not None
        and passing >= _LEAST
        and "$" not in term.text
        and _is_even(catalog, table, column)
    ):
        return 1.0  # where the rows in a state are, its correlation does not tell, unless all lie evenly
    # in an order that follows storage, such as that of time, the rows of some values have ended
    return follows * max(_ENDED, nearness(catalog, table, [column]))


def _is_even(catalog: Catalog, table: CatalogTable, column: CatalogColumn) -> bool:
    """Tell whether the correlation of a column is what it is if the rows of each of its values are spread evenly."""
    if column.correlation is None or column.null_fraction > _MOST_NULLS:
        return False
    return abs(column.correlation - correlation_of_equal(catalog, table, column)) < _CHANCE
