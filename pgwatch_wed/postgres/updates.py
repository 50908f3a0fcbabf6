"""Which columns statements change and how often, and which they read in a way that needs a full B-tree."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pglast import ast, parse_sql
from pglast.parser import ParseError

from pgwatch_wed.facts import Snapshot, Statement, Table
from pgwatch_wed.postgres.statements import is_tooling
from pgwatch_wed.sqltext.statement import with_casts

_MAY_UPDATE = re.compile(r"\bupdate\b|\bmerge\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class UpdateTarget:
    """A table as a statement names it, and the columns that it sets."""

    schema: str | None
    table: str
    columns: frozenset[str]


@dataclass(frozen=True, slots=True)
class Update:
    """A statement that updates a table: the columns it sets, and the rows it changed."""

    statement: Statement
    columns: frozenset[str]

    @property
    def rows(self) -> int:
        """Rows changed since the counters began."""
        return self.statement.rows


@lru_cache(maxsize=4096)
def targets(text: str) -> tuple[UpdateTarget, ...]:
    """Return what a statement updates: UPDATE, ON CONFLICT DO UPDATE, MERGE, also inside WITH."""
    if not _MAY_UPDATE.search(text):
        return ()
    try:
        statements = parse_sql(with_casts(text))
    except (ParseError, ValueError, RecursionError, UnicodeError):
        return ()
    return tuple(t for node in _walk(statements) if (t := _target(node)) is not None)


def _walk(node: Any) -> Iterator[Any]:
    if isinstance(node, tuple | list):
        for each in node:
            yield from _walk(each)
    elif isinstance(node, ast.Node):
        yield node
        for name in node:
            yield from _walk(getattr(node, name))


def _target(node: Any) -> UpdateTarget | None:
    if isinstance(node, ast.UpdateStmt):
        return _of(node.relation, node.targetList)
    if isinstance(node, ast.InsertStmt) and node.onConflictClause is not None:
        return _of(node.relation, node.onConflictClause.targetList)
    if isinstance(node, ast.MergeStmt):
        clauses = node.mergeWhenClauses or ()
        sets = [
            t for c in clauses if c.commandType.name == "CMD_UPDATE" for t in c.targetList or ()
        ]
        return _of(node.relation, sets)
    return None


def _of(relation: Any, sets: Any) -> UpdateTarget | None:
    columns = frozenset(str(t.name) for t in sets or () if t.name)
    if relation is None or not columns:
        return None
    return UpdateTarget(relation.schemaname, str(relation.relname), columns)


def updates(snapshot: Snapshot) -> dict[int, list[Update]]:
    """Return the visible updates by the OID of the table that they name.

    Nested statements count: an update in a function is like any other.
    """
    known = _tables(snapshot)
    found: dict[int, list[Update]] = {}
    for statement in snapshot.statements:
        if statement.text is None or is_tooling(statement) or not statement.rows:
            continue
        for target in targets(statement.text):
            table = _resolve(known, target)
            if table is not None:
                found.setdefault(table.oid, []).append(Update(statement, target.columns))
    return found


def _tables(snapshot: Snapshot) -> dict[str, list[Table]]:
    found: dict[str, list[Table]] = {}
    for table in snapshot.tables:
        found.setdefault(table.name, []).append(table)
    return found


def _resolve(known: dict[str, list[Table]], target: UpdateTarget) -> Table | None:
    """Find the table that a text names; None if an unqualified name exists in several schemas."""
    named = [t for t in known.get(target.table, ()) if target.schema in (None, t.schema)]
    return named[0] if len(named) == 1 else None


def reads_in_order_or_null(snapshot: Snapshot, table: Table, column: str) -> bool:
    """Tell whether a visible statement on a table needs a column's NULLs, order, minimum or maximum.

    Such statements need a full B-tree. The text is only searched for words, which errs on the safe side.
    """
    name = re.escape(column)
    wanted = re.compile(
        rf"\b{name}\"?\s+is\s+(?:not\s+distinct|null)|order\s+by[^;)]*\b{name}\b|"
        rf"\b(?:min|max)\s*\(\s*[\w.\"]*\b{name}\b",
        re.IGNORECASE,
    )
    return any(
        table.name in s.text and wanted.search(s.text) is not None
        for s in snapshot.statements
        if s.text is not None and not is_tooling(s)
    )
