"""Statements of a plan that can be run again: what is done is skipped, what an interrupted one has left is removed.

A script that stops half-way, for example because a lock was not to be had in time, is then simply run again. Each
statement has a query that tells whether it still has to run.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pglast import ast

from pgwatch_wed.findings import Action
from pgwatch_wed.remedies import progress_queries
from pgwatch_wed.remedies.progress_queries import is_concurrent
from pgwatch_wed.remedies.stand_ins import StandIns, built, dropped
from pgwatch_wed.sqltext import trees
from pgwatch_wed.sqltext.fragments import Fragment, fragments

NO_LIMIT = "0"
"""CONCURRENTLY waits for other transactions: a limit would leave an invalid index, and nobody waits behind it."""
SHORT = "2s"
"""While a statement waits for a lock that blocks others, those wait, too."""


class StepKind(StrEnum):
    """What a statement changes."""

    SCHEMA = "schema"
    REBUILD = "rebuild"  # REINDEX
    MAINTENANCE = "maintenance"  # VACUUM, ANALYZE, CLUSTER
    SETTING = "setting"
    RELOAD = "reload"
    OTHER = "other"  # sessions, slots, rows, grants
    COMMENT = "comment"


_SCHEMA = (
    *(ast.IndexStmt, ast.DropStmt, ast.AlterTableStmt, ast.CreateStatsStmt, ast.AlterStatsStmt),
    *(ast.CreateDomainStmt, ast.AlterDomainStmt, ast.AlterSeqStmt, ast.RenameStmt, ast.CommentStmt),
    *(ast.CreateExtensionStmt, ast.AlterExtensionStmt),
)
_MAINTENANCE = (ast.VacuumStmt, ast.ClusterStmt, ast.RefreshMatViewStmt)
_SETTINGS = (ast.AlterSystemStmt, ast.AlterRoleSetStmt, ast.AlterDatabaseSetStmt)


@dataclass(frozen=True, slots=True)
class ResumableStep:
    """One statement, without a semicolon, or a comment.

    ``needed`` is a query that tells whether it still has to run ("" if it always may), ``leftover`` one that returns
    the statements that remove what an interrupted run left. ``sql`` is empty if that is all there is to do.
    ``is_alone``: it cannot run in a transaction block.
    """

    sql: str
    kind: StepKind
    needed: str = ""
    leftover: str = ""
    is_alone: bool = False
    lock_timeout: str = SHORT


def steps(script: str, undoes: Sequence[Any] | None = None) -> tuple[ResumableStep, ...]:
    """Return the statements and comments of a remedy, or of an undo of other statements."""
    parts = fragments(script)
    stand_ins = StandIns.of([part.node for part in parts], undoes)
    return tuple(_step(each, stand_ins, undoes or ()) for each in parts)


def _step(part: Fragment, stand_ins: StandIns, undoes: Sequence[Any]) -> ResumableStep:
    if part.is_comment:
        return ResumableStep(part.text, StepKind.COMMENT)
    condition = stand_ins.condition(part.node) or progress_queries.own_key_columns(
        part.node, undoes
    )
    return ResumableStep(
        sql=part.text,
        kind=_kind(part.node),
        needed=_both(progress_queries.needed(part.node), condition),
        leftover=progress_queries.leftover(part.node),
        is_alone=_is_alone(part.node),
        lock_timeout=NO_LIMIT if _waits_harmlessly(part.node) else SHORT,
    )


def _both(query: str, condition: str) -> str:
    return f"{query or 'SELECT true'}\n    AND ({condition})" if condition else query


def _kind(node: Any) -> StepKind:
    if isinstance(node, ast.SelectStmt) and "pg_reload_conf" in set(_called(node)):
        return StepKind.RELOAD
    for kind, types in (
        (StepKind.SCHEMA, _SCHEMA),
        (StepKind.REBUILD, (ast.ReindexStmt,)),
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
            return is_concurrent(node)


def _waits_harmlessly(node: Any) -> bool:
    return isinstance(node, ast.VacuumStmt) or is_concurrent(node)


# Blocks


@dataclass(frozen=True, slots=True)
class StepBlock:
    """Steps that belong together; in one transaction if they may be and are more than one."""

    steps: tuple[ResumableStep, ...]
    is_transaction: bool = False


def blocks(
    script: str, *, in_transaction: bool = True, undoes: Sequence[Any] | None = None
) -> tuple[StepBlock, ...]:
    """Divide a remedy into what is to be done at once, and what has to be, or better is, done by itself.

    ANALYZE comes after the transaction: within, it would keep the locks.
    """
    done: list[StepBlock] = []
    together: list[ResumableStep] = []
    for step in steps(script, undoes):
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


def blocks_of(action: Action) -> tuple[StepBlock, ...]:
    """Return what an action does."""
    found = (blocks(s.sql, in_transaction=s.in_transaction) for s in action.statements)
    return tuple(block for some in found for block in some)


def undo_blocks_of(action: Action) -> tuple[StepBlock, ...]:
    """Return what takes an action back, also one that was interrupted: an index not yet attached is not dropped with its parent."""
    forward = _nodes(s.sql for s in action.statements)
    back = tuple(block for sql in action.undo for block in blocks(sql, undoes=forward))
    ours = {p for n in forward if isinstance(n, ast.IndexStmt) for p in built(n)}
    told = {p for n in _nodes(action.undo) for p in _told(n)}
    left = sorted(ours - told)
    if not left or all(s.kind is StepKind.COMMENT for block in back for s in block.steps):
        return back
    return (*back, *(StepBlock((step,)) for step in _rest(left)))


def _rest(indexes: Sequence[tuple[str, str]]) -> Iterator[ResumableStep]:
    """Yield what removes new indexes that are still there: those of partitioned tables first, with what is attached."""
    for is_partitioned, limit in ((True, SHORT), (False, NO_LIMIT)):
        query = progress_queries.remains(indexes, is_partitioned=is_partitioned)
        yield ResumableStep("", StepKind.SCHEMA, leftover=query, is_alone=True, lock_timeout=limit)


def _nodes(scripts: Iterable[str]) -> list[Any]:
    return [part.node for sql in scripts for part in fragments(sql)]


def _told(node: Any) -> Iterator[tuple[str, str]]:
    """Yield the indexes that an undo names; with a constraint goes its index only if it has it already."""
    yield from (*built(node), *_renamed(node))
    if isinstance(node, ast.DropStmt):
        yield from dropped(node)


def _renamed(node: Any) -> Iterator[tuple[str, str]]:
    yield from StandIns.of([node]).renamed.values()
