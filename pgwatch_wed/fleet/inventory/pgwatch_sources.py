"""pgwatch's sources: each is a server or a database of one, with its connection string.

Variables of the environment stand for themselves anywhere in a value (pgwatch#1369). One that is not set is
an error: a connection with half of a password is a failed login.
"""

import os
import re
from typing import Any

from pgwatch_wed.fleet.inventory.entries import Entry, SourceDocument, mapping_of, mappings, text_of
from pgwatch_wed.fleet.inventory.listing import Listing, Located
from pgwatch_wed.fleet.inventory.member_table import (
    WrongEntryError,
    check_pattern,
    checked_name,
    databases,
    resolved,
    tags,
)
from pgwatch_wed.fleet.members import LeftOut, Member

_VARIABLE = re.compile(r"\$(?:\{([A-Za-z_]\w*)\}|([A-Za-z_]\w*))")
_DISCOVERS = "postgres-continuous-discovery"
_KINDS = ("postgres", _DISCOVERS)
_OTHERS = {
    "pgbouncer": "a PgBouncer, not a server",
    "pgpool": "a Pgpool-II, not a server",
}
_PATRONI = (
    "pgwatch finds it through etcd, which is not asked; name a member as patroni:http://HOST:8008"
)


def pgwatch_members(documents: list[SourceDocument], located: Located) -> Listing:
    """Return a member for each source."""
    members: list[Member] = []
    left_out: list[LeftOut] = []
    variables: set[str] = set()
    for document in documents:
        for entry in mappings(document, "sources", located.label):
            name = text_of(mapping_of(entry.value).get("name"))
            try:
                found = _source(entry, variables)
            except WrongEntryError as error:
                left_out.append(entry.left_out(name, str(error), is_wrong=True))
            else:
                if isinstance(found, Member):
                    members.append(found)
                else:
                    left_out.append(entry.left_out(name, found))
    return Listing(tuple(members), tuple(left_out), variables=frozenset(variables))


def _source(entry: Entry, variables: set[str]) -> Member | str:
    """Return a member, or why the source is none."""
    if entry.problem:
        raise WrongEntryError(entry.problem)
    if not isinstance(entry.value, dict):
        raise WrongEntryError("a source must be a mapping with the keys name and conn_str")
    values = {key: _expanded(each, key, variables) for key, each in entry.value.items()}
    kind = _text(values.get("kind"), "kind") or "postgres"
    if kind in _OTHERS:
        return f"it is {_OTHERS[kind]}"
    if kind.startswith("patroni"):
        return _PATRONI
    if kind not in _KINDS:
        raise WrongEntryError(f"unknown kind {kind[:60]!r}")
    target = values.get("conn_str")
    if not isinstance(target, str) or not target.strip():
        raise WrongEntryError("conn_str is missing")
    return Member(
        name=checked_name(_text(values.get("name"), "name")),
        targets=(resolved(target),),
        databases=databases(_patterns(values) if kind == _DISCOVERS else []),
        tags=tags(values.get("custom_tags") or {}),
        group=_text(values.get("group"), "group"),
        is_enabled=_truth(values.get("is_enabled")),
        place=entry.place,
    )


def _text(value: Any, key: str) -> str:
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise WrongEntryError(f"{key} must be a text")
    return str(value)


def _truth(value: Any) -> bool:
    if value in (None, True, "true"):
        return True
    if value in (False, "false"):
        return False
    raise WrongEntryError("is_enabled must be true or false")


def _patterns(values: dict[str, Any]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {"take": ["*"], "leave": []}
    for key, ours in (("include_pattern", "take"), ("exclude_pattern", "leave")):
        pattern = _text(values.get(key), key)
        if pattern:
            found[ours] = [f"/{pattern}/"]
            check_pattern(found[ours][0])
    return found


def _expanded(value: Any, key: str, variables: set[str]) -> Any:
    # not in patterns: they end with $
    if key not in ("name", "conn_str", "kind", "group", "is_enabled") or not isinstance(value, str):
        return value

    def of_environment(found: re.Match[str]) -> str:
        name = found[1] or found[2]
        variables.add(name)
        if name not in os.environ:
            raise WrongEntryError(f"{key}: the environment variable {name} is not set")
        return os.environ[name]

    return _VARIABLE.sub(of_environment, value)
