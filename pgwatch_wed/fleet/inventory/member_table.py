"""A cluster as our own TOML and JSON describe it → a member.

Keys: ``name``, ``target``, ``standbys``, ``databases``, ``tags``, ``group``, ``budget``, ``window``, ``enabled``.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import time, timedelta
from typing import Any
from urllib.parse import quote

from psycopg import conninfo as libpq

from pgwatch_wed import units
from pgwatch_wed.errors import UsageError
from pgwatch_wed.fleet.members import ALL, AllowedTime, DatabaseChoice, Member
from pgwatch_wed.fleet.name_patterns import PatternRefusedError, name_pattern
from pgwatch_wed.suggestions import meant
from pgwatch_wed.target import connect

COMMON_KEYS = ("target", "databases", "tags", "group", "budget", "window", "enabled")
KEYS = ("name", "standbys", *COMMON_KEYS)
MOST_CHARACTERS = 200
NO_TEXT = "is not UTF-8, or has a null character"
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_URI = re.compile(r"postgres(?:ql)?://(?:(?P<user>[^/?]*)@)?(?P<hosts>[^/?]*)", re.IGNORECASE)
_QUOTE = re.compile(r"\\.", re.DOTALL)  # what is no end of a quoted value
_PARAMETER = re.compile(r"=\s*\S*\Z")
_SPECIAL = re.compile(r"[\\'\s]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_SECRET_TAG = re.compile("passw|secret|token", re.IGNORECASE)
_NESTED_URI = re.compile(r"dbname\s*=\s*'?\s*postgres(?:ql)?(?::|%3a)", re.IGNORECASE)
_WINDOW = re.compile(
    r"\s*(?:(?P<days>[a-z]{3}(?:\s*[-,]\s*[a-z]{3})*)\s+)?"
    r"(?P<begin>\d{1,2}:\d{2})\s*-\s*(?P<end>\d{1,2}:\d{2})\s*\Z",
    re.IGNORECASE,
)


class WrongEntryError(Exception):
    """An entry cannot be used: one line that says why, without secrets."""


def member(table: Any, place: str, common: Mapping[str, Any], variables: set[str]) -> Member:
    """Return the member that a table describes, in which ``common`` stands for what it does not say.

    The names of environment variables that targets refer to are added to ``variables``.
    """
    if not isinstance(table, dict):
        raise WrongEntryError("a cluster must be a table with the keys name and target")
    check_keys(table, KEYS)
    shared = {key: value for key, value in common.items() if key not in ("target", "tags")}
    all_values = {**shared, **table}
    own = [_required(table, "target"), *_texts(table.get("standbys", []), "standbys")]
    lacking = _parameters(common.get("target"), variables)
    return Member(
        name=checked_name(_required(table, "name")),
        targets=tuple(conninfo(text, variables, lacking) for text in own),
        tags=tags(common.get("tags", {})) | tags(table.get("tags", {})),
        place=place,
        **choices(all_values),
    )


def with_common(found: Member, common: Mapping[str, Any], variables: set[str]) -> Member:
    """Return a member of another kind of source with what is common to all of that source."""
    if not common:
        return found
    lacking = _parameters(common.get("target"), variables)
    said = choices(common)
    return replace(
        found,
        targets=tuple(filled(text, lacking) for text in found.targets),
        databases=found.databases if found.databases != DatabaseChoice() else said["databases"],
        tags=tags(common.get("tags", {})) | dict(found.tags),
        group=found.group or said["group"],
        budget_s=said["budget_s"],
        allowed=said["allowed"],
        is_enabled=found.is_enabled and said["is_enabled"],
    )


def choices(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes of a member other than its name, targets and tags."""
    group = values.get("group", "")
    if not isinstance(group, str) or not is_storable(group) or len(group) > MOST_CHARACTERS:
        raise WrongEntryError(f"group must be a text of at most {MOST_CHARACTERS} characters")
    is_enabled = values.get("enabled", True)
    if not isinstance(is_enabled, bool):
        raise WrongEntryError("enabled must be true or false")
    return {
        "databases": databases(values.get("databases", [])),
        "group": group,
        "budget_s": _budget(values.get("budget")),
        "allowed": allowed_time(values.get("window")),
        "is_enabled": is_enabled,
    }


