"""Our queries: which file of ``sql/collect/`` fits a server, and those of the other folders by name.

``indexes.sql`` runs everywhere, ``indexes.server-15.sql`` on server version 15 and later,
``statements.pg_stat_statements-1.11.sql`` with that version of the extension and later. The highest
version that fits is used: the file name alone decides.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from psycopg import sql

from pgwatch_wed import assets
from pgwatch_wed.sqltext.text import marked

_NAME = re.compile(r"(?P<fact>\w+?)(?:\.(?P<of>server|[a-z_]+)-(?P<version>\d+(?:\.\d+)*))?\.sql\Z")
_TOKEN = re.compile(r"@(\w+)@")
# What completes a fact that one query cannot provide.
_COMPLETED_BY = {
    "statements": ("statement_texts",),
    "sequences": ("sequence_names", "sequence_grants"),
    "column_statistics": ("all_column_statistics",),
}


@dataclass(frozen=True, slots=True)
class QueryFile:
    """A file of ``sql/collect/``: ``of`` is ``server``, an extension's name, or empty."""

    fact: str
    of: str
    version: tuple[int, ...]
    file: str

    @property
    def sql(self) -> str:
        """The text; it begins with a comment that describes a row."""
        return assets.text("sql", "collect", self.file)

    def render(self, values: Mapping[str, int | str]) -> str:
        """Fill in ``@limits@`` and the quoted ``@extschema@``."""
        return _TOKEN.sub(lambda m: str(values[m.group(1)]), self.sql)


@cache
def all_queries() -> tuple[QueryFile, ...]:
    """Return every query file, in the order of names."""
    folder = assets.asset("sql") / "collect"
    return tuple(_parse(p.name) for p in sorted(folder.glob("*.sql")))


def facts() -> tuple[str, ...]:
    """Return every fact for which there is a query file."""
    return tuple(sorted({q.fact for q in all_queries()}))


def behind(fact: str) -> tuple[str, ...]:
    """Return what is read for a fact: itself, and what completes it."""
    return (fact, *_COMPLETED_BY.get(fact, ()))


def choose(fact: str, server_major: int, extensions: Mapping[str, str]) -> QueryFile | None:
    """Return the newest query for a fact that this server and its extensions can run."""
    return next(iter(fitting(fact, server_major, extensions)), None)


def fitting(fact: str, server_major: int, extensions: Mapping[str, str]) -> tuple[QueryFile, ...]:
    """Return every query for a fact that this server and its extensions can run, newest first."""
    found = (q for q in all_queries() if q.fact == fact and _fits(q, server_major, extensions))
    return tuple(sorted(found, key=lambda q: (bool(q.of), q.version), reverse=True))


def tokens(query: QueryFile) -> frozenset[str]:
    """Return the names of the limits that have to be filled in."""
    return frozenset(_TOKEN.findall(query.sql))


def needs(fact: str) -> str:
    """Return what the least demanding query for a fact needs, for messages."""
    least = min((q for q in all_queries() if q.fact == fact), key=lambda q: (bool(q.of), q.version))
    version = ".".join(map(str, least.version))
    if not least.of:
        return "a supported version of PostgreSQL"
    what = "PostgreSQL" if least.of == "server" else f"extension {least.of}"
    return f"{what} {version} or later"


def extension_of(fact: str) -> str | None:
    """Return the extension that a fact comes from, if any."""
    return next(
        (q.of for q in all_queries() if q.fact == fact and q.of not in ("", "server")), None
    )


def version_key(text: str) -> tuple[int, ...]:
    """Return ``1.10`` as ``(1, 10)``; anything else after the numbers is ignored."""
    return tuple(int(part) for part in re.findall(r"\d+", text))


def composed(folder: str, name: str, /, **parts: sql.Composable) -> sql.Composed:
    """Return the query ``sql/<folder>/<name>.sql``, marked as ours; each ``@part@`` is replaced.

    Values are psycopg's named parameters in it: ``%(oid)s``.
    """
    return _filled((folder, f"{name}.sql"), parts, f"{folder}_{name}")


def fragment(folder: str, name: str, /, **parts: sql.Composable) -> sql.Composed:
    """Return a part of queries, ``sql/<folder>/fragments/<name>.sql``; see :func:`composed`."""
    return _filled((folder, "fragments", f"{name}.sql"), parts)


def _filled(
    path: tuple[str, ...], parts: Mapping[str, sql.Composable], purpose: str = ""
) -> sql.Composed:
    text = assets.text("sql", *path)
    text = marked(text, purpose) if purpose else text
    if wrong := parts.keys() ^ set(_TOKEN.findall(text)):
        raise ValueError(f"sql/{'/'.join(path)}: {', '.join(sorted(wrong))}")
    pieces = enumerate(_TOKEN.split(text))
    return sql.Composed([parts[x] if place % 2 else sql.SQL(x) for place, x in pieces])


def _fits(query: QueryFile, server_major: int, extensions: Mapping[str, str]) -> bool:
    if not query.of:
        return True
    if query.of == "server":
        return query.version <= (server_major,)
    installed = extensions.get(query.of)
    return installed is not None and query.version <= version_key(installed)


def _parse(file: str) -> QueryFile:
    match = _NAME.match(file)
    if match is None:
        raise ValueError(f"sql/collect/{file}: the name does not tell where it runs")
    of = match["of"] or ""
    return QueryFile(match["fact"], of, version_key(match["version"] or ""), file)
