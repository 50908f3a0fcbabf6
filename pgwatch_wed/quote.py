"""Identifiers and literals as PostgreSQL's own quote_ident() and quote_literal() write them."""

import re

from pglast import keywords

_PLAIN = re.compile(r"[a-z_][a-z0-9_$]*\Z")
# quote_ident() quotes all but the unreserved; being as strict keeps remedies valid everywhere.
_RESERVED = frozenset(
    keywords.RESERVED_KEYWORDS | keywords.TYPE_FUNC_NAME_KEYWORDS | keywords.COL_NAME_KEYWORDS
)


def ident(*names: str) -> str:
    """Quote a name, or a dotted path of names, where PostgreSQL needs it."""
    return ".".join(_one(name) for name in names)


def literal(text: str) -> str:
    """Quote a string constant; backslashes get an ``E''`` so that no setting changes the meaning."""
    escaped = text.replace("'", "''")
    if "\\" in text:
        return "E'" + escaped.replace("\\", "\\\\") + "'"
    return f"'{escaped}'"


def _one(name: str) -> str:
    if _PLAIN.match(name) and name not in _RESERVED:
        return name
    return '"' + name.replace('"', '""') + '"'
