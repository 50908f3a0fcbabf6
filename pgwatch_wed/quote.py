"""Identifiers and literals as PostgreSQL's quote_ident() and quote_literal() write them."""

import re

from pglast import keywords

_PLAIN = re.compile(r"[a-z_][a-z0-9_$]*\Z")
# quote_ident() quotes all keywords except the unreserved ones; so do we, so that remedies are valid everywhere.
_RESERVED = frozenset(
    keywords.RESERVED_KEYWORDS | keywords.TYPE_FUNC_NAME_KEYWORDS | keywords.COL_NAME_KEYWORDS
)


def ident(*names: str) -> str:
    """Quote a name, or a dotted path of names, if PostgreSQL requires it."""
    return ".".join(_one(name) for name in names)


def literal(text: str) -> str:
    """Quote a string constant; with backslashes as ``E''``, so that no setting changes the meaning."""
    escaped = text.replace("'", "''")
    if "\\" in text:
        return "E'" + escaped.replace("\\", "\\\\") + "'"
    return f"'{escaped}'"


def _one(name: str) -> str:
    if _PLAIN.match(name) and name not in _RESERVED:
        return name
    return '"' + name.replace('"', '""') + '"'