def check_keys(table: Mapping[str, Any], known: tuple[str, ...]) -> None:
    """Refuse what is misspelled, which would otherwise be ignored."""
    for key in table:
        if key not in known:
            raise WrongEntryError(unknown(key, known))


def unknown(key: Any, known: tuple[str, ...]) -> str:
    """Say that there is no such key, and which one is meant."""
    hint = meant(str(key), known) or f"known keys are {', '.join(known)}"
    return f"unknown key {str(key)[:60]!r}; {hint}"


def checked_name(name: str) -> str:
    """Return a name that can be stored and printed."""
    if not name.strip():
        raise WrongEntryError("the name is empty")
    if len(name) > MOST_CHARACTERS:
        raise WrongEntryError(f"the name has more than {MOST_CHARACTERS} characters")
    if not is_storable(name):
        raise WrongEntryError(f"the name {NO_TEXT}")
    return name


def is_storable(text: str) -> bool:
    """Tell whether a database can store a text."""
    return "\0" not in text and not _SURROGATE.search(text)


def _required(table: Mapping[str, Any], key: str) -> str:
    value = table.get(key)
    if key == "name" and isinstance(value, str):
        return value  # checked_name says more
    if not isinstance(value, str) or not value.strip():
        missing = "is missing" if value is None else "must be a text that is not empty"
        raise WrongEntryError(f"{key} {missing}")
    return value


def _texts(value: Any, key: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(v, str) and v.strip() for v in value):
        raise WrongEntryError(f"{key} must be a list of texts")
    if not all(map(is_storable, value)):
        raise WrongEntryError(f"{key} {NO_TEXT}")
    return tuple(value)


# --- targets --------------------------------------------------------------------------------------


def conninfo(text: str, variables: set[str], lacking: Mapping[str, str] | None = None) -> str:
    """Return the conninfo of a target: a URI, a connection string or a service name.

    ``lacking`` are parameters that it gets where it has none; a service has its own.
    """
    return filled(resolved(expanded(text, variables)), lacking or {})


def resolved(text: str) -> str:
    """Return the conninfo of a target in which no variable is meant."""
    if not is_storable(text):
        raise WrongEntryError(f"target {NO_TEXT}")
    try:
        found = connect.resolve(text)
    except UsageError as error:
        raise WrongEntryError(f"target: {error}") from None
    if _NESTED_URI.search(found):  # libpq would take its password for a part of the name
        raise WrongEntryError("target: dbname must not be a URI; write the URI as the target")
    _check_addresses(libpq.conninfo_to_dict(found))
    return found


def _check_addresses(parts: Mapping[str, Any]) -> None:
    """Refuse what libpq takes at first, and with which no visit can succeed."""
    hosts = str(parts.get("host") or "")
    if ";" in hosts:  # as in ADO.NET: what follows, a password too, would be taken for the host
        raise WrongEntryError("target: the host has a semicolon; separate parameters by spaces")
    ports = str(parts.get("port") or "").split(",")
    if not all(_is_port(port) for port in ports):
        raise WrongEntryError("target: the port is no number from 1 to 65535")
    count = len(str(parts.get("hostaddr") or hosts).split(","))
    if len(ports) not in (1, count):
        raise WrongEntryError(f"target: {len(ports)} ports for {count} hosts")


def _is_port(text: str) -> bool:
    digits = text.strip()
    return not digits or (digits.isdecimal() and len(digits) < 6 and 0 < int(digits) < 65536)


def filled(text: str, lacking: Mapping[str, str]) -> str:
    """Return a conninfo with parameters that it lacks; a service has its own."""
    parts = libpq.conninfo_to_dict(text) if lacking else {}
    if not lacking or "service" in parts:
        return text
    return libpq.make_conninfo("", **{**lacking, **parts})


def expanded(text: str, variables: set[str]) -> str:
    """Return a target in which ``${NAME}`` is the value of an environment variable, whatever characters that has.

    Raises :class:`WrongEntryError` for one that is not set.
    """

    def value(found: re.Match[str]) -> str:
        variables.add(found[1])
        if found[1] not in os.environ:
            raise WrongEntryError(f"the environment variable {found[1]} is not set")
        return _written(os.environ[found[1]], text, found)

    return _VARIABLE.sub(value, text)


