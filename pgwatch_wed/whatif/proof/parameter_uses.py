"""Where a statement uses its parameters: with which expression each is compared, in which query block.

A block is one SELECT with its FROM and WHERE. Without the conditions that contain parameters, it returns the rows among
which a call may look: the value that an expression has in such a row is a value that some call may well ask for.
"""

import copy
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from pglast import ast
from pglast.enums import A_Expr_Kind, BoolExprType, SubLinkType
from pglast.stream import RawStream

from pgwatch_wed.sqltext import trees
from pgwatch_wed.sqltext.repairs import parameters

_FLIPPED = {
    "<": ">",
    "<=": ">=",
    ">": "<",
    ">=": "<=",
    "=": "=",
    "@>": "<@",
    "<@": "@>",
    "&&": "&&",
}
_RANGE = ("<", "<=", ">", ">=")
_PATTERNS = (A_Expr_Kind.AEXPR_LIKE, A_Expr_Kind.AEXPR_ILIKE)
_BETWEEN = (A_Expr_Kind.AEXPR_BETWEEN, A_Expr_Kind.AEXPR_BETWEEN_SYM)
_SEARCHES = frozenset({"to_tsquery", "plainto_tsquery", "phraseto_tsquery", "websearch_to_tsquery"})
# What a parameter at a place of a function usually is.
_ARGUMENTS = {
    ("date_trunc", 0): "day",
    ("date_part", 0): "day",
    ("extract", 0): "day",
    ("date_bin", 0): "1 hour",
    ("to_char", 1): "YYYY-MM-DD",
    ("to_date", 1): "YYYY-MM-DD",
    ("to_timestamp", 1): "YYYY-MM-DD",
    ("timezone", 0): "UTC",
    ("string_agg", 1): ",",
    ("array_to_string", 1): ",",
    ("split_part", 1): " ",
    ("to_tsvector", 0): "simple",
    ("to_tsquery", 0): "simple",
    ("plainto_tsquery", 0): "simple",
    ("websearch_to_tsquery", 0): "simple",
    ("percentile_cont", 0): "0.5",
    ("percentile_disc", 0): "0.5",
}
_OPERANDS = {"*": "1", "/": "1", "%": "10", "+": "0", "||": ""}
_KEYS = frozenset({"->", "->>"})


class ValueUse(StrEnum):
    """How a parameter p restricts an expression e."""

    EQUAL = "equal"  # e = p
    ELEMENT = "element"  # e IN (p, …)
    LIST = "list"  # e = ANY (p)
    ABOVE = "above"  # e > p
    BELOW = "below"  # e < p
    PATTERN = "pattern"  # e LIKE p
    CONTAINS = "contains"  # e @> p
    SEARCH = "search"  # e @@ to_tsquery(p)
    MEMBER = "member"  # p = ANY (e)
    KEY = "key"  # e ->> p
    SHORTENED = "shortened"  # e IN (p, …), of which only the first element is left


@dataclass(frozen=True, slots=True)
class ParameterUse:
    """A parameter and the expression that it is compared with, as SQL that may contain other parameters."""

    number: int
    use: ValueUse
    expression: str


@dataclass(frozen=True, slots=True)
class QueryBlock:
    """What to sample: FROM items, of which ``tables`` may be sampled, and conditions without parameters.

    ``alone``: the same uses block by block, in case the blocks together have no rows.
    """

    uses: tuple[ParameterUse, ...]
    leading: str  # WITH …, or empty
    sources: tuple[Any, ...]
    conditions: tuple[str, ...]
    alone: tuple["QueryBlock", ...] = ()

    @property
    def tables(self) -> tuple[Any, ...]:
        """The tables in FROM, those first that most of the parameters concern."""
        found = [
            n for item in self.sources for n in trees.walk(item, ast.RangeSubselect) if _is_table(n)
        ]
        text = " ".join(f" {use.expression}" for use in self.uses)
        return tuple(sorted(found, key=lambda n: -text.count(f"{alias_of(n)}.")))


@dataclass(frozen=True, slots=True)
class ParameterUses:
    """All parameters of a statement: those compared with something, and hints for others.

    ``limits`` are those of LIMIT, ``keys`` map a parameter to the JSON expression of which it is a key, ``loose`` are
    those whose type nothing may determine.
    """

    blocks: tuple[QueryBlock, ...]
    hints: dict[int, str]
    limits: frozenset[int]
    keys: dict[int, str]
    loose: frozenset[int]
    is_grouped: bool


