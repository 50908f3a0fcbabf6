"""A statement's conditions, as PostgreSQL's own parser reads them, on columns of known tables."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pglast import ast, parse_sql
from pglast.enums import A_Expr_Kind
from pglast.parser import ParseError

from pgwatch_wed.facts import Column, Snapshot, Table

_COMPARISONS = frozenset({"=", "<", "<=", ">", ">=", "~~", "~~*"})
_KINDS = frozenset(
    {
        A_Expr_Kind.AEXPR_OP,
        A_Expr_Kind.AEXPR_IN,
        A_Expr_Kind.AEXPR_OP_ANY,
        A_Expr_Kind.AEXPR_LIKE,
        A_Expr_Kind.AEXPR_ILIKE,
        A_Expr_Kind.AEXPR_BETWEEN,
    }
)


@dataclass(frozen=True, slots=True)
class Relation:
    """A table in a FROM clause: how the statement names it, and by which alias."""

    schema: str | None
    name: str
    alias: str


@dataclass(frozen=True, slots=True)
class Name:
    """A column as written: with its table's alias, or alone."""

    alias: str | None
    column: str


@dataclass(frozen=True, slots=True)
class Condition:
    """A comparison of one side that reads columns with one that reads none.

    ``column`` is set where the column stands bare; ``wrapper`` names the function or cast around
    it otherwise, and ``names`` are the columns inside.
    """

    operator: str
    column: Name | None
    wrapper: str
    names: tuple[Name, ...]


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a statement reads and compares. ``joins`` are columns compared with other columns."""

    kind: str
    relations: tuple[Relation, ...]
    conditions: tuple[Condition, ...]
    joins: tuple[Name, ...]
    has_limit: bool


@lru_cache(maxsize=4096)
def parse(text: str) -> Parsed | None:
    """Parse one statement; None for several, for utility statements and for what does not parse."""
    try:
        statements = parse_sql(text)
    except (ParseError, ValueError, RecursionError, UnicodeError):
        return None
    if len(statements) != 1:
        return None
    statement = statements[0].stmt
    if not isinstance(statement, ast.SelectStmt | ast.UpdateStmt | ast.DeleteStmt | ast.InsertStmt):
        return None
    nodes = list(_walk(statement))
    conditions: list[Condition] = []
    joins: list[Name] = []
    for clause in _clauses(nodes):
        for expression in _conjuncts(clause):
            _compare(expression, conditions, joins)
    return Parsed(
        kind=type(statement).__name__.removesuffix("Stmt").lower(),
        relations=tuple(_relations(nodes)),
        conditions=tuple(conditions),
        joins=tuple(joins),
        has_limit=any(_is(n, ast.SelectStmt) and n.limitCount is not None for n in nodes),
    )


def _is(node: Any, *kinds: type) -> bool:
    """Test a node's kind without narrowing its type: pglast's stubs call every field optional."""
    return isinstance(node, kinds)


def _walk(node: Any) -> Iterator[Any]:
    if isinstance(node, tuple | list):
        for each in node:
            yield from _walk(each)
    elif _is(node, ast.Node):
        yield node
        for name in node:
            yield from _walk(getattr(node, name))


def _relations(nodes: list[Any]) -> Iterator[Relation]:
    defined = {n.ctename for n in nodes if _is(n, ast.CommonTableExpr)}
    for n in nodes:
        if _is(n, ast.RangeVar) and not (n.schemaname is None and n.relname in defined):
            alias = n.alias.aliasname if n.alias else n.relname
            yield Relation(n.schemaname, n.relname, alias)


def _clauses(nodes: list[Any]) -> Iterator[Any]:
    for n in nodes:
        where = getattr(n, "whereClause", None)
        if where is not None and _is(n, ast.SelectStmt, ast.UpdateStmt, ast.DeleteStmt):
            yield where
        if _is(n, ast.JoinExpr) and n.quals is not None:
            yield n.quals


def _conjuncts(node: Any) -> Iterator[Any]:
    if _is(node, ast.BoolExpr):
        for each in node.args:
            yield from _conjuncts(each)
    else:
        yield node


def _compare(given: Any, conditions: list[Condition], joins: list[Name]) -> None:
    if not isinstance(given, ast.A_Expr) or given.kind not in _KINDS:
        return
    node: Any = given
    operator = str(node.name[-1].sval)
    if node.kind is A_Expr_Kind.AEXPR_BETWEEN:
        operator = ">="
    if node.kind is A_Expr_Kind.AEXPR_IN:
        operator = "=" if operator == "=" else operator
    if operator not in _COMPARISONS or node.lexpr is None:
        return
    left, right = tuple(_names(node.lexpr)), tuple(_names(node.rexpr))
    if left and right:
        joins.extend((*left, *right))
    elif left:
        conditions.append(_condition(operator, node.lexpr, left))
    elif right:
        conditions.append(_condition(operator, node.rexpr, right))


def _names(node: Any) -> Iterator[Name]:
    for n in _walk(node):
        if _is(n, ast.ColumnRef) and all(isinstance(f, ast.String) for f in n.fields):
            parts = [str(f.sval) for f in n.fields]
            yield Name(parts[-2] if len(parts) > 1 else None, parts[-1])


def _condition(operator: str, node: Any, names: tuple[Name, ...]) -> Condition:
    if _is(node, ast.ColumnRef):
        return Condition(operator, names[0], "", names)
    return Condition(operator, None, _wrapper(node), names)


def _wrapper(node: Any) -> str:
    """Name what stands around the column: ``lower()``, ``::date``, ``coalesce()``, ``+``."""
    kind = type(node)
    if kind is ast.FuncCall:
        return f"{node.funcname[-1].sval}()"
    if kind is ast.TypeCast:
        return f"::{node.typeName.names[-1].sval}"
    if kind is ast.CoalesceExpr:
        return "coalesce()"
    if kind is ast.A_Expr:
        return str(node.name[-1].sval)
    return kind.__name__


def table_of(snapshot: Snapshot, parsed: Parsed, name: Name) -> Table | None:
    """Return the table that a column belongs to; None where the text alone cannot tell.

    An unqualified table is taken where only one schema has one of its name, an unqualified column
    where only one of the statement's tables has it.
    """
    candidates = [r for r in parsed.relations if name.alias in (None, r.alias)]
    found = {
        t.oid: t
        for r in candidates
        if (t := relation(snapshot, r)) is not None and column(snapshot, t, name.column) is not None
    }
    return next(iter(found.values())) if len(found) == 1 else None


def relation(snapshot: Snapshot, wanted: Relation) -> Table | None:
    """Return the one table of this name."""
    named = [
        t for t in snapshot.tables if t.name == wanted.name and wanted.schema in (None, t.schema)
    ]
    return named[0] if len(named) == 1 else None


def column(snapshot: Snapshot, table: Table, name: str) -> Column | None:
    """Return a table's column by name."""
    return next((c for c in snapshot.columns_of[table.oid] if c.name == name), None)
