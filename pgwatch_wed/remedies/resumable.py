"""Statements of a plan that can be run again: what is done is skipped, what an interrupted one has left is removed.

A script that stops half-way, for example because a lock was not to be had in time, is then simply run again. Each
statement has a query that tells whether it still has to run. A failed CREATE INDEX CONCURRENTLY leaves an invalid
index, which has the name: IF NOT EXISTS would take it for the index.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
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
from pgwatch_wed.sqltext.fragments import Fragment, fragments

NO_LIMIT = "0"
"""CONCURRENTLY waits for other transactions: a limit would leave an invalid index, and nobody waits behind it."""
SHORT = "2s"
"""While a statement waits for a lock that blocks others, those wait, too."""

_RELATIONS = (
    *(ObjectType.OBJECT_INDEX, ObjectType.OBJECT_TABLE, ObjectType.OBJECT_SEQUENCE),
    *(ObjectType.OBJECT_VIEW, ObjectType.OBJECT_MATVIEW),
)


class StepKind(StrEnum):
    """What a statement changes."""

    SCHEMA = "schema"
    MAINTENANCE = "maintenance"  # VACUUM, ANALYZE, REINDEX
    SETTING = "setting"
    RELOAD = "reload"
    OTHER = "other"  # sessions, slots, rows, grants
    COMMENT = "comment"


_AND = "\n    AND"
_SCHEMA = (
    *(ast.IndexStmt, ast.DropStmt, ast.AlterTableStmt, ast.CreateStatsStmt, ast.AlterStatsStmt),
    *(ast.CreateDomainStmt, ast.AlterDomainStmt, ast.AlterSeqStmt, ast.RenameStmt, ast.CommentStmt),
    *(ast.CreateExtensionStmt, ast.AlterExtensionStmt),
)
_MAINTENANCE = (ast.VacuumStmt, ast.ReindexStmt, ast.ClusterStmt, ast.RefreshMatViewStmt)
_SETTINGS = (ast.AlterSystemStmt, ast.AlterRoleSetStmt, ast.AlterDatabaseSetStmt)


@dataclass(frozen=True, slots=True)
class ResumableStep:
    """One statement, without a semicolon, or a comment.

    ``needed`` is a query that tells whether it still has to run ("" if it always may), ``leftover`` one that returns
    the statements that remove what an interrupted run left. ``is_alone``: it cannot run in a transaction block.
    """

    sql: str
    kind: StepKind
    needed: str = ""
    leftover: str = ""
    is_alone: bool = False
    lock_timeout: str = SHORT


def steps(script: str) -> tuple[ResumableStep, ...]:
    """Return the statements and comments of a remedy or an undo."""
    return tuple(_step(each) for each in fragments(script))


def _step(part: Fragment) -> ResumableStep:
    if part.is_comment:
        return ResumableStep(part.text, StepKind.COMMENT)
    return ResumableStep(
        sql=part.text,
        kind=_kind(part.node),
        needed=_needed(part.node),
        leftover=_leftover(part.node),
        is_alone=_is_alone(part.node),
        lock_timeout=NO_LIMIT if _waits_harmlessly(part.node) else SHORT,
    )


def _kind(node: Any) -> StepKind:
    if isinstance(node, ast.SelectStmt) and "pg_reload_conf" in set(_called(node)):
        return StepKind.RELOAD
    for kind, types in (
        (StepKind.SCHEMA, _SCHEMA),
        (StepKind.MAINTENANCE, _MAINTENANCE),
        (StepKind.SETTING, _SETTINGS),
    ):
        if isinstance(node, types):
            return kind
    return StepKind.OTHER


def _called(node: Any) -> Iterator[str]:
    calls = (n for n in trees.walk(node) if isinstance(n, ast.FuncCall))
    return (trees.names(call.funcname)[-1] for call in calls)


# Transactions and locks


def _is_alone(node: Any) -> bool:
    match node:
        case None | ast.AlterSystemStmt() | ast.ReindexStmt() | ast.TransactionStmt():
            return True
        case ast.VacuumStmt():
            return bool(node.is_vacuumcmd)
        case ast.ClusterStmt():
            return node.relation is None
        case _:
            return _is_concurrent(node)


def _is_concurrent(node: Any) -> bool:
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


def _waits_harmlessly(node: Any) -> bool:
    return isinstance(node, ast.VacuumStmt) or _is_concurrent(node)


# What is done already


def _needed(node: Any) -> str:
    match node:
        case ast.IndexStmt(idxname=str(name)):
            return _unless(_index(node, name, must_be_valid=bool(node.concurrent)))
        case ast.AlterTableStmt():
            return next(filter(None, (_change(node, c) for c in node.cmds or ())), "")
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
        case ast.TransactionStmt(kind=TransactionStmtKind.TRANS_STMT_ROLLBACK_PREPARED):
            here = "database = pg_catalog.current_database()"
            gid = literal(str(node.gid))
            return _if(f"pg_catalog.pg_prepared_xacts WHERE gid = {gid} AND {here}")
        case ast.SelectStmt(targetList=(ast.ResTarget(val=ast.FuncCall() as call),)):
            return _slot(call)
        case _:
            return ""


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
            return _unless(_constraint(table, str(command.def_.conname)))
        case AlterTableType.AT_AddConstraint if command.def_.contype == ConstrType.CONSTR_PRIMARY:
            key = f"pg_catalog.pg_constraint WHERE conrelid = {table}::pg_catalog.oid"
            return _unless(f"{key} AND contype = 'p'")
        case AlterTableType.AT_DropConstraint:
            return _if(_constraint(table, str(command.name)))
        case _:
            return ""


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


def _leftover(node: Any) -> str:
    match node:
        case ast.IndexStmt(idxname=str(name)) if node.concurrent:
            return _drops(f"{_index(node, name, must_be_valid=False)}{_AND} {_UNUSED}")
        case ast.ReindexStmt(kind=ReindexObjectType.REINDEX_OBJECT_INDEX) if _is_concurrent(node):
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


def _copies(index: Any) -> str:
    """Return the copies that REINDEX CONCURRENTLY makes of an index: its name, shortened if need be, with an ending."""
    ending = "'_cc(new|old)[0-9]*$'"
    return (
        "pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid"
        f"\n    JOIN pg_catalog.pg_index o ON o.indrelid = i.indrelid AND o.indexrelid = {_oid(index)}::pg_catalog.oid"
        f"\n    WHERE c.relname ~ {ending}{_AND} pg_catalog.starts_with({literal(str(index.relname))},"
        f" pg_catalog.regexp_replace(c.relname::pg_catalog.text, {ending}, ''))"
    )


# Blocks


@dataclass(frozen=True, slots=True)
class StepBlock:
    """Steps that belong together; in one transaction if they may be and are more than one."""

    steps: tuple[ResumableStep, ...]
    is_transaction: bool = False


def blocks(script: str, *, in_transaction: bool = True) -> tuple[StepBlock, ...]:
    """Divide a remedy into what is to be done at once, and what has to be, or better is, done by itself.

    ANALYZE comes after the transaction: within, it would keep the locks.
    """
    done: list[StepBlock] = []
    together: list[ResumableStep] = []
    for step in steps(script):
        is_change = step.kind in (StepKind.SCHEMA, StepKind.SETTING, StepKind.OTHER)
        if step.kind is StepKind.COMMENT or (in_transaction and is_change and not step.is_alone):
            together.append(step)
            continue
        done += [*_joined(together), StepBlock((step,))]
        together = []
    return (*done, *_joined(together))


def _joined(together: list[ResumableStep]) -> list[StepBlock]:
    changes = sum(s.kind is not StepKind.COMMENT for s in together)
    return [StepBlock(tuple(together), is_transaction=changes > 1)] if together else []
