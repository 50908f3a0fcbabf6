"""What each SELECT, UPDATE and DELETE of a statement reads, and its conditions on columns."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pglast import ast
from pglast.enums import A_Expr_Kind, BoolExprType

from pgwatch_wed.sqltext import trees

_READING = (ast.SelectStmt, ast.UpdateStmt, ast.DeleteStmt)
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


@dataclass(frozen=True, slots=True)
class Relation:
    """A table in a FROM clause, with the name and the alias that the statement uses; ``is_only``: FROM ONLY."""

    schema: str | None
    name: str
    alias: str
    is_only: bool = False


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
    arm of an OR, or inside NOT.
    """

    operator: str
    column: Name | None
    wrapper: str
    names: tuple[Name, ...]
    node: Any
    is_alternative: bool

    @property
    def is_ordered(self) -> bool:
        """Whether a B-tree on the column could serve it: equality or a range."""
        return self.operator in _ORDERED or self.operator in ("in", "any", "between", "is null")


@dataclass(frozen=True, slots=True)
class Level:
    """One SELECT, UPDATE or DELETE of a statement: its own tables and conditions.

    ``joins`` are columns compared with other columns; ``equated`` are the pairs that must be equal. ``others``
    counts what restricts the rows otherwise. ``grouped`` are the columns of GROUP BY or DISTINCT, None for
    anything else there; ``has_having``: groups are restricted, too.
    """

    relations: tuple[Relation, ...]
    conditions: tuple[Condition, ...]
    joins: tuple[Name, ...]
    is_top: bool
    equated: tuple[tuple[Name, Name], ...] = ()
    others: int = 0
    grouped: tuple[Name | None, ...] = ()
    has_having: bool = False


def levels(statement: Any, nodes: Sequence[Any]) -> tuple[Level, ...]:
    """Return the levels of a statement that consists of these nodes; a name defined by WITH is not a table."""
    found = [n for n in nodes if isinstance(n, _READING)]
    queries = frozenset(str(n.ctename) for n in nodes if isinstance(n, ast.CommonTableExpr))
    return tuple(_level(n, queries, is_top=n is statement) for n in found)


def _level(node: Any, queries: frozenset[str], *, is_top: bool) -> Level:
    relations: list[Relation] = []
    clauses = [node.whereClause]
    for item in _from(node):
        _source(item, relations, clauses, queries)
    conditions: list[Condition] = []
    joins: list[Name] = []
    equated: list[tuple[Name, Name]] = []
    others = 0
    for clause in clauses:
        for expression, is_alternative in _conjuncts(clause):
            before = len(conditions)
            _compare(expression, conditions, joins, is_alternative=is_alternative)
            pair = None if is_alternative else _equated(expression)
            equated += [pair] if pair else []
            others += len(conditions) == before and pair is None
    return Level(
        relations=tuple(relations),
        conditions=tuple(conditions),
        joins=tuple(joins),
        is_top=is_top,
        equated=tuple(equated),
        others=others,
        grouped=tuple(_grouped(node)),
        has_having=getattr(node, "havingClause", None) is not None,
    )


def _equated(node: Any) -> tuple[Name, Name] | None:
    """Return the two columns that an expression requires to be equal."""
    if not isinstance(node, ast.A_Expr) or node.kind != A_Expr_Kind.AEXPR_OP:
        return None
    given: Any = node
    if str(given.name[-1].sval) != "=":
        return None
    sides = [given.lexpr, given.rexpr]
    if not all(isinstance(side, ast.ColumnRef) for side in sides):
        return None
    left, right = (tuple(_names(side)) for side in sides)
    return (left[0], right[0]) if left and right else None


def _grouped(node: Any) -> Iterator[Name | None]:
    """Yield the columns of GROUP BY, where a number means an output column, or of DISTINCT."""
    outputs = [target.val for target in getattr(node, "targetList", None) or ()]
    keys = getattr(node, "groupClause", None) or ()
    distinct = getattr(node, "distinctClause", None) or ()
    if not keys:
        keys = [key for key in distinct if key is not None] or (outputs if distinct else ())
    for key in keys:
        number: int = getattr(getattr(key, "val", None), "ival", None) or 0
        meant = outputs[number - 1] if 0 < number <= len(outputs) else key
        names = tuple(_names(meant)) if isinstance(meant, ast.ColumnRef) else ()
        yield names[0] if names else None


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
            is_only = not item.inh  # codespell:ignore inh
            relations.append(Relation(item.schemaname, str(item.relname), str(alias), is_only))
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
            conditions.append(_condition(operator, tested, names, is_alternative))
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
            conditions.append(_condition(operator, side, names, is_alternative))
    elif right and node.kind is not A_Expr_Kind.AEXPR_OP_ANY:
        for side, names in _parts(node.rexpr):
            conditions.append(_condition(operator, side, names, is_alternative))


def _parts(side: Any) -> Iterator[tuple[Any, tuple[Name, ...]]]:
    """Yield one side, or the members of a row: ``(a, b) > ($1, $2)`` concerns both columns."""
    members = side.args if isinstance(side, ast.RowExpr) else (side,)
    for member in members or ():
        if names := tuple(_names(member)):
            yield member, names


def _names(node: Any) -> Iterator[Name]:
    """Yield the columns in an expression, except for those inside a subquery."""
    for each in trees.walk(node, ast.SubLink):
        if isinstance(each, ast.SubLink):
            yield from _names(each.testexpr)
        elif isinstance(each, ast.ColumnRef):
            parts = trees.names(each.fields)
            if len(parts) == len(each.fields or ()):
                yield Name(parts[-2] if len(parts) > 1 else None, parts[-1])


def _condition(
    operator: str, node: Any, names: tuple[Name, ...], is_alternative: bool
) -> Condition:
    bare = isinstance(node, ast.ColumnRef)
    return Condition(
        operator=operator,
        column=names[0] if bare else None,
        wrapper="" if bare else _wrapper(node),
        names=names,
        node=node,
        is_alternative=is_alternative,
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
