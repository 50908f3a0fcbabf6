"""One statement's text → its kind, its tables and its parameters; or the reason why it is no use."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pglast import ast, parse_sql
from pglast.parser import ParseError, Token, parse_sql_json, scan

_KINDS: dict[str, str] = {
    "SelectStmt": "select",
    "InsertStmt": "insert",
    "UpdateStmt": "update",
    "DeleteStmt": "delete",
    "MergeStmt": "merge",
}


class UnsupportedError(ValueError):
    """The text is not one statement that can be planned; the message says why."""


@dataclass(frozen=True, slots=True)
class RelationName:
    """A table or view as the text names it."""

    schema: str | None
    name: str


@dataclass(frozen=True, slots=True)
class ParsedStatement:
    """A statement that the planner takes: ``text`` without a trailing semicolon."""

    text: str
    kind: str
    relations: frozenset[RelationName]
    parameters: int

    @property
    def is_write(self) -> bool:
        """It changes rows of a table."""
        return self.kind != "select"


@lru_cache(maxsize=5000)
def parse(text: str) -> ParsedStatement:
    """Return what the text holds; raise :class:`UnsupportedError` unless it is one statement.

    Taken are SELECT, VALUES, TABLE, INSERT, UPDATE, DELETE and MERGE, with or without WITH.
    """
    text = with_casts(text)
    tree = _tree(text)
    if len(tree) != 1:
        raise UnsupportedError("it is empty" if not tree else f"it holds {len(tree)} statements")
    (name,) = tree[0]["stmt"]
    if name not in _KINDS:
        raise UnsupportedError(f"{_words(name)} is not planned")
    if "intoClause" in tree[0]["stmt"][name]:
        raise UnsupportedError("SELECT INTO makes a table")
    nodes = list(_nodes(tree[0]["stmt"]))
    hidden = {n["ctename"] for kind, n in nodes if kind == "CommonTableExpr"}
    relations = {
        RelationName(n.get("schemaname"), n["relname"]) for kind, n in nodes if kind == "RangeVar"
    } - {RelationName(None, name) for name in hidden}
    numbers = [n.get("number", 0) for kind, n in nodes if kind == "ParamRef"]
    return ParsedStatement(
        _trimmed(text), _kind(name, nodes), frozenset(relations), max(numbers, default=0)
    )


def with_casts(text: str) -> str:
    """Write ``interval $1`` as ``$1::interval``, and ``extract($1 from x)`` as ``date_part($1, x)``.

    pg_stat_statements puts a parameter in the place of a literal also where its type or a keyword
    stands before it, as in ``interval '1 day'``; no server takes what comes of it. (pglast does.)
    """
    if not _LITERAL_SYNTAX.search(text):
        return text
    try:
        tokens = list(scan(text))
    except ParseError:
        return text
    pieces, end = [], 0
    for start, stop, new in _repairs(text, tokens):
        pieces += [text[end:start], new]
        end = stop
    repaired = "".join([*pieces, text[end:]])
    return repaired if pieces and _parses(repaired) else text


_LITERAL_SYNTAX = re.compile(r"[\w\")]\s+\$\d|extract\s*\(\s*\$\d", re.IGNORECASE)


def _repairs(text: str, tokens: Sequence[Token]) -> Iterator[tuple[int, int, str]]:
    """Yield (from, to, what stands there instead), in order."""
    for place, token in enumerate(tokens):
        if token.name != "PARAM":
            continue
        parameter = text[token.start : token.end + 1]
        around = [
            t.name for t in (*tokens[max(place - 2, 0) : place], *tokens[place + 1 : place + 2])
        ]
        if around == ["EXTRACT", "ASCII_40", "FROM"]:
            yield tokens[place - 2].start, tokens[place + 1].end + 1, f"date_part({parameter},"
            continue
        first = _type_before(tokens, place)
        if first is not None:
            kind = text[first.start : token.start].rstrip()
            yield first.start, token.end + 1, f"{parameter}::{kind}"


_TYPES = frozenset(
    (
        *("IDENT", "INTERVAL", "TIMESTAMP", "TIME", "NUMERIC", "DECIMAL_P", "BOOLEAN_P", "REAL"),
        *("INT_P", "INTEGER", "BIGINT", "SMALLINT", "FLOAT_P", "BIT", "VARCHAR", "CHARACTER"),
        *("CHAR_P", "JSON"),
    )
)


def _type_before(tokens: Sequence[Token], place: int) -> Token | None:
    """Return the first token of the type that stands before a parameter; None where none does."""
    at = place - 1
    if at >= 3 and tokens[at].name == "ZONE":  # timestamp with time zone
        at -= 3
    if at >= 1 and tokens[at].name == "ASCII_41":  # interval(3)
        while at > 0 and tokens[at].name != "ASCII_40":
            at -= 1
        at -= 1
    if at < 0 or tokens[at].name not in _TYPES:
        return None
    while at >= 2 and tokens[at - 1].name == "ASCII_46" and tokens[at - 2].name == "IDENT":
        at -= 2
    return tokens[at]


def _parses(text: str) -> bool:
    try:
        parse_sql_json(text)
    except (ParseError, ValueError, RecursionError):
        return False
    return True


def with_constant_limits(text: str, rows: int) -> str:
    """Replace a parameter in LIMIT by a typical number, and one in OFFSET by zero.

    A generic plan takes an unknown LIMIT for a tenth of the rows, which no user asks for.
    """
    try:
        statements = parse_sql(text)
    except ParseError:
        return text
    limits = dict(_limit_parameters(statements, rows))
    pieces, end = [], 0
    for token in scan(text):
        if token.name == "PARAM" and token.start in limits:
            pieces += [text[end : token.start], str(limits[token.start])]
            end = token.end + 1
    return "".join([*pieces, text[end:]])


def _limit_parameters(node: Any, rows: int) -> Iterator[tuple[int, int]]:
    """Yield the places of parameters that LIMIT and OFFSET take, with what stands for them."""
    if isinstance(node, tuple | list):
        for each in node:
            yield from _limit_parameters(each, rows)
    elif isinstance(node, ast.Node):
        if isinstance(node, ast.SelectStmt):
            for part, value in ((node.limitCount, rows), (node.limitOffset, 0)):
                while isinstance(part, ast.TypeCast):
                    part = part.arg
                if isinstance(part, ast.ParamRef) and part.location is not None:
                    yield part.location, value
        for attribute in node:
            yield from _limit_parameters(getattr(node, attribute), rows)


def _tree(text: str) -> list[dict[str, Any]]:
    try:
        tree: list[dict[str, Any]] = json.loads(parse_sql_json(text)).get("stmts", [])
    except ParseError as error:
        raise UnsupportedError(f"PostgreSQL's parser does not take it: {error.args[0]}") from None
    except (ValueError, RecursionError, UnicodeError) as error:
        raise UnsupportedError(f"it cannot be parsed: {error}") from None
    return tree


def _kind(name: str, nodes: list[tuple[str, dict[str, Any]]]) -> str:
    """Return the kind; a SELECT that writes in its WITH counts as what it writes."""
    if name != "SelectStmt":
        return _KINDS[name]
    writes = (_KINDS[kind] for kind, _ in nodes if kind in _KINDS and kind != "SelectStmt")
    return next(writes, "select")


def _nodes(tree: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    stack = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, dict):
            for key, value in node.items():
                if isinstance(value, dict) and key[:1].isupper():
                    yield key, value
                elif key == "relation" and isinstance(value, dict) and "relname" in value:
                    # INSERT, UPDATE, DELETE and MERGE name their target without a wrapper
                    yield "RangeVar", value
                stack.append(value)
        elif isinstance(node, list):
            stack.extend(node)


def _trimmed(text: str) -> str:
    """Cut off semicolons and comments at the end; what follows the last token is neither."""
    tokens = [t for t in scan(text) if t.name not in ("SQL_COMMENT", "C_COMMENT")]
    while tokens and tokens[-1].name == "ASCII_59":
        tokens.pop()
    return text[: tokens[-1].end + 1] if tokens else ""


def _words(name: str) -> str:
    return "".join(f" {c}" if c.isupper() else c for c in name.removesuffix("Stmt")).strip().upper()
