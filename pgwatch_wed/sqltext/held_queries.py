"""The query in a utility command that runs one: DECLARE, PREPARE, CREATE TABLE AS, COPY (query), SELECT INTO."""

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from pglast import ast
from pglast.parser import Token, scan
from pglast.stream import RawStream

from pgwatch_wed.sqltext import trees
from pgwatch_wed.sqltext.repairs import with_casts, with_values

_NAME = r'("(?:[^"]|"")+"|\w+)'
_DECLARES = re.compile(rf"\s*declare\s+{_NAME}", re.IGNORECASE)
_FETCHES = re.compile(rf"\s*(?:fetch|move)\b.*?{_NAME}\s*;?\s*\Z", re.IGNORECASE | re.DOTALL)


def declared(text: str) -> str | None:
    """Return the cursor that a command declares."""
    return _cursor(_DECLARES, text)


def fetched(text: str) -> str | None:
    """Return the cursor from which a command fetches: that is where the time of its query stands."""
    return _cursor(_FETCHES, text)


def _cursor(command: re.Pattern[str], text: str) -> str | None:
    found = command.match(text)
    if found is None:
        return None
    return found[1] if found[1].startswith('"') else found[1].lower()


def query_within(text: str) -> str | None:
    """Return the query that a command runs, or None if it is no such command.

    Before PostgreSQL 16, pg_stat_statements attributes what EXECUTE does to the text of its PREPARE.
    """
    try:
        (command,) = trees.parse(with_casts(text))
    except ValueError:
        return None
    text = with_casts(text)
    tokens = [t for t in scan(text) if t.name not in ("SQL_COMMENT", "C_COMMENT")]
    while tokens and tokens[-1].name == "ASCII_59":
        tokens.pop()
    match command:
        case ast.DeclareCursorStmt():
            return _after(text, tokens, "FOR")
        case ast.PrepareStmt():
            return _with_types(_after(text, tokens, "AS"), command)
        case ast.CreateTableAsStmt():
            return None if _executes(command) else _after(text, _without_data(tokens), "AS")
        case ast.CopyStmt() if command.query is not None and not command.is_from:
            return _in_parentheses(text, tokens)
        case ast.SelectStmt() if command.intoClause is not None:
            return _without_into(text, tokens)
    return None


def _executes(command: ast.CreateTableAsStmt) -> bool:
    return isinstance(command.query, ast.ExecuteStmt)


def _after(text: str, tokens: Sequence[Token], word: str) -> str | None:
    """Return what follows a keyword outside of parentheses."""
    depth = 0
    for token, following in pairwise(tokens):
        depth += (token.name == "ASCII_40") - (token.name == "ASCII_41")
        if token.name == word and depth == 0:
            return text[following.start : tokens[-1].end + 1]
    return None


def _without_data(tokens: Sequence[Token]) -> Sequence[Token]:
    """Leave out WITH DATA or WITH NO DATA."""
    if tokens[-1].name != "DATA_P":
        return tokens
    return tokens[:-3] if tokens[-2].name == "NO" else tokens[:-2]


def _in_parentheses(text: str, tokens: Sequence[Token]) -> str | None:
    depth, start = 0, 0
    for token in tokens:
        if token.name == "ASCII_40":
            depth += 1
            if depth == 1:
                start = token.end + 1
        elif token.name == "ASCII_41":
            depth -= 1
            if depth == 0:
                return text[start : token.start].strip()
    return None


def _without_into(text: str, tokens: Sequence[Token]) -> str | None:
    """Leave out INTO with the name of the table, which ends where FROM or another clause begins."""
    depth = 0
    for place, token in enumerate(tokens):
        depth += (token.name == "ASCII_40") - (token.name == "ASCII_41")
        if token.name == "INTO" and depth == 0:
            rest = place + 1
            while rest < len(tokens) and tokens[rest].name in _INTO:
                rest += 1
            rest += 1
            while rest + 1 < len(tokens) and tokens[rest].name == "ASCII_46":
                rest += 2
            end = tokens[-1].end + 1
            after = tokens[rest].start if rest < len(tokens) else end
            return f"{text[: token.start]}{text[after:end]}"
    return None


_INTO = frozenset({"TEMP", "TEMPORARY", "UNLOGGED", "TABLE", "LOCAL", "GLOBAL"})


def _with_types(query: str | None, command: Any) -> str | None:
    """Give the parameters the types that PREPARE declares."""
    if query is None or not command.argtypes:
        return query
    types = [RawStream()(kind) for kind in command.argtypes]

    def typed(number: int, _start: int) -> str | None:
        return f"${number}::{types[number - 1]}" if number <= len(types) else None

    return with_values(query, typed)
