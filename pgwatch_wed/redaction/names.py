"""A stable placeholder for each name."""

import re
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from functools import cache

from pgwatch_wed.config import MANAGED_ROLES, MANAGED_SCHEMAS, MANAGED_WHERE_OWNED
from pgwatch_wed.quote import ident
from pgwatch_wed.redaction import own

REDACTED = "(redacted)"

# The databases and roles that all servers of a kind have.
_DATABASES = frozenset(("postgres", "template0", "template1", "rdsadmin", "cloudsqladmin"))
_ROLES = ("postgres", "public", *MANAGED_ROLES)
_SCHEMAS = ("public", "information_schema", *MANAGED_SCHEMAS, *MANAGED_WHERE_OWNED)
_SYSTEM_COLUMNS = frozenset(("ctid", "xmin", "xmax", "cmin", "cmax", "tableoid", "oid"))
_APPLICATIONS = frozenset(
    (
        *("psql", "pg_dump", "pg_dumpall", "pg_restore", "pgbench", "pg_basebackup", "vacuumdb"),
        *("pg_receivewal", "pg_recvlogical", "walreceiver", "barman", "pgbackrest", "pgwatch_wed"),
        *("reindexdb", "pg_repack", "pg_isready"),
    )
)
_PLUGINS = frozenset(("pgoutput", "test_decoding", "wal2json", "decoderbufs"))
_TOAST = re.compile(r"pg_toast_\d+(?:_index)?(?:_cc(?:new|old)\d*)?")
# What REINDEX CONCURRENTLY leaves behind has these suffixes, by which rules recognize it.
_LEFTOVER = re.compile(r"(.+?)(_cc(?:new|old)\d*)")
# Functions and views of monitoring extensions are recognized by the prefixes of their names.
_SYSTEMS = re.compile(r"pg_stat_|pg_")
_WORD = re.compile(r"[^\W\d][\w$]*")


def _any_of(patterns: Iterable[str]) -> Callable[[str], bool]:
    return lambda name: any(fnmatchcase(name, pattern) for pattern in patterns)


def _owns(kind: str) -> Callable[[str], bool]:
    return lambda name: own.is_own(kind, name)


# By kind: may it be shown, since PostgreSQL, a provider or a tool uses the name on every server? No
# user's role or schema begins with pg_.
_KNOWN: Mapping[str, Callable[[str], bool]] = {
    "database": _DATABASES.__contains__,
    "role": lambda name: name.startswith("pg_") or _any_of(_ROLES)(name),
    "schema": lambda name: name.startswith("pg_") or _any_of(_SCHEMAS)(name),
    "table": lambda name: _TOAST.fullmatch(name) is not None,
    "index": lambda name: _TOAST.fullmatch(name) is not None,
    "relation": _owns("relation"),
    "function": _owns("function"),
    "type": _owns("type"),
    "opclass": _owns("opclass"),
    "collation": lambda name: name in ("C", "POSIX", "default") or own.is_own("collation", name),
    "access_method": _owns("access_method"),
    "extension": _owns("extension"),
    "configuration": _owns("configuration"),
    "column": _SYSTEM_COLUMNS.__contains__,
    "application": _APPLICATIONS.__contains__,
    "plugin": _PLUGINS.__contains__,
    "tablespace": frozenset(("pg_default", "pg_global")).__contains__,
    "node": frozenset(("primary",)).__contains__,
    "option": _owns("option"),
    "setting": lambda name: (
        own.is_own("setting", name) or ("." in name and own.is_own("extension", name.split(".")[0]))
    ),
}


# What cannot be confused with anything else in a statement: a database and a schema of the same name differ.
_APART = frozenset(
    (
        *("schema", "database", "role", "application", "client", "transaction", "slot", "node"),
        *("extension", "setting", "access_method", "opclass", "type", "tablespace", "plugin"),
        *("publication", "subscription", "file", "library", "configuration", "text"),
    )
)


