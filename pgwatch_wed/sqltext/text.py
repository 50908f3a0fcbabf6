"""What a statement's text alone tells: whose it is, what it reads, its literals."""

import re
from collections.abc import Iterator

from pglast.parser import ParseError, scan

from pgwatch_wed.sqltext.reading import QualifiedName, Reading, read

# From 18 on, pg_stat_statements omits what precedes the first word.
_OWN = re.compile(r"\s*(?:(?:\w+\s+)?/\* pgwatch_wed\b|do\s+\$pgwatch_wed\$)", re.IGNORECASE)
_FIRST_WORD = re.compile(r"(?:--[^\n]*\n|\s)*(\w+)")
SQUASHED = "/*, ... */"
"""What pg_stat_statements writes since 18 in place of all but the first element of a list."""
_LITERALS = frozenset({"ICONST", "FCONST", "SCONST", "USCONST", "BCONST", "XCONST"})
_FALLBACK = re.compile(r"'(?:[^']|'')*'?|\$(\w*)\$.*?(?:\$\1\$|\Z)|\b\d+(?:\.\d+)?\b", re.DOTALL)
_UTILITY = re.compile(
    r"(?>\s*(?:/\*.*?\*/\s*|--[^\n]*\n\s*)*)"
    r"(?!(?:select|insert|update|delete|merge|with|values|table)\b|\()",
    re.IGNORECASE | re.DOTALL,
)
# For texts that cannot be parsed because they are truncated.
_SYSTEM = re.compile(
    r"\b(?:from|join|update|into)\s+(?:only\s+)?(?:lateral\s+)?"
    r"(?:\"?(?P<schema>pg_catalog|information_schema)\"?\s*\.|(?P<view>\"?pg_\w+))",
    re.IGNORECASE,
)
_RELATION = re.compile(
    r"\b(?:from|join|update|into)\s+(?!lateral\b|\(|unnest|generate_series)", re.I
)
_CATALOGS = frozenset({"pg_catalog", "information_schema"})
# What this project installs for DBAs to call.
_INSTALLED = frozenset(
    (
        *("get_table_stats", "get_index_stats", "index_usage_stats", "get_slow_queries"),
        *("get_statement_stats", "get_cache_stats", "get_lock_stats", "get_server_stats"),
        "wedsync_performance_summary",
    )
)
# What creates, comments, grants and drops it.
_INSTALLS = re.compile(
    r"\s*(?:create|alter|drop|comment|grant|revoke)\b(?:[^(;']*\b(?:function|view|on)\b)[^(;']*?"
    rf"\b(?:{'|'.join(sorted(_INSTALLED))})\b",
    re.IGNORECASE,
)
# Alembic's statements on it are not marked.
_VERSION_TABLE = "pgwatch_wed_alembic_version"
# Every monitoring statement contains one of these words.
_MAY_LOOK_INSIDE = re.compile(
    rf"pg_|information_schema|\breg[a-z]+\b|\bshow\b|{'|'.join(sorted(_INSTALLED))}", re.IGNORECASE
)
# They read what the query within them reads.
_READING = frozenset({"SelectStmt", "PrepareStmt", "ExplainStmt", "DeclareCursorStmt"})
# Server functions that applications use; all other pg_… functions inspect the server itself.
_WORK = re.compile(r"pg_(?:try_)?advisory|pg_sleep|pg_notify|pg_logical_emit|pg_column_|pg_typeof")
_HARMLESS = frozenset(
    (
        *("current_setting", "version", "now", "current_database", "current_schema", "set_config"),
        *("inet_server_addr", "inet_server_port", "txid_current", "to_char", "date_part", "round"),
        *("extract", "count", "sum", "max", "min", "array_agg", "string_agg", "format_type"),
    )
)
# Statements that maintain the server or control a transaction: not a user's query.
_MAINTENANCE = frozenset(
    (
        *("VacuumStmt", "ReindexStmt", "ClusterStmt", "RepackStmt", "CheckPointStmt", "IndexStmt"),
        *("TransactionStmt", "VariableSetStmt", "VariableShowStmt", "DiscardStmt"),
        *("DeallocateStmt", "PrepareStmt", "ListenStmt", "UnlistenStmt", "LoadStmt", "LockStmt"),
    )
)
# Utility commands that contain or may contain a query; without their literals, many cannot be parsed.
_QUERYING = re.compile(
    r"(?>\s*(?:/\*.*?\*/\s*|--[^\n]*\n\s*)*)"
    r"(?:(?:copy|declare|explain|refresh|call|do|execute|prepare)\b"
    r"|create\b.*?\b(?:table|materialized\s+view)\b.*?\bas\s+(?:select|with|values|table|execute)\b)",
    re.IGNORECASE | re.DOTALL,
)


