"""Rows that refer to those that a statement deletes: PostgreSQL looks for them once for each, without an index through the whole table.

That is in no plan of the statement, but in what was counted for it.
"""

from pgwatch_wed.sqltext.plan_trees import PlanNode
from pgwatch_wed.whatif.catalog import Catalog, ForeignKey
from pgwatch_wed.whatif.model import Configuration, Key

_DESCENT = 3.0  # an index is descended
_ROW = 3.0  # a row is found, changed, and has entries in indexes


def blocks_of_referring(
    catalog: Catalog, tree: PlanNode, rows: float, chosen: Configuration
) -> float | None:
    """Return the most blocks that deleting ``rows`` rows touches in tables that refer to them, if a set serves a foreign key that nothing serves now.

    None if it does not, if one is left that nothing serves, or if rows may be deleted in further tables.
    """
    table = catalog.table_of(tree)
    if table is None or table.has_triggers or tree.get("Operation") != "Delete":
        return None
    keys = [key for key in catalog.foreign_keys if key.referenced_oid == table.oid]
    now = [_is_served(catalog, key, frozenset()) for key in keys]
    if all(now) or not all(_is_served(catalog, key, chosen) for key in keys):
        return None
    referring = {key.table_oid for key in keys}
    if any(key.referenced_oid in referring for key in catalog.foreign_keys):
        return None
    return rows * sum(_DESCENT + _ROW * _rows_of_each(catalog, key) for key in keys)


def _rows_of_each(catalog: Catalog, key: ForeignKey) -> float:
    """Return how many rows refer to the same one on average."""
    table = catalog.tables.get(key.table_oid)
    if table is None:
        return 1.0
    distinct = max(
        (table.columns[c].distinct for c in key.columns if c in table.columns), default=1.0
    )
    return max(1.0, table.rows / max(1.0, distinct))


def _is_served(catalog: Catalog, key: ForeignKey, chosen: Configuration) -> bool:
    """Tell whether an existing index, or one of a set, begins with the columns of a foreign key."""
    table = catalog.tables.get(key.table_oid)
    if table is None:
        return False
    width = len(key.columns)
    texts = {Key.of(column).text for column in key.columns}
    for index in catalog.indexes_of.get(key.table_oid, ()):
        is_whole = index.method == "btree" and index.predicate is None and index.is_valid
        if is_whole and set(index.keys[:width]) == texts:
            return True
    return any(
        (index.schema, index.table) == (table.schema, table.name)
        and index.method == "btree"
        and not index.predicate
        and {k.column for k in index.keys[:width]} == key.columns
        for index in chosen
    )
