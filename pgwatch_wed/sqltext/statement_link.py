"""Which statements are the same, over evictions, upgrades and re-created tables: a key made of their text.

Query ids change with a major upgrade and, before 18, when a table is re-created. The text that
pg_stat_statements keeps differs, too: which constants became parameters, how these are numbered, whether
a list is written out, a comment left in front, which of several spellings was seen first. What none of
this touches is hashed.

What cannot be linked: a text that is hidden or was cut has a key by query id, which is valid in one
cluster and major only. Tables of the same name that only the search path tells apart share a key, as they
share a query id since 18. DEALLOCATE is recorded since 17, and nested statements are marked since 14.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b

from pglast.parser import ParseError, Token, scan

from pgwatch_wed.facts.counting import COUNTERS, RowKey
from pgwatch_wed.facts.snapshot import Snapshot
from pgwatch_wed.sqltext.text import SQUASHED, normalise

TEXT_LIMIT = 10_000
"""Longer texts are cut when they are collected: those that begin alike may differ."""

# More than the statements in a snapshot.
_MOST = 10_000
_COMMENTS = frozenset({"SQL_COMMENT", "C_COMMENT"})
_VALUES = frozenset({"PARAM", "ICONST", "FCONST", "SCONST", "USCONST", "BCONST", "XCONST"})
_NAMED_VALUES = frozenset({"true", "false", "null"})
_CLOSING = {"(": ")", "[": "]"}
# Comparisons that have one query id: the text is that of the first one executed.
_SPELLINGS = (
    (("not", "in", "( ? )"), ["<>", "?"]),
    (("in", "( ? )"), ["=", "?"]),
    (("=", "any", "( array [ ?* ] )"), ["in", "( ?* )"]),
    (("<>", "all", "( array [ ?* ] )"), ["not", "in", "( ?* )"]),
)
_NAME = re.compile(r'(?:[\w$.\x80-\U0010ffff]|"[^"]*")+\Z')
_SIZE = re.compile(r"\( \?(?: , \?)* \)\Z|\[ (?:\? )?\]\Z")
_PLAIN = re.compile(r'"([a-z_][a-z0-9_$]*)"\Z')
# The collector writes the literals of utility statements as question marks, which make an operator longer.
_PARTS = re.compile(r"\?|-(?=\?)|(?:(?!-\?)[^?])+")
_PARAMETER = re.compile(r"\$\d+|\s+")


def statement_keys(
    snapshot: Snapshot, database: str, known: Mapping[str, str] | None = None
) -> dict[RowKey, str]:
    """Return the key of each statement, by what identifies its row.

    ``database`` is what the caller knows the database by in all snapshots that it compares. Texts are read
    only of the statements that matter today: ``known`` are the keys that earlier snapshots had for the
    keys by query id (:func:`id_keys`).
    """
    known = known or {}
    found = id_keys(snapshot, database)
    row_key = COUNTERS["statements"].key_of
    for s in snapshot.statements:
        by_id = found[row_key(s)]
        if s.text is not None and len(s.text) < TEXT_LIMIT:
            found[row_key(s)] = statement_key(database, s.text, is_toplevel=s.is_toplevel)
        else:
            found[row_key(s)] = known.get(by_id, by_id)
    return found


def id_keys(snapshot: Snapshot, database: str) -> dict[RowKey, str]:
    """Return keys by query id for all statements; they are valid in this cluster and major only."""
    server = snapshot.server
    cluster = f"{server.system_identifier or server.started_at} {server.major}"
    row_key = COUNTERS["statements"].key_of
    return {
        row_key(s): _hash("id", database, cluster, str(s.query_id), str(s.is_toplevel))
        for s in snapshot.statements
    }


def statement_key(database: str, text: str, *, is_toplevel: bool = True) -> str:
    """Return a key that is the same for the same statement of a database on all servers.

    The user is no part of it: what several users execute is one statement.
    """
    return _hash("text", database, linkable(text), str(is_toplevel))


def _hash(*words: str) -> str:
    return blake2b("\0".join(words).encode(errors="replace"), digest_size=16).hexdigest()


@lru_cache(maxsize=_MOST)
def linkable(text: str) -> str:
    """Return what is the same in all texts that servers keep of a statement."""
    try:
        tokens = scan(text)
    except (ParseError, ValueError, UnicodeError):
        return _PARAMETER.sub(lambda m: "?" if m[0][0] == "$" else " ", normalise(text)).strip()
    return " ".join(_without_names(_words(text, tokens)))


# --- words ----------------------------------------------------------------------------------------


def _words(text: str, tokens: Iterable[Token]) -> list[str]:
    """Return the words of a text, a group in parentheses or brackets being one, without its values."""
    frames: list[list[str]] = [[]]
    opened: list[str] = []
    for token in tokens:
        word = _word(text[token.start : token.end + 1], token)
        if word == SQUASHED:
            frames[-1] += [",", "?"]
        elif word in _CLOSING:
            opened.append(word)
            frames.append([])
        elif opened and word == _CLOSING[opened[-1]]:
            inner = frames.pop()
            _close(frames[-1], opened.pop(), inner)
        else:
            for part in _PARTS.findall(word) if "?" in word else [word]:
                _add(frames[-1], part)
    # a group that is not closed: the text was cut
    return [w for i, frame in enumerate(frames) for w in (*opened[i - 1 : i], *frame)]


def _word(word: str, token: Token) -> str:
    if token.name in _COMMENTS:
        return word if word == SQUASHED else ""
    if token.name in _VALUES:
        return "?"
    if token.name == "NOT_EQUALS":
        return "<>"
    if word.startswith('"'):
        return _PLAIN.sub(r"\1", word)
    return "" if word == ";" else word.lower()


def _add(frame: list[str], word: str) -> None:
    if not word:
        return
    if word in _NAMED_VALUES and frame[-1:] not in (["is"], ["not"]):
        word = "?"
    if word == "from" and frame[1:] == [] and frame:
        frame[:] = ["?"]  # the field that extract() reads
    if word == "?" and frame[-1:] == ["-"] and not _is_operand(frame[-2:-1]):
        frame.pop()  # the sign is part of the value
    frame.append(word)


def _is_operand(before: list[str]) -> bool:
    return bool(before) and (before[0][-1] in ')]?"' or _NAME.match(before[0]) is not None)


def _close(frame: list[str], opening: str, inner: list[str]) -> None:
    """Add a finished group; a list of values has as many elements as one."""
    before = frame[-1] if frame else ""
    elements = _elements(inner)
    is_list = opening == "[" or before == "in"
    if is_list and len(elements) > 1 and all(map(_is_constant, elements)):
        inner = ["?*"]
    if opening == "(" and inner == ["?"] and not _NAME.match(before):
        frame.append("?")
    else:
        _compare(frame, " ".join((opening, *inner, _CLOSING[opening])))


def _compare(frame: list[str], group: str) -> None:
    """Add a group; a comparison with a list is written as the server would have another one."""
    for words, written in _SPELLINGS:
        place = len(frame) - len(words) + 1
        if words[-1] == group and place >= 0 and frame[place:] == [*words[:-1]]:
            frame[place:] = written
            return
    frame.append(group)


def _elements(words: Sequence[str]) -> list[list[str]]:
    found: list[list[str]] = [[]]
    for word in words:
        if word == ",":
            found.append([])
        else:
            found[-1].append(word)
    return found


def _is_constant(words: list[str]) -> bool:
    """Tell whether an element is one value with casts, or the name of its type in front."""
    values = words.count("?")
    if words[:1] == ["cast"] and words[1:] and words[1].startswith("( ? "):
        values, words = values + 1, words[2:]
    return values == 1 and all(w in ("?", "::") or _NAME.match(w) or _SIZE.match(w) for w in words)


# --- statements in which names are values ---------------------------------------------------------


def _without_names(words: list[str]) -> list[str]:
    """Leave out the names that newer servers treat as constants: savepoints, settings' values."""
    first = words[0] if words else ""
    if first in ("savepoint", "release", "deallocate") or (first == "rollback" and "to" in words):
        return words if words[-1] == "all" else [*words[:-1], "?"]
    if "set" in words[:1] or (first == "alter" and "set" in words):
        return _without_setting(words)
    return words


def _without_setting(words: list[str]) -> list[str]:
    for place, word in enumerate(words):
        if word in ("=", "to", "role", "authorization") and words[place + 1 :] not in (
            [],
            ["default"],
        ):
            kept = words[:place] if word in ("=", "to") else words[: place + 1]
            return [*kept, "?"]
    return words
