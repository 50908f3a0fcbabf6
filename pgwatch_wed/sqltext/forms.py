"""Expressions over columns: their form, and whether they could be indexed."""

from functools import lru_cache
from itertools import pairwise
from typing import Any

from pglast import ast
from pglast.parser import ParseError, scan
from pglast.stream import RawStream

from pgwatch_wed.facts import Column
from pgwatch_wed.sqltext import trees

ExpressionShape = tuple[Any, ...]

_TEXTS = frozenset({"text", "varchar"})
_WHOLE = frozenset({"int2", "int4", "int8"})
_JSON = frozenset({"->", "->>", "#>", "#>>"})


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
    operators = (n for n in trees.walk(node) if isinstance(n, ast.A_Expr))
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
        (statement,) = trees.parse(definition)
    except ValueError:
        return ()
    elements = getattr(statement, "indexParams", None) or ()
    return tuple(shape(e.expr) for e in elements if e.expr is not None)


_CHANGING_WORDS = frozenset(
    (
        *("CURRENT_DATE", "CURRENT_TIME", "CURRENT_TIMESTAMP", "LOCALTIME", "LOCALTIMESTAMP"),
        *("CURRENT_USER", "CURRENT_ROLE", "CURRENT_SCHEMA", "SESSION_USER", "USER"),
    )
)
_CHANGING_FUNCTIONS = frozenset(
    (
        *("now", "clock_timestamp", "statement_timestamp", "transaction_timestamp", "timeofday"),
        *("random", "current_setting", "gen_random_uuid", "nextval"),
    )
)


def changes_by_call(text: str) -> bool:
    """Tell whether an expression contains what changes from call to call; a column may be named ``current_city``."""
    try:
        tokens = list(scan(text))
    except ParseError:
        return False
    called = (
        text[token.start : token.end + 1].lower()
        for token, after in pairwise(tokens)
        if after.name == "ASCII_40"
    )
    return any(t.name in _CHANGING_WORDS for t in tokens) or any(
        name in _CHANGING_FUNCTIONS for name in called
    )


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
