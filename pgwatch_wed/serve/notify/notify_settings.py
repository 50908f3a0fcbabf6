"""The table ``[notify]``: who is told what, and when nobody is.

::

    [notify]
    external_url = "https://monitor.example.com"
    repeat = "4 h"

    [notify.receivers.pager]
    kind = "webhook"               # in Alertmanager's format
    url_env = "PAGER_URL"
    severities = ["critical"]

    [notify.receivers.chat]
    kind = "slack"
    url_file = "/run/secrets/slack"

    [notify.receivers.ops]
    kind = "email"
    host = "smtp.example.com"
    port = 587
    tls = "starttls"               # starttls, tls or none
    user = "monitor"
    password_file = "/run/secrets/smtp"
    from = "monitor@example.com"
    to = ["ops@example.com"]

    [notify.receivers.am]
    kind = "alertmanager"
    url = "http://127.0.0.1:9093"

    [notify.watchdog]
    url_env = "DEADMAN_URL"
    interval = "1 min"

    [[notify.maintenance]]
    reason = "weekly reindex"
    days = ["sun"]
    from = "02:00"
    until = "04:00"
    timezone = "Europe/Berlin"
    match = { target = "shop" }
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pgwatch_wed.config import span
from pgwatch_wed.errors import UsageError
from pgwatch_wed.serve.notify.grouped import Pace
from pgwatch_wed.serve.notify.inhibition import RANKS
from pgwatch_wed.serve.notify.quiet_hours import DAYS, Once, QuietHours, Weekly
from pgwatch_wed.serve.notify.secrets import Credential, secret_of
from pgwatch_wed.suggestions import unknown_key

KINDS = ("webhook", "slack", "email", "alertmanager")
TLS = ("starttls", "tls", "none")


@dataclass(frozen=True, slots=True)
class WebTarget:
    """An address that is posted to; ``url`` may be a secret."""

    url: str | Credential
    bearer: Credential | None = None


@dataclass(frozen=True, slots=True)
class Mailbox:
    """An SMTP server, and between whom a message goes."""

    host: str
    sender: str
    to: Sequence[str]
    port: int = 587
    tls: str = "starttls"
    user: str = ""
    password: Credential | None = None
    ca_file: str = ""


@dataclass(frozen=True, slots=True)
class Receiver:
    """Who is told of which alerts."""

    name: str
    kind: str
    where: WebTarget | Mailbox
    severities: Sequence[str] = tuple(RANKS)
    deadline_s: float = 10.0


@dataclass(frozen=True, slots=True)
class DeadMansSwitch:
    """An address that is asked regularly while alerts are evaluated; it raises the alarm if nothing comes."""

    where: WebTarget
    interval_s: float = 60.0


@dataclass(frozen=True, slots=True)
class NotifySettings:
    """All of it."""

    receivers: Sequence[Receiver] = ()
    pace: Pace = field(default_factory=Pace)
    group_by: Sequence[str] = ("target", "severity")
    quiet_hours: Sequence[QuietHours] = ()
    watchdog: DeadMansSwitch | None = None
    external_url: str = ""


_PACES = {
    "wait": "wait_s",
    "wait_critical": "wait_critical_s",
    "interval": "interval_s",
    "repeat": "repeat_s",
}
_KEYS = {"receivers", "group_by", "maintenance", "watchdog", "external_url", *_PACES}
_WEB_KEYS = {"url", "url_env", "url_file", "bearer", "bearer_env", "bearer_file"}
_MAIL_KEYS = {
    "host",
    "port",
    "tls",
    "user",
    "password",
    "password_env",
    "password_file",
    "from",
    "to",
    "ca_file",
}
_RECEIVER_KEYS = {"kind", "severities", "deadline"}


def parse(table: Mapping[str, Any], source: str) -> NotifySettings:
    """Read the table; UsageError names the file and the key."""
    where = f"{source}: notify"
    _known(table, _KEYS, where)
    paces = {
        name: _seconds(table[key], f"{where}.{key}") for key, name in _PACES.items() if key in table
    }
    receivers = _tables(table.get("receivers", {}), f"{where}.receivers")
    entries = table.get("maintenance", [])
    if not isinstance(entries, list):
        raise UsageError(f"{where}.maintenance must be [[notify.maintenance]] entries")
    return NotifySettings(
        receivers=tuple(_receiver(n, t, f"{where}.receivers.{n}") for n, t in receivers.items()),
        pace=Pace(**paces),
        group_by=_words(table.get("group_by", ["target", "severity"]), f"{where}.group_by"),
        quiet_hours=tuple(_quiet(e, f"{where}.maintenance") for e in entries),
        watchdog=_switch(table["watchdog"], f"{where}.watchdog") if "watchdog" in table else None,
        external_url=_address(table.get("external_url", ""), f"{where}.external_url"),
    )


def _receiver(name: str, table: Mapping[str, Any], where: str) -> Receiver:
    kind = table.get("kind")
    if kind not in KINDS:
        raise UsageError(f"{where}.kind must be one of {', '.join(KINDS)}")
    _known(table, _RECEIVER_KEYS | (_MAIL_KEYS if kind == "email" else _WEB_KEYS), where)
    severities = _words(table.get("severities", list(RANKS)), f"{where}.severities")
    if unknown := set(severities) - set(RANKS):
        raise UsageError(f"{where}.severities: {min(unknown)!r} is none of {', '.join(RANKS)}")
    return Receiver(
        name=_text(name, where),
        kind=kind,
        where=_mailbox(table, where) if kind == "email" else _web(table, where),
        severities=severities,
        deadline_s=_seconds(table.get("deadline", "10 s"), f"{where}.deadline"),
    )


def _web(table: Mapping[str, Any], where: str) -> WebTarget:
    bearer = secret_of(table, "bearer", where)
    if "url" in table:
        return WebTarget(_public(table["url"], where), bearer)
    secret = secret_of(table, "url", where)
    if secret is None:
        raise UsageError(f"{where} must have url_env, url_file or url")
    _address(secret.read(), f"{where}.url")
    return WebTarget(secret, bearer)


def _public(url: Any, where: str) -> str:
    parts = urlsplit(_address(url, f"{where}.url"))
    is_secret = (
        parts.username or parts.password or parts.query or parts.hostname == "hooks.slack.com"
    )
    if is_secret:
        raise UsageError(
            f"{where}.url: an address that contains a secret does not belong in this file",
            "name an environment variable (url_env) or a file (url_file)",
        )
    return str(url)


def _mailbox(table: Mapping[str, Any], where: str) -> Mailbox:
    tls = table.get("tls", "starttls")
    if tls not in TLS:
        raise UsageError(f"{where}.tls must be one of {', '.join(TLS)}")
    user = _text(table.get("user", ""), f"{where}.user")
    password = secret_of(table, "password", where)
    if bool(user) != (password is not None):
        raise UsageError(
            f"{where} must have both user and password_env or password_file, or neither"
        )
    if user and tls == "none":
        raise UsageError(f"{where}: a password is not sent without TLS")
    port = table.get("port", 465 if tls == "tls" else 587)
    if not isinstance(port, int) or isinstance(port, bool) or not 0 < port < 65536:
        raise UsageError(f"{where}.port must be a port number")
    to = _words(table.get("to", []), f"{where}.to")
    if not to or not table.get("host"):
        raise UsageError(f"{where} must have host, from and to")
    return Mailbox(
        host=_text(table["host"], f"{where}.host"),
        sender=_mail(table.get("from"), f"{where}.from"),
        to=tuple(_mail(each, f"{where}.to") for each in to),
        port=port,
        tls=tls,
        user=user,
        password=password,
        ca_file=_text(table.get("ca_file", ""), f"{where}.ca_file"),
    )


def _switch(table: Any, where: str) -> DeadMansSwitch:
    if not isinstance(table, dict):
        raise UsageError(f"{where} must be a table")
    _known(table, _WEB_KEYS | {"interval"}, where)
    return DeadMansSwitch(
        _web(table, where), _seconds(table.get("interval", "1 min"), f"{where}.interval")
    )


def _quiet(table: Any, where: str) -> QuietHours:
    if not isinstance(table, dict) or not table.get("reason"):
        raise UsageError(f"{where}: each entry must have a reason")
    _known(table, {"reason", "from", "until", "days", "timezone", "match"}, where)
    match = table.get("match", {})
    if not isinstance(match, dict) or not all(isinstance(v, str) for v in match.values()):
        raise UsageError(f"{where}.match must be a table of labels")
    return QuietHours(_text(table["reason"], f"{where}.reason"), _when(table, where), match)


def _when(table: Mapping[str, Any], where: str) -> Once | Weekly:
    begins, ends = table.get("from"), table.get("until")
    if isinstance(begins, datetime) and isinstance(ends, datetime):
        return _once(begins, ends, where)
    days = _words(table.get("days", list(DAYS)), f"{where}.days")
    if unknown := set(days) - set(DAYS):
        raise UsageError(f"{where}.days: {min(unknown)!r} is none of {', '.join(DAYS)}")
    zone = _text(table.get("timezone", "UTC"), f"{where}.timezone")
    try:
        ZoneInfo(zone)
    except (ValueError, OSError, LookupError):
        raise UsageError(f"{where}.timezone: there is no time zone {zone!r}") from None
    return Weekly(_clock(begins, f"{where}.from"), _clock(ends, f"{where}.until"), days, zone)


def _once(begins: datetime, ends: datetime, where: str) -> Once:
    if begins.tzinfo is None or ends.tzinfo is None:
        raise UsageError(f"{where}: from and until must have a time zone, as 2026-12-01T02:00:00Z")
    if begins >= ends:
        raise UsageError(f"{where}: until must be later than from")
    return Once(begins.astimezone(UTC), ends.astimezone(UTC))


def _clock(value: Any, where: str) -> time:
    if isinstance(value, time):
        return value
    try:
        if isinstance(value, date):
            raise ValueError
        return time.fromisoformat(value)
    except (TypeError, ValueError):
        raise UsageError(
            f"{where} must be a time such as '02:00', or both a date with time"
        ) from None


def _known(table: Mapping[str, Any], keys: set[str], where: str) -> None:
    for key in table:
        if key not in keys:
            raise unknown_key(where, key, sorted(keys))


def _tables(value: Any, where: str) -> Mapping[str, Mapping[str, Any]]:
    if not isinstance(value, dict) or not all(isinstance(v, dict) for v in value.values()):
        raise UsageError(f"{where} must be tables such as [notify.receivers.pager]")
    return value


def _seconds(value: Any, where: str) -> float:
    if not isinstance(value, str):
        raise UsageError(f"{where} must be a time such as '30 s', not {value!r}")
    seconds = span(value, where).total_seconds()
    if seconds <= 0:
        raise UsageError(f"{where} must be longer than nothing")
    return seconds


def _words(value: Any, where: str) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise UsageError(f"{where} must be a list of strings")
    return tuple(_text(each, where) for each in value)


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not (value.isprintable() or value == ""):
        raise UsageError(f"{where} must be one line of printable characters")
    return value


def _mail(value: Any, where: str) -> str:
    text = _text(value, where)
    if text.count("@") != 1 or any(c in text for c in ' ,;<>"'):
        raise UsageError(f"{where} must be an address such as ops@example.com")
    return text


def _address(value: Any, where: str) -> str:
    text = _text(value, where)
    try:
        parts = urlsplit(text)
        is_fine = not text or (
            parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        )
    except ValueError:
        is_fine = False
    if not is_fine or " " in text:
        raise UsageError(f"{where} must be an address that begins with http:// or https://")
    return text
