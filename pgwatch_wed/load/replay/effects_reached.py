"""What a statement reaches on a server, and whether any of it may change something or act outside of its transaction.

The server itself resolves names, overloads, operators and casts: the statement becomes a temporary view, whose stored
tree names every object by number, and which is rolled back. Views, policies, domains and bodies of functions are followed.
"""

import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg.rows import dict_row

from pgwatch_wed.errors import said
from pgwatch_wed.target.queries import composed

# Volatile, but they only return another value each time.
_HARMLESS = frozenset(
    (
        *(
            "random",
            "random_normal",
            "clock_timestamp",
            "timeofday",
            "gen_random_uuid",
            "uuidv4",
            "uuidv7",
        ),
        *("uuid_generate_v1", "uuid_generate_v1mc", "uuid_generate_v4"),
    )
)
# Not volatile, and yet they assign a transaction ID, or run any SQL that they are given.
_HARMFUL = frozenset(
    (
        *("txid_current", "pg_current_xact_id", "query_to_xml", "query_to_xmlschema"),
        *(
            "query_to_xml_and_xmlschema",
            "cursor_to_xml",
            "cursor_to_xmlschema",
            "crosstab",
            "connectby",
        ),
    )
)
_READABLE = frozenset({"sql", "plpgsql"})
_COMPILED = frozenset({"internal", "c"})
_FUNCTIONS = re.compile(r":(?:funcid|opfuncid|aggfnoid|winfnoid|tsmhandler) (\d+)")
_OPERATORS = re.compile(r":(?:opno|eqop|sortop|reqop) (\d+)")
_OPERATOR_LISTS = re.compile(r":opnos \(o ([\d ]+)\)")
_TYPES = re.compile(
    r":(?:vartype|consttype|paramtype|\w*resulttype|\w*typeid|typeId|element_typeid) (\d+)"
)
_RELATIONS = re.compile(r":relid (\d+)")
_WORD = re.compile(r"[A-Za-z_][\w$]*")
_CALL = re.compile(r"([A-Za-z_][\w$]*)\"?\s*\(")
_DYNAMIC = re.compile(r"\bexecute\b", re.IGNORECASE)
_FOREIGN = "f"


class UnsafeError(Exception):
    """A statement must not run; the text says why, in one sentence without a subject: "it calls …"."""


@dataclass(frozen=True, slots=True)
class _Thing:
    """An object that is reached: its catalog, its number, and through what."""

    catalog: str  # replay_functions, replay_operators, replay_types, replay_relations
    oid: int
    via: str


