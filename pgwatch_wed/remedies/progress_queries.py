"""Queries that tell whether a statement still has to run, and what an interrupted one has left.

A failed CREATE INDEX CONCURRENTLY leaves an invalid index, which has the name: IF NOT EXISTS would take it for the
index.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from pglast import ast
from pglast.enums import (
    AlterTableType,
    ConstrType,
    ObjectType,
    ReindexObjectType,
    TransactionStmtKind,
)

from pgwatch_wed.quote import ident, literal
from pgwatch_wed.sqltext import trees

_AND = "\n    AND"
_RELATIONS = (
    *(ObjectType.OBJECT_INDEX, ObjectType.OBJECT_TABLE, ObjectType.OBJECT_SEQUENCE),
    *(ObjectType.OBJECT_VIEW, ObjectType.OBJECT_MATVIEW),
)


def needed(node: Any) -> str:
    """Return a query that tells whether a statement still has to run; "" if it always may."""
    match node:
        case ast.IndexStmt(idxname=str(name)):
            return _unless(_index(node, name, must_be_valid=bool(node.concurrent)))
        case ast.AlterTableStmt(objtype=ObjectType.OBJECT_INDEX):
            return f"SELECT {_oid(node.relation)} IS NOT NULL"
        case ast.AlterTableStmt():
            return _any(filter(None, (_change(node, c) for c in node.cmds or ())))
        case ast.DropStmt():
            return _drop(node)
        case ast.CreateStatsStmt():
            *schema, name = trees.names(node.defnames)
            return _unless(_statistics(schema, name))
        case ast.CreateDomainStmt():
            return f"SELECT pg_catalog.to_regtype({_path(trees.names(node.domainname))}) IS NULL"
        case ast.CreateExtensionStmt(extname=str(name)):
            return _unless(f"pg_catalog.pg_extension WHERE extname = {literal(name)}")
        case ast.RenameStmt(relation=ast.RangeVar() as old):
            return f"SELECT {_oid(old)} IS NOT NULL"
        case ast.ReindexStmt(relation=ast.RangeVar() as old):
            return f"SELECT {_oid(old)} IS NOT NULL"
        case ast.TransactionStmt(kind=TransactionStmtKind.TRANS_STMT_ROLLBACK_PREPARED):
            here = "database = pg_catalog.current_database()"
            gid = literal(str(node.gid))
            return _if(f"pg_catalog.pg_prepared_xacts WHERE gid = {gid} AND {here}")
        case ast.SelectStmt(targetList=(ast.ResTarget(val=ast.FuncCall() as call),)):
            return _slot(call)
        case _:
            return ""


def _any(queries: Iterable[str]) -> str:
    """Return the query for a statement of several commands: if only some are done, somebody else did them, and it must fail."""
    found = list(queries)
    if len(found) < 2:
        return "".join(found)
    each = "\n    OR ".join(f"({query})" for query in found)
    return f"SELECT ({each})"


def _if(rows: str) -> str:
    return f"SELECT EXISTS (SELECT FROM {rows})"


def _unless(rows: str) -> str:
    return f"SELECT NOT EXISTS (SELECT FROM {rows})"


def _oid(relation: Any) -> str:
    names = (relation.schemaname, relation.relname)
    return f"pg_catalog.to_regclass({_path(tuple(filter(None, names)))})"


def _path(names: tuple[str, ...]) -> str:
    return literal(ident(*names))


def _index(node: Any, name: str, *, must_be_valid: bool) -> str:
    valid = f"{_AND} i.indisvalid" if must_be_valid else ""
    return (
        "pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid"
        f"\n    WHERE i.indrelid = {_oid(node.relation)}::pg_catalog.oid{_AND} c.relname = {literal(name)}{valid}"
    )


def _statistics(schema: list[str], name: str) -> str:
    within = f" AND n.nspname = {literal(schema[0])}" if schema else ""
    return (
        "pg_catalog.pg_statistic_ext s JOIN pg_catalog.pg_namespace n ON n.oid = s.stxnamespace"
        f"\n    WHERE s.stxname = {literal(name)}{within}"
    )


def _change(node: Any, command: Any) -> str:
    """Return the query for a command of ALTER TABLE; the others may be repeated."""
    table = _oid(node.relation)
    match command.subtype:
        case AlterTableType.AT_AddColumn:
            return _unless(_column(table, str(command.def_.colname)))
        case AlterTableType.AT_DropColumn:
            return _if(_column(table, str(command.name)))
        case AlterTableType.AT_AddConstraint if command.def_.conname:
            return _unless(_constraint(table, str(command.def_.conname))) + _using(node, command)
        case AlterTableType.AT_AddConstraint if command.def_.contype == ConstrType.CONSTR_PRIMARY:
            key = f"pg_catalog.pg_constraint WHERE conrelid = {table}::pg_catalog.oid"
            return _unless(f"{key} AND contype = 'p'")
        case AlterTableType.AT_DropConstraint:
            return _if(_constraint(table, str(command.name)))
        case _:
            return ""


def own_key_columns(node: Any, forward: Sequence[Any]) -> str:
    """Return the condition that the columns that an undo drops are in the primary key that they were added with."""
    if not isinstance(node, ast.AlterTableStmt):
        return ""
    ours = {column for each in forward for column in _key_columns(each)}
    gone = (c.name for c in node.cmds or () if c.subtype == AlterTableType.AT_DropColumn)
    table = _oid(node.relation)
    return f"{_AND} ".join(_in_key(table, str(n)) for n in gone if (table, str(n)) in ours)


def _key_columns(node: Any) -> Iterator[tuple[str, str]]:
    """Yield each column that a statement adds together with a primary key that has it, with its table."""
    if not isinstance(node, ast.AlterTableStmt):
        return
    definitions = [c.def_ for c in node.cmds or ()]
    keys = [
        k
        for k in definitions
        if isinstance(k, ast.Constraint) and k.contype == ConstrType.CONSTR_PRIMARY
    ]
    named = {name for key in keys for name in trees.names(key.keys or ())}
    added = (str(d.colname) for d in definitions if isinstance(d, ast.ColumnDef))
    yield from ((_oid(node.relation), name) for name in added if name in named)


def _in_key(table: str, column: str) -> str:
    return (
        "EXISTS (SELECT FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_attribute a"
        " ON a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey)"
        f"\n    WHERE k.conrelid = {table}::pg_catalog.oid{_AND} k.contype = 'p'"
        f"{_AND} a.attname = {literal(column)})"
    )


def _using(node: Any, command: Any) -> str:
    """Return the condition that the index that a constraint is to take over is still there."""
    name = command.def_.indexname
    if name is None:
        return ""
    index = _path(tuple(filter(None, (node.relation.schemaname, name))))
    return f"{_AND} pg_catalog.to_regclass({index}) IS NOT NULL"


def _column(table: str, name: str) -> str:
    where = f"attrelid = {table}::pg_catalog.oid AND attname = {literal(name)}"
    return f"pg_catalog.pg_attribute\n    WHERE {where}{_AND} attnum > 0 AND NOT attisdropped"


def _constraint(table: str, name: str) -> str:
    where = f"conrelid = {table}::pg_catalog.oid AND conname = {literal(name)}"
    return f"pg_catalog.pg_constraint\n    WHERE {where}"


def _drop(node: Any) -> str:
    if len(node.objects or ()) != 1:
        return ""
    (dropped,) = node.objects
    match node.removeType:
        case kind if kind in _RELATIONS:
            return f"SELECT pg_catalog.to_regclass({_path(trees.names(dropped))}) IS NOT NULL"
        case ObjectType.OBJECT_STATISTIC_EXT:
            *schema, name = trees.names(dropped)
            return _if(_statistics(schema, name))
        case ObjectType.OBJECT_DOMAIN:
            names = trees.names(dropped.names)
            return f"SELECT pg_catalog.to_regtype({_path(names)}) IS NOT NULL"
        case ObjectType.OBJECT_EXTENSION:
            return _if(f"pg_catalog.pg_extension WHERE extname = {literal(str(dropped.sval))}")
        case _:
            return ""


def _slot(call: Any) -> str:
    match call.args:
        case (ast.A_Const(val=ast.String(sval=str(name))),) if (
            trees.names(call.funcname)[-1] == "pg_drop_replication_slot"
        ):
            return _if(f"pg_catalog.pg_replication_slots WHERE slot_name = {literal(name)}")
        case _:
            return ""


# What an interrupted statement has left


def leftover(node: Any) -> str:
    """Return a query for the statements that remove an invalid index of exactly this name on this table."""
    match node:
        case ast.IndexStmt(idxname=str(name)) if node.concurrent:
            return _drops(f"{_index(node, name, must_be_valid=False)}{_AND} {_UNUSED}")
        case ast.ReindexStmt(kind=ReindexObjectType.REINDEX_OBJECT_INDEX) if is_concurrent(node):
            return _drops(f"{_copies(node.relation)}{_AND} {_UNUSED}")
        case _:
            return ""


# An index that another session is building is invalid, too; that session has a lock on the table.
_UNUSED = (
    "NOT i.indisvalid AND c.relkind = 'i' AND NOT c.relispartition"
    "\n    AND NOT EXISTS (SELECT FROM pg_catalog.pg_locks l WHERE l.relation = i.indrelid"
    " AND l.mode = 'ShareUpdateExclusiveLock'"
    "\n        AND l.pid <> pg_catalog.pg_backend_pid()"
    "\n        AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()))"
)


def _drops(indexes: str) -> str:
    drop = "pg_catalog.format('DROP INDEX CONCURRENTLY %s', c.oid::pg_catalog.regclass)"
    return f"SELECT {drop}\n    FROM {indexes}"


def remains(indexes: Iterable[tuple[str, str]], *, is_partitioned: bool) -> str:
    """Return a query for the statements that drop indexes that still exist, and that nothing depends on."""
    oids = ", ".join(f"pg_catalog.to_regclass({_path(path)})::pg_catalog.oid" for path in indexes)
    drop, kind = ("DROP INDEX %s", "I") if is_partitioned else ("DROP INDEX CONCURRENTLY %s", "i")
    return (
        f"SELECT pg_catalog.format('{drop}', c.oid::pg_catalog.regclass)"
        f"\n    FROM pg_catalog.pg_class c WHERE c.oid IN ({oids})"
        f"{_AND} c.relkind = '{kind}' AND NOT c.relispartition"
        f"{_AND} NOT EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.conindid = c.oid)"
    )


def _copies(index: Any) -> str:
    """Return the copies that REINDEX CONCURRENTLY makes of an index: its name, shortened if need be, with an ending."""
    ending = "'_cc(new|old)[0-9]*$'"
    return (
        "pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid"
        f"\n    JOIN pg_catalog.pg_index o ON o.indrelid = i.indrelid AND o.indexrelid = {_oid(index)}::pg_catalog.oid"
        f"\n    WHERE c.relname ~ {ending}{_AND} pg_catalog.starts_with({literal(str(index.relname))},"
        f" pg_catalog.regexp_replace(c.relname::pg_catalog.text, {ending}, ''))"
    )


def is_concurrent(node: Any) -> bool:
    """Tell whether a statement is to block nobody."""
    match node:
        case ast.IndexStmt() | ast.DropStmt():
            return bool(node.concurrent)
        case ast.ReindexStmt():
            return any(p.defname == "concurrently" for p in node.params or ())
        case ast.AlterTableStmt():
            parts = (c.def_ for c in node.cmds or ())
            return any(isinstance(p, ast.PartitionCmd) and p.concurrent for p in parts)
        case _:
            return False
