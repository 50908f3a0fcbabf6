"""A snapshot in which every name is a placeholder; rules judge it like the original."""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from functools import cache
from typing import Any, get_args

from pgwatch_wed.facts import Cause, Missing, RoleSetting, Setting, Snapshot, SystemTable
from pgwatch_wed.facts.fields import field_types
from pgwatch_wed.redaction.names import REDACTED, Names
from pgwatch_wed.redaction.sql_names import Statements
from pgwatch_wed.sqltext import plan_trees

# The kind of object that a row's name denotes.
ROWS = {
    "extensions": "extension",
    "settings": "setting",
    "role_settings": "setting",
    "file_settings": "setting",
    "roles": "role",
    "schemas": "schema",
    "databases": "database",
    "slots": "slot",
    "tables": "table",
    "other_relations": "table",
    "foreign_tables": "table",
    "domain_constraints": "constraint",
    "system_tables": "table",
    "columns": "column",
    "column_dependents": "table",
    "domains": "type",
    "extended_statistics": "statistics",
    "indexes": "index",
    "constraints": "constraint",
    "sequences": "sequence",
    "publications": "publication",
    "subscriptions": "subscription",
    "missing_indexes": "index",
    "followed_advice": "index",
}
# Fields that contain one or more names.
NAMES = {
    "schema": "schema",
    "schemas": "schema",
    "table": "table",
    "sequence": "sequence",
    "owner": "role",
    "role": "role",
    "user": "role",
    "role_memberships": "role",
    "unused_memberships": "role",
    "acts_as": "role",
    "administers": "role",
    "owners_without_create": "role",
    "parameters": "setting",
    "database": "database",
    "constraint_name": "constraint",
    "slot_name": "slot",
    "trigger": "trigger",
    "domain": "type",
    "foreign_server": "server",
    "wrapper": "extension",
    "tablespace": "tablespace",
    "access_method": "access_method",
    "method": "access_method",
    "opclass_names": "opclass",
    "plugin": "plugin",
    "gid": "transaction",
    "blocked_by_prepared": "transaction",
    "application_name": "application",
    "client": "client",
    "node": "node",
}
# Fields that contain only words of PostgreSQL or of this tool, versions and numbers.
WORDS = frozenset(
    (
        *("actual", "actual_collation_version", "category", "collation_version", "command"),
        *("constraint_type", "context", "default_version", "encoding", "engine", "generated"),
        *(
            "hidden_statistic_columns",
            "identity",
            "installed_version",
            "invalidation_reason",
            "kind",
            "kinds",
            "locktype",
        ),
        *(
            "match",
            "mode",
            "queued_mode",
            "object",
            "on_delete",
            "on_update",
            "owner_kind",
            "partition_strategy",
        ),
        *("persistence", "phase", "provider", "recorded", "replica_identity", "slot_type"),
        *("source", "state", "sync_state", "track", "type_align", "type_category", "type_storage"),
        *("unit", "vartype", "version", "wait_event_type", "wal_status", "fact", "reason"),
        *("rule", "grade", "outcome", "outcome_reason", "note"),
        *("what", "aspect", "compared"),
    )
)
EMPTIED = frozenset(("system_identifier", "address", "before", "after"))

