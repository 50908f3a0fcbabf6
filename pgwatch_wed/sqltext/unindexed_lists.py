"""Conditions such as ``b IN (1, 2)`` in a statement, written so that no index serves them: each row is tested."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from pglast.parser import ParseError, Token, scan

_OPEN, _CLOSE, _DOT = "ASCII_40", "ASCII_41", "ASCII_46"
TRUTH = " IS TRUE"


def unindexed_lists(text: str, columns: Collection[str]) -> str:
    """Return the text in which lists that these columns are compared with are ``(b IN (1, 2)) IS TRUE``.

    It means the same, and the planner expects as many rows.
    """
    try:
        tokens = list(scan(text))
    except ParseError:
        return text
    pieces, end = [], 0
    for start, stop in _lists(text, tokens, columns):
        pieces += [text[end:start], f"(({text[start:stop]}){TRUTH})"]
        end = stop
    return "".join([*pieces, text[end:]])


def as_written(tree: Mapping[str, Any], text: str) -> Mapping[str, Any]:
    """Return the plan of what :func:`unindexed_lists` made of a text with the conditions of the text itself."""
    if TRUTH in text.upper():
        return tree
    return {name: _as_written(value, text) for name, value in tree.items()}


def _as_written(value: Any, text: str) -> Any:
    if isinstance(value, str):
        return value.replace(f"){TRUTH}", ")")
    return [as_written(child, text) for child in value] if _is_nodes(value) else value


def _is_nodes(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, dict) for each in value)


def _lists(
    text: str, tokens: Sequence[Token], columns: Collection[str]
) -> Iterator[tuple[int, int]]:
    """Yield where conditions begin and end, in order."""
    for place in range(1, len(tokens) - 2):
        opening = _opening(tokens, place)
        name = text[tokens[place - 1].start : tokens[place - 1].end + 1]
        if opening is None or name.strip('"') not in columns:
            continue
        first = place - 1
        while first >= 2 and tokens[first - 1].name == _DOT:
            first -= 2
        last = closing(tokens, opening)
        if last is not None:
            yield tokens[first].start, tokens[last].end + 1


def _opening(tokens: Sequence[Token], place: int) -> int | None:
    """Return where the parenthesis of a list is whose IN, or whose ``=`` before ANY, is at a place; None for a query."""
    names = [token.name for token in tokens[place : place + 4]]
    words = ["IN_P"] if names[0] == "IN_P" else ["ASCII_61", "ANY"]
    is_list = names[: len(words) + 1] == [*words, _OPEN] and names[-1:] != ["SELECT"]
    after = tokens[place + len(words) + 1].name if is_list else ""
    return place + len(words) if is_list and after not in ("SELECT", "VALUES", "WITH") else None


def closing(tokens: Sequence[Token], opening: int) -> int | None:
    """Return which token closes the parenthesis that another one opens; None if there is none."""
    depth = 0
    for place in range(opening, len(tokens)):
        depth += (tokens[place].name == _OPEN) - (tokens[place].name == _CLOSE)
        if depth == 0:
            return place
    return None
