"""Texts as normalized by pg_stat_statements → texts that a server accepts."""

import re
from collections.abc import Callable, Iterator, Sequence

from pglast.parser import ParseError, Token, scan

from pgwatch_wed.sqltext import trees


def with_casts(text: str) -> str:
    """Write ``interval $1`` as ``$1::interval``, and ``extract($1 from x)`` as ``date_part($1, x)``.

    pg_stat_statements replaces a literal with a parameter even if its type or a keyword precedes it,
    as in ``interval '1 day'``; no server accepts the result. (pglast does.) Then ``extract('year' from x)`` becomes
    ``date_part``, too: in GROUP BY, it shall be the same expression.
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
_EXTRACT_OPEN = re.compile(r"extract\s*\(\s*\$\d", re.IGNORECASE)


def _repairs(text: str, tokens: Sequence[Token]) -> Iterator[tuple[int, int, str]]:
    """Yield (from, to, replacement), in order."""
    is_extracting = _EXTRACT_OPEN.search(text) is not None
    for place, token in enumerate(tokens):
        if token.name != "PARAM" and not is_extracting:
            continue
        parameter = text[token.start : token.end + 1]
        around = [
            t.name for t in (*tokens[max(place - 2, 0) : place], *tokens[place + 1 : place + 2])
        ]
        if around == ["EXTRACT", "ASCII_40", "FROM"]:
            field = parameter if token.name in ("PARAM", "SCONST") else f"'{parameter.lower()}'"
            yield tokens[place - 2].start, tokens[place + 1].end + 1, f"date_part({field},"
            continue
        first = _type_before(tokens, place) if token.name == "PARAM" else None
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


_WITH = frozenset({"WITH", "WITH_LA", "WITHOUT", "WITHOUT_LA"})


def _type_before(tokens: Sequence[Token], place: int) -> Token | None:
    """Return the first token of the type that precedes a parameter, or None."""
    at = place - 1
    if tokens[at].name == "ZONE":
        if at < 3 or tokens[at - 2].name not in _WITH:  # x AT TIME ZONE $1
            return None
        at -= 3  # timestamp with time zone
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
        trees.parse(text)
    except trees.UnreadableError:
        return False
    return True


def with_values(text: str, value_of: Callable[[int, int], str | None]) -> str:
    """Replace parameters with values, except where ``value_of`` returns None.

    It is called with the number of a parameter and the position where it begins.
    """
    pieces, end = [], 0
    for number, token in _parameters(text):
        value = value_of(number, token.start)
        if value is not None:
            pieces += [text[end : token.start], value]
            end = token.end + 1
    return "".join([*pieces, text[end:]])


def parameters(text: str) -> set[int]:
    """Return the numbers of a text's parameters."""
    return {number for number, _ in _parameters(text)}


def _parameters(text: str) -> Iterator[tuple[int, Token]]:
    for token in scan(text):
        if token.name == "PARAM":
            yield int(text[token.start + 1 : token.end + 1]), token
