"""Names inside SQL: a statement that means the same, on tables with other names.

A statement is parsed, its names are replaced, and it is printed again; the result must parse into
what was meant. A text that cannot be parsed, such as a session's whose literals were removed or a
truncated one, is replaced token by token. No comment and no literal text is kept.
"""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from pglast import ast
from pglast.parser import ParseError, scan
from pglast.stream import RawStream

from pgwatch_wed.redaction.names import REDACTED, Names
from pgwatch_wed.sqltext import trees
from pgwatch_wed.sqltext.repairs import with_casts

# The mark by which this tool's own statements are recognized.
_MARK = re.compile(r"\s*(/\* pgwatch_wed(?::[a-z_]{1,40})? \*/)\s*")
_AUTOVACUUM = re.compile(
    r"(autovacuum: (?:VACUUM ANALYZE|VACUUM|ANALYZE|BRIN summarize) )(.*?)"
    r"((?: \(to prevent wraparound\)| \d+)?)",
    re.DOTALL,
)
_COMMANDS = frozenset(
    (
        *("START_REPLICATION", "BASE_BACKUP", "IDENTIFY_SYSTEM", "CREATE_REPLICATION_SLOT"),
        *("DROP_REPLICATION_SLOT", "TIMELINE_HISTORY", "READ_REPLICATION_SLOT", "UPLOAD_MANIFEST"),
    )
)
_SYSTEM_SCHEMAS = ("pg_catalog", "information_schema")
_OPERATOR = re.compile(r"[-+*/<>=~!@#%^&|`?]+|(?:NOT )?BETWEEN(?: SYMMETRIC)?")
_OPTION = re.compile(r"[a-z_]{1,40}")
# What printed SQL cannot do without, or what is about PostgreSQL rather than a database.
_LITERALS = frozenset(("SCONST", "USCONST", "BCONST", "XCONST"))
_COMMENTS = frozenset(("SQL_COMMENT", "C_COMMENT"))