def uses_of(statement: Any) -> ParameterUses:
    """Return how a parsed SELECT uses its parameters."""
    reader = _Uses(_leading(statement))
    reader.read(_qualified(statement))
    hints, limits, keys = _hints(statement)
    return ParameterUses(
        tuple(b for b in reader.blocks if b.uses),
        hints,
        limits,
        keys,
        _loose(statement),
        _is_grouped(statement),
    )


def _qualified(statement: Any) -> Any:
    """Return a copy in which columns of blocks with one table have its name: blocks will stand side by side."""
    changed = copy.deepcopy(statement)
    for select in [n for n in trees.walk(changed) if isinstance(n, ast.SelectStmt)]:
        given: Any = select
        sources: tuple[Any, ...] = given.fromClause or ()
        if len(sources) == 1 and _is_table(sources[0]):
            name = alias_of(sources[0])
            for each in trees.walk((given.whereClause, given.targetList), ast.SelectStmt):
                column: Any = each
                fields: tuple[Any, ...] = getattr(column, "fields", None) or ()
                if isinstance(each, ast.ColumnRef) and [type(f) for f in fields] == [ast.String]:
                    column.fields = (ast.String(sval=name), *fields)
    return changed


def complete(block: QueryBlock, keys: Mapping[int, str], shortened: frozenset[int]) -> QueryBlock:
    """Return a block with the keys inside its expressions as uses, too, and with lists that were shortened."""
    uses = [replace(u, use=ValueUse.SHORTENED) if u.number in shortened else u for u in block.uses]
    inside = {n for u in uses for n in mentioned([u.expression], keys)}
    uses += [ParameterUse(n, ValueUse.KEY, f"${n}") for n in sorted(inside)]
    alone = tuple(complete(b, keys, shortened) for b in block.alone)
    return replace(block, uses=tuple(uses), alone=alone)


def mentioned(expressions: Iterable[str], keys: Mapping[int, str]) -> list[int]:
    """Return the keys that expressions contain, and those that their own expressions contain."""
    found: set[int] = set()
    waiting = list(expressions)
    while waiting:
        new = (parameters(waiting.pop()) & keys.keys()) - found
        found |= new
        waiting += [keys[n] for n in new]
    return sorted(found)


def alias_of(table: Any) -> str:
    """Return the name by which a FROM item's columns are qualified."""
    return str(table.alias.aliasname if table.alias else table.relname)


def sql_of(node: Any) -> str:
    """Return a node as SQL."""
    return str(RawStream()(node))


def has_parameters(node: Any) -> bool:
    """Tell whether there is a parameter in a node or below it."""
    return any(isinstance(n, ast.ParamRef) for n in trees.walk(node))


def _is_table(node: Any) -> bool:
    return isinstance(node, ast.RangeVar)


def _is_grouped(statement: Any) -> bool:
    if (
        statement.groupClause
        or statement.distinctClause
        or statement.op
        or statement.limitCount is not None
    ):
        return True
    return any(
        isinstance(n, ast.FuncCall) and trees.names(n.funcname)[-1] in _AGGREGATES
        for n in trees.walk(statement.targetList, ast.SubLink)
    )


_AGGREGATES = frozenset(
    (
        "count",
        "sum",
        "avg",
        "min",
        "max",
        "array_agg",
        "string_agg",
        "bool_or",
        "bool_and",
        "json_agg",
        "jsonb_agg",
    )
)


@dataclass(slots=True)
class _Found:
    """A block while it is read."""

    uses: list[ParameterUse] = field(default_factory=list)
    sources: list[Any] = field(default_factory=list)
    conditions: list[str] = field(default_factory=list)
    inner: list["_Found"] = field(default_factory=list)
    correlated: list[str] = field(default_factory=list)