def is_own(text: str) -> bool:
    """Tell whether the statement is one of this tool's own."""
    return _OWN.match(text) is not None or _VERSION_TABLE in text


def marked(text: str, purpose: str) -> str:
    """Return a query of ours with the mark by which :func:`is_own` recognizes it."""
    word = _FIRST_WORD.match(text)
    if word is None or is_own(text):
        return text
    return f"{word[1]} /* pgwatch_wed:{purpose} */{text[word.end() :]}"


def is_utility(text: str) -> bool:
    """Tell whether it is neither SELECT, INSERT, UPDATE, DELETE, MERGE nor VALUES."""
    return _UTILITY.match(text) is not None


def is_maintenance(text: str) -> bool:
    """Tell whether it maintains the server or controls a transaction (VACUUM, BEGIN, SET, …)."""
    return is_utility(text) and read(text).kind in _MAINTENANCE


def holds_query(text: str) -> bool:
    """Tell whether a statement reads or writes rows like a query."""
    return not is_utility(text) or _QUERYING.match(text) is not None


def is_monitoring(text: str) -> bool:
    """Tell whether it reads only PostgreSQL's own catalogs, statistics views and functions.

    These are the queries of monitoring tools, drivers, pg_dump and psql's backslash commands, and what
    installs or calls this project's functions; advice about them is of no use to the owner of the database. A user's
    table named ``pg_…`` cannot be recognized here; see :func:`unqualified`.
    """
    if not _MAY_LOOK_INSIDE.search(text):
        return False
    if _INSTALLS.match(text):
        return True
    found = read(text)
    if found.why_not:
        relations = len(_RELATION.findall(text))
        return relations > 0 and relations <= sum(1 for _ in _SYSTEM.finditer(text))
    if found.kind == "VariableShowStmt":
        return True
    if found.kind not in _READING:
        return False
    if _calls_installed(found):
        return True
    if found.relations:
        return all(map(_is_catalog, found.relations))
    return any(map(_looks_inside, found.functions)) and all(
        _looks_inside(f) or f.name in _HARMLESS for f in found.functions
    )


def unqualified(text: str) -> frozenset[str]:
    """Return the names of the relations that it uses outside of PostgreSQL's own schemas."""
    return frozenset(r.name for r in read(text).relations if r.schema not in _CATALOGS)


def normalise(text: str) -> str:
    """Replace every literal with ``?``, so that none of the users' values leave the server."""
    try:
        pieces = list(_without_literals(text))
    except (ParseError, ValueError, UnicodeError):
        # truncated, or not SQL at all
        return _FALLBACK.sub("?", text)
    return "".join(pieces)


def numbered(text: str) -> str:
    """Replace every literal with the next ``$n``, as pg_stat_statements does: the result can be parsed."""
    try:
        used = [int(text[t.start + 1 : t.end + 1]) for t in scan(text) if t.name == "PARAM"]
        pieces = list(_without_literals(text, max(used, default=0)))
    except (ParseError, ValueError, UnicodeError):
        return normalise(text)
    return "".join(pieces)


def _without_literals(text: str, last: int | None = None) -> Iterator[str]:
    end = 0
    for token in scan(text):
        if token.name in _LITERALS:
            yield text[end : token.start]
            last = None if last is None else last + 1
            yield "?" if last is None else f"${last}"
            end = token.end + 1
        elif token.name in ("SQL_COMMENT", "C_COMMENT"):
            if text[token.start : token.end + 1] == SQUASHED:
                continue
            # comments contain request IDs, user names and other values
            yield text[end : token.start]
            end = token.end + 1
    yield text[end:]


def _is_catalog(relation: QualifiedName) -> bool:
    """Tell whether a relation belongs to the server or a monitoring extension."""
    schema, name = relation.schema, relation.name
    if schema is not None and schema not in _CATALOGS:
        return name.startswith("pg_stat_") or name in _INSTALLED
    return schema is not None or name.startswith("pg_") or name in _INSTALLED


def _looks_inside(function: QualifiedName) -> bool:
    schema, name = function.schema, function.name
    is_servers = schema == "pg_catalog" or (schema is None and name.startswith("pg_"))
    return is_servers and _WORK.match(name) is None


def _calls_installed(found: Reading) -> bool:
    """Tell whether it calls what this project installs, and reads only catalogs."""
    named = found.functions | found.relations
    return any(n.name in _INSTALLED for n in named) and all(map(_is_catalog, found.relations))
