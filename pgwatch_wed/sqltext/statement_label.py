"""A short name of a statement: its tables, and what decides which of their rows it returns, and in which order."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from pglast import ast
from pglast.enums import SortByDir
from pglast.stream import RawStream

from pgwatch_wed.sqltext import trees
from pgwatch_wed.sqltext.levels import Condition
from pgwatch_wed.sqltext.reading import Reading, read

_LONGEST = 72
_MOST_TABLES = 3
_VERBS = {
    "SelectStmt": "SELECT",
    "InsertStmt": "INSERT",
    "UpdateStmt": "UPDATE",
    "DeleteStmt": "DELETE",
    "MergeStmt": "MERGE",
}
_EQUAL = frozenset({"=", "in", "any"})
_SHOWN = {"~~": "like", "~~*": "ilike"}


def label(text: str) -> str:
    """Return such as ``SELECT orders by customer_id, created_at > order by id limit``; its first words if it cannot be read."""
    found = read(text)
    verb = _VERBS.get(found.kind)
    if found.why_not or verb is None:
        return _cut(" ".join(text.split()))
    (statement,) = trees.parse(found.text)
    parts = [verb, _tables(statement, found)]
    keys = _unique(_condition(c) for c in found.conditions)
    parts += [f"by {', '.join(keys)}"] if keys else []
    groups = _unique(_texts(getattr(statement, "groupClause", None)))
    parts += [f"group by {', '.join(groups)}"] if groups else []
    sorts = _unique(_sorted(statement))
    parts += [f"order by {', '.join(sorts)}"] if sorts else []
    parts += ["limit"] if found.has_limit else []
    return _cut(" ".join(filter(None, parts)))


def _tables(statement: Any, found: Reading) -> str:
    """Return the table that is written first, then those that are read."""
    target = [statement.relation.relname] if not isinstance(statement, ast.SelectStmt) else []
    names = _unique([*target, *(r.name for r in found.sources)])
    more = f" and {len(names) - _MOST_TABLES} more" if len(names) > _MOST_TABLES else ""
    return ", ".join(names[:_MOST_TABLES]) + more


def _condition(condition: Condition) -> str:
    operator = (
        "" if condition.operator in _EQUAL else _SHOWN.get(condition.operator, condition.operator)
    )
    return f"{_text(condition.node)} {operator}".strip()


def _texts(nodes: Any) -> Iterator[str]:
    for node in nodes or ():
        if any(isinstance(n, ast.ColumnRef) for n in trees.walk(node)):
            yield _text(node)


def _sorted(statement: Any) -> Iterator[str]:
    outputs = [target.val for target in getattr(statement, "targetList", None) or ()]
    for node in getattr(statement, "sortClause", None) or ():
        is_down = node.sortby_dir == SortByDir.SORTBY_DESC
        for text in _texts((_meant(node.node, outputs),)):
            yield f"{text} desc" if is_down else text


def _meant(node: Any, outputs: Sequence[Any]) -> Any:
    """Return the output that a number in ORDER BY means."""
    number = getattr(getattr(node, "val", None), "ival", None) or 0
    return outputs[number - 1] if 0 < number <= len(outputs) else node


def _text(node: Any) -> str:
    """Return an expression; a column without its table, and a window function without its window."""
    if isinstance(node, ast.FuncCall) and node.over is not None:
        return f"{trees.names(node.funcname)[-1]}()"
    if isinstance(node, ast.ColumnRef):
        return ".".join(trees.names(node.fields)[-1:])
    return str(RawStream()(node))


def _unique(names: Iterable[str]) -> list[str]:
    return [name for name in dict.fromkeys(names) if name]


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1].rstrip(' ,')}…"
