"""How many pages of an index a scan reads."""

import math
from itertools import takewhile

from pgwatch_wed.sqltext import terms
from pgwatch_wed.sqltext.plan_trees import PlanNode
from pgwatch_wed.sqltext.terms import EQUAL, Kind
from pgwatch_wed.whatif.catalog import CatalogTable
from pgwatch_wed.whatif.choose.scatter import pages_fetched
from pgwatch_wed.whatif.oracle import IndexShape
from pgwatch_wed.whatif.spreads import bare

_FANOUT = 250.0  # entries of an inner page of a B-tree
_NETWORKS = frozenset({"inet", "cidr"})


def descent(shape: IndexShape, table: CatalogTable | None = None) -> float:
    """Return the pages from the root of a B-tree to a leaf; a hash tells the page, and in GiST, two paths may lead to what is near.

    A page of networks in GiST is known by the bits that all of them begin with, and splits where the next one differs. If they come in order,
    pages are filled beyond that: at each bit that tells pages from each other, one has networks with either, and is read for both.
    """
    if shape.method == "hash":
        return 1.0
    levels, pages = 1.0, shape.pages
    while pages > _FANOUT ** (levels - 1) + 1 and levels < 6:
        levels += 1
    if shape.method != "gist":
        return levels
    column = table.columns.get(shape.first or "") if table is not None else None
    if column is None or column.base_type not in _NETWORKS:
        return 2 * levels - 1
    return levels + (column.correlation or 0.0) ** 2 * math.log2(max(1.0, pages))


def jumps(node: PlanNode, table: CatalogTable, shape: IndexShape) -> float:
    """Return how often a scan descends an index that skips the keys that are not compared for equality."""
    found = terms.of_index(node)
    mine = {t.operand.column: t.kind for t in found if t.operand.alias == node.get("Alias")}
    names = [bare(key) for key in shape.texts]
    last = max((n for n, name in enumerate(names) if name in mine), default=0)
    skipped = [name for name in names[:last] if mine.get(name) not in EQUAL]
    columns = (table.columns.get(name) for name in skipped)
    return math.prod(shape.rows if c is None else c.distinct + 1 for c in columns)


def pages_per_row(shape: IndexShape) -> float:
    """Return which part of a page an entry takes."""
    return shape.pages / max(shape.rows, 1.0)


def searches(node: PlanNode, shape: IndexShape) -> float:
    """Return how often a scan descends an index: once for each element of a list, or page with some, unless a key before it may have any value."""
    found = terms.of_index(node)
    by_key = {t.operand.column: t for t in found if t.kind in EQUAL}
    bound = takewhile(by_key.__contains__, shape.keys)
    used = [by_key[key] for key in bound] if shape.keys else found
    lists = (t.text.count(",") + 1 for t in used if t.kind is Kind.IN)
    elements = float(min(math.prod(lists), 1000))
    return max(1.0, pages_fetched(shape.pages, elements)) if shape.steps else elements