@dataclass(slots=True)
class EffectsReached:
    """Follows what statements reach; what was found harmless is not looked at again."""

    connection: psycopg.Connection[Any]
    _harmless: set[tuple[str, int]] = field(default_factory=set)

    def check(self, text: str, path: str) -> None:
        """Raise :class:`UnsafeError` if a statement without parameters may have an effect, or cannot be resolved.

        ``path`` is the search path with which it is resolved. The connection is in autocommit mode.
        """
        queue = deque(_in_tree(self._tree(text, path), ""))
        seen: set[tuple[str, int]] = set()
        while queue:
            catalog = queue[0].catalog
            batch = {t.oid: t for t in queue if t.catalog == catalog}
            queue = deque(t for t in queue if t.catalog != catalog)
            new = [o for o in batch if (catalog, o) not in seen | self._harmless]
            seen |= {(catalog, oid) for oid in new}
            for row in self._rows(catalog, new, "oids"):
                queue += self._reached(catalog, row, batch[row["oid"]].via)
        self._harmless |= seen

    def _tree(self, text: str, path: str) -> str:
        connection = self.connection
        connection.execute("begin")
        try:
            connection.execute("select pg_catalog.set_config('search_path', %s, true)", [path])
            probe = f"create temporary view pgwatch_wed_replay_probe as select where exists (\n{text}\n)"
            connection.execute(probe.encode())
            row = connection.execute(
                "select ev_action::text from pg_catalog.pg_rewrite"
                " where ev_class = 'pg_temp.pgwatch_wed_replay_probe'::regclass"
            ).fetchone()
        except psycopg.Error as error:
            if connection.closed:
                raise
            raise UnsafeError(f"what it reaches is not known: {said(error)}") from None
        finally:
            if not connection.closed:
                connection.rollback()
        assert row is not None
        return str(row[0])

    def _rows(self, query: str, values: Sequence[Any], name: str) -> list[dict[str, Any]]:
        if not values:
            return []
        with self.connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(composed("load", query), {name: list(values)}).fetchall()

    def _reached(self, catalog: str, row: dict[str, Any], via: str) -> Iterable[_Thing]:
        match catalog:
            case "replay_functions":
                return self._in_function(row, via)
            case "replay_operators":
                return [
                    _Thing(
                        "replay_functions",
                        row["function"],
                        _through(via, f"operator {row['name']}"),
                    )
                ]
            case "replay_types":
                return list(_in_type(row, via))
            case _:
                return list(_in_relation(row, via))

    def _in_function(self, row: dict[str, Any], via: str) -> list[_Thing]:
        name, shown = row["plain_name"], row["name"].removeprefix("pg_catalog.")
        is_harmless = name in _HARMLESS and (
            row["schema"] == "pg_catalog" or row["is_in_extension"]
        )
        if name in _HARMFUL or (row["volatility"] == "v" and not is_harmless):
            raise UnsafeError(f"it calls {shown}(), which {_effect(name, row)}{via}")
        found = [_Thing("replay_functions", oid, via) for oid in row["parts"]]
        found += [_Thing("replay_types", oid, via) for oid in row["types"]]
        if row["language"] in _COMPILED or row["schema"] == "pg_catalog":
            return found
        if row["language"] not in _READABLE:
            raise UnsafeError(
                f"it calls {row['name']}() in {row['language']}, whose effects are not known{via}"
            )
        inside = _through(via, f"function {row['name']}()")
        if row["tree"]:
            return [*found, *_in_tree(row["tree"], inside)]
        return [*found, *self._in_body(row, inside)]

    def _in_body(self, row: dict[str, Any], via: str) -> Iterator[_Thing]:
        """Follow everything that a body may name: what is no call but looks like one does no harm."""
        body = row["body"] or ""
        if row["language"] != "sql" and _DYNAMIC.search(body):
            raise UnsafeError(
                f"it calls {row['name']}(), which puts SQL together: its effects are not known"
            )
        calls = sorted({c.lower() for c in _CALL.findall(body)})
        for found in self._rows("replay_functions_named", calls, "words"):
            yield _Thing("replay_functions", found["oid"], via)
        words = sorted({w.lower() for w in _WORD.findall(body)})
        for found in self._rows("replay_relations_named", words, "words"):
            yield _Thing("replay_relations", found["oid"], via)


def _effect(name: str, row: dict[str, Any]) -> str:
    return "is volatile" if row["volatility"] == "v" else "has effects" if name in _HARMFUL else ""


def _through(via: str, what: str) -> str:
    return f"{via}, {what}" if via else f", through {what}"


def _in_tree(tree: str, via: str) -> Iterator[_Thing]:
    for oid in _numbers(_FUNCTIONS, tree):
        yield _Thing("replay_functions", oid, via)
    lists = " ".join(_OPERATOR_LISTS.findall(tree)).split()
    for oid in _numbers(_OPERATORS, tree) | {int(n) for n in lists}:
        yield _Thing("replay_operators", oid, via)
    for oid in _numbers(_TYPES, tree):
        yield _Thing("replay_types", oid, via)
    for oid in _numbers(_RELATIONS, tree):
        yield _Thing("replay_relations", oid, via)


def _numbers(pattern: re.Pattern[str], tree: str) -> set[int]:
    return {int(n) for n in pattern.findall(tree)} - {0}


def _in_type(row: dict[str, Any], via: str) -> Iterator[_Thing]:
    for oid in row["functions"]:
        yield _Thing("replay_functions", oid, _through(via, f"type {row['name']}"))
    for oid in row["parts"]:
        yield _Thing("replay_types", oid, via)
    for check in row["checks"]:
        yield from _in_tree(check, _through(via, f"a check of domain {row['name']}"))


def _in_relation(row: dict[str, Any], via: str) -> Iterator[_Thing]:
    if row["kind"] == _FOREIGN:
        raise UnsafeError(
            f"it reads foreign table {row['name']}: that would be load on another server{via}"
        )
    for definition in row["definitions"]:
        yield from _in_tree(definition, _through(via, f"view {row['name']}"))
    for policy in row["policies"]:
        yield from _in_tree(policy, _through(via, f"a policy of {row['name']}"))
    for oid in row["children"]:
        yield _Thing("replay_relations", oid, via)
