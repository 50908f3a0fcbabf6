"""Which tables a statement updates, which of their columns it sets, and to what as far as that is constant."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from pglast import ast

from pgwatch_wed.sqltext import trees

_UPDATE = "CMD_UPDATE"


@dataclass(frozen=True, slots=True)
class UpdateTarget:
    """A table as a statement names it, and the columns that it sets; ``constants`` are those that are set to one, None for NULL."""

    schema: str | None
    table: str
    columns: frozenset[str]
    constants: tuple[tuple[str, str | None], ...] = ()


def targets(nodes: Iterable[Any]) -> Iterator[UpdateTarget]:
    """Yield what a statement updates: with UPDATE, ON CONFLICT DO UPDATE or MERGE, including within WITH."""
    for node in nodes:
        if isinstance(node, ast.UpdateStmt):
            yield from _target(node.relation, node.targetList)
        elif isinstance(node, ast.InsertStmt) and node.onConflictClause is not None:
            yield from _target(node.relation, node.onConflictClause.targetList)
        elif isinstance(node, ast.MergeStmt):
            clauses = (c for c in node.mergeWhenClauses or () if c.commandType.name == _UPDATE)
            yield from _target(node.relation, [t for c in clauses for t in c.targetList or ()])


def _target(relation: Any, sets: Any) -> Iterator[UpdateTarget]:
    columns = frozenset(str(t.name) for t in sets or () if t.name)
    if relation is not None and columns:
        fixed = tuple(_constants(sets))
        yield UpdateTarget(relation.schemaname, str(relation.relname), columns, fixed)


def _constants(sets: Any) -> Iterator[tuple[str, str | None]]:
    for each in sets:
        value = trees.without_casts(each.val)
        if isinstance(value, ast.A_Const):
            yield str(each.name), trees.constant(value)
