"""How many blocks a write touches for the rows that it changes."""

import math
from collections.abc import Mapping

from pgwatch_wed.sqltext.plan_trees import PlanNode, walk
from pgwatch_wed.whatif.catalog import Catalog, CatalogTable

TableName = tuple[str, str]

_MOST_ROW = 3.0  # blocks of a table for a row that is changed: of its old and new place, and where there is space
_VERSION = 2.0  # more of them for a new version of a row: of what tells that all see a page, and to see that its key is unique
_MOVED = 4.0  # as most often for a new version
_IN_PLACE = 2.0  # and for one that no index refers to (HOT)
_ENTRY = 3.0  # blocks from the root to where an entry is put


def written(
    catalog: Catalog,
    node: PlanNode,
    table: CatalogTable,
    changed: float | None,
    added: Mapping[TableName, float],
) -> float:
    """Return the blocks for changed rows: in the table, and where their entries in indexes are.

    ``changed`` is how many, if they were counted; ``added`` are by table the entries that new indexes get for each.
    """
    rows = changed
    if rows is None:
        rows = max((float(c.get("Plan Rows", 1)) for c in node.get("Plans", ())), default=1.0)
    root = catalog.root(table)
    entries = added.get((root.schema, root.name), 0.0)
    if node.get("Operation") == "Insert":
        entries += len(catalog.indexes_of.get(table.oid, ()))
    own = 1.0
    if node.get("Operation") == "Update":
        own = _MOVED if entries else _IN_PLACE
    return rows * (own + _ENTRY * entries)


def most_written(catalog: Catalog, tree: PlanNode, counted: float | None) -> float:
    """Return the most blocks that a write touches beside what its plan reads, for the rows that it was counted to change.

    That has no limit where triggers, or rows that refer to those deleted, may read anything.
    """
    table = catalog.table_of(tree)
    if table is None or tree["Node Type"] != "ModifyTable" or table.has_triggers:
        return math.inf
    keys, is_delete = catalog.foreign_keys, tree.get("Operation") == "Delete"
    most = _MOST_ROW + _VERSION * (tree.get("Operation") == "Update")
    if is_delete and any(key.referenced_oid == table.oid for key in keys):
        return math.inf
    if any(node["Node Type"] == "ModifyTable" for node in walk(tree) if node is not tree):
        return math.inf
    rows = counted
    if rows is None:
        rows = max((float(c.get("Plan Rows", 1)) for c in tree.get("Plans", ())), default=1.0)
    added = len(catalog.indexes_of.get(table.oid, ()))
    added += sum(key.table_oid == table.oid for key in keys)
    return rows * (most + _ENTRY * added * (not is_delete))
