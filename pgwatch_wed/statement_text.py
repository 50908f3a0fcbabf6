"""What can be told from a statement's text without parsing it: whose it is, and its literals."""

import re
from collections.abc import Iterator
from functools import lru_cache

from pglast.parser import ParseError, scan

_OWN = re.compile(r"\s*/\* pgwatch_wed\b")
_LITERALS = frozenset({"ICONST", "FCONST", "SCONST", "USCONST", "BCONST", "XCONST"})
_FALLBACK = re.compile(r"'(?:[^']|'')*'?|\$(\w*)\$.*?(?:\$\1\$|\Z)|\b\d+(?:\.\d+)?\b", re.DOTALL)
_UTILITY = re.compile(
    r"(?>\s*(?:/\*.*?\*/\s*|--[^\n]*\n\s*)*)"
    r"(?!(?:select|insert|update|delete|merge|with|values|table)\b|\()",
    re.IGNORECASE | re.DOTALL,
)
_SYSTEM = re.compile(
    r"\b(?:from|join|update|into)\s+(?:only\s+)?(?:lateral\s+)?"
    r"(?:\"?(?P<schema>pg_catalog|information_schema)\"?\s*\.|(?P<view>\"?pg_\w+))",
    re.IGNORECASE,
)
_RELATION = re.compile(
    r"\b(?:from|join|update|into)\s+(?!lateral\b|\(|unnest|generate_series)", re.I
)


def is_own(text: str) -> bool:
    """Tell whether this tool wrote the statement."""
    return _OWN.match(text) is not None


def is_utility(text: str) -> bool:
    """Tell whether it is neither SELECT, INSERT, UPDATE, DELETE, MERGE nor VALUES."""
    return _UTILITY.match(text) is not None


@lru_cache(maxsize=20_000)
def is_monitoring(text: str) -> bool:
    """Tell whether it reads only PostgreSQL's own catalogs and statistics views.

    Such are the queries of monitoring tools, drivers and psql's backslash commands; advice about
    them is of no use to the database's owner.
    """
    relations = len(_RELATION.findall(text))
    return relations > 0 and relations <= sum(1 for _ in _SYSTEM.finditer(text))


@lru_cache(maxsize=20_000)
def normalise(text: str) -> str:
    """Replace every literal by ``?``, so that no value of the user's leaves the server with us."""
    try:
        pieces = list(_without_literals(text))
    except (ParseError, ValueError, UnicodeError):
        # cut off in the middle, or not SQL at all
        return _FALLBACK.sub("?", text)
    return "".join(pieces)


def _without_literals(text: str) -> Iterator[str]:
    end = 0
    for token in scan(text):
        if token.name in _LITERALS:
            yield text[end : token.start]
            yield "?"
            end = token.end + 1
        elif token.name in ("SQL_COMMENT", "C_COMMENT"):
            # comments carry request ids, user names and other values
            yield text[end : token.start]
            end = token.end + 1
    yield text[end:]
