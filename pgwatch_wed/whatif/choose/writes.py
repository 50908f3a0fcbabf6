"""The cost of indexes for writes: entries added by the workload's own INSERT, UPDATE and MERGE.

The first index that ends HOT updates makes them write to every index of the table, others add an entry each. So what
a set costs is not the sum of what its indexes cost alone.
"""

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from pgwatch_wed.sqltext.plan_trees import PlanNode, walk
from pgwatch_wed.sqltext.reading import updated
from pgwatch_wed.whatif.catalog import Catalog, CatalogTable, ExistingIndex
from pgwatch_wed.whatif.choose.batches import with_full_batch
from pgwatch_wed.whatif.choose.left_out import leaves_out
from pgwatch_wed.whatif.model import Candidate, Query

# One entry: descend, insert, write WAL, and sometimes read a page; in planner cost units.
_ENTRY = {"btree": 1.0, "hash": 1.0, "gin": 8.0, "gist": 2.0, "brin": 0.05}
# Rows that are inserted together have neighboring entries; an update reads a page at random for each, as the planner charges it.
_ALONE = 4.0
# VACUUM takes old entries out of an index all at once, but comes twice to the page of a row version that HOT leaves to the next reader.
_VACUUMED = 2.0
_BLOCKS = 3.0  # of an index, from its root to where an entry is put
_AT_END = 1 / 3  # one block instead of the way from the root to a leaf
_ORDERED = 0.99
_VARIOUS = 100.0


@dataclass(frozen=True, slots=True)
class Write:
    """Rows that a statement changes in a table; ``columns`` are None unless it is an UPDATE.

    ``constants`` are the columns that it sets to one, None for NULL.
    """

    table: tuple[str, str]
    rows: float
    kind: str
    columns: frozenset[str] | None = None
    constants: Mapping[str, str | None] = field(default_factory=dict)


