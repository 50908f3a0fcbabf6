"""ON CONFLICT: whose unique indexes it needs, and the predicate of a partial one where its text has parameters."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pglast import ast
from pglast.parser import Token, scan

from pgwatch_wed.sqltext import trees
from pgwatch_wed.sqltext.reading import QualifiedName


@dataclass(frozen=True, slots=True)
class Conflict:
    """``INSERT INTO table … ON CONFLICT (columns) WHERE predicate``; an expression among the columns is left out."""

    table: QualifiedName
    columns: frozenset[str]
    has_open_predicate: bool


def conflicts(text: str) -> list[Conflict]:
    """Return the ON CONFLICT clauses of a statement that need a unique index."""
    if "conflict" not in text.lower():
        return []
    try:
        statements = trees.parse(text)
    except ValueError:
        return []
    return list(_conflicts(statements))


def _conflicts(statements: Sequence[Any]) -> Iterator[Conflict]:
    for node in trees.walk(tuple(statements)):
        if isinstance(node, ast.InsertStmt) and node.onConflictClause is not None:
            assert node.relation is not None
            inferred = node.onConflictClause.infer
            elements = getattr(inferred, "indexElems", None) or ()
            predicate = getattr(inferred, "whereClause", None)
            yield Conflict(
                QualifiedName(node.relation.schemaname, str(node.relation.relname)),
                frozenset(str(e.name) for e in elements if e.name is not None),
                any(isinstance(n, ast.ParamRef) for n in trees.walk(predicate)),
            )


def with_predicates(text: str, predicate_of: Callable[[Conflict], str | None]) -> str:
    """Replace the predicates of ON CONFLICT whose literals are gone with those of the indexes that they select."""
    found = conflicts(text)
    if not any(c.has_open_predicate for c in found):
        return text
    tokens = [t for t in scan(text) if t.name not in ("SQL_COMMENT", "C_COMMENT")]
    pieces, end = [], 0
    for conflict, place in zip(found, _places(tokens), strict=False):
        predicate = predicate_of(conflict) if conflict.has_open_predicate else None
        if predicate is not None and place is not None:
            pieces += [text[end : place[0]], f"({predicate}) "]
            end = place[1]
    return "".join([*pieces, text[end:]])


def _places(tokens: Sequence[Token]) -> Iterator[tuple[int, int] | None]:
    """Yield where the predicate of each ON CONFLICT is, from its first word to DO."""
    for start, token in enumerate(tokens):
        if token.name != "CONFLICT":
            continue
        depth, begin = 0, None
        for each in tokens[start + 1 :]:
            depth += (each.name == "ASCII_40") - (each.name == "ASCII_41")
            if depth == 0 and each.name == "WHERE":
                begin = each.end + 2
            if depth == 0 and each.name == "DO":
                yield None if begin is None else (begin, each.start)
                break
