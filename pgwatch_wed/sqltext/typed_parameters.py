"""Types for parameters whose type nothing in a statement determines, as in ``id = $1 % $2``.

pg_stat_statements writes parameters where literals were, which had types; no server accepts the result. The server's
refusal says where in the text the types do not fit, and often which would: the parameters that come to that place are
given these, or the type of the column that the whole is compared with, or else one that literals usually have.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pglast import ast

from pgwatch_wed.sqltext import trees
from pgwatch_wed.sqltext.carriers import Carriers
from pgwatch_wed.sqltext.repairs import with_values

# In this order: what literals usually are, and what takes part in most operators.
_USUAL = (
    *("integer", "numeric", "text", "interval", "timestamp with time zone", "date", "jsonb"),
    *("boolean", "double precision", "integer[]", "text[]", "uuid[]", "bigint[]"),
)
_MOST_ATTEMPTS = 200
_COMPARE = frozenset({"=", "<>", "<", "<=", ">", ">="})
# In English messages: "operator does not exist: integer = text", "is of type date but …". Others name no type, and
# then the usual ones are tried.
_NAMED = re.compile(
    r"operator does not exist: (?P<left>.+?) [-+*/<>=~!@#%^&|`?]+ (?P<right>.+)"
    r"|is of type (?P<column>.+?) but expression is of type"
    r"|types (?P<one>.+?) and (?P<other>.+?) cannot be matched"
    r"|has type \S+ in non-recursive term but type (?P<overall>.+) overall"
    r"|must be type (?P<needed>.+?), not type"
    r"|for column type (?P<ordered>.+?) and"
)
_UNTOLD = frozenset({"text", "unknown", "text[]"})

ColumnType = Callable[[str], str | None]
"""Returns the type of a column by its name, if there is only one."""


@dataclass(frozen=True, slots=True)
class Misfit:
    """Why a server does not take a text, and where in it: a position from 0, or None."""

    message: str
    position: int | None


Ask = Callable[[str], Misfit | None]
"""Asks the server about a text; it returns None if it takes it."""


@dataclass(frozen=True, slots=True)
class TypedStatement:
    """A statement with casts of its parameters. ``guessed`` are those whose type nothing tells, with the type."""

    text: str
    guessed: Mapping[int, str]


def typed(text: str, type_of: ColumnType, ask: Ask) -> TypedStatement | None:
    """Return the statement with types that the server takes; None if none were found."""
    try:
        (statement,) = trees.parse(text)
    except ValueError:
        return None
    search = _Search(text, type_of, ask, Carriers.of(statement), dict(_compared(statement)))
    found = search.run()
    if found is None:
        return None
    deciding = set(_deciding(statement))
    return replace(found, guessed={n: k for n, k in found.guessed.items() if n in deciding})


_CONDITIONS = ("whereClause", "havingClause", "quals", "limitOffset", "limitCount")


def _deciding(statement: Any) -> Iterator[int]:
    """Yield the parameters whose types may matter to the plan: those of conditions and limits."""
    for node in trees.walk(statement):
        for name in _CONDITIONS:
            for each in trees.walk(getattr(node, name, None), ast.SubLink):
                if isinstance(each, ast.ParamRef):
                    yield int(each.number or 0)


@dataclass(slots=True)
class _Search:
    text: str
    type_of: ColumnType
    ask: Ask
    carriers: Carriers
    beside: Mapping[int, str]
    attempts: int = field(default=0)

    def run(self) -> TypedStatement | None:
        refusal = self.ask(self.text)
        return TypedStatement(self.text, {}) if refusal is None else self._mend(refusal, {}, {})

    def _mend(
        self, refusal: Misfit, given: Mapping[int, str], guessed: Mapping[int, str]
    ) -> TypedStatement | None:
        """Try types for the parameters behind a refusal; go on where the next one is elsewhere."""
        place = self._original(refusal.position, given)
        behind = self.carriers.anywhere() if place is None else self.carriers.at(place)
        loose = dict.fromkeys(n for n in behind if n not in given).keys()
        for more, guesses in self._proposals(loose, _named(refusal.message)):
            if self.attempts >= _MOST_ATTEMPTS:
                return None
            self.attempts += 1
            now, doubted = {**given, **more}, {**guessed, **guesses}
            text = _cast(self.text, now)
            again = self.ask(text)
            if again is None:
                return TypedStatement(text, doubted)
            is_elsewhere = self._original(again.position, now) != place
            if is_elsewhere or (again.message != refusal.message and loose - now.keys()):
                found = self._mend(again, now, doubted)
                if found is not None:
                    return found
        return None

    def _proposals(
        self, loose: Collection[int], named: Sequence[str]
    ) -> Iterator[tuple[dict[int, str], dict[int, str]]]:
        """Yield types for parameters, and which of them are guesses; the most plausible ones first."""
        if not loose:
            return
        for kind in named:
            if kind.endswith("[]"):
                yield dict.fromkeys(loose, kind.removesuffix("[]")), {}
            yield dict.fromkeys(loose, kind), {}
        known = {n: told for n in loose if (told := self._beside(n)) is not None}
        rest = [n for n in loose if n not in known]
        if known:
            for suffix in ("", "[]"):
                kinds = {n: f"{kind}{suffix}" for n, kind in known.items()}
                yield kinds, {}
                for usual in _USUAL if rest else ():
                    yield {**dict.fromkeys(rest, usual), **kinds}, dict.fromkeys(rest, usual)
        for usual in _USUAL:
            yield dict.fromkeys(loose, usual), dict.fromkeys(loose, usual)
        if len(loose) > 1:
            for number in loose:
                for usual in (*named, *_USUAL):
                    yield {number: usual}, {} if usual in named else {number: usual}

    def _beside(self, number: int) -> str | None:
        return self.type_of(self.beside[number]) if number in self.beside else None

    def _original(self, position: int | None, given: Mapping[int, str]) -> int | None:
        """Return where a position of the text with casts is in the text without."""
        return None if position is None else position - self._added(position, given)

    def _added(self, position: int, given: Mapping[int, str]) -> int:
        added = 0

        def count(number: int, start: int) -> None:
            nonlocal added
            if number in given and start + added < position:
                added += len(given[number]) + len("::")

        with_values(self.text, count)
        return added


def _cast(text: str, types: Mapping[int, str]) -> str:
    return with_values(text, lambda n, _start: f"${n}::{types[n]}" if n in types else None)


def _named(message: str) -> list[str]:
    """Return the types that a server's message names, except for what it takes untyped parameters for."""
    found = _NAMED.search(message)
    kinds = () if found is None else found.groups()
    return [k for k in dict.fromkeys(kinds) if k is not None and k not in _UNTOLD]


def _compared(statement: Any) -> Iterator[tuple[int, str]]:
    """Yield parameters with the column that the expression around them is compared with."""
    for node in trees.walk(statement):
        if isinstance(node, ast.A_Expr) and trees.names(node.name)[-1] in _COMPARE:
            for side, other in ((node.lexpr, node.rexpr), (node.rexpr, node.lexpr)):
                yield from _with_column(side, other)
        elif isinstance(node, ast.SubLink) and node.testexpr is not None:
            yield from _with_column(node.testexpr, node.subselect)


def _with_column(column: Any, other: Any) -> Iterator[tuple[int, str]]:
    names = [trees.names(c.fields) for c in trees.walk(column) if isinstance(c, ast.ColumnRef)]
    if len(names) == 1 and names[0]:
        for node in trees.walk(other):
            if isinstance(node, ast.ParamRef):
                yield int(node.number or 0), names[0][-1]
