"""How much an action reads: how long that takes depends on the machine and its load, which nobody knows beforehand."""

from collections.abc import Iterable, Iterator
from typing import Any

from pglast import ast
from pglast.enums import AlterTableType, ConstrType, ReindexObjectType

from pgwatch_wed.facts import Snapshot, Table
from pgwatch_wed.findings import Remedy
from pgwatch_wed.postgres import cardinality, named
from pgwatch_wed.postgres import indexes as ix
from pgwatch_wed.postgres.key_groups import BLOCKS_A_TARGET
from pgwatch_wed.remedies.actions.proposals import TablePath, path, read
from pgwatch_wed.remedies.progress_queries import is_concurrent
from pgwatch_wed.sqltext import trees

_CONCURRENTLY = 2  # scans: one builds the index, one adds what was written meanwhile
_SCANNED = (
    *(AlterTableType.AT_SetNotNull, AlterTableType.AT_ValidateConstraint),
    AlterTableType.AT_AlterColumnType,
)


def read_bytes(snapshot: Snapshot, steps: Iterable[Remedy]) -> int | None:
    """Return about how many bytes of tables and indexes some statements read; None if that is not known.

    CONCURRENTLY reads a table twice, and VACUUM what is not frozen, with all indexes. What is written or sorted does not count.
    """
    total = 0
    for step in steps:
        try:
            parts = read(step.sql)[0]
        except trees.UnreadableError:
            return None
        for part in parts:
            size = _of_statement(snapshot, part.node)
            if size is None:
                return None
            total += size
    return total


def _of_statement(snapshot: Snapshot, node: Any) -> int | None:
    match node:
        case ast.IndexStmt(relation=ast.RangeVar(inh=False)):
            return 0  # ON ONLY: an empty one, to which those of partitions are attached
        case ast.IndexStmt():
            return _times(_heap(snapshot, path(node.relation)), node)
        case ast.ReindexStmt():
            return _of_reindex(snapshot, node)
        case ast.VacuumStmt():
            return _of_vacuum(snapshot, node)
        case ast.ClusterStmt() | ast.RefreshMatViewStmt():
            return None
        case ast.AlterTableStmt():
            scanned = [_heap(snapshot, p) for p in _scanned(node)]
            return _sum(scanned)
        case _:
            return 0


def _times(size: int | None, node: Any) -> int | None:
    return size * _CONCURRENTLY if size is not None and is_concurrent(node) else size


def _of_reindex(snapshot: Snapshot, node: Any) -> int | None:
    if node.relation is None:
        return None
    schema, name = path(node.relation)
    if node.kind == ReindexObjectType.REINDEX_OBJECT_TABLE:
        table = named.table(snapshot, schema or None, name)
        of_table = snapshot.indexes_of[table.oid] if table else ()
        return _times(_sum([_heap(snapshot, (schema, name))] * len(of_table)), node)
    found = [i for i in snapshot.indexes if (i.schema, i.name) == (schema, name)]
    owner = snapshot.table_by_oid.get(found[0].table_oid) if found else None
    return _times(_heap(snapshot, (owner.schema, owner.name)), node) if owner else None


def _of_vacuum(snapshot: Snapshot, node: Any) -> int | None:
    if not node.rels:
        return None
    options = {option.defname for option in node.options or ()}
    tables = [_table(snapshot, path(r.relation)) for r in node.rels]
    sizes: list[int | None] = []
    for table in tables:
        if table is None or not _is_measured(snapshot, table):
            return None
        if node.is_vacuumcmd:
            is_full = "full" in options
            sizes += [_vacuumed(snapshot, one, is_full=is_full) for one in _parts(snapshot, table)]
        if not node.is_vacuumcmd or "analyze" in options:
            blocks = BLOCKS_A_TARGET * max(cardinality.target(snapshot, table), 1)
            heap = ix.table_bytes(snapshot, table)
            sizes.append(min(heap, blocks * snapshot.server.block_size))
    return _sum(sizes)


def _vacuumed(snapshot: Snapshot, table: Table, *, is_full: bool) -> int:
    skipped = 0 if is_full else table.all_frozen_pages or 0
    heap = max(table.pages - skipped, 0) + (table.toast_pages or 0)
    indexes = 0 if is_full else sum(i.pages for i in snapshot.indexes_of[table.oid])
    return (heap + indexes) * snapshot.server.block_size


def _scanned(node: Any) -> Iterator[TablePath]:
    """Yield the tables that ALTER TABLE reads, each time that it does; a rewrite reads all."""
    mine = path(node.relation)
    if any(command.subtype in _SCANNED for command in node.cmds or ()):
        yield mine
    for command in node.cmds or ():
        added = command.def_
        if command.subtype != AlterTableType.AT_AddConstraint or added.skip_validation:
            continue
        if added.contype == ConstrType.CONSTR_CHECK:
            yield mine
        if added.contype == ConstrType.CONSTR_FOREIGN:
            yield from (mine, path(added.pktable))
        if added.contype in (ConstrType.CONSTR_PRIMARY, ConstrType.CONSTR_UNIQUE):
            yield from () if added.indexname else (mine,)


def _heap(snapshot: Snapshot, where: TablePath) -> int | None:
    table = _table(snapshot, where)
    if table is None or not _is_measured(snapshot, table):
        return None
    return ix.table_bytes(snapshot, table)


def _is_measured(snapshot: Snapshot, table: Table) -> bool:
    """Tell whether a table's size is in the catalog: before its first VACUUM or ANALYZE, it is not.

    Before 14, no pages may also mean that it is empty.
    """
    told = snapshot.server.features.has_uncounted_rows()
    stored = (t for t in _parts(snapshot, table) if t.kind != "p")
    return all(t.rows >= 0 and (bool(told) or t.pages > 0) for t in stored)


def _table(snapshot: Snapshot, where: TablePath) -> Table | None:
    return named.table(snapshot, where[0] or None, where[1])


def _parts(snapshot: Snapshot, table: Table) -> Iterator[Table]:
    parts = (snapshot.table_by_oid.get(oid) for oid in ix.partitions(snapshot, table.oid))
    return (t for t in parts if t is not None)


def _sum(sizes: Iterable[int | None]) -> int | None:
    known = list(sizes)
    return None if None in known else sum(s for s in known if s is not None)
