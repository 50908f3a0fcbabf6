"""Plans that sort what equal columns select, before LIMIT takes some of it: there may be far more rows than the planner expects.

It takes columns to be independent. But a postal code lies in one city, so that ``zip = $1 AND city = $2`` selects as many rows as
``zip = $1``. How far columns depend on each other is not known: what is sorted is taken to be the geometric mean of both. Reading an index
that has the order, too, ends at LIMIT, however many rows there are.
"""

import math
from collections.abc import Callable, Iterator, Sequence

from pgwatch_wed.sqltext import terms
from pgwatch_wed.sqltext.plan_trees import PlanNode, inputs, walk
from pgwatch_wed.sqltext.terms import Kind, Term
from pgwatch_wed.whatif.catalog import Catalog, CatalogColumn, CatalogTable
from pgwatch_wed.whatif.choose.scatter import bound_columns
from pgwatch_wed.whatif.spreads import is_unique

_EQUAL = frozenset({Kind.EQUAL})
_FETCHING = frozenset({"Index Scan", "Bitmap Heap Scan"})
_PASSING = frozenset({"LockRows", "Subquery Scan", "Result", "Gather Merge"})
_ROW = 0.01
_BY_CHANCE = 0.1

# times as many rows as those of an average value
SKEWED = 4.0

UsualValues = Callable[[CatalogTable, str], Sequence[tuple[str, float]]]


def dependent_cost(tree: PlanNode, catalog: Catalog) -> float:
    """Return what a plan costs in addition if the columns that select what it sorts for LIMIT depend on each other."""
    return sum(_extra(scan, catalog) for scan in _sorted_for_limit(tree, is_limited=False))


def times_planned(tree: PlanNode, catalog: Catalog, usual: UsualValues) -> float:
    """Return how many times the planner's rows a plan may return, if a frequent value that selects them with an index depends on another column.

    Of attributes in rows, each key has values of its own: ``name = 'state' AND value = 'new'`` selects as many rows as ``value = 'new'``.
    It is not feared of columns all of whose values are equally frequent, such as the years and months of a calendar.
    """
    return max((_times(node, catalog, usual) for node in walk(tree)), default=1.0)


def times_least(scan: PlanNode, table: CatalogTable, rows: float, catalog: Catalog) -> float:
    """Return how many times the one row that is the planner's least a scan finds by an index, if its values meet by chance in hardly any call.

    People ask for values that there are together. So they depend on each other, and there are between one row and those of the rarest.
    """
    if rows > 1 or table.rows < 1:
        return 1.0
    text = str(scan.get("Index Cond") or scan.get("Recheck Cond") or "")
    found = (
        _column(t, table)
        for t in terms.conditions(text).terms
        if t.kind is Kind.EQUAL and t.is_constant
    )
    columns = {c.name: c for c in found if c is not None}
    shares = [_mean_share(c, table) for c in columns.values()]
    if len(shares) < 2 or table.rows * math.prod(shares) >= _BY_CHANCE:
        return 1.0
    is_one = is_unique(catalog, table, set(columns))
    return 1.0 if is_one else math.sqrt(max(1.0, table.rows * min(shares)))


def _times(scan: PlanNode, catalog: Catalog, usual: UsualValues) -> float:
    table, text = catalog.table_of(scan), scan.get("Index Cond") or scan.get("Recheck Cond")
    if table is None or table.rows < 1 or not text:
        return 1.0
    equal = [
        (t, column)
        for t in terms.conditions(str(text)).terms
        if t.kind is Kind.EQUAL and t.is_constant and (column := _column(t, table)) is not None
    ]
    known = [_share(t, c, table, usual) for t, c in equal]
    if len(equal) < 2 or not any(known):
        return 1.0
    shares = [k or _mean_share(c, table) for k, (_, c) in zip(known, equal, strict=True)]
    at_most = min(shares) * table.rows / max(1.0, float(scan["Plan Rows"]))  # with what it knows
    return max(1.0, min(at_most, min(shares) / max(math.prod(shares), 1e-9)))


def _column(term: Term, table: CatalogTable) -> CatalogColumn | None:
    return table.columns.get(term.operand.column or "")


def _share(term: Term, column: CatalogColumn, table: CatalogTable, usual: UsualValues) -> float:
    """Return the share of a table's rows that have the value that a column is compared with; 0 unless that is frequent among others."""
    values = terms.constants(term.text)
    known = usual(table, column.name) if len(values) == 1 else ()
    share = next((share for value, share in known if value in values), 0.0)
    return share if share >= SKEWED * _mean_share(column, table) else 0.0


def _mean_share(column: CatalogColumn, table: CatalogTable) -> float:
    return (1 - column.null_fraction) / max(1.0, min(column.distinct, table.rows))


def _extra(scan: PlanNode, catalog: Catalog) -> float:
    table = catalog.table_of(scan)
    if table is None or table.rows < 1:
        return 0.0
    rows = max(1.0, float(scan["Plan Rows"]))
    more = math.sqrt(max(1.0, _at_most(scan, table, rows) / rows))
    # then the server would rather read the whole table, if it knew
    whole = table.pages + _ROW * table.rows
    cost = float(scan["Total Cost"])
    return max(0.0, min(whole, more * cost) - cost)


def _at_most(scan: PlanNode, table: CatalogTable, rows: float) -> float:
    """Return how many rows a scan returns if all columns depend on the most selective one.

    That is as selective as its number of values is great, compared with those of the others.
    """
    values = [
        min(c.distinct, table.rows) for c in bound_columns(scan, table, _EQUAL) if c.distinct > 1
    ]
    if len(values) < 2:
        return rows
    if rows <= 1:  # the planner's least, which tells nothing of the values
        return table.rows / max(values)
    logs = [math.log(v) for v in values]
    return table.rows * math.pow(rows / table.rows, max(logs) / sum(logs))


def _sorted_for_limit(node: PlanNode, *, is_limited: bool) -> Iterator[PlanNode]:
    """Yield the scans of one table whose rows are all sorted before LIMIT."""
    below = inputs(node)
    if node["Node Type"] == "Limit" or (is_limited and node["Node Type"] in _PASSING):
        yield from _sorted_for_limit(below[0], is_limited=True)
    elif is_limited and node["Node Type"] == "Sort" and below[0]["Node Type"] in _FETCHING:
        yield below[0]
