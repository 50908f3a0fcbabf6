"""Indexes compared by what they are: as advised, and as PostgreSQL prints them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pglast import ast
from pglast.enums import A_Expr_Kind, SortByDir, SortByNulls

from pgwatch_wed.facts import Index
from pgwatch_wed.sqltext import trees

IndexPart = tuple[Any, ...]

_TEXTS = frozenset({"text", "varchar", "bpchar"})
_POSITIONS = frozenset(("location", "rexpr_list_start", "rexpr_list_end", "list_start", "list_end"))
_SORTED = frozenset({"btree"})


@dataclass(frozen=True, slots=True)
class IndexForm:
    """The parts of an index that decide what it can do; ``order`` is (DESC, NULLS FIRST) by key."""

    method: str
    is_unique: bool
    keys: tuple[IndexPart, ...]
    opclasses: tuple[str | None, ...]
    collations: tuple[str | None, ...]
    order: tuple[tuple[bool, bool], ...]
    include: tuple[str, ...]
    predicate: frozenset[IndexPart]
    nulls_not_distinct: bool

    def is_sorted_like(self, other: "IndexForm") -> bool:
        """Tell whether both return the same order; a B-tree can also be read backwards."""
        backwards = tuple((not desc, not first) for desc, first in other.order)
        return self.method not in _SORTED or self.order in (other.order, backwards)


def read(definition: str, renamed: Mapping[str, str] | None = None) -> IndexForm | None:
    """Read CREATE INDEX; ``renamed`` maps the names of columns to those they have now."""
    return _read(definition, tuple(sorted((renamed or {}).items())))


@lru_cache(maxsize=20_000)
def _read(definition: str, renamed: tuple[tuple[str, str], ...]) -> IndexForm | None:
    try:
        statements = trees.parse(definition)
    except trees.UnreadableError:
        return None
    if len(statements) != 1 or not isinstance(statements[0], ast.IndexStmt):
        return None
    return of_statement(statements[0], dict(renamed))


def of_statement(statement: Any, renamed: Mapping[str, str]) -> IndexForm:
    """Return the form of a parsed CREATE INDEX."""
    keys = statement.indexParams
    return IndexForm(
        method=str(statement.accessMethod),
        is_unique=bool(statement.unique),
        keys=tuple(_key(key, renamed) for key in keys),
        opclasses=tuple(_last(key.opclass) for key in keys),
        collations=tuple(_last(key.collation) for key in keys),
        order=tuple(_order(key) for key in keys),
        include=tuple(
            renamed.get(key.name, key.name) for key in statement.indexIncludingParams or ()
        ),
        predicate=frozenset(_conjuncts(_plain(statement.whereClause, renamed))),
        nulls_not_distinct=bool(statement.nulls_not_distinct),
    )


def differences(wanted: IndexForm, found: IndexForm, index: Index) -> Iterator[str]:
    """Yield in words what an index has that is not as advised; nothing if it is the one advised.

    A unique index does everything that one with the same columns does.
    """
    if wanted.method != found.method:
        yield f"{found.method} instead of {wanted.method}"
    if wanted.keys != found.keys:
        yield "other columns"
    elif not all(_same_class(wanted, found, index, n) for n in range(len(wanted.keys))):
        yield "another operator class or collation"
    elif not wanted.is_sorted_like(found):
        yield "another sort order"
    if frozenset(wanted.include) != frozenset(found.include):
        yield "other INCLUDE columns" if found.include else "without the INCLUDE columns"
    if wanted.predicate != found.predicate:
        yield "another predicate" if found.predicate else "without the predicate"
    if wanted.is_unique and not found.is_unique:
        yield "not unique"
    if wanted.is_unique and wanted.nulls_not_distinct != found.nulls_not_distinct:
        yield "NULLs are compared otherwise"


def _same_class(wanted: IndexForm, found: IndexForm, index: Index, n: int) -> bool:
    """Compare operator class and collation of a key; PostgreSQL does not print those that are the default."""
    own = index.opclass_names[n] if n < len(index.opclass_names) else None
    advised, actual = wanted.opclasses[n], found.opclasses[n]
    is_class = advised == actual or (actual is None and advised == own)
    return is_class and wanted.collations[n] == found.collations[n]


def _last(parts: Any) -> str | None:
    return trees.names(parts)[-1] if parts else None


def _order(key: Any) -> tuple[bool, bool]:
    is_descending = key.ordering == SortByDir.SORTBY_DESC
    if key.nulls_ordering == SortByNulls.SORTBY_NULLS_DEFAULT:
        return is_descending, is_descending
    return is_descending, key.nulls_ordering == SortByNulls.SORTBY_NULLS_FIRST


def _key(key: Any, renamed: Mapping[str, str]) -> IndexPart:
    if key.name:
        return ("column", renamed.get(key.name, key.name))
    found: IndexPart = _plain(key.expr, renamed, is_outermost=True)
    return found


def _conjuncts(form: Any) -> Iterator[IndexPart]:
    if not form:
        return
    if form[0] == "and":
        for each in form[1:]:
            yield from _conjuncts(each)
    else:
        yield form


# Expressions: PostgreSQL adds casts of constants and to text, and writes IN and BETWEEN in another way.


def _plain(node: Any, renamed: Mapping[str, str], *, is_outermost: bool = False) -> Any:
    match node:
        case None:
            return ()
        case ast.ColumnRef():
            name = trees.names(node.fields)[-1] if trees.names(node.fields) else "*"
            return ("column", renamed.get(name, name))
        case ast.A_Const():
            return ("constant", _value(node))
        case ast.TypeCast():
            return _cast(node, renamed, is_outermost=is_outermost)
        case ast.BoolExpr():
            return _boolean(node, renamed)
        case ast.A_Expr():
            return _operator(node, renamed)
        case ast.A_ArrayExpr():
            return ("list", *(_plain(each, renamed) for each in node.elements or ()))
        case ast.Node():
            slots = ((s, getattr(node, s)) for s in node if s not in _POSITIONS)
            return (
                type(node).__name__,
                *((s, _plain(v, renamed)) for s, v in slots if v is not None),
            )
        case list() | tuple():
            return tuple(_plain(each, renamed) for each in node)
    return node


def _value(node: Any) -> str:
    value = node.val
    for slot in ("sval", "ival", "fval", "boolval"):
        if hasattr(value, slot):
            return str(getattr(value, slot))
    return "NULL"


def _cast(node: Any, renamed: Mapping[str, str], *, is_outermost: bool) -> IndexPart:
    inner: IndexPart = _plain(node.arg, renamed)
    kind = trees.names(node.typeName.names)[-1]
    is_text = kind in _TEXTS and not is_outermost
    is_constant = bool(inner) and inner[0] in ("constant", "list")
    return inner if is_text or is_constant else ("cast", kind, inner)


def _boolean(node: Any, renamed: Mapping[str, str]) -> IndexPart:
    kind = str(node.boolop.name).removesuffix("_EXPR").lower()
    parts = [_plain(each, renamed) for each in node.args]
    if kind == "and":
        return ("and", *parts)
    return (kind, *(sorted(parts, key=repr) if kind == "or" else parts))


def _operator(node: Any, renamed: Mapping[str, str]) -> IndexPart:
    name = trees.names(node.name)[-1] if node.name else ""
    left, right = _plain(node.lexpr, renamed), _plain(node.rexpr, renamed)
    match node.kind:
        case A_Expr_Kind.AEXPR_IN | A_Expr_Kind.AEXPR_OP_ANY | A_Expr_Kind.AEXPR_OP_ALL:
            listed = right[1:] if right and right[0] == "list" else right
            is_all = node.kind == A_Expr_Kind.AEXPR_OP_ALL or name == "<>"
            return ("all" if is_all else "any", name, left, frozenset(listed))
        case A_Expr_Kind.AEXPR_BETWEEN:
            low, high = right
            return ("and", ("operator", ">=", left, low), ("operator", "<=", left, high))
        case A_Expr_Kind.AEXPR_DISTINCT | A_Expr_Kind.AEXPR_NOT_DISTINCT | A_Expr_Kind.AEXPR_NULLIF:
            return (node.kind.name, left, right)
    return ("operator", name, left, right)
