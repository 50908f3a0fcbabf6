"""The cost of indexes for writes: entries added by the workload's own INSERT, UPDATE and MERGE."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pgwatch_wed.sqltext.plan_trees import PlanNode, walk
from pgwatch_wed.sqltext.reading import updated
from pgwatch_wed.whatif.catalog import Catalog, CatalogTable, ExistingIndex
from pgwatch_wed.whatif.model import Candidate, Query

# One entry: descend, insert, write WAL, and sometimes read a page; in planner cost units.
_ENTRY = {"btree": 1.0, "hash": 1.0, "gin": 8.0, "gist": 2.0, "brin": 0.05}
# Rows that are inserted together have neighboring entries; an update descends by about three blocks to each.
_ALONE = 3.0


@dataclass(frozen=True, slots=True)
class Write:
    """Rows that a statement changes in a table; ``columns`` are None unless it is an UPDATE."""

    table: tuple[str, str]
    rows: float
    kind: str
    columns: frozenset[str] | None = None


def writes(query: Query, tree: PlanNode, catalog: Catalog) -> list[Write]:
    """Return what a planned statement changes."""
    found = []
    for node in walk(tree):
        if node["Node Type"] != "ModifyTable" or node.get("Operation") == "Delete":
            continue  # DELETE leaves index entries to VACUUM
        table = catalog.by_name.get((node.get("Schema", ""), node.get("Relation Name", "")))
        if table is None:
            continue
        rows = max((float(c.get("Plan Rows", 1)) for c in node.get("Plans", ())), default=1.0)
        is_update = node.get("Operation") == "Update"
        root = catalog.root(table)
        found.append(
            Write(
                (root.schema, root.name),
                rows,
                str(node.get("Operation")),
                updated_columns(query.sql) if is_update else None,
            )
        )
    return found


def changed(found: Mapping[str, Iterable[Write]]) -> dict[tuple[str, str], frozenset[str]]:
    """Return the columns by table that statements set in rows that are there."""
    columns: dict[tuple[str, str], frozenset[str]] = {}
    for write in (write for each in found.values() for write in each):
        if write.columns:
            columns[write.table] = columns.get(write.table, frozenset()) | write.columns
    return columns


def cost(
    index: Candidate,
    catalog: Catalog,
    writes: Mapping[str, Iterable[Write]],
    weights: Mapping[str, float],
    measured: Mapping[str, float],
) -> float:
    """Return the weighted cost of keeping an index up to date.

    ``measured`` are the times of statements, where they are known. One more index takes no more than each of the parts
    that are there: the table and its other indexes. The planner's cost of an INSERT is next to nothing, and does not tell.
    """
    total = 0.0
    for name, each in writes.items():
        for write in each:
            if write.table == (index.schema, index.table):
                one = _ENTRY.get(index.method, 1.0) * _entries(index, catalog, write)
                most = measured.get(name, math.inf) * one / (1 + _others(catalog, write))
                alone = 1.0 if write.columns is None else _ALONE
                total += min(weights[name] * write.rows * one * alone, most)
    return total


def no_longer_hot(
    index: Candidate, catalog: Catalog, found: Mapping[str, Iterable[Write]]
) -> frozenset[str]:
    """Return the columns that statements update without changing an index, and that this one contains."""
    lost: frozenset[str] = frozenset()
    for write in (write for each in found.values() for write in each):
        if write.columns and write.table == (index.schema, index.table) and index.method != "brin":
            here = columns(index) & write.columns
            lost |= here if _stays_hot(catalog, write) else frozenset()
    return lost


def entries(
    indexes: Iterable[Candidate], catalog: Catalog, changes: Iterable[Write]
) -> dict[tuple[str, str], float]:
    """Return by table how many entries in indexes a changed row gets with new indexes that it does not get now."""
    new = list(indexes)
    return {
        write.table: sum(
            _entries(i, catalog, write) for i in new if (i.schema, i.table) == write.table
        )
        for write in changes
    }


def _entries(index: Candidate, catalog: Catalog, write: Write) -> int:
    if write.columns is None:
        return 1
    if not columns(index) & write.columns:
        # this index gets an entry only if the update cannot be HOT anyway
        return 0 if _stays_hot(catalog, write) else 1
    # and an update that is no longer HOT adds an entry to every other index as well
    return 1 + (_others(catalog, write) if _stays_hot(catalog, write) else 0)


def columns(index: Candidate) -> frozenset[str]:
    """Return every column that an index stores or tests, including words in expressions."""
    names = {k.column for k in index.keys if k.column} | set(index.include)
    texts = [k.text for k in index.keys if k.column is None] + [index.predicate]
    return frozenset(names | {w for text in texts for w in _words(text)})


def _words(text: str) -> set[str]:
    return set("".join(c if c.isalnum() or c == "_" else " " for c in text).split())


def _stays_hot(catalog: Catalog, write: Write) -> bool:
    table = catalog.by_name[write.table]
    return not any(
        _existing_columns(table, i) & (write.columns or frozenset())
        for i in catalog.indexes_of.get(table.oid, ())
        if i.method != "brin"
    )


def _existing_columns(table: CatalogTable, index: ExistingIndex) -> set[str]:
    texts = [*index.keys, *index.include, index.predicate or ""]
    return {w for text in texts for w in _words(text)} & table.columns.keys()


def _others(catalog: Catalog, write: Write) -> int:
    return len(catalog.indexes_of.get(catalog.by_name[write.table].oid, ()))


def updated_columns(text: str) -> frozenset[str]:
    """Return the columns that UPDATE, ON CONFLICT DO UPDATE or MERGE set, by name."""
    return frozenset(c for target in updated(text) for c in target.columns)
