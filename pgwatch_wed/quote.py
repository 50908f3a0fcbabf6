"""Identifiers and literals as PostgreSQL's quote_ident() and quote_literal() write them."""

import re

from pglast import keywords

_BREAK = re.compile(r"[\n\r]")
_PLAIN = re.compile(r"[a-z_][a-z0-9_$]*\Z")
# quote_ident() quotes all keywords except the unreserved ones; so do we, so that remedies are valid everywhere.
_RESERVED = frozenset(
    keywords.RESERVED_KEYWORDS | keywords.TYPE_FUNC_NAME_KEYWORDS | keywords.COL_NAME_KEYWORDS
)


def ident(*names: str) -> str:
    """Quote a name, or a dotted path of names, if PostgreSQL requires it."""
    return ".".join(_one(name) for name in names)


def on_one_line(*names: str) -> str:
    """Quote names for a comment, which ends with the line; a line break in a name is written as its code."""
    return ".".join(_coded(name) if _BREAK.search(name) else _one(name) for name in names)


def literal(text: str) -> str:
    """Quote a string constant; with backslashes as ``E''``, so that no setting changes the meaning."""
    escaped = text.replace("'", "''")
    if "\\" in text:
        return "E'" + escaped.replace("\\", "\\\\") + "'"
    return f"'{escaped}'"


def _coded(name: str) -> str:
    quoted = _one(name.replace("\\", "\\\\"))
    return "U&" + _BREAK.sub(lambda found: f"\\{ord(found[0]):04X}", quoted)


def _one(name: str) -> str:
    if _PLAIN.match(name) and name not in _RESERVED:
        return name
    return '"' + name.replace('"', '""') + '"'
