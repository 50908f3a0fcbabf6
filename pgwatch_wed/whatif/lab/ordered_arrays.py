"""Scans whose order is used though a key after the first is compared with an array, which PostgreSQL cannot before 17.

Since 17, an index on ``(account, id, state)`` returns rows with ``account = 5 AND state IN ('new', 'open')`` in the order of ``id``: each
entry is tested. Before, such a scan is one for each element of the array, in no order. It keeps the order if it does not use the
condition, so that each row is fetched and tested.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pgwatch_wed.sqltext import terms
from pgwatch_wed.sqltext.plan_trees import INDEX_SCANS, PlanNode
from pgwatch_wed.sqltext.terms import Kind
from pgwatch_wed.whatif.catalog import Catalog
from pgwatch_wed.whatif.lab.skips import BTree, has_arrays

_ORDER = re.compile(r"\border\s+by\b", re.IGNORECASE)
_ORDERED = frozenset(
    (
        *("Merge Join", "Merge Append", "Unique", "Group", "WindowAgg", "Gather Merge"),
        *("Incremental Sort",),
    )
)
# Nodes that return rows in the order in which their first child does.
_KEEPING = frozenset(
    (
        *("Limit", "LockRows", "Result", "Subquery Scan", "Nested Loop", "ProjectSet", "Memoize"),
        *("Append", "Hash Join", "Materialize"),
    )
)


@dataclass(frozen=True, slots=True)
class OrderedArray:
    """An index whose order a plan uses, and the columns after the first key that it compares with arrays; oids."""

    index: int
    table: int
    columns: frozenset[str]


def found(
    text: str, tree: PlanNode, catalog: Catalog, btree: Callable[[str], BTree | None]
) -> Iterator[OrderedArray]:
    """Yield what a plan rests on that a server before 17 cannot do; ``btree`` returns an index by name."""
    if not has_arrays(text):
        return
    for scan in _in_order(tree, is_used=False, is_sorted=_ORDER.search(text) is not None):
        index = btree(scan["Index Name"])
        table = catalog.table_of(scan)
        if index is None or table is None:
            continue
        later = set().union(*(terms.columns(key) for key in index.keys[1:]))
        lists = {
            t.operand.column
            for t in terms.of_index(scan)
            if t.kind is Kind.IN and t.operand.alias == scan.get("Alias")
        }
        columns = frozenset(c for c in lists if c in later and c is not None)
        if columns:
            yield OrderedArray(index.oid, table.oid, columns)


def _in_order(node: PlanNode, *, is_used: bool, is_sorted: bool) -> Iterator[PlanNode]:
    """Yield scans of indexes whose order a node uses; ``is_sorted``: LIMIT takes the first rows in an order."""
    kind = node["Node Type"]
    if kind in INDEX_SCANS and is_used:
        yield node
    by_order = kind in _ORDERED or (kind == "Limit" and is_sorted)
    by_order |= kind == "Aggregate" and node.get("Strategy") == "Sorted"
    for child in node.get("Plans", ()):
        is_first = child.get("Parent Relationship") in ("Outer", "Member", "Subquery")
        is_kept = (by_order and (is_first or kind == "Merge Join")) or (
            is_used and is_first and kind in _KEEPING
        )
        yield from _in_order(child, is_used=is_kept, is_sorted=is_sorted)
