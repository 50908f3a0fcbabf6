"""The tables ``[probes.NAME]`` → settings; every error names file and key.

::

    [probes.database]
    kind = "postgres"
    url = "postgresql://monitor@db.example.com/shop"
    password_env = "MONITOR_PASSWORD"
    interval = "15 s"
    essential = true

A secret stands in an environment variable (``KEY_env``) or in a file (``KEY_file``), never in the table. A file is
read again at each use, so that a secret can be replaced without a restart.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints
from urllib.parse import urlsplit

from pgwatch_wed import units
from pgwatch_wed.config import size
from pgwatch_wed.errors import UsageError
from pgwatch_wed.serve.state import Health, Reason
from pgwatch_wed.suggestions import unknown_key

S = TypeVar("S", bound="ProbeSettings")
# A name is a path of the API, a label and a word in logs.
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}\Z")
# What a peer says of itself is a blip more often than what it says of us.
_NOT_RETRIED = frozenset({Reason.AUTH, Reason.TLS})


@dataclass(frozen=True, slots=True)
class Secret:
    """Where a secret is, and never what it is."""

    env: str = ""
    file: str = ""

    def value(self) -> str:
        """Read it; an empty text if it is not there any more."""
        if self.file:
            try:
                return Path(self.file).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeError):
                return ""
        return os.environ.get(self.env, "")


Address = str | Secret


def plain(value: Address | None) -> str:
    """Return the text of a setting that may be a secret."""
    return value.value() if isinstance(value, Secret) else value or ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeSettings:
    """What all probes have in common.

    ``tries``: how many attempts in a row must fail before the probe does. ``essential``: without it, the service
    as a whole has failed. ``auth``: what refused credentials mean, ``warn`` or ``fail``.
    """

    name: str
    kind: str
    interval_s: float = 15.0
    deadline_s: float = 5.0
    tries: int = 2
    essential: bool = False
    target: str = ""  # its name in metrics; by default the probe's
    latency_s: float | None = None  # a slower answer is a warning
    auth: Health = Health.FAIL

    def status_of(self, reason: Reason) -> Health:
        """Return what a failed attempt means: a peer that answers but not to us is not down."""
        if reason is Reason.LIMIT:
            return Health.WARN
        return self.auth if reason is Reason.AUTH else Health.FAIL

    def may_retry(self, reason: Reason | None) -> bool:
        """Tell whether another attempt may succeed."""
        return reason not in _NOT_RETRIED

    def check(self, where: str) -> None:
        """Raise UsageError for values that do not fit together."""
        if not 0.05 <= self.deadline_s < self.interval_s:
            raise UsageError(f"{where}.deadline must be shorter than the interval")
        if not 0.1 <= self.interval_s <= 86_400:
            raise UsageError(f"{where}.interval must be between 0.1 s and a day")
        if (
            not 1 <= self.tries <= 10
            or self.tries * (self.deadline_s + 1) >= 2 * self.interval_s + 2
        ):
            # else a result would be stale before the next one is there
            raise UsageError(f"{where}.tries: so many tries do not fit into two intervals")


def check_name(name: str, where: str) -> None:
    """Raise UsageError for a name that cannot be a path and a label."""
    if not _NAME.match(name):
        raise UsageError(
            f"{where}: the name of a probe consists of a-z, 0-9, _ and -, not {name!r}"
        )


def read(kind: type[S], name: str, table: Mapping[str, Any], where: str) -> S:
    """Turn a table into the settings of a kind of probe."""
    hints = get_type_hints(kind)
    known = {_key(f.name): f.name for f in fields(kind) if f.name != "name"}
    values: dict[str, Any] = {"name": name}
    for key, value in table.items():
        place = f"{where}.{key}"
        base, _, suffix = key.rpartition("_")
        if suffix in ("env", "file") and base in known and _may_be_secret(hints[known[base]]):
            values[known[base]] = _secret(suffix, value, place)
        elif key not in known:
            raise unknown_key(where, key, _keys(known, hints))
        elif hints[known[key]] == (Secret | None):  # and never a text
            raise UsageError(
                f"{place}: a secret does not belong in this file", f"use {key}_env or {key}_file"
            )
        else:
            values[known[key]] = _value(hints[known[key]], known[key], value, place)
    try:
        settings = kind(**values)
    except TypeError:
        needed = [_key(f.name) for f in fields(kind) if f.name not in values and _is_needed(f)]
        raise UsageError(f"{where}: {needed[0]} is missing") from None
    settings.check(where)
    return settings


def _is_needed(each: Any) -> bool:
    return each.default is MISSING and each.default_factory is MISSING


def _key(name: str) -> str:
    return re.sub(r"_(s|bytes)\Z", "", name)


def _keys(known: Mapping[str, str], hints: Mapping[str, Any]) -> list[str]:
    found = []
    for key, name in known.items():
        found += [key] if hints[name] != (Secret | None) else []
        found += [f"{key}_env", f"{key}_file"] if _may_be_secret(hints[name]) else []
    return found


def _may_be_secret(hint: Any) -> bool:
    return Secret in get_args(hint)


def _secret(suffix: str, value: Any, place: str) -> Secret:
    if not isinstance(value, str) or not value:
        raise UsageError(
            f"{place} must be the name of {'a variable' if suffix == 'env' else 'a file'}"
        )
    secret = Secret(**{suffix: value})
    if not secret.value():
        what = f"the environment variable {value}" if suffix == "env" else f"the file {value}"
        raise UsageError(f"{place}: {what} is empty or does not exist")
    return secret


def _value(hint: Any, name: str, value: Any, place: str) -> Any:
    if get_origin(hint) is tuple:
        return _texts(value, place)
    kinds = get_args(hint) or (hint,)
    if name.endswith("_s"):
        return seconds(value, place)
    if name.endswith("_bytes"):
        return size(value, place)
    if name.endswith("_ratio"):
        return ratio(value, place)
    if Health in kinds:
        if value not in ("warn", "fail"):
            raise UsageError(f"{place} must be 'warn' or 'fail', not {value!r}")
        return Health(value)
    if bool in kinds:
        return _of(bool, value, place, "true or false")
    if int in kinds:
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise UsageError(f"{place} must be a whole number, not {value!r}")
        return value
    return _text(name, value, place)


def _of(kind: type, value: Any, place: str, wanted: str) -> Any:
    if not isinstance(value, kind):
        raise UsageError(f"{place} must be {wanted}, not {value!r}")
    return value


def _text(name: str, value: Any, place: str) -> str:
    text: str = _of(str, value, place, "a text")
    if name in ("url", "endpoint"):
        try:
            has_password = bool(urlsplit(text).password)
        except ValueError:
            raise UsageError(f"{place} is not a URL") from None
        if has_password or re.search(r"\b(password|passwd)\s*=", text, re.IGNORECASE):
            raise UsageError(
                f"{place}: a password does not belong in this file",
                "use password_env or password_file",
            )
    return text


def _texts(value: Any, place: str) -> tuple[str, ...]:
    values = value if isinstance(value, list) else [value]
    if not all(isinstance(v, str | int) and not isinstance(v, bool) for v in values):
        raise UsageError(f"{place} must be a text or a list of texts, not {value!r}")
    return tuple(map(str, values))


def seconds(value: Any, place: str) -> float:
    """Read ``15 s``, ``500 ms``, ``2 min``; a bare number counts seconds."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e9:
        return float(value)
    try:
        return units.read_span(value).total_seconds()
    except (TypeError, ValueError, OverflowError):
        raise UsageError(f"{place} must be a time such as '15 s', not {value!r}") from None


def ratio(value: Any, place: str) -> float:
    """Read ``90%`` or ``0.9``."""
    try:
        found = (
            float(value.strip().removesuffix("%")) / 100 if isinstance(value, str) else float(value)
        )
    except (TypeError, ValueError):
        found = -1.0
    if isinstance(value, bool) or not 0 <= found <= 1:
        raise UsageError(f"{place} must be a share such as '90%' or 0.9, not {value!r}")
    return found
