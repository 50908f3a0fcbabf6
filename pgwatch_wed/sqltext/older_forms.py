"""Conditions of a statement that later versions plan otherwise, written so that they are planned as before.

Since PostgreSQL 17, the subquery of ``a.x IN (SELECT b.x FROM b WHERE b.y = a.y)``, which refers to the outer query, is joined. Before, it is
run for each row of the outer query. Since 18, ``a.x IN (VALUES (1), (2))`` is looked up as an array. Before, it is a join.
"""

from collections.abc import Iterable, Iterator
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
class Insertion:
    """What is inserted before a position of a text."""

    position: int
    text: str


@dataclass(frozen=True, slots=True)
class Inserted:
    """A text with insertions, which are in order."""

    text: str
    insertions: tuple[Insertion, ...] = ()

    @classmethod
    def into(cls, text: str, insertions: Iterable[Insertion]) -> "Inserted":
        """Return a text with insertions, in any order."""
        pieces, last = [], 0
        ordered = tuple(sorted(insertions, key=lambda each: each.position))
        for each in ordered:
            pieces += [text[last : each.position], each.text]
            last = each.position
        return cls("".join([*pieces, text[last:]]), ordered)

    def place(self, position: int) -> int:
        """Return where in the text as it was a position in this one is."""
        more = 0
        for each in self.insertions:
            if each.position + more + len(each.text) > position:
                return min(position - more, each.position)
            more += len(each.text)
        return position - more


@lru_cache(maxsize=256)
def of_each_row(text: str) -> tuple[Insertion, ...]:
    """Return IS TRUE behind each subquery of IN, or of ``= ANY``, that names a table of the outer query: it can become no join.

    It means the same, and the planner expects as many rows.
    """
    found = _asked(text)
    return tuple(Insertion(end, TRUTH) for query, _, end in found if _is_correlated(query))


@lru_cache(maxsize=256)
def of_values(text: str) -> tuple[Insertion, ...]:
    """Return what makes each ``IN (VALUES …)`` an ``IN (SELECT * FROM (VALUES …) AS v)``."""
    found: list[Insertion] = []
    for query, start, end in _asked(text):
        if query.valuesLists and not (query.withClause or query.limitCount or query.sortClause):
            found.append(Insertion(start + 1, "SELECT * FROM ("))
            found.append(Insertion(end - 1, ") AS v"))
    return tuple(found)


def _asked(text: str) -> tuple[tuple[Any, int, int], ...]:
    """Return the subqueries of IN and ANY, each with where its parentheses begin and end."""
    try:
        tokens = list(scan(text))
        links = [node for node in trees.walk(trees.parse(text)) if _is_any(node)]
    except (ParseError, trees.UnreadableError):
        return ()
    found = ((link.subselect, _parentheses(tokens, link.location or 0)) for link in links)
    return tuple((query, *place) for query, place in found if place is not None)


def _is_any(node: Any) -> bool:
    return isinstance(node, ast.SubLink) and node.subLinkType == SubLinkType.ANY_SUBLINK


def _parentheses(tokens: list[Token], start: int) -> tuple[int, int] | None:
    """Return where the parentheses of the subquery of a condition whose operator is at ``start`` begin and end."""
    for number, (token, following) in enumerate(pairwise(tokens)):
        if token.start >= start and token.name == _OPEN and following.name in _QUERY:
            last = closing(tokens, number)
            return None if last is None else (token.start, tokens[last].end + 1)
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