_BACKENDS = frozenset(
    (
        *("client backend", "autovacuum launcher", "autovacuum worker", "background writer"),
        *("checkpointer", "startup", "walreceiver", "walsender", "walwriter", "archiver"),
        *("logical replication launcher", "logical replication worker", "parallel worker"),
        *("logical replication apply worker", "logical replication parallel worker"),
        *("logical replication tablesync worker", "logical replication sequencesync worker"),
        *("background worker", "walsummarizer", "slotsync worker", "io worker", "logger"),
        *("standalone backend", "slotsync", "datachecksums launcher", "datachecksums worker"),
        *("stats collector", "checksums launcher", "checksums worker"),
    )
)
# Settings whose text reveals nothing about a database: a locale, a format, a version.
_HARMLESS = frozenset(
    (
        *("DateStyle", "TimeZone", "log_timezone", "timezone_abbreviations", "server_version"),
        *("server_encoding", "client_encoding", "lc_messages", "lc_monetary", "lc_numeric"),
        *("lc_time", "lc_collate", "lc_ctype", "log_destination", "log_connections"),
        *("wal_consistency_checking", "debug_io_direct", "recovery_target_timeline"),
        *("restrict_nonsystem_relation_kind", "createrole_self_grant"),
    )
)
_LIBRARIES = frozenset(
    (
        *("shared_preload_libraries", "session_preload_libraries", "local_preload_libraries"),
        *("output_plugin_libraries", "oauth_validator_libraries", "archive_library"),
        *("jit_provider", "ssl_library"),
    )
)
_OWN_LIBRARIES = frozenset(("basic_archive", "llvmjit", "OpenSSL", "libpqwalreceiver", "pgoutput"))
_UNSET = frozenset(("", "(set)", "(disabled)", "(hidden)", "*", "localhost", "none"))
_SWITCH = re.compile(r"on|off|true|false|yes|no|auto|local|cascaded|buffering|[a-z]", re.IGNORECASE)
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?\s*(?:B|kB|MB|GB|TB|us|ms|s|min|h|d)?")
_CONFIGURATION_FILES = frozenset(("postgresql.conf", "postgresql.auto.conf"))
_WAL_FILE = re.compile(r"[0-9A-F]{8,24}(?:\.[0-9A-F]{8})?(?:\.(?:history|backup|partial))?")
_PREFIX_PART = re.compile(r"%-?\d*[a-zA-Z%]|[^\w%]+")
# Properties of a plan node whose values are names, and those whose values are PostgreSQL's words.
_PLAN_NAMES = {
    "Schema": "schema",
    "Relation Name": "table",
    "Alias": "alias",
    "Index Name": "index",
    "CTE Name": "name",
}
_PLAN_WORDS = frozenset(
    (
        *("Node Type", "Strategy", "Partial Mode", "Operation", "Parent Relationship"),
        *("Join Type", "Scan Direction", "Command"),
    )
)
_SUBPLAN = re.compile(r"(?:SubPlan|InitPlan|CTE)? ?(?:expr_)?\d*")
_TREE_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[^\s(){}\[\]]+|[\s(){}\[\]]+')
_TREE_KEPT = re.compile(
    r":\w+|-?[\d.]+(?:[eE][-+]?\d+)?|true|false|<>|[A-Z_0-9]+|[bo]|[\s(){}\[\]]+"
)
_VALUE = re.compile(r"(:constbyval false [^{}]*?:constvalue )(\d+ \[ [-\d ]*\])")


def redacted(snapshots: Sequence[Snapshot], allowed: Iterable[str] = ()) -> tuple[Snapshot, ...]:
    """Return the snapshots of one server with placeholders for all names, the same in each."""
    return with_names(snapshots, allowed)[0]


def with_names(
    snapshots: Sequence[Snapshot], allowed: Iterable[str] = ()
) -> tuple[tuple[Snapshot, ...], Names]:
    """Return the snapshots with placeholders, and the names behind them."""
    counted = _learnt(Names(allowed), snapshots)
    names = _learnt(Names(allowed, digits=len(str(counted.most))), snapshots)
    names.seal()
    return tuple(_Redactor(names, s).snapshot() for s in snapshots), names


def _learnt(names: Names, snapshots: Sequence[Snapshot]) -> Names:
    for snapshot in snapshots:
        learn(names, snapshot)
    return names


def learn(names: Names, s: Snapshot) -> None:
    """Learn every name that is in a field of its own."""
    names.learn("database", s.server.database)
    names.learn("role", s.server.role)
    for field in _facts(s):
        kind = ROWS.get(field.name)
        for row in getattr(s, field.name):
            if kind is not None and not _is_catalog(row):
                names.learn(kind, row.name)
            _learn_fields(names, row)


def _is_catalog(row: Any) -> bool:
    """Tell whether a row is about a system catalog, whose name reveals nothing about a database."""
    return (
        isinstance(row, SystemTable)
        and row.schema in ("pg_catalog", "pg_toast", "information_schema")
        and re.fullmatch(r"(pg|sql)_[a-z0-9_]+", row.name) is not None
    )


def _learn_fields(names: Names, row: Any) -> None:
    kind: Any = type(row)
    for field in _with_texts(kind):
        if field in NAMES:
            value = getattr(row, field)
            for each in value if isinstance(value, tuple) else (value,):
                names.learn(NAMES[field], each)


def _facts(snapshot: Snapshot) -> list[Any]:
    return [f for f in fields(snapshot) if isinstance(getattr(snapshot, f.name), tuple)]


