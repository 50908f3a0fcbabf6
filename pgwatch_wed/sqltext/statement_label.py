"""A short name of a statement: its tables, and what decides which of their rows it returns, and in which order."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence, Set
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
_SEARCHING = frozenset({"@>", "<@", "&&", "@@", "?", "?|", "?&", "~", "~*", "<<=", ">>="})
_SHOWN = {"~~": "like", "~~*": "ilike"}


def label(text: str, ambiguous: Set[str] = frozenset()) -> str:
    """Return such as ``SELECT orders by customer_id, created_at > order by id limit``; its first words if it cannot be read.

    Tables with ``ambiguous`` names have their schema if it is written.
    """
    found = read(text)
    verb = _VERBS.get(found.kind)
    if found.why_not or verb is None:
        return _cut(" ".join(text.split()))
    (statement,) = trees.parse(found.text)
    parts = [verb, _tables(statement, found, ambiguous)]
    keys = _unique((*map(_condition, found.conditions), *_searches(statement)))
    parts += [f"by {', '.join(keys)}"] if keys else []
    outputs = [target.val for target in getattr(statement, "targetList", None) or ()]
    grouped = getattr(statement, "groupClause", None) or ()
    groups = _unique(_texts(_meant(node, outputs) for node in grouped))
    parts += [f"group by {', '.join(groups)}"] if groups else []
    sorts = _unique(_sorted(statement, outputs))
    parts += [f"order by {', '.join(sorts)}"] if sorts else []
    parts += ["limit"] if found.has_limit else []
    return _cut(" ".join(filter(None, parts)))


def ambiguous_names(texts: Iterable[str]) -> frozenset[str]:
    """Return the names that texts use for tables of more than one schema, or both with a schema and without one."""
    schemas: dict[str, set[str | None]] = defaultdict(set)
    for text in texts:
        for table in read(text).relations:
            schemas[table.name].add(table.schema)
    return frozenset(name for name, found in schemas.items() if len(found) > 1)


def _tables(statement: Any, found: Reading, ambiguous: Set[str]) -> str:
    """Return the table that is written first, then those that are read."""
    changed = () if isinstance(statement, ast.SelectStmt) else (statement.relation,)
    written = [(r.schemaname, r.relname) for r in changed]
    read_ = [(r.schema, r.name) for r in found.sources]
    names = _unique(
        f"{schema}.{name}" if schema and name in ambiguous else name
        for schema, name in (*written, *read_)
    )
    more = f" and {len(names) - _MOST_TABLES} more" if len(names) > _MOST_TABLES else ""
    return ", ".join(names[:_MOST_TABLES]) + more


def _condition(condition: Condition) -> str:
    operator = (
        "" if condition.operator in _EQUAL else _SHOWN.get(condition.operator, condition.operator)
    )
    return f"{_text(condition.node)} {operator}".strip()


def _searches(statement: Any) -> Iterator[str]:
    """Yield what arrays, documents, ranges, networks and texts are searched for."""
    for node in trees.walk(statement):
        if not isinstance(node, ast.A_Expr):
            continue
        operator = trees.names(node.name)[-1]
        if operator in _SEARCHING:
            sides = (side for side in (node.lexpr, node.rexpr) if side is not None)
            yield from (f"{text} {operator}" for text in list(_texts(sides))[:1])


def _texts(nodes: Any) -> Iterator[str]:
    for node in nodes or ():
        if any(isinstance(n, ast.ColumnRef) for n in trees.walk(node)):
            yield _text(node)


def _sorted(statement: Any, outputs: Sequence[Any]) -> Iterator[str]:
    for node in getattr(statement, "sortClause", None) or ():
        is_down = node.sortby_dir == SortByDir.SORTBY_DESC
        for text in _texts((_meant(node.node, outputs),)):
            yield f"{text} desc" if is_down else text


def _meant(node: Any, outputs: Sequence[Any]) -> Any:
    """Return the output that a number in ORDER BY or GROUP BY means."""
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
    if len(text) <= _LONGEST:
        return text
    head = text[: _LONGEST - 1]
    words = text[:_LONGEST].rpartition(" ")[0]
    return f"{(words if len(words) > _LONGEST // 2 else head).rstrip(' ,<>=')}…"
