"""The one place that parses SQL, with PostgreSQL's own parser, and walks the result."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pglast import ast, parse_sql
from pglast.parser import ParseError, fingerprint, parse_sql_json

# Shorter texts cannot be nested so deeply that building the tree overflows the stack.
_LONG = 10_000


class UnreadableError(ValueError):
    """The parser rejects the text; the message says why."""


@dataclass(frozen=True, slots=True)
class LocatedStatement:
    """A statement, and where it is in its text: from its first word to before its semicolon."""

    node: Any
    start: int
    end: int


def parse(text: str) -> tuple[Any, ...]:
    """Return the statements of a text; raise :class:`UnreadableError` if it is not SQL."""
    return tuple(raw.stmt for raw in _raw(text))


def located(text: str) -> tuple[LocatedStatement, ...]:
    """Return the statements of a text with their places; raise :class:`UnreadableError` if it is not SQL."""
    return tuple(
        LocatedStatement(
            raw.stmt, raw.stmt_location, raw.stmt_location + (raw.stmt_len or len(text))
        )
        for raw in _raw(text)
    )


def _raw(text: str) -> tuple[Any, ...]:
    try:
        if len(text) > _LONG:
            parse_sql_json(text)  # this one checks the depth, which would crash the other
        return tuple(parse_sql(text))
    except ParseError as error:
        raise UnreadableError(f"PostgreSQL's parser rejects it: {error.args[0]}") from None
    except (ValueError, RecursionError) as error:
        raise UnreadableError(f"it cannot be parsed: {error}") from None


def form(text: str) -> str:
    """Return what texts have in common that differ in constants only; the text itself if it is not SQL."""
    try:
        return str(fingerprint(text))
    except ValueError:  # also ParseError
        return text


def walk(node: Any, *closed: type) -> Iterator[Any]:
    """Yield a node and all below it, parents first, except for what is below a ``closed`` node.

    ``node`` may also be a tuple of nodes, or None.
    """
    stack = [node]
    while stack:
        node = stack.pop()
        if isinstance(node, tuple):
            stack.extend(reversed(node))
        elif isinstance(node, ast.Node):
            yield node
            if not isinstance(node, closed):
                for attribute in reversed(list(node)):
                    value = getattr(node, attribute)
                    if isinstance(value, tuple | ast.Node):
                        stack.append(value)


def names(parts: Any) -> tuple[str, ...]:
    """Return the names in a qualified name, except for ``*``."""
    return tuple(str(part.sval) for part in parts or () if isinstance(part, ast.String))


def without_casts(node: Any) -> Any:
    """Return the node inside any casts."""
    while isinstance(node, ast.TypeCast):
        node = node.arg
    return node


def constant(node: Any) -> str | None:
    """Return a constant as text, "true" or "false" if it is a boolean; None for NULL."""
    match node.val:
        case _ if node.isnull:
            return None
        case ast.String():
            return str(node.val.sval)
        case ast.Boolean():
            return "true" if node.val.boolval else "false"
        case ast.Integer():
            return str(node.val.ival or 0)
        case _:
            return str(getattr(node.val, "fval", ""))
