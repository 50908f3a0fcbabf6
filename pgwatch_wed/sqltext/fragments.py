"""A script as its statements and the comments between them, and what psql would change in a statement."""

from dataclasses import dataclass
from typing import Any

from pglast.parser import ParseError, Token, scan

from pgwatch_wed.sqltext import trees

# psql replaces :name, :'name', :"name" and :{?name} outside of quotes.
_BEGINS_VARIABLE = frozenset("_'\"{")


@dataclass(frozen=True, slots=True)
class Fragment:
    """A statement without its semicolon, and its tree; or a comment, which has none.

    A script that cannot be parsed is one fragment, which is no comment.
    """

    text: str
    node: Any = None
    is_comment: bool = False


def fragments(script: str) -> tuple[Fragment, ...]:
    """Return the parts of a script, in order."""
    try:
        found = trees.located(script)
    except trees.UnreadableError:
        return (Fragment(script.strip().removesuffix(";")),)
    parts: list[Fragment] = []
    end = 0
    for each in found:
        parts += _comments(script[end : each.start])
        parts.append(_statement(script[each.start : each.end], each.node))
        end = each.end
    return (*parts, *_comments(script[end:]))


def _statement(text: str, node: Any) -> Fragment:
    text = text.strip().removesuffix(";")
    return Fragment(text, node)


def _comments(gap: str) -> list[Fragment]:
    """Return the comments before a statement, without the semicolon of the one before."""
    text = gap.strip().removeprefix(";").strip()
    return [Fragment(line.strip(), is_comment=True) for line in text.splitlines() if line.strip()]


def terminated(statement: str) -> str:
    """Return a statement with its semicolon, which a comment at its end must not swallow."""
    last = statement.rsplit("\n", 1)[-1]
    return f"{statement}\n;" if "--" in last else f"{statement};"


def for_psql(statement: str) -> str:
    """Keep psql from taking a part of a statement, such as ``[1:n]``, for a variable: with a space."""
    parts, end = [], 0
    for token in _colons(statement):
        parts.append(statement[end : token.start + 1])
        end = token.start + 1
    return " ".join((*parts, statement[end:]))


def _colons(statement: str) -> list[Token]:
    try:
        tokens = scan(statement)
    except ParseError:
        return []
    after = (statement[t.end + 1 : t.end + 2] for t in tokens)
    return [
        token
        for token, character in zip(tokens, after, strict=True)
        if token.name == "ASCII_58" and (character.isalnum() or character in _BEGINS_VARIABLE)
    ]