class Names:
    """A stable placeholder for each user-chosen name.

    Tables, columns, aliases and whatever else a statement may name without telling what it is share
    one: ``orders`` is ``table_1`` everywhere. ``digits`` pads the numbers, so that no placeholder is
    the beginning of another one.
    """

    def __init__(self, allowed: Iterable[str] = (), digits: int = 1) -> None:
        self._allowed = tuple(allowed)
        self._digits = digits
        self._made: dict[str, dict[str, str]] = {"": {}}
        self._counts: dict[str, int] = {}
        self._pattern: re.Pattern[str] | None = None
        self._given: dict[str, str] | None = None
        self._is_sealed = False
        self._is_shown = cache(self._may_show)

    @property
    def most(self) -> int:
        """The largest number of names of one kind."""
        return max(self._counts.values(), default=0)

    def learn(self, kind: str, name: str | None) -> None:
        """Add a name."""
        if name:
            self.stand_in(kind, name)

    def seal(self) -> None:
        """End learning: names found from now on are not those of known tables, columns or indexes."""
        self._is_sealed = True

    def of(self, name: str | None) -> str | None:
        """Return the placeholder of a name that was learned, or the name itself."""
        return name if name is None else self._found(name) or name

    def stand_in(self, kind: str, name: str) -> str:
        """Return a name's placeholder; a name that was not learned gets one now."""
        return name if not name or self._is_shown(kind, name) else self.replaced(kind, name)

    def replaced(self, kind: str, name: str) -> str:
        """Return a name's placeholder, even if PostgreSQL uses the name for something else."""
        space = self._made.setdefault(kind if kind in _APART else "", {})
        made = space.get(name)
        if made is None:
            made = space[name] = self._new(kind, name)
            self._pattern = self._given = None
        return made

    def restored(self, text: str) -> str:
        """Replace the placeholders in a text with the names, against which the user's patterns are matched."""
        if self._given is None:
            spaces = self._made.values()
            self._given = {made: name for space in spaces for name, made in space.items()}
        given = self._given
        return given.get(text) or _WORD.sub(lambda m: given.get(m[0], m[0]), text)

    def within(self, text: str) -> str:
        """Replace every learned name in a text, quoted or not."""
        if self._pattern is None:
            self._pattern = self._built()
        return self._pattern.sub(self._replaced, text)

    def knows(self, name: str) -> bool:
        """Tell whether a table, a column or the like has this name."""
        return name in self._made[""]

    def _found(self, name: str) -> str | None:
        spaces = (space for space in self._made.values() if name in space)
        return next((space[name] for space in spaces), None)

    def _new(self, kind: str, name: str) -> str:
        leftover = _LEFTOVER.fullmatch(name) if kind == "index" else None
        if leftover is not None:
            return self.stand_in(kind, leftover[1]) + leftover[2]
        label = "name" if self._is_sealed and kind in _STORED else kind
        self._counts[label] = self._counts.get(label, 0) + 1
        prefix = _SYSTEMS.match(name) if kind in ("relation", "function") else None
        return f"{prefix[0] if prefix else ''}{label}_{self._counts[label]:0{self._digits}}"

    def _may_show(self, kind: str, name: str) -> bool:
        known = _KNOWN.get(kind)
        return (known is not None and known(name)) or any(
            fnmatchcase(name, pattern) for pattern in self._allowed
        )

    def _built(self) -> re.Pattern[str]:
        """Build a pattern of the names that are more than one word, and of all words."""
        odd = {n for space in self._made.values() for n in space if not _WORD.fullmatch(n)}
        spelled = {s for n in odd for s in (n, ident(n), n.replace("'", "''"))}
        words = [re.escape(s) for s in sorted(spelled, key=len, reverse=True)]
        edged = [rf"(?<!\w)(?:{'|'.join(words)})(?!\w)"] if words else []
        return re.compile("|".join([*edged, r'"(?:[^"]|"")+"', _WORD.pattern]))

    def _replaced(self, match: re.Match[str]) -> str:
        found = match.group(0)
        if (made := self._found(found)) is not None:
            return made
        if found[0] == found[-1] == '"':
            made = self._found(found[1:-1].replace('""', '"'))
            return made if made is not None else f'"{self.within(found[1:-1])}"'
        return self._found(found.replace("''", "'")) or found


# Kinds of objects that have a row among the facts.
_STORED = frozenset(("table", "column", "index", "constraint", "sequence", "statistics"))