class Statements:
    """Replace the names in statements."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self.of = cache(self._of)
        self.type = cache(self._type)

    def _of(self, text: str) -> str:
        mark = _MARK.match(text)
        if mark is not None:
            return f"{mark[1]} {self._of(text[mark.end() :])}"
        vacuum = _AUTOVACUUM.fullmatch(text)
        if vacuum is not None:
            return f"{vacuum[1]}{self.dotted(vacuum[2])}{vacuum[3]}"
        try:
            tree = trees.parse(with_casts(text))
            self._rename(tree)
            printed = str(RawStream()(tree))
            is_same = _plain(trees.parse(printed)) == _plain(tree)
        except Exception:  # noqa: BLE001 - whatever the parser or the printer raises, nothing leaks
            is_same = False
        return printed if is_same else self._by_tokens(text)

    def expression(self, text: str) -> str:
        """Replace the names in a column name or an index expression."""
        if self._names.knows(text):
            return self._names.stand_in("column", text)
        return self.of(f"select {text}").removeprefix("SELECT ").removeprefix("select ")

    def dotted(self, text: str) -> str:
        """Replace ``schema.relation`` as a message or a view prints it, without quotes."""
        schema, dot, name = text.partition(".")
        if not dot:
            return self._relation(None, text)
        return f"{self._names.stand_in('schema', schema)}.{self._relation(schema, name)}"

    def _type(self, text: str) -> str:
        """Replace the names in a type as format_type prints it."""
        try:
            (statement,) = trees.parse(f"select null::{text}")
            named: Any = statement.targetList[0].val.typeName
            before = _plain(named)
            self._rename(named)
        except (AttributeError, IndexError, ValueError):
            return self._names.stand_in("type", text)
        return text if _plain(named) == before else str(RawStream()(named))

    # --- what a name denotes -------------------------------------------------------------

    def _rename(self, node: Any) -> None:
        """Replace the names in a node and all below it."""
        if isinstance(node, tuple | list):
            for each in node:
                self._rename(each)
        elif isinstance(node, ast.Node):
            done = self._known(node)
            for field in (f for f in node if f not in done):
                value = getattr(node, field)
                if isinstance(value, str) and field in _texts(type(node).__name__):
                    setattr(node, field, self._name(_KINDS.get(field, "name"), value))
                else:
                    self._rename(value)

    def _known(self, node: Any) -> tuple[str, ...]:
        """Replace what is more than just a name; return the fields that are done."""
        match node:
            case ast.RangeVar():
                node.relname = self._relation(node.schemaname, str(node.relname))
                node.schemaname = node.schemaname and self._name("schema", node.schemaname)
                return ("relname", "schemaname")
            case ast.FuncCall():
                node.funcname = self._qualified("function", node.funcname)
                return ("funcname",)
            case ast.TypeName():
                node.names = self._qualified("type", node.names)
                return ("names",)
            case ast.IndexElem():
                node.opclass = self._qualified("opclass", node.opclass)
                return ("opclass",)
            case ast.CollateClause():
                node.collname = self._qualified("collation", node.collname)
                return ("collname",)
            case ast.ColumnRef():
                node.fields = self._column(node.fields)
                return ("fields",)
            case ast.A_Expr():
                node.name = self._operator(node.name)
                return ("name",)
            case ast.A_Const():
                if isinstance(node.val, ast.String):
                    node.val = ast.String(sval=self._name("text", str(node.val.sval)))
                return ("val",)
            case ast.Float() | ast.BitString():
                return ("fval", "bsval")
            case ast.VariableSetStmt() | ast.VariableShowStmt():
                node.name = node.name and self._name("setting", node.name)
                return ("name",)
            case ast.DefElem() if _OPTION.fullmatch(str(node.defname)):
                return () if self._names.knows(str(node.defname)) else ("defname",)
        return ()

    def _name(self, kind: str, name: str) -> str:
        return self._names.stand_in(kind, name)

    def _relation(self, schema: str | None, name: str) -> str:
        """Keep PostgreSQL's own relations, if they are meant."""
        if schema not in _SYSTEM_SCHEMAS and (
            self._names.knows(name) or not name.startswith("pg_")
        ):
            return self._name("name", name)
        return self._name("relation", name)

    def _qualified(self, kind: str, parts: Any) -> Any:
        if not parts or not all(isinstance(p, ast.String) for p in parts):
            return parts
        *before, last = (p.sval for p in parts)
        schemas = [self._name("schema", s) for s in before]
        is_users = bool(before) and before[-1] not in _SYSTEM_SCHEMAS
        name = self._names.replaced(kind, last) if is_users else self._name(kind, last)
        return _strings((*schemas, name))

    def _column(self, fields: Any) -> Any:
        kinds = ["column", "table", "schema", "database"]
        named = [str(f.sval) for f in fields if isinstance(f, ast.String)]
        if len(named) < len(fields):  # alias.*
            kinds = kinds[1:]
        made = [self._name(k, n) for k, n in zip(kinds, reversed(named), strict=False)][::-1]
        return (*_strings(made), *(f for f in fields if not isinstance(f, ast.String)))

    def _operator(self, parts: Any) -> Any:
        *before, last = (p.sval for p in parts)
        schemas = [self._name("schema", s) for s in before]
        kept = last if _OPERATOR.fullmatch(last) else self._name("name", last)
        return _strings((*schemas, kept))

    # --- what cannot be parsed ------------------------------------------------------------------

    def _by_tokens(self, text: str) -> str:
        try:
            return "".join(self._tokens(text))
        except (ParseError, ValueError, UnicodeError):  # truncated inside a literal, or not SQL
            return REDACTED

    def _tokens(self, text: str) -> Iterator[str]:
        end = 0
        before = ""
        for token in scan(text):
            written = text[token.start : token.end + 1]
            yield text[end : token.start]
            end = token.end + 1
            if token.name in _LITERALS:
                yield "?"
            elif token.name in ("IDENT", "UIDENT"):
                yield self._identifier(written, before, text[end:])
            elif token.name not in _COMMENTS:
                yield self._keyword(written, token.kind)
            before = token.name
        if text[end:].strip():
            raise ValueError("the text after the last token is not a comment of ours")

    def _identifier(self, written: str, before: str, rest: str) -> str:
        if written in _COMMANDS:
            return written
        quoted = written.startswith('"')
        name = written[1:-1].replace('""', '"') if quoted else written.lower()
        if before == "TYPECAST":
            return self._name("type", name)
        if rest.lstrip().startswith("("):
            return self._name("function", name)
        return self._relation(None, name)

    def _keyword(self, written: str, kind: str) -> str:
        """Replace an SQL keyword that is also a name."""
        name = written.lower()
        is_name = kind in ("UNRESERVED_KEYWORD", "COL_NAME_KEYWORD") and self._names.knows(name)
        return self._name("name", name) if is_name else written


_KINDS = {
    "aliasname": "alias",
    "rolename": "role",
    "accessMethod": "access_method",
    "access_method": "access_method",
    "amname": "access_method",
    "extname": "extension",
    "idxname": "index",
    "conname": "constraint",
    "tableSpace": "tablespace",
    "tablespacename": "tablespace",
    "dbname": "database",
    "colname": "column",
}


# Positions in the text, and which of two spellings is used.
_PLACES = re.compile(r"location|_start$|_end$|^stmt_len$|^funcformat$")


def _strings(names: Any) -> tuple[Any, ...]:
    return tuple(ast.String(sval=name) for name in names)


@cache
def _texts(kind: str) -> tuple[str, ...]:
    """Return the fields of a node type that contain text, rather than an enum value."""
    slots: Any = getattr(ast, kind).__slots__
    return tuple(n for n, slot in dict(slots).items() if slot.c_type == "char*")


@cache
def _said(kind: str) -> tuple[str, ...]:
    """Return the fields of a node type that determine its meaning."""
    slots: Any = getattr(ast, kind).__slots__
    return tuple(n for n in slots if not _PLACES.search(n))


def _plain(node: Any) -> Any:
    """Return a tree as comparable values, without positions in the text."""
    if isinstance(node, tuple | list):
        return [_plain(each) for each in node]
    if isinstance(node, ast.Node):
        fields = ((n, getattr(node, n)) for n in _said(type(node).__name__))
        return (type(node).__name__, [(n, _plain(v)) for n, v in fields if v is not None])
    return node
