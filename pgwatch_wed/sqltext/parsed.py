"""A statement's conditions on columns of known tables, found by PostgreSQL's own parser."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pglast import ast, parse_sql
from pglast.enums import A_Expr_Kind, BoolExprType
from pglast.parser import ParseError
from pglast.stream import RawStream

from pgwatch_wed.facts import Column, Snapshot, Table
from pgwatch_wed.sqltext.statement import with_casts

ExpressionShape = tuple[Any, ...]

_COMPARISONS = frozenset({"=", "<", "<=", ">", ">=", "~~", "~~*", "<>"})
_ORDERED = frozenset({"=", "<", "<=", ">", ">="})
_KINDS = {
    A_Expr_Kind.AEXPR_OP: None,
    A_Expr_Kind.AEXPR_IN: "in",
    A_Expr_Kind.AEXPR_OP_ANY: "any",
    A_Expr_Kind.AEXPR_LIKE: None,
    A_Expr_Kind.AEXPR_ILIKE: None,
    A_Expr_Kind.AEXPR_BETWEEN: "between",
    A_Expr_Kind.AEXPR_BETWEEN_SYM: "between",
}
_TEXTS = frozenset({"text", "varchar"})
_WHOLE = frozenset({"int2", "int4", "int8"})
_JSON = frozenset({"->", "->>", "#>", "#>>"})


@dataclass(frozen=True, slots=True)
class Relation:
    """A table in a FROM clause, with the name and the alias that the statement uses."""

    schema: str | None
    name: str
    alias: str


@dataclass(frozen=True, slots=True)
class Name:
    """A column as written: qualified with a table's alias, or alone."""

    alias: str | None
    column: str


@dataclass(frozen=True, slots=True)
class Condition:
    """A comparison of one side that contains columns with one that does not.

    ``column`` is set if that side is just a column. Otherwise ``wrapper`` names the function or operator
    around it, ``names`` are the columns inside, and ``node`` is the whole side. ``is_alternative``: an
    arm of an OR, or inside NOT. ``compares_parameter``: the other side depends on a parameter.
    """

    operator: str
    column: Name | None
    wrapper: str
    names: tuple[Name, ...]
    node: Any
    is_alternative: bool
    compares_parameter: bool

    @property
    def is_ordered(self) -> bool:
        """Whether a B-tree on the column could serve it: equality or a range."""
        return self.operator in _ORDERED or self.operator in ("in", "any", "between", "is null")