def writes(query: Query, tree: PlanNode, catalog: Catalog) -> list[Write]:
    """Return what a planned statement changes: of an UPDATE, as many rows as were counted, or a full batch."""
    found = []
    for node in walk(tree if query.rows is not None else with_full_batch(tree, query.sql)):
        if node["Node Type"] != "ModifyTable" or node.get("Operation") == "Delete":
            continue  # DELETE leaves index entries to VACUUM
        table = catalog.table_of(node)
        if table is None:
            continue
        rows = max((float(c.get("Plan Rows", 1)) for c in node.get("Plans", ())), default=1.0)
        is_update = node.get("Operation") == "Update"
        if is_update and node is tree and query.rows is not None:
            # an INSERT of many rows is most often a load, which does not come again
            rows = query.rows
        root = catalog.root(table)
        found.append(
            Write(
                (root.schema, root.name),
                rows,
                str(node.get("Operation")),
                updated_columns(query.sql) if is_update else None,
                _constants(query.sql) if is_update else {},
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


def burdens(
    catalog: Catalog,
    writes: Mapping[str, Iterable[Write]],
    weights: Mapping[str, float],
    measured: Mapping[str, float],
    usual: Mapping[str, float] | None = None,
    block: Mapping[str, float] | None = None,
) -> list["Burden"]:
    """Return what entries of indexes cost for the writes of statements.

    ``measured`` are the times of statements, where they are known. One more index takes no more than each of the parts
    that are there: the table and its other indexes, of which HOT updates write to none. The planner's cost of an INSERT is next to
    nothing, and does not tell. ``usual`` are the weights of statements if a unit of cost took as long for each as for most: an UPDATE
    that takes longer reads more than is expected, but the entries that it adds do not cost more. Nor do they cost less if it reads less
    than is expected: ``block`` is the time of one block in all calls of a statement, by those that were counted.
    """
    found = []
    for name, each in writes.items():
        for write in each:
            others = _others(catalog, write)
            alone = 1.0 if write.columns is None else _ALONE
            is_hot = write.columns is not None and _stays_hot(catalog, write)
            most = measured.get(name, math.inf) / (1 if is_hot else 1 + others)
            weight = weights[name]
            if write.columns is not None and usual is not None:
                weight = min(weight, usual.get(name, weight))
            entry = weight * write.rows * alone
            if write.columns is not None and block is not None:
                entry = max(entry, block.get(name, 0.0) * write.rows * _BLOCKS)
            entry = min(entry, most)
            found.append(Burden(write.table, entry, write.columns, is_hot, others, write.constants))
    return found


@dataclass(frozen=True, slots=True)
class Burden:
    """Rows that a statement changes in a table: what one entry in an index for them costs, weighted.

    ``is_hot``: an UPDATE that changes none of the ``others``, the indexes that are there.
    """

    table: tuple[str, str]
    entry: float
    columns: frozenset[str] | None
    is_hot: bool
    others: int
    constants: Mapping[str, str | None] = field(default_factory=dict)

    def concerns(self, index: Candidate) -> bool:
        """Tell whether the index is on this table."""
        return self.table == (index.schema, index.table)

    def ends_hot(self, index: Candidate) -> bool:
        """Tell whether updates that are HOT would no longer be, for the index contains what they set."""
        is_touched = index.method != "brin" and bool(columns(index) & (self.columns or frozenset()))
        return self.is_hot and self.concerns(index) and is_touched

    def cost(self, indexes: Iterable[Candidate]) -> float:
        """Return what a set costs."""
        new = [i for i in indexes if self.concerns(i)]
        return self.of_entries(sum(map(self.entries_of, new)), any(map(self.ends_hot, new)))

    def entries_of(self, index: Candidate) -> float:
        """Return what an index costs for a changed row, 1 for an entry in a B-tree; nothing if its predicate leaves the row out."""
        return 0.0 if leaves_out(index.predicate, self.constants) else _ENTRY.get(index.method, 1.0)

    def of_entries(self, new: float, ends_hot: bool) -> float:
        """Return the cost of entries in ``new`` indexes, and in those that are there and for VACUUM if these end HOT updates."""
        if self.is_hot and not ends_hot:
            return 0.0
        return self.entry * (new + (self.others + _VACUUMED) * ends_hot)

    def part(self, index: Candidate, indexes: Collection[Candidate]) -> float:
        """Return an index's part of what a set costs, so that the parts add up: those that end HOT updates share this."""
        if not self.concerns(index) or not self.cost(indexes):
            return 0.0
        ending = sum(map(self.ends_hot, indexes))
        shared = (self.others + _VACUUMED) / ending if ending and self.ends_hot(index) else 0.0
        return self.entry * (self.entries_of(index) + shared)


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
    """Return by table how many entries a changed row gets in indexes, with new ones, beside those that every inserted row gets now.

    Those that are always added at the end of an index count less, as do those in partial indexes that few rows are in.
    """
    new = list(indexes)
    found: dict[tuple[str, str], float] = {}
    for write in changes:
        here = [i for i in new if (i.schema, i.table) == write.table]
        is_hot = write.columns is not None and _stays_hot(catalog, write)
        is_ended = is_hot and any(columns(i) & (write.columns or frozenset()) for i in here)
        here = [i for i in here if not leaves_out(i.predicate, write.constants)]
        made = sum(_AT_END if _is_appended(i, catalog, write) else 1.0 for i in here)
        kept = 0.0 if write.columns is None else _kept(catalog, write)
        found[write.table] = 0.0 if is_hot and not is_ended else made + kept
    return found


def _kept(catalog: Catalog, write: Write) -> float:
    """Return how many entries an updated row gets in the indexes that are there, unless that is HOT."""
    table = catalog.by_name[write.table]
    here = catalog.indexes_of.get(table.oid, ())
    return sum(min(1.0, i.rows / max(1.0, table.rows)) if i.predicate else 1.0 for i in here)


def _is_appended(index: Candidate, catalog: Catalog, write: Write) -> bool:
    """Tell whether rows are inserted in the order of an index, so that its last page, which is known, takes the entry."""
    column = catalog.by_name[write.table].columns.get(index.keys[0].column or "")
    if write.columns is not None or index.method != "btree" or column is None:
        return False
    return (column.correlation or 0.0) > _ORDERED and column.distinct > _VARIOUS


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


def _constants(text: str) -> dict[str, str | None]:
    """Return the columns that a statement sets to a constant, unless it updates several tables."""
    targets = updated(text)
    return dict(targets[0].constants) if len(targets) == 1 else {}
