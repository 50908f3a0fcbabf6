"""Which tables a statement updates, and which of their columns it sets."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from pglast import ast

_UPDATE = "CMD_UPDATE"


@dataclass(frozen=True, slots=True)
class UpdateTarget:
    """A table as a statement names it, and the columns that it sets."""

    schema: str | None
    table: str
    columns: frozenset[str]


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
        yield UpdateTarget(relation.schemaname, str(relation.relname), columns)
