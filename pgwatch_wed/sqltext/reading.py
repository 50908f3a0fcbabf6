"""What a statement's text contains, read once: names, parameters, levels, updates."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pglast import ast
from pglast.enums import SubLinkType

from pgwatch_wed.sqltext import trees
from pgwatch_wed.sqltext.assignments import UpdateTarget, targets
from pgwatch_wed.sqltext.levels import Condition, Level, Relation, levels
from pgwatch_wed.sqltext.repairs import with_casts

# More than the statements in a snapshot; each entry takes a few kilobytes.
_MOST = 10_000
_QUERIES = frozenset({"SelectStmt", "InsertStmt", "UpdateStmt", "DeleteStmt"})
_MAY_UPDATE = re.compile(r"\bupdate\b|\bmerge\b", re.IGNORECASE)
_LOCKING = (
    *(ast.UpdateStmt, ast.DeleteStmt, ast.MergeStmt),
    *(ast.OnConflictClause, ast.LockingClause),
)
_BOUNDS = frozenset({"<", "<=", ">", ">="})
_OF_ONE_ROW = (SubLinkType.EXPR_SUBLINK, SubLinkType.EXISTS_SUBLINK)


@dataclass(frozen=True, slots=True)
class QualifiedName:
    """A relation or function as named in the text."""

    schema: str | None
    name: str


@dataclass(frozen=True, slots=True)
class ParameterPlace:
    """``$number`` at a position in the text. ``bounds``: LIMIT or OFFSET if it is there, else empty; "one" for the LIMIT of what returns one row, or usually does for each of others."""

    number: int
    start: int
    bounds: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """The contents of one text. If it is not a single statement, ``why_not`` says so and the rest is empty.

    ``text`` is in the form that a server accepts: see :mod:`pgwatch_wed.sqltext.repairs`. ``kind`` is
    the parser's node type, such as ``SelectStmt``; ``kinds`` are those of all statements within.
    ``relations`` excludes names defined by WITH, which are ``queries``. ``fields`` are names of columns
    or functions, since ``t.f`` may mean ``f(t)``. ``locks_rows``: it may wait for others that change the same rows.
    """

    text: str
    why_not: str = ""
    kind: str = ""
    kinds: frozenset[str] = frozenset()
    relations: frozenset[QualifiedName] = frozenset()
    functions: frozenset[QualifiedName] = frozenset()
    operators: frozenset[str] = frozenset()
    types: frozenset[str] = frozenset()
    fields: frozenset[str] = frozenset()
    queries: frozenset[str] = frozenset()
    parameters: tuple[ParameterPlace, ...] = ()
    targets: tuple[UpdateTarget, ...] = ()
    levels: tuple[Level, ...] = ()
    makes_table: bool = False
    has_limit: bool = False
    is_grouped: bool = False
    has_functions_in_from: bool = False
    locks_rows: bool = False

    @property
    def sources(self) -> tuple[Relation, ...]:
        """The tables that its levels read."""
        return tuple(r for level in self.levels for r in level.relations)

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """The conditions of its levels."""
        return tuple(c for level in self.levels for c in level.conditions)


@lru_cache(maxsize=_MOST)
def read(text: str) -> Reading:
    """Read a text."""
    text = with_casts(text)
    try:
        statements = trees.parse(text)
        if len(statements) != 1:
            count = len(statements)
            return Reading(text, f"it contains {count} statements" if count else "it is empty")
        return _read(text, statements[0])
    except trees.UnreadableError as error:
        return Reading(text, str(error))
    except RecursionError:
        return Reading(text, "it cannot be parsed: it is nested too deeply")


def query(text: str | None) -> Reading | None:
    """Read a SELECT, INSERT, UPDATE or DELETE; None if it is anything else, or hidden."""
    found = read(text) if text else None
    return found if found is not None and found.kind in _QUERIES else None


def updated(text: str) -> tuple[UpdateTarget, ...]:
    """Return what a statement updates; most texts need not be parsed for that."""
    return read(text).targets if _MAY_UPDATE.search(text) else ()


def _read(text: str, statement: Any) -> Reading:
    nodes = list(trees.walk(statement))
    hidden = {
        QualifiedName(None, str(n.ctename)) for n in nodes if isinstance(n, ast.CommonTableExpr)
    }
    kinds = frozenset(type(n).__name__ for n in nodes if type(n).__name__.endswith("Stmt"))
    return Reading(
        text,
        kind=type(statement).__name__,
        kinds=kinds,
        relations=frozenset(_relations(nodes)) - hidden,
        functions=frozenset(_functions(nodes)),
        operators=frozenset(_operators(nodes)),
        types=frozenset(
            t for n in nodes if isinstance(n, ast.TypeName) for t in trees.names(n.names)
        ),
        fields=frozenset(_fields(nodes)),
        queries=frozenset(query.name for query in hidden),
        parameters=tuple(_parameters(nodes)),
        targets=tuple(targets(nodes)),
        levels=levels(statement, nodes),
        makes_table=any(isinstance(n, ast.IntoClause) for n in nodes),
        has_limit=getattr(statement, "limitCount", None) is not None,
        is_grouped=any(map(_is_grouped, nodes)),
        has_functions_in_from=any(isinstance(n, ast.RangeFunction) for n in nodes),
        locks_rows=any(isinstance(n, _LOCKING) for n in nodes),
    )


def _is_grouped(node: Any) -> bool:
    return isinstance(node, ast.SelectStmt) and bool(
        node.groupClause or node.distinctClause or node.op
    )


def _relations(nodes: Sequence[Any]) -> Iterator[QualifiedName]:
    for node in nodes:
        if isinstance(node, ast.RangeVar):
            yield QualifiedName(node.schemaname, str(node.relname))


def _functions(nodes: Sequence[Any]) -> Iterator[QualifiedName]:
    for node in nodes:
        if isinstance(node, ast.FuncCall):
            yield _named(node.funcname)
        elif isinstance(node, ast.RangeTableSample):
            yield _named(node.method)
        elif isinstance(node, ast.TypeName) and node.names:
            name = _named(node.names).name
            if name.startswith("reg"):
                # a cast to regclass and similar types is a catalog lookup
                yield QualifiedName("pg_catalog", name)


def _fields(nodes: Sequence[Any]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.ColumnRef):
            yield from trees.names(node.fields)
        elif isinstance(node, ast.A_Indirection):
            yield from trees.names(node.indirection)


def _named(parts: Any) -> QualifiedName:
    names = trees.names(parts)
    return QualifiedName(names[-2] if len(names) > 1 else None, names[-1])


def _operators(nodes: Sequence[Any]) -> Iterator[str]:
    """Yield the operators, including those that a statement implies without naming them."""
    for node in nodes:
        match node:
            case ast.A_Expr():
                name = trees.names(node.name)[-1]
                yield from _BOUNDS if "BETWEEN" in name else (name,)
            case ast.SubLink() if node.testexpr is not None:
                yield (trees.names(node.operName) or ("=",))[-1]
            case ast.SortBy() if node.useOp:
                yield trees.names(node.useOp)[-1]
            case ast.CaseExpr() if node.arg is not None:
                yield "="
            case ast.JoinExpr() if node.usingClause or node.isNatural:
                yield "="


def _parameters(nodes: Sequence[Any]) -> Iterator[ParameterPlace]:
    bounds: dict[int, str] = {}
    for node in nodes:
        if isinstance(node, ast.SelectStmt):
            bounds[id(trees.without_casts(node.limitCount))] = "limit"
            bounds[id(trees.without_casts(node.limitOffset))] = "offset"
    for query in map(_for_each, nodes):
        if isinstance(query, ast.SelectStmt):
            bounds[id(trees.without_casts(query.limitCount))] = "one"
    for node in nodes:
        if isinstance(node, ast.ParamRef):
            yield ParameterPlace(node.number or 0, node.location or 0, bounds.get(id(node), ""))


def _for_each(node: Any) -> Any:
    """Return the query that is run for each row of others and returns one row, or usually does; None if a node is none."""
    if isinstance(node, ast.RangeSubselect):
        return node.subquery if node.lateral else None
    is_one = isinstance(node, ast.SubLink) and node.subLinkType in _OF_ONE_ROW
    return node.subselect if is_one else None