@dataclass(frozen=True, slots=True)
class Level:
    """One SELECT, UPDATE or DELETE of a statement: its own tables and conditions.

    ``joins`` are columns compared with other columns.
    """

    relations: tuple[Relation, ...]
    conditions: tuple[Condition, ...]
    joins: tuple[Name, ...]
    is_top: bool


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a statement reads and compares, level by level."""

    kind: str
    levels: tuple[Level, ...]
    has_limit: bool
    is_grouped: bool
    has_functions_in_from: bool

    @property
    def relations(self) -> tuple[Relation, ...]:
        """The tables of every level."""
        return tuple(r for level in self.levels for r in level.relations)

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """The conditions of every level."""
        return tuple(c for level in self.levels for c in level.conditions)


@lru_cache(maxsize=4096)
def parse(text: str) -> Parsed | None:
    """Parse one statement; None if there are several, for utility statements and syntax errors."""
    try:
        statements = parse_sql(with_casts(text))
    except (ParseError, ValueError, RecursionError, UnicodeError):
        return None
    if len(statements) != 1:
        return None
    statement: Any = statements[0].stmt
    if not isinstance(statement, ast.SelectStmt | ast.UpdateStmt | ast.DeleteStmt | ast.InsertStmt):
        return None
    nodes = list(_walk(statement))
    queries = frozenset(str(n.ctename) for n in nodes if type(n) is ast.CommonTableExpr)
    found = [n for n in nodes if isinstance(n, ast.SelectStmt | ast.UpdateStmt | ast.DeleteStmt)]
    return Parsed(
        kind=type(statement).__name__.removesuffix("Stmt").lower(),
        levels=tuple(_level(n, queries, is_top=n is statement) for n in found),
        has_limit=getattr(statement, "limitCount", None) is not None,
        is_grouped=any(_is_grouped(n) for n in found if isinstance(n, ast.SelectStmt)),
        has_functions_in_from=any(isinstance(n, ast.RangeFunction) for n in nodes),
    )


def _is_grouped(select: Any) -> bool:
    return bool(select.groupClause or select.distinctClause or select.op)


def _walk(node: Any) -> Iterator[Any]:
    if isinstance(node, tuple | list):
        for each in node:
            yield from _walk(each)
    elif isinstance(node, ast.Node):
        yield node
        for name in node:
            yield from _walk(getattr(node, name))


# --- levels and their conditions ----------------------------------------------------------------


def _level(node: Any, queries: frozenset[str], *, is_top: bool) -> Level:
    relations: list[Relation] = []
    clauses = [node.whereClause]
    for item in _from(node):
        _source(item, relations, clauses, queries)
    conditions: list[Condition] = []
    joins: list[Name] = []
    for clause in clauses:
        for expression, is_alternative in _conjuncts(clause):
            _compare(expression, conditions, joins, is_alternative=is_alternative)
    return Level(tuple(relations), tuple(conditions), tuple(joins), is_top)


def _from(node: Any) -> Iterator[Any]:
    if isinstance(node, ast.UpdateStmt | ast.DeleteStmt):
        yield node.relation
        yield from getattr(node, "fromClause", None) or getattr(node, "usingClause", None) or ()
    else:
        yield from node.fromClause or ()


def _source(
    item: Any, relations: list[Relation], clauses: list[Any], queries: frozenset[str]
) -> None:
    """Collect the tables and join conditions of a FROM item; subqueries are separate levels."""
    if type(item) is ast.RangeVar:
        if item.schemaname is not None or item.relname not in queries:
            alias = item.alias.aliasname if item.alias else item.relname
            relations.append(Relation(item.schemaname, str(item.relname), str(alias)))
    elif isinstance(item, ast.JoinExpr):
        _source(item.larg, relations, clauses, queries)
        _source(item.rarg, relations, clauses, queries)
        clauses.append(item.quals)
        clauses += [_using(column) for column in item.usingClause or ()]


def _using(column: Any) -> Any:
    """Return the meaning of ``USING (column)``: the column compared with the one of the same name."""
    name = ast.ColumnRef(fields=(column,))
    return ast.A_Expr(
        kind=A_Expr_Kind.AEXPR_OP, name=(ast.String(sval="="),), lexpr=name, rexpr=name
    )


def _conjuncts(node: Any, *, is_alternative: bool = False) -> Iterator[tuple[Any, bool]]:
    if isinstance(node, ast.BoolExpr):
        given: Any = node
        below = is_alternative or given.boolop != BoolExprType.AND_EXPR
        for each in given.args:
            yield from _conjuncts(each, is_alternative=below)
    elif node is not None:
        yield node, is_alternative


def _compare(
    given: Any, conditions: list[Condition], joins: list[Name], *, is_alternative: bool
) -> None:
    node: Any = given
    if isinstance(given, ast.SubLink):
        joins.extend(_names(node.testexpr))  # x IN (SELECT …) joins
        return
    if isinstance(given, ast.NullTest | ast.ColumnRef):
        tested = node if isinstance(given, ast.ColumnRef) else node.arg
        operator = "=" if tested is node else ("is null", "is not null")[int(node.nulltesttype)]
        if names := tuple(_names(tested)):
            conditions.append(_condition(operator, tested, names, None, is_alternative))
        return
    if not isinstance(given, ast.A_Expr) or node.kind not in _KINDS or node.lexpr is None:
        return
    operator = str(node.name[-1].sval)
    if (special := _KINDS[node.kind]) is not None:
        operator = special if operator in ("=", "BETWEEN", "BETWEEN SYMMETRIC") else "other"
    elif operator not in _COMPARISONS:
        return
    left, right = tuple(_names(node.lexpr)), tuple(_names(node.rexpr))
    if left and right:
        joins.extend((*left, *right))
    elif left:
        for side, names in _parts(node.lexpr):
            conditions.append(_condition(operator, side, names, node.rexpr, is_alternative))
    elif right and node.kind is not A_Expr_Kind.AEXPR_OP_ANY:
        for side, names in _parts(node.rexpr):
            conditions.append(_condition(operator, side, names, node.lexpr, is_alternative))


def _parts(side: Any) -> Iterator[tuple[Any, tuple[Name, ...]]]:
    """Yield one side, or the members of a row: ``(a, b) > ($1, $2)`` concerns both columns."""
    members = side.args if isinstance(side, ast.RowExpr) else (side,)
    for member in members or ():
        if names := tuple(_names(member)):
            yield member, names


def _names(node: Any) -> Iterator[Name]:
    """Yield the columns in an expression, except for those inside a subquery."""
    if isinstance(node, tuple | list):
        for each in node:
            yield from _names(each)
    elif type(node) is ast.ColumnRef:
        reference: Any = node
        if all(isinstance(f, ast.String) for f in reference.fields):
            parts = [str(f.sval) for f in reference.fields]
            yield Name(parts[-2] if len(parts) > 1 else None, parts[-1])
    elif type(node) is ast.SubLink:
        yield from _names(node.testexpr)
    elif isinstance(node, ast.Node):
        for name in node:
            yield from _names(getattr(node, name))


def _condition(
    operator: str, node: Any, names: tuple[Name, ...], other: Any, is_alternative: bool
) -> Condition:
    bare = isinstance(node, ast.ColumnRef)
    return Condition(
        operator=operator,
        column=names[0] if bare else None,
        wrapper="" if bare else _wrapper(node),
        names=names,
        node=node,
        is_alternative=is_alternative,
        compares_parameter=any(isinstance(n, ast.ParamRef) for n in _walk(other)),
    )


def _wrapper(node: Any) -> str:
    """Name the function or operator around a column: ``lower()``, ``::date``, ``coalesce()``, ``+``."""
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


# --- what names mean ----------------------------------------------------------------------------


def table_of(snapshot: Snapshot, level: Level, name: Name) -> Table | None:
    """Return the table that a column belongs to; None if that does not follow from the text.

    An unqualified table must exist in only one schema, and an unqualified column in only one of the
    level's tables.
    """
    candidates = [r for r in level.relations if name.alias in (None, r.alias)]
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


# --- expressions --------------------------------------------------------------------------------


def is_noop(node: Any, of: Column) -> bool:
    """Tell whether a cast around a column makes no difference to an index."""
    if not isinstance(node, ast.TypeCast):
        return isinstance(node, ast.ColumnRef)
    cast: Any = node
    kind = str(cast.typeName.names[-1].sval)
    own = _own_type(of)
    return (kind == own or {kind, own} <= _TEXTS) and isinstance(cast.arg, ast.ColumnRef)


def _own_type(column_: Column) -> str:
    known = {
        "integer": "int4",
        "bigint": "int8",
        "smallint": "int2",
        "boolean": "bool",
        "timestamp with time zone": "timestamptz",
        "timestamp without time zone": "timestamp",
        "character varying": "varchar",
        "double precision": "float8",
        "real": "float4",
        "character": "bpchar",
    }
    plain = column_.base_type.split("(")[0].strip()
    return known.get(plain, plain)


def reads_json(node: Any) -> bool:
    """Tell whether an expression extracts something from a JSON document."""
    operators = (n for n in _walk(node) if isinstance(n, ast.A_Expr))
    return any(str(_operator(n)) in _JSON for n in operators)


def _operator(node: Any) -> str:
    return str(node.name[-1].sval)


def shape(node: Any) -> ExpressionShape:
    """Return an expression's form: equal forms match, and any constant matches any parameter.

    A cast is treated as the function named like its type, as in the planner; the server itself adds
    casts to text when it prints an index definition.
    """
    return _shape(node, is_outermost=True)


def _shape(node: Any, *, is_outermost: bool = False) -> ExpressionShape:
    kind: Any = type(node)
    if kind is ast.ColumnRef:
        return ("column", str(node.fields[-1].sval) if hasattr(node.fields[-1], "sval") else "*")
    if kind in (ast.ParamRef, ast.A_Const):
        return ("?",)
    if kind is ast.TypeCast:
        inner = _shape(node.arg)
        name = str(node.typeName.names[-1].sval)
        is_added = inner == ("?",) or (name in (*_TEXTS, "bpchar") and not is_outermost)
        return inner if is_added else ("call", name, inner)
    if kind is ast.FuncCall:
        return ("call", str(node.funcname[-1].sval), *(_shape(a) for a in node.args or ()))
    if kind is ast.CoalesceExpr:
        return ("call", "coalesce", *(_shape(a) for a in node.args))
    if kind is ast.A_Expr:
        sides = (_shape(s) for s in (node.lexpr, node.rexpr) if s is not None)
        return ("operator", str(node.name[-1].sval), *sides)
    if isinstance(node, tuple | list):
        return tuple(_shape(each) for each in node)
    if isinstance(node, ast.Node):
        rest = ((n, getattr(node, n)) for n in node if n != "location")
        return (kind.__name__, *((n, _shape(v)) for n, v in rest if v is not None))
    return (str(node),)


@lru_cache(maxsize=4096)
def index_expressions(definition: str) -> tuple[ExpressionShape, ...]:
    """Return the forms of an index's key expressions, from its CREATE INDEX."""
    try:
        statement: Any = parse_sql(definition)[0].stmt
    except (ParseError, IndexError):
        return ()
    elements = getattr(statement, "indexParams", None) or ()
    return tuple(shape(e.expr) for e in elements if e.expr is not None)