def _written(value: str, text: str, found: re.Match[str]) -> str:
    """Write a value for its place in a target; one that stands for a whole parameter or more is a part of the text."""
    before, after = text[: found.start()], text[found.end() :]
    uri = _URI.match(text)
    if uri is not None:
        if uri.start("hosts") <= found.start() < uri.end("hosts") or before.endswith(("?", "&")):
            return value
        return quote(value, safe=":" if uri["user"] == found[0] else "")
    is_quoted = _QUOTE.sub("", before).count("'") % 2 == 1
    if not is_quoted and not _PARAMETER.search(before):
        return value
    if not value and before.endswith("=") and (not after or after[0].isspace()):
        return "''"  # libpq would take what follows for the value
    return _SPECIAL.sub(r"\\\g<0>", value)


def _parameters(text: Any, variables: set[str]) -> dict[str, str]:
    if text is None:
        return {}
    if not isinstance(text, str):
        raise WrongEntryError("target must be a text")
    found = libpq.conninfo_to_dict(conninfo(text, variables))
    return {key: str(value) for key, value in found.items()}


# --- the rest -------------------------------------------------------------------------------------


def tags(value: Any) -> dict[str, str]:
    """Return tags as texts; numbers and truth values are written as in JSON."""
    if not isinstance(value, dict):
        raise WrongEntryError('tags must be a table such as {env = "prod"}')
    found = {}
    for key, each in value.items():
        if isinstance(each, bool):
            each = str(each).lower()
        if not isinstance(each, str | int | float) or not is_storable(f"{key}{each}"):
            raise WrongEntryError(f"the tag {str(key)[:60]!r} must be a text or a number")
        found[str(key)] = "***" if _SECRET_TAG.search(str(key)) else str(each)
    return found


def databases(value: Any) -> DatabaseChoice:
    """Return which databases are read: a list of those to take, or a table with ``take`` and ``leave``."""
    if isinstance(value, str):
        value = [value]
    if isinstance(value, list):
        value = {"take": value}
    if not isinstance(value, dict):
        raise WrongEntryError("databases must be a list of names, or a table with take and leave")
    for key in value:
        if key not in ("take", "leave"):
            raise WrongEntryError(f"databases: {unknown(key, ('take', 'leave'))}")
    take = _texts(value.get("take", []), "databases.take")
    leave = _texts(value.get("leave", []), "databases.leave")
    for pattern in (*take, *leave):
        check_pattern(pattern)
    return DatabaseChoice(take or ((ALL,) if leave else ()), leave)


def check_pattern(pattern: str) -> None:
    """Refuse a regular expression between slashes that is none, or cannot be used."""
    if len(pattern) > 1 and pattern[0] == pattern[-1] == "/":
        try:
            name_pattern(pattern[1:-1])
        except PatternRefusedError as error:
            raise WrongEntryError(f"{pattern[:60]!r} {error}") from None


def _budget(value: Any) -> float | None:
    if value is None:
        return None
    try:
        if isinstance(value, bool):
            raise ValueError
        span = timedelta(seconds=value) if not isinstance(value, str) else units.read_span(value)
    except (TypeError, ValueError, OverflowError):
        span = timedelta(0)
    if span <= timedelta(0):
        raise WrongEntryError("budget must be a time such as '90 s' or '5 min'")
    return span.total_seconds()


def allowed_time(value: Any) -> AllowedTime | None:
    """Read ``22:00-05:30`` or ``mon-fri 22:00-05:30``, in UTC."""
    if value is None:
        return None
    found = _WINDOW.match(value) if isinstance(value, str) else None
    try:
        if found is None:
            raise ValueError
        days = _days(found["days"].lower()) if found["days"] else frozenset(range(7))
        return AllowedTime(_time(found["begin"]), _time(found["end"]), days)
    except ValueError:
        raise WrongEntryError(
            "window must be a time of day in UTC such as '22:00-05:30' or 'sat,sun 00:00-24:00'"
        ) from None


def _time(text: str) -> time:
    hour, minute = map(int, text.split(":"))
    return time(0) if (hour, minute) == (24, 0) else time(hour, minute)


def _days(text: str) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        first, *last = (DAYS.index(day.strip()) for day in part.split("-"))
        if len(last) > 1:
            raise ValueError(text)
        end = last[0] if last else first
        found |= {day % 7 for day in range(first, end + 1 + (7 if end < first else 0))}
    return frozenset(found)