class _Uses:
    """Reads the blocks of a statement; those of EXISTS and IN (SELECT …) become part of the one around them."""

    def __init__(self, leading: str) -> None:
        self._leading = leading
        self.blocks: list[QueryBlock] = []

    def read(self, select: Any) -> None:
        """Read a SELECT and every other one in it."""
        if select.op:
            self._rest((select.larg, select.rarg, select.withClause))
            return
        self.blocks.append(self._block(self._found(select)))

    def _rest(self, node: Any) -> None:
        for each in trees.walk(node, ast.SelectStmt):
            if isinstance(each, ast.SelectStmt):
                self.read(each)

    def _found(self, select: Any) -> _Found:
        found = _Found(sources=[relaxed(item) for item in select.fromClause or ()])
        self._rest(select.withClause)
        clauses = [select.whereClause]
        for item in select.fromClause or ():
            clauses += [
                n.quals for n in trees.walk(item, ast.RangeSubselect) if isinstance(n, ast.JoinExpr)
            ]
            self._rest(item)
        for clause in clauses:
            for condition in _conjuncts(clause):
                self._condition(condition, found, is_where=clause is select.whereClause)
        self._rest((select.targetList, select.havingClause, select.sortClause))
        return found

    def _condition(self, node: Any, found: _Found, *, is_where: bool) -> None:
        if not has_parameters(node):
            if is_where:
                found.conditions.append(sql_of(node))
            return
        joined = _joined(node)
        if joined is not None:
            inner = self._found(joined.subselect)
            target = joined.subselect.targetList[0].val if joined.testexpr is not None else None
            if isinstance(trees.without_casts(joined.testexpr), ast.ParamRef):
                number = trees.without_casts(joined.testexpr).number
                inner.uses.append(ParameterUse(number, ValueUse.EQUAL, sql_of(target)))
            elif target is not None:
                inner.correlated.append(f"{_operand(joined.testexpr)} = {_operand(target)}")
            found.inner.append(inner)
            return
        found.uses += _compared(node)
        self._rest(node)

    def _block(self, found: _Found) -> QueryBlock:
        inner = [self._block(i) for i in found.inner]
        own = QueryBlock(
            tuple(found.uses), self._leading, tuple(found.sources), tuple(found.conditions)
        )
        if not inner:
            return own
        joins = [c for i in found.inner for c in i.correlated]
        return QueryBlock(
            own.uses + tuple(u for i in inner for u in i.uses),
            self._leading,
            own.sources + tuple(s for i in inner for s in i.sources),
            own.conditions + tuple(c for i in inner for c in i.conditions) + tuple(joins),
            alone=tuple(b for b in (own, *inner) if b.uses),
        )


def _joined(node: Any) -> Any:
    """Return a sublink whose rows can be joined instead, or None."""
    if not isinstance(node, ast.SubLink):
        return None
    link: Any = node
    if link.subLinkType not in (SubLinkType.EXISTS_SUBLINK, SubLinkType.ANY_SUBLINK):
        return None
    select = link.subselect
    is_plain = not select.op and not select.withClause and select.fromClause
    if not is_plain or (
        link.testexpr is not None and (link.operName or isinstance(link.testexpr, ast.RowExpr))
    ):
        return None
    return link


def _operand(node: Any) -> str:
    return f"({sql_of(node)})"


def _leading(statement: Any) -> str:
    if statement.withClause is None:
        return ""
    clause = relaxed(statement.withClause)
    return f"with {'recursive ' if clause.recursive else ''}{sql_of(clause)} "


# Relaxing


def relaxed(node: Any) -> Any:
    """Return a copy in which no condition contains a parameter, and no LIMIT is left."""
    changed = copy.deepcopy(node)
    for each in list(trees.walk(changed)):
        if isinstance(each, ast.SelectStmt):
            select: Any = each
            select.whereClause = _without_parameters(select.whereClause)
            if has_parameters(select.havingClause):
                select.havingClause = None
            select.limitCount = select.limitOffset = None
            select.sortClause = select.sortClause if not has_parameters(select.sortClause) else None
        elif isinstance(each, ast.JoinExpr):
            join: Any = each
            if has_parameters(join.quals):
                join.quals = _without_parameters(join.quals) or _TRUE()
    return changed


def _TRUE() -> Any:  # noqa: N802 - a constant that must not be shared between trees
    return ast.A_Const(isnull=False, val=ast.Boolean(boolval=True))


def _without_parameters(clause: Any) -> Any:
    kept = tuple(c for c in _conjuncts(clause) if not has_parameters(c))
    if len(kept) < 2:
        return kept[0] if kept else None
    return ast.BoolExpr(boolop=BoolExprType.AND_EXPR, args=kept)