_STABLE_ANYWHERE = frozenset(
    ("lower", "upper", "length", "char_length", "abs", "md5", "btrim", "ltrim", "rtrim", "reverse")
)


def indexable(node: Any, of: Column) -> str | None:
    """Return an expression as CREATE INDEX accepts it, or None unless it is certainly immutable.

    Only well-known functions of the column alone count; what depends on a parameter or a time zone
    cannot be indexed.
    """
    own = _own_type(of)
    kind: Any = type(node)
    if kind is ast.FuncCall:
        args: tuple[Any, ...] = tuple(node.args or ())
        plain = len(args) == 1 and (isinstance(args[0], ast.ColumnRef) or is_noop(args[0], of))
        name = str(node.funcname[-1].sval)
        fits = name in _STABLE_ANYWHERE or (name == "date" and own == "timestamp")
    elif kind is ast.TypeCast:
        plain = isinstance(node.arg, ast.ColumnRef)
        name = str(node.typeName.names[-1].sval)
        fits = (own in _WHOLE and name in (*_WHOLE, *_TEXTS, "numeric", "float8")) or (
            own == "timestamp" and name == "date"
        )
    else:
        return None
    return _without_aliases(node, of) if plain and fits else None


def _without_aliases(node: Any, of: Column) -> str:
    bare = ast.ColumnRef(fields=(ast.String(sval=of.name),))
    if type(node) is ast.FuncCall:
        made: Any = ast.FuncCall(
            funcname=node.funcname, args=(bare,), funcformat=node.funcformat or 0
        )
    else:
        made = ast.TypeCast(arg=bare, typeName=node.typeName)
    return str(RawStream()(made))
