"""CREATE INDEX as text: split, compared and rewritten."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pglast import ast
from pglast.enums import SortByDir, SortByNulls
from pglast.parser import Token, scan

from pgwatch_wed.quote import ident
from pgwatch_wed.sqltext import trees

Form = tuple[Any, ...]

_CLAUSES = {
    "INCLUDE": "include",
    "NULLS_P": "nulls",
    "WITH": "options",
    "TABLESPACE": "tablespace",
    "WHERE": "where",
}


@dataclass(frozen=True, slots=True)
class IndexText:
    """An index without its name and table; each clause is kept as written.

    ``keys`` are columns, or None for an expression. ``form`` is equal if PostgreSQL considers two indexes
    equivalent, so that one can be attached to the other. ``order`` is what it ignores: DESC and NULLS FIRST.
    """

    is_unique: bool
    using: str
    columns: str
    include: str
    nulls: str
    options: str
    where: str
    keys: tuple[str | None, ...]
    labels: tuple[str, ...]
    form: Form
    order: Form

    @property
    def shape(self) -> str:
        """The definition from USING on, without a tablespace."""
        return self._joined()

    @property
    def shown(self) -> str:
        """What is in the index, for a title: without what B-trees need not say, and without options."""
        method = "" if self.form[0] == "btree" else self.using
        return _spaced(method, self.columns, self.include, self.nulls, self.where)

    def create(
        self,
        name: str,
        table: tuple[str, str],
        *,
        concurrently: bool = False,
        only: bool = False,
        tablespace: str | None = None,
    ) -> str:
        """Return CREATE INDEX without a semicolon."""
        words = ["CREATE", *(["UNIQUE"] if self.is_unique else []), "INDEX"]
        words += ["CONCURRENTLY"] if concurrently else []
        words += [ident(name), "ON", *(["ONLY"] if only else []), ident(*table)]
        return " ".join([*words, self._joined(tablespace)])

    def constraint(self, kind: str, tablespace: str | None = None) -> str:
        """Return the constraint of this kind (``UNIQUE``) with such an index."""
        place = f"USING INDEX TABLESPACE {ident(tablespace)}" if tablespace else ""
        return _spaced(kind, self.nulls, self.columns, self.include, self.options, place)

    def _joined(self, tablespace: str | None = None) -> str:
        place = f"TABLESPACE {ident(tablespace)}" if tablespace else ""
        return _spaced(
            *(self.using, self.columns, self.include, self.nulls, self.options, place, self.where)
        )

    def begins_with(self, columns: frozenset[str]) -> bool:
        """Tell whether the leading keys are these columns, in any order, and all rows are in it."""
        lead = self.keys[: len(columns)]
        return not self.where and len(lead) == len(columns) and set(lead) == columns


def _spaced(*parts: str) -> str:
    return " ".join(part for part in parts if part)


def of_shape(shape: str) -> IndexText | None:
    """Read what follows the table's name: ``USING brin (at)``, ``(a, b)``."""
    return read(f"CREATE INDEX ON t {shape}")


@lru_cache(maxsize=20_000)
def read(definition: str) -> IndexText | None:
    """Read CREATE INDEX; None if it is something else, or not in a form that the parser knows."""
    try:
        statements = trees.parse(definition)
    except trees.UnreadableError:
        return None
    if len(statements) != 1 or not isinstance(statements[0], ast.IndexStmt):
        return None
    return _text(definition, statements[0], scan(definition))


def _text(definition: str, statement: Any, tokens: list[Token]) -> IndexText:
    clauses = _clauses(definition, tokens)
    return IndexText(
        is_unique=bool(statement.unique),
        **{name: clauses.get(name, "") for name in _TEXTS},
        keys=tuple(key.name for key in statement.indexParams),
        labels=tuple(_label(key) for key in statement.indexParams),
        form=_form(statement),
        order=tuple(_order(key) for key in statement.indexParams),
    )


_TEXTS = ("using", "columns", "include", "nulls", "options", "where")


def _clauses(text: str, tokens: list[Token]) -> dict[str, str]:
    """Split the text where a clause begins outside of parentheses."""
    starts = list(_starts(tokens))
    # only the last statement ends where the text ends
    ends = [start for _, start in starts[1:]] + [len(text)]
    return {
        name: text[start:end].strip().removesuffix(";").strip()
        for (name, start), end in zip(starts, ends, strict=True)
    }


def _starts(tokens: list[Token]) -> Iterator[tuple[str, int]]:
    depth, has_on, has_columns = 0, False, False
    for token in tokens:
        if token.name == "ASCII_40":
            if depth == 0 and has_on and not has_columns:
                has_columns = True
                yield "columns", token.start
            depth += 1
        elif token.name == "ASCII_41":
            depth -= 1
        elif depth == 0 and has_columns and token.name in _CLAUSES:
            yield _CLAUSES[token.name], token.start
        elif depth == 0 and token.name == "ON":
            has_on = True
        elif depth == 0 and token.name == "USING" and not has_columns:
            yield "using", token.start


def _label(key: Any) -> str:
    """Return what PostgreSQL uses for a key in the name of an index: its column, its function, or ``expr``."""
    inner = trees.without_casts(key.expr)
    if isinstance(inner, ast.FuncCall):
        return _last(inner.funcname) or "expr"
    return str(key.name) if key.name else "expr"


# Equality


def _form(statement: Any) -> Form:
    return (
        statement.accessMethod,
        bool(statement.unique),
        bool(statement.nulls_not_distinct),
        tuple(_key(key) for key in statement.indexParams),
        tuple(key.name for key in statement.indexIncludingParams or ()),
        _plain(statement.whereClause),
    )


def _key(key: Any) -> Form:
    """Return column or expression, collation and operator class, the latter two without schema."""
    return (key.name, _plain(key.expr), _last(key.collation), _last(key.opclass))


def _last(parts: Any) -> str | None:
    return trees.names(parts)[-1] if parts else None


def _order(key: Any) -> tuple[bool, bool]:
    is_descending = key.ordering == SortByDir.SORTBY_DESC
    if key.nulls_ordering == SortByNulls.SORTBY_NULLS_DEFAULT:
        return is_descending, is_descending
    return is_descending, key.nulls_ordering == SortByNulls.SORTBY_NULLS_FIRST


def _plain(node: Any) -> Any:
    """Return an expression without positions, and without the type of constants that are text anyway."""
    if isinstance(node, ast.TypeCast) and isinstance(node.arg, ast.A_Const):
        type_: Any = node.typeName
        if _last(type_.names) == "text":
            return _plain(node.arg)
    if isinstance(node, ast.Node):
        slots = ((s, getattr(node, s)) for s in node if s not in _POSITIONS)
        return (type(node).__name__, *((s, _plain(v)) for s, v in slots if v is not None))
    if isinstance(node, list | tuple):
        return tuple(_plain(each) for each in node)
    return node


_POSITIONS = frozenset(("location", "rexpr_list_start", "rexpr_list_end", "list_start", "list_end"))