def _conjuncts(node: Any) -> Iterator[Any]:
    if isinstance(node, ast.BoolExpr) and node.boolop == BoolExprType.AND_EXPR:
        for each in node.args or ():
            yield from _conjuncts(each)
    elif node is not None:
        yield node


# Comparisons


def _compared(node: Any) -> Iterator[ParameterUse]:
    """Yield the uses in a condition, those inside NOT and OR, too."""
    for each in trees.walk(node, ast.SubLink):
        if isinstance(each, ast.A_Expr):
            yield from _comparison(each)


def _comparison(node: Any) -> Iterator[ParameterUse]:
    left, right = node.lexpr, node.rexpr
    name = trees.names(node.name)[-1]
    if node.kind in _BETWEEN and isinstance(right, tuple) and len(right) == 2:
        yield from _sides(left, right[0], ">=")
        yield from _sides(left, right[1], "<=")
    elif node.kind == A_Expr_Kind.AEXPR_IN and isinstance(right, tuple):
        for element in right:
            yield from _use(element, left, ValueUse.ELEMENT)
    elif node.kind == A_Expr_Kind.AEXPR_OP_ANY:
        elements = right.elements if isinstance(right, ast.A_ArrayExpr) else None
        for element in elements or ():
            yield from _use(element, left, ValueUse.ELEMENT)
        yield from _use(right, left, ValueUse.LIST)
        yield from _use(left, right, ValueUse.MEMBER)
    elif node.kind in _PATTERNS:
        yield from _use(_pattern(right), left, ValueUse.PATTERN)
    elif node.kind in (A_Expr_Kind.AEXPR_OP, A_Expr_Kind.AEXPR_NOT_DISTINCT) and left is not None:
        yield from _rows(left, right, name)


def _rows(left: Any, right: Any, name: str) -> Iterator[ParameterUse]:
    if isinstance(left, ast.RowExpr) and isinstance(right, ast.RowExpr):
        # the row that a page ends with: all of its values at once
        for one, other in zip(left.args or (), right.args or (), strict=False):
            yield from _sides(one, other, "=")
    else:
        yield from _sides(left, right, name)


def _sides(left: Any, right: Any, name: str) -> Iterator[ParameterUse]:
    yield from _side(left, right, name)
    if name in _FLIPPED:
        yield from _side(right, left, _FLIPPED[name])


def _side(expression: Any, value: Any, name: str) -> Iterator[ParameterUse]:
    """Yield the use of a parameter on the side of the value, if the other side depends on rows."""
    if not _has_columns(expression) or isinstance(expression, ast.SubLink):
        return
    if name == "@@":
        yield from _search(expression, value)
        return
    bare = trees.without_casts(value)
    if isinstance(bare, ast.A_ArrayExpr) and name in ("@>", "&&"):
        for place, element in enumerate(bare.elements or (), 1):
            number = _number(element)
            if number is not None:
                yield ParameterUse(number, ValueUse.EQUAL, f"({sql_of(expression)})[{place}]")
        return
    inner = _unwrapped(expression, value)
    if inner is not None:
        yield from _use(inner[1], inner[0], _USES.get(name))
        return
    yield from _distance(expression, value, name)


_USES = {
    "=": ValueUse.EQUAL,
    **dict.fromkeys(("<", "<="), ValueUse.BELOW),
    **dict.fromkeys((">", ">="), ValueUse.ABOVE),
    **dict.fromkeys(("~~", "~~*"), ValueUse.PATTERN),
    "@>": ValueUse.CONTAINS,
    "&&": ValueUse.CONTAINS,
    "<@": ValueUse.EQUAL,
}


def _use(value: Any, expression: Any, use: ValueUse | None) -> Iterator[ParameterUse]:
    bare = trees.without_casts(value)
    if isinstance(bare, ast.ParamRef) and use is not None and _has_columns(expression):
        yield ParameterUse(int(bare.number or 0), use, sql_of(expression))


def _unwrapped(expression: Any, value: Any) -> tuple[Any, Any] | None:
    """Return expression and parameter of ``e = $1``, ``lower(e) = lower($1)`` and ``e = lower($1)``."""
    bare = trees.without_casts(value)
    if isinstance(bare, ast.ParamRef):
        return expression, bare
    if not isinstance(bare, ast.FuncCall) or len(bare.args or ()) != 1:
        return None
    (argument,) = bare.args or ()
    if not isinstance(trees.without_casts(argument), ast.ParamRef):
        return None
    other: Any = trees.without_casts(expression)
    if isinstance(other, ast.FuncCall) and trees.names(other.funcname) == trees.names(
        bare.funcname
    ):
        return (other.args or (expression,))[0], argument
    return expression, argument