class _Redactor:
    """Rewrites one snapshot."""

    def __init__(self, names: Names, snapshot: Snapshot) -> None:
        self._names = names
        self._given = snapshot
        self._sql = Statements(names)
        self._values: dict[str, int] = {}

    def snapshot(self) -> Snapshot:
        """Return it with placeholders."""
        given = self._given
        changed: dict[str, Any] = {
            f.name: tuple(self._row(f.name, row) for row in getattr(given, f.name))
            for f in _facts(given)
        }
        missing = {fact: self._missing(why) for fact, why in given.missing.items()}
        return replace(given, server=self._row("", given.server), missing=missing, **changed)

    def _missing(self, why: Missing) -> Missing:
        """Keep this tool's words, but not the server's, which may contain any name."""
        if not why.said and why.cause is not Cause.OTHER:
            reason = self._names.within(why.reason)
        elif why.said and why.said in why.reason:
            reason = REDACTED.join(map(self._names.within, why.reason.split(why.said)))
        else:
            reason = self._prose(why.reason)
        said = REDACTED if why.said else ""
        return replace(why, reason=reason, mend=self._names.within(why.mend), said=said)

    def _row(self, fact: str, row: Any) -> Any:
        changes: dict[str, Any] = {}
        kind: Any = type(row)
        for field in _with_texts(kind):
            value = getattr(row, field)
            if field in EMPTIED:
                changes[field] = None
            elif isinstance(value, str):
                changes[field] = self._text(fact, row, field, value)
            elif value and isinstance(value[0], str):
                changes[field] = tuple(self._text(fact, row, field, v) for v in value)
            elif value:
                changes[field] = tuple(self._row("", v) for v in value)
        return replace(row, **changes) if changes else row

    def _text(self, fact: str, row: Any, field: str, value: str) -> str:
        """Replace one text; nothing is kept of a field that is not listed."""
        if field in ("schema", "name") and _is_catalog(row):
            return value
        if field == "name":
            return self._name(fact, value)
        if field in NAMES:
            return self._names.stand_in(NAMES[field], value)
        if field in WORDS:
            return value
        change = CHANGED.get(field)
        return change(self, row, value) if change is not None else REDACTED

    def _name(self, fact: str, value: str) -> str:
        if fact in ("query_costs", "slru"):
            return value
        if fact == "collation_versions":
            return value if value.startswith("pg_catalog.") else self._sql.dotted(value)
        return self._names.stand_in(ROWS.get(fact, "name"), value)

    # --- texts ------------------------------------------------------------------------------

    def statement(self, _row: Any, text: str) -> str:
        return self._sql.of(text)

    def type(self, _row: Any, text: str) -> str:
        return self._sql.type(text)

    def expression(self, _row: Any, text: str) -> str:
        return self._sql.expression(text)

    def backend(self, _row: Any, kind: str) -> str:
        return kind if kind in _BACKENDS else "background worker"

    def said(self, _row: Any, text: str) -> str:
        return self._prose(text)

    def _prose(self, text: str) -> str:
        """Keep this tool's words; those of the server after the colon may contain any name."""
        ours, colon, _ = text.partition(": ")
        return f"{self._names.within(ours)}{': ' + REDACTED if colon else ''}"

    def type_name(self, _row: Any, name: str) -> str:
        array = "_" if name.startswith("_") else ""
        return array + self._names.stand_in("type", name.removeprefix("_"))

    def relation(self, row: Any, text: str) -> str:
        """Look a relation up by its oid, since a dot may be part of a name."""
        oid, given = row.relation_oid, self._given
        found: Any = given.table_by_oid.get(oid) or given.index_by_oid.get(oid)
        if found is None or found.qualified != text:
            return self._sql.dotted(text)
        schema = self._names.stand_in("schema", found.schema)
        kind = "table" if oid in given.table_by_oid else "index"
        return f"{schema}.{self._names.stand_in(kind, found.name)}"

    def wait_event(self, row: Any, event: str) -> str:
        return event if row.wait_event_type not in ("Extension", "InjectionPoint") else "Extension"

    def hidden(self, _row: Any, _text: str) -> str:
        return REDACTED

    def wal(self, _row: Any, name: str) -> str:
        return name if _WAL_FILE.fullmatch(name) else REDACTED

    def node_tree(self, _row: Any, tree: str) -> str:
        """Keep the tree, so that equal trees stay equal, but no names and no texts of constants."""
        numbered = _VALUE.sub(lambda m: f"{m[1]}4 [ {self._number(m[2])} ]", tree)
        return "".join(
            token if _TREE_KEPT.fullmatch(token) else self._names.replaced("name", token.strip('"'))
            for token in _TREE_TOKEN.findall(numbered)
        )

    def _number(self, value: str) -> int:
        return self._values.setdefault(value, len(self._values))

    # --- plans ------------------------------------------------------------------------------

    def plan_tree(self, _row: Any, tree: str) -> str:
        found = self._plan(tree)
        return json.dumps(found, separators=(",", ":")) if found else ""

    def _plan(self, tree: str) -> Any:
        try:
            return self._plan_node(json.loads(tree)) if tree else None
        except (ValueError, RecursionError):  # which could not be shown anyway
            return None

    def _plan_node(self, node: Any) -> Any:
        if isinstance(node, list):
            return [self._plan_node(each) for each in node]
        if isinstance(node, dict):
            return {key: self._plan_value(key, value) for key, value in node.items()}
        return node if isinstance(node, int | float) else REDACTED

    def _plan_value(self, key: str, value: Any) -> Any:
        if isinstance(value, list | dict):
            return self._plan_node(value)
        if not isinstance(value, str) or key in _PLAN_WORDS:
            return value
        if key == "Subplan Name":
            return value if _SUBPLAN.fullmatch(value) else self._names.stand_in("name", value)
        return self._names.stand_in(_PLAN_NAMES.get(key, "name"), value)

    def outline(self, row: Any, text: str) -> str:
        match self._plan(row.tree):
            case [{"Plan": {"Node Type": _} as top}, *_]:
                return plan_trees.outline(top)[: len(text)]
        return REDACTED if text else ""

    # --- settings ---------------------------------------------------------------------------

    def option(self, _row: Any, option: str) -> str:
        key, equals, value = option.partition("=")
        return f"{self._names.stand_in('option', key)}{equals}{self.measure(_row, value)}"

    def measure(self, _row: Any, value: str) -> str:
        is_plain = not value or _NUMBER.fullmatch(value) or _SWITCH.fullmatch(value)
        return value if is_plain else REDACTED

    def file(self, _row: Any, path: str) -> str:
        name = re.split(r"[/\\]", path)[-1]
        return name if name in _CONFIGURATION_FILES else self._names.stand_in("file", path)

    def setting(self, row: Any, value: str) -> str:
        """Keep numbers, booleans and enum values; of free text, what is harmless."""
        name = row.name or ""
        known = row if isinstance(row, Setting) else self._given.setting_by_name.get(name)
        if value in _UNSET or self.measure(row, value) == value:
            return value
        if known is None or self._names.stand_in("setting", name) != name:
            return REDACTED
        if known.vartype != "string":
            words = {word.casefold() for word in known.enum_values}
            return value if value.casefold() in words or isinstance(row, Setting) else REDACTED
        if (not isinstance(row, RoleSetting) and value == known.boot_val) or name in _HARMLESS:
            return value
        return self._free_text(name, value)

    def _free_text(self, name: str, value: str) -> str:
        if name in _LIBRARIES:
            return ", ".join(self._library(part.strip()) for part in value.split(","))
        if name == "search_path":
            return ", ".join(self._path_part(part.strip()) for part in value.split(","))
        if name == "log_line_prefix":
            return "".join(_PREFIX_PART.findall(value))
        if name == "default_text_search_config":
            return f"pg_catalog.{self._names.stand_in('configuration', value.split('.')[-1])}"
        if name == "application_name":
            return self._names.stand_in("application", value)
        if name == "default_table_access_method":
            return self._names.stand_in("access_method", value)
        return REDACTED

    def _library(self, written: str) -> str:
        name = written.removeprefix("$libdir/")
        if name in _OWN_LIBRARIES:
            return written
        shown = self._names.stand_in("extension", name) == name
        return written if shown else self._names.stand_in("library", name)

    def _path_part(self, written: str) -> str:
        bare = written.strip('"')
        return written if bare == "$user" else self._names.stand_in("schema", bare)


