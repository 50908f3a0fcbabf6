"""Which indexes statements name: those that they create, drop, rebuild or need."""

from collections.abc import Iterator, Mapping
from typing import Any

from pglast import ast
from pglast.enums import AlterTableType, ObjectType

from pgwatch_wed.facts import Index, Snapshot
from pgwatch_wed.facts.derived import derived
from pgwatch_wed.postgres import indexes as ix
from pgwatch_wed.remedies.actions.proposals import SqlPart, last_two, path
from pgwatch_wed.sqltext import definitions, trees


@derived
def _by_name(snapshot: Snapshot) -> Mapping[tuple[str, str], Index]:
    return {(i.schema, i.name): i for i in snapshot.indexes}


@derived
def _by_constraint(snapshot: Snapshot) -> Mapping[tuple[str, str, str], Index]:
    found = {}
    for index in snapshot.indexes:
        table = snapshot.table_by_oid.get(index.table_oid)
        if index.constraint_name is not None and table is not None:
            found[table.schema, table.name, index.constraint_name] = index
    return found


def dropped(snapshot: Snapshot, part: SqlPart) -> Iterator[Index]:
    """Yield the existing indexes that a statement drops, by itself or with their constraint."""
    node = part.node
    if isinstance(node, ast.DropStmt) and node.removeType == ObjectType.OBJECT_INDEX:
        for names in node.objects or ():
            yield from _found(_by_name(snapshot).get(last_two(trees.names(names))))
    elif isinstance(node, ast.AlterTableStmt):
        for command in node.cmds or ():
            if command.subtype == AlterTableType.AT_DropConstraint:
                owner = (*path(node.relation), str(command.name))
                yield from _found(_by_constraint(snapshot).get(owner))


def rebuilt(snapshot: Snapshot, part: SqlPart) -> Iterator[Index]:
    """Yield the existing index that a statement rebuilds."""
    node = part.node
    if isinstance(node, ast.ReindexStmt) and node.relation is not None:
        yield from _found(_by_name(snapshot).get(path(node.relation)))


def needed(snapshot: Snapshot, part: SqlPart) -> Iterator[Index]:
    """Yield the existing indexes without which a statement fails, except for those that it drops or rebuilds."""
    node = part.node
    if not isinstance(node, ast.AlterTableStmt):
        return
    schema, name = path(node.relation)
    if node.objtype == ObjectType.OBJECT_INDEX:
        yield from _found(_by_name(snapshot).get((schema, name)))
    for command in node.cmds or ():
        yield from _found(_by_name(snapshot).get(_named(schema, command)))


def attached(snapshot: Snapshot, part: SqlPart) -> Iterator[Index]:
    """Yield the partitions' indexes that CREATE INDEX on a partitioned table attaches by itself."""
    node = part.node
    if not isinstance(node, ast.IndexStmt) or node.relation is None:
        return
    schema, name = path(node.relation)
    found = (t for t in snapshot.tables_named.get(name, ()) if t.schema == schema)
    table = next((t for t in found if t.kind == "p"), None)
    text = definitions.read(part.text)
    if table is None or text is None or not node.relation.inh:  # codespell:ignore inh
        return
    for oid in ix.partitions(snapshot, table.oid):
        for index in snapshot.indexes_of[oid] if oid != table.oid else ():
            own = definitions.read(snapshot.definition_by_oid.get(index.oid, ""))
            if own is not None and own.form == text.form:
                yield index


def _named(schema: str, command: Any) -> tuple[str, str]:
    match command.def_:
        case ast.PartitionCmd(name=ast.RangeVar() as part):
            return path(part)
        case ast.ReplicaIdentityStmt(name=str(name)):
            return schema, name
        case ast.Constraint(indexname=str(name)):
            return schema, name
    return schema, ""


def _found(index: Index | None) -> Iterator[Index]:
    if index is not None:
        yield index