def _distance(expression: Any, value: Any, name: str) -> Iterator[ParameterUse]:
    """Yield the use in ``e > x - $1``, which is ``x - e < $1``."""
    bare = trees.without_casts(value)
    if name not in _RANGE or not isinstance(bare, ast.A_Expr) or bare.lexpr is None:
        return
    operation = trees.names(bare.name)[-1]
    parameter = trees.without_casts(bare.rexpr)
    if (
        operation not in ("-", "+")
        or not isinstance(parameter, ast.ParamRef)
        or has_parameters(bare.lexpr)
    ):
        return
    one, other = _operand(bare.lexpr), _operand(expression)
    is_below = (name in (">", ">=")) == (operation == "-")
    text = f"{one} - {other}" if operation == "-" else f"{other} - {one}"
    yield ParameterUse(
        int(parameter.number or 0), ValueUse.BELOW if is_below else ValueUse.ABOVE, text
    )


def _search(expression: Any, value: Any) -> Iterator[ParameterUse]:
    bare = trees.without_casts(value)
    if isinstance(bare, ast.FuncCall) and trees.names(bare.funcname)[-1] in _SEARCHES and bare.args:
        bare = trees.without_casts(bare.args[-1])
    yield from _use(bare, expression, ValueUse.SEARCH)


def _pattern(node: Any) -> Any:
    """Return the pattern without what is put around it: ``'%' || $1 || '%'``, ``lower($1)``."""
    found = [n for n in trees.walk(node) if isinstance(n, ast.ParamRef)]
    return found[0] if len(found) == 1 else node


def _has_columns(node: Any) -> bool:
    return any(isinstance(n, ast.ColumnRef) for n in trees.walk(node))


# Hints for parameters that are not compared with anything


def _hints(statement: Any) -> tuple[dict[int, str], frozenset[int], dict[int, str]]:
    hints: dict[int, str] = {}
    limits: set[int] = set()
    keys: dict[int, str] = {}
    for node in trees.walk(statement):
        match node:
            case ast.FuncCall():
                name = trees.names(node.funcname)[-1]
                _note(
                    hints, ((a, _ARGUMENTS.get((name, n))) for n, a in enumerate(node.args or ()))
                )
            case ast.A_Expr() if node.kind == A_Expr_Kind.AEXPR_OP and node.lexpr is not None:
                name = trees.names(node.name)[-1]
                _note(hints, ((side, _OPERANDS.get(name)) for side in (node.lexpr, node.rexpr)))
                number = _number(node.rexpr)
                if name in _KEYS and number is not None and _has_columns(node.lexpr):
                    keys[number] = sql_of(node.lexpr)
            case ast.CaseWhen():
                _note(hints, [(node.expr, "true")])
            case ast.SelectStmt():
                _note(hints, [(node.limitOffset, "0")])
                number = _number(node.limitCount)
                limits |= set() if number is None else {number}
    return hints, frozenset(limits), keys


def _loose(statement: Any) -> frozenset[int]:
    found: set[int | None] = set()
    for node in trees.walk(statement):
        match node:
            case ast.FuncCall() | ast.CoalesceExpr():
                found |= {_bare_number(a) for a in node.args or ()}
            case ast.CaseExpr():
                found.add(_bare_number(node.defresult))
            case ast.CaseWhen():
                found.add(_bare_number(node.result))
            case ast.ResTarget():
                found.add(_bare_number(node.val))
            case ast.NullTest():
                found.add(_bare_number(node.arg))
    return frozenset(n for n in found if n is not None)


def _bare_number(node: Any) -> int | None:
    return int(node.number or 0) if isinstance(node, ast.ParamRef) else None


def _note(hints: dict[int, str], places: Iterable[tuple[Any, str | None]]) -> None:
    for node, hint in places:
        number = _number(node)
        if number is not None and hint is not None:
            hints.setdefault(number, hint)


def _number(node: Any) -> int | None:
    bare = trees.without_casts(node)
    return int(bare.number or 0) if isinstance(bare, ast.ParamRef) else None
