"""Conditions such as ``a.x IN (SELECT b.x FROM b WHERE b.y = a.y)`` in a statement, written so that they are no joins.

Since PostgreSQL 17, a subquery there that refers to the outer query is joined. Before, it is run for each row of the outer query.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

from pglast import ast
from pglast.enums import SubLinkType
from pglast.parser import ParseError, Token, scan

from pgwatch_wed.sqltext import trees
from pgwatch_wed.sqltext.unindexed_lists import TRUTH, closing

_OPEN = "ASCII_40"
_QUERY = frozenset({"SELECT", "WITH", "VALUES", "TABLE", _OPEN})


@dataclass(frozen=True, slots=True)
class Unjoined:
    """A statement's text with ``IS TRUE`` after each such condition, which means the same, and the planner expects as many rows.

    ``ends`` are where the conditions end in the text as it was.
    """

    text: str
    ends: tuple[int, ...] = ()

    def place(self, position: int) -> int:
        """Return where in the text as it was a position in this one is."""
        before = sum(end + n * len(TRUTH) < position for n, end in enumerate(self.ends))
        return position - before * len(TRUTH)


@lru_cache(maxsize=256)
def unjoined(text: str) -> Unjoined:
    """Return the text in which no subquery of IN, or of ``= ANY``, that names a table of the outer query can become a join."""
    try:
        tokens = list(scan(text))
        ends = tuple(sorted(set(_ends(text, tokens))))
    except (ParseError, trees.UnreadableError):
        return Unjoined(text)
    pieces, last = [], 0
    for end in ends:
        pieces += [text[last:end], TRUTH]
        last = end
    return Unjoined("".join([*pieces, text[last:]]), ends)


def _ends(text: str, tokens: list[Token]) -> Iterator[int]:
    for node in trees.walk(trees.parse(text)):
        if isinstance(node, ast.SubLink) and node.subLinkType == SubLinkType.ANY_SUBLINK:
            end = _end(tokens, node.location or 0) if _is_correlated(node.subselect) else None
            if end is not None:
                yield end


def _end(tokens: list[Token], start: int) -> int | None:
    """Return where the subquery of a condition whose operator is at ``start`` ends."""
    for number, (token, following) in enumerate(pairwise(tokens)):
        if token.start >= start and token.name == _OPEN and following.name in _QUERY:
            last = closing(tokens, number)
            return None if last is None else tokens[last].end + 1
    return None


def _is_correlated(query: Any) -> bool:
    """Tell whether a subquery qualifies a column with what it does not read itself."""
    nodes = list(trees.walk(query))
    own = {name for node in nodes for name in _named(node)}
    references = (node.fields or () for node in nodes if isinstance(node, ast.ColumnRef))
    return any(len(f) > 1 and f[-2].sval not in own for f in references)


def _named(node: Any) -> Iterator[str]:
    """Yield the name with which the columns of what a node reads are qualified."""
    match node:
        case ast.RangeVar():
            yield str(node.alias.aliasname if node.alias else node.relname)
        case ast.RangeSubselect() | ast.RangeFunction() | ast.JoinExpr():
            if node.alias:
                yield str(node.alias.aliasname)
        case ast.FuncCall():  # names what it returns if that has no alias
            yield from trees.names(node.funcname)
