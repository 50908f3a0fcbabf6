"""Regular expressions that an inventory brings, in a time that does not depend on how they are written.

Python's own matcher tries one way after the other: ``(a+)+$`` takes it minutes for a name of 40 characters. Here, all ends that
a part of an expression may have are found together, which is enough to tell whether a name fits. So what depends on
which of the ways is taken first, and on what a group has found, is refused.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

# the one parser of Python's regular expressions, so that both accept the same
from re import _constants as ops  # type: ignore[attr-defined]  # isort: skip
from re import _parser as parser  # type: ignore[attr-defined]  # isort: skip

_LONGEST = 1000
_CLASSES = {
    ops.CATEGORY_DIGIT: r"\d",
    ops.CATEGORY_NOT_DIGIT: r"\D",
    ops.CATEGORY_SPACE: r"\s",
    ops.CATEGORY_NOT_SPACE: r"\S",
    ops.CATEGORY_WORD: r"\w",
    ops.CATEGORY_NOT_WORD: r"\W",
}
_PLACES = {
    ops.AT_BEGINNING: "^",
    ops.AT_BEGINNING_STRING: r"\A",
    ops.AT_END: "$",
    ops.AT_END_STRING: r"\Z",
    ops.AT_BOUNDARY: r"\b",
    ops.AT_NON_BOUNDARY: r"\B",
}
_REFUSED = {
    ops.GROUPREF: "a reference to a group",
    ops.GROUPREF_EXISTS: "a condition on a group",
    ops.ATOMIC_GROUP: "an atomic group",
    ops.POSSESSIVE_REPEAT: "a possessive quantifier",
}
_FLAGS = re.IGNORECASE | re.MULTILINE | re.DOTALL | re.ASCII


class PatternRefusedError(Exception):
    """An expression cannot be used; the message says why, and fits after its name."""


@dataclass(frozen=True, slots=True)
class NamePattern:
    """A regular expression."""

    parsed: Any

    def is_in(self, name: str) -> bool:
        """Tell whether it fits anywhere in a name."""
        flags = int(self.parsed.state.flags) & _FLAGS
        starts = frozenset(range(len(name) + 1))
        return bool(_Matching(name).ends(self.parsed, starts, flags))


@lru_cache(maxsize=1000)
def name_pattern(text: str) -> NamePattern:
    """Read an expression; raises :class:`PatternRefusedError`."""
    if len(text) > _LONGEST:
        raise PatternRefusedError(f"is longer than {_LONGEST} characters")
    try:
        parsed = parser.parse(text)
    except (re.error, OverflowError, RecursionError):
        raise PatternRefusedError("is no regular expression") from None
    _check(parsed)
    return NamePattern(parsed)


def _check(part: Any) -> None:
    for op, given in part:
        if op in _REFUSED:
            raise PatternRefusedError(f"contains {_REFUSED[op]}, which is not supported here")
        for inner in _inner(op, given):
            _check(inner)


def _inner(op: Any, given: Any) -> Iterable[Any]:
    if op is ops.BRANCH:
        return tuple(given[1])
    if op in (ops.SUBPATTERN, ops.MAX_REPEAT, ops.MIN_REPEAT):
        return (given[-1],)
    return (given[1],) if op in (ops.ASSERT, ops.ASSERT_NOT) else ()


@dataclass(slots=True)
class _Matching:
    """Matches parts of one expression against one name, each at each place once."""

    name: str
    _known: dict[tuple[int, int, int], frozenset[int]] = field(default_factory=dict)

    def ends(self, parts: Iterable[Any], starts: frozenset[int], flags: int) -> frozenset[int]:
        """Return where parts that follow each other may end if they begin at one of some places."""
        places = starts
        for part in parts:
            places = frozenset(end for at in places for end in self._ends_of(part, at, flags))
        return places

    def _ends_of(self, part: Any, at: int, flags: int) -> frozenset[int]:
        key = id(part), at, flags
        if key not in self._known:
            self._known[key] = self._one(part[0], part[1], at, flags)
        return self._known[key]

    def _one(self, op: Any, given: Any, at: int, flags: int) -> frozenset[int]:
        if op is ops.AT:
            is_there = re.compile(_PLACES[given], flags).match(self.name, at) is not None
            return frozenset({at} if is_there else ())
        if op is ops.BRANCH:
            return frozenset().union(
                *(self.ends(each, frozenset({at}), flags) for each in given[1])
            )
        if op is ops.SUBPATTERN:
            _, added, removed, parts = given
            return self.ends(parts, frozenset({at}), (flags | (added & _FLAGS)) & ~removed)
        if op in (ops.MAX_REPEAT, ops.MIN_REPEAT):
            return self._repeated(given, at, flags)
        if op in (ops.ASSERT, ops.ASSERT_NOT):
            is_there = self._asserted(given, at, flags)
            return frozenset({at} if is_there == (op is ops.ASSERT) else ())
        if op is ops.FAILURE:
            return frozenset()
        fits = at < len(self.name) and _fits(op, given, self.name[at], flags)
        return frozenset({at + 1} if fits else ())

    def _repeated(self, given: Any, at: int, flags: int) -> frozenset[int]:
        least, most, parts = given
        places, found, times = frozenset({at}), frozenset[int](), 0
        while places:
            if times >= least:
                places -= found  # what was reached by fewer repetitions leads further
                found |= places
            if times == most:
                break
            before, times = places, times + 1
            places = self.ends(parts, places, flags)
            if places == before:  # nothing changes any more
                return places | found
        return found

    def _asserted(self, given: Any, at: int, flags: int) -> bool:
        direction, parts = given
        if direction > 0:
            return bool(self.ends(parts, frozenset({at}), flags))
        start = at - parts.getwidth()[0]  # what lies behind has one width
        return start >= 0 and at in self.ends(parts, frozenset({start}), flags)


def _fits(op: Any, given: Any, char: str, flags: int) -> bool:
    if op is ops.ANY:
        return char != "\n" or bool(flags & re.DOTALL)
    if op is ops.LITERAL:
        return _is_in(given, given, char, flags)
    if op is ops.NOT_LITERAL:
        return not _is_in(given, given, char, flags)
    if op is not ops.IN:
        raise AssertionError(op)
    found, is_negated = False, False
    for kind, value in given:
        if kind is ops.NEGATE:
            is_negated = True
        elif kind is ops.LITERAL:
            found = found or _is_in(value, value, char, flags)
        elif kind is ops.RANGE:
            found = found or _is_in(value[0], value[1], char, flags)
        else:
            found = found or re.match(_CLASSES[value], char, flags) is not None
    return found != is_negated


def _is_in(first: int, last: int, char: str, flags: int) -> bool:
    if first <= ord(char) <= last:
        return True
    if not flags & re.IGNORECASE:
        return False
    span = f"[{re.escape(chr(first))}-{re.escape(chr(last))}]"
    return re.match(span, char, flags) is not None