@cache
def _with_texts(kind: Any) -> tuple[str, ...]:
    """Return a fact's fields that can contain text, or rows that do."""
    return tuple(name for name, hint in field_types(kind).items() if _can_hold_text(hint))


def _can_hold_text(hint: Any) -> bool:
    parts = [part for part in get_args(hint) if part is not ...]
    return hint is str or is_dataclass(hint) or any(map(_can_hold_text, parts))


# How to rewrite a text that is more than a name or a word, by its field.
CHANGED: Mapping[str, Callable[[_Redactor, Any, str], str]] = {
    "text": _Redactor.statement,
    "query": _Redactor.statement,
    "queries": _Redactor.statement,
    "definition": _Redactor.statement,
    "ddl": _Redactor.statement,
    "columns": _Redactor.expression,
    "expressions": _Redactor.node_tree,
    "predicate": _Redactor.node_tree,
    "tree": _Redactor.plan_tree,
    "trees": _Redactor.plan_tree,
    "plan": _Redactor.outline,
    "type": _Redactor.type,
    "base_type": _Redactor.type_name,
    "relation": _Redactor.relation,
    "options": _Redactor.option,
    "toast_options": _Redactor.option,
    "key_options": _Redactor.option,
    "n_distinct_option": _Redactor.measure,
    "undo": _Redactor.statement,
    "slower": _Redactor.statement,
    "found": _Redactor.said,
    "caveats": _Redactor.said,
    "doubts": _Redactor.said,
    "refused": _Redactor.said,
    "error": _Redactor.hidden,
    "comment": _Redactor.hidden,
    "constraint_comment": _Redactor.hidden,
    "backend_type": _Redactor.backend,
    "wait_event": _Redactor.wait_event,
    "sourcefile": _Redactor.file,
    "last_archived_wal": _Redactor.wal,
    "last_failed_wal": _Redactor.wal,
    "setting": _Redactor.setting,
    "reset_val": _Redactor.setting,
    "boot_val": _Redactor.setting,
    "enum_values": _Redactor.setting,
    "value": _Redactor.setting,
}
