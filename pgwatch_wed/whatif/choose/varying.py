"""Constants that differ between texts of one statement: values of its calls, which serve no other call if they are in an index."""

from collections.abc import Iterable, Mapping
from contextlib import suppress

from pglast import ast

from pgwatch_wed.sqltext import trees
from pgwatch_wed.whatif.model import Query


def varying(queries: Iterable[Query]) -> Mapping[str, frozenset[str]]:
    """Return by the name of a query the constants that not all texts of its form have."""
    forms: dict[str, list[Query]] = {}
    for query in queries:
        forms.setdefault(trees.form(query.sql), []).append(query)
    found: dict[str, frozenset[str]] = {}
    for same in forms.values():
        constants = [_constants(q.sql) for q in same] if len(same) > 1 else []
        if constants:
            kept = frozenset.intersection(*constants)
            found |= {q.name: c - kept for q, c in zip(same, constants, strict=True)}
    return found


def _constants(text: str) -> frozenset[str]:
    with suppress(ValueError):
        every = [n for n in trees.walk(trees.parse(text)) if isinstance(n, ast.A_Const)]
        return frozenset(c for c in map(trees.constant, every) if c is not None)
    return frozenset()
