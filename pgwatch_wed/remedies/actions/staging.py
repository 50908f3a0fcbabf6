"""When a statement is due, by its kind."""

from collections.abc import Iterable
from typing import Any

from pglast import ast
from pglast.enums import AlterTableType, ObjectType

from pgwatch_wed.facts import Snapshot
from pgwatch_wed.findings import ActionStage
from pgwatch_wed.remedies.actions.proposals import Proposal, SqlPart, functions, setting_name

SIGNALS = frozenset(("pg_cancel_backend", "pg_terminate_backend"))
RELOAD = "pg_reload_conf"
_GENTLE = (
    *(AlterTableType.AT_SetRelOptions, AlterTableType.AT_ResetRelOptions),
    *(AlterTableType.AT_SetOptions, AlterTableType.AT_ResetOptions),
    AlterTableType.AT_SetStatistics,
)
_ORDER = tuple(ActionStage)
_SETTINGS = (
    *(ast.AlterRoleSetStmt, ast.AlterRoleStmt, ast.AlterDatabaseSetStmt, ast.AlterDatabaseStmt),
    *(ast.GrantStmt, ast.GrantRoleStmt, ast.CreateExtensionStmt, ast.AlterExtensionStmt),
    ast.VariableSetStmt,
)
_MAINTENANCE = (ast.VacuumStmt, ast.CreateStatsStmt, ast.AlterStatsStmt, ast.DoStmt)
_INDEXES = (
    *(ast.IndexStmt, ast.ReindexStmt, ast.AlterCollationStmt, ast.AlterDatabaseRefreshCollStmt),
    *(ast.CommentStmt, ast.RenameStmt),
)


def stage_of(proposal: Proposal) -> ActionStage:
    """Return the stage in which a finding can be closed: the latest of its statements."""
    return latest(stage_of_part(part, proposal.snapshot) for part in proposal.main)


def latest(stages: Iterable[ActionStage]) -> ActionStage:
    """Return the stage that comes last."""
    return max(stages, key=_ORDER.index)


def stage_of_part(part: SqlPart, snapshot: Snapshot) -> ActionStage:
    """Return the stage of one statement."""
    node = part.node
    match node:
        case ast.SelectStmt():
            return _of_functions(part)
        case ast.TransactionStmt():
            return ActionStage.SESSIONS
        case ast.AlterSystemStmt():
            setting = snapshot.setting_by_name.get(setting_name(node))
            needs_restart = setting is not None and setting.context == "postmaster"
            return ActionStage.RESTART if needs_restart else ActionStage.SETTINGS
        case ast.AlterTableStmt() | ast.DropStmt():
            return _of_relation(node)
    if isinstance(node, _SETTINGS):
        return ActionStage.SETTINGS
    if isinstance(node, _MAINTENANCE):
        return ActionStage.MAINTENANCE
    return ActionStage.INDEXES if isinstance(node, _INDEXES) else ActionStage.SCHEMA


def _of_functions(part: SqlPart) -> ActionStage:
    called = functions(part)
    if called & SIGNALS:
        return ActionStage.SESSIONS
    return ActionStage.SETTINGS if RELOAD in called else ActionStage.MAINTENANCE


def _of_relation(node: Any) -> ActionStage:
    if isinstance(node, ast.DropStmt):
        is_index = node.removeType == ObjectType.OBJECT_INDEX
        return ActionStage.INDEXES if is_index else ActionStage.SCHEMA
    kinds = {command.subtype for command in node.cmds or ()}
    if node.objtype == ObjectType.OBJECT_INDEX or kinds == {AlterTableType.AT_DropConstraint}:
        return ActionStage.INDEXES
    return ActionStage.MAINTENANCE if kinds <= set(_GENTLE) else ActionStage.SCHEMA
