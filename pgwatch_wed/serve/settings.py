"""The table ``[serve]``: where the service listens, whom it answers, which servers it watches.

::

    [serve]
    listen = "127.0.0.1:9188"          # anything but loopback requires a token or a password
    hosts = ["monitor.example.com"]    # names by which it is called, besides addresses and localhost
    token_file = "/run/secrets/token"  # or PGWATCH_WED_TOKEN in the environment
    user = "sre"                       # and password_file, or PGWATCH_WED_PASSWORD
    requests_per_second = 200          # of one client
    postgres_exporter = false          # whether /metrics/postgres_exporter is there
    state = "/var/lib/pgwatch_wed"     # what a restart must not forget; default: the user's state directory

    [serve.targets.shop]
    conninfo = "service=shop"          # or conninfo_env, conninfo_file

Secrets come from the environment or a file, never from this table. Other parts read their own subtables
(:attr:`ServeSettings.rooms`) and the tables ``probes``, ``slo``, ``alerts``, ``notify`` and ``app``.
"""

import ipaddress
import os
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from psycopg import conninfo as libpq

from pgwatch_wed.errors import UsageError
from pgwatch_wed.suggestions import unknown_key
from pgwatch_wed.target import connect

DEFAULT_LISTEN = "127.0.0.1:9188"
# Subtables that other parts read.
ROOMS = ("collector", "metrics")
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_HOST = re.compile(r"(?=.{1,253}\Z)[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?", re.IGNORECASE)
_SECRETS = (
    "password",
    "sslpassword",
    "oauth_client_secret",
    "scram_client_key",
    "scram_server_key",
)
_LEAST_SECRET = 16


@dataclass(frozen=True, slots=True)
class WatchedTarget:
    """A server that is watched; its name stands in labels and answers, its conninfo nowhere."""

    name: str
    conninfo: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Access:
    """Who is let in: whoever knows the token, or the name and the password; everybody if there is neither."""

    token: str = field(default="", repr=False)
    user: str = ""
    password: str = field(default="", repr=False)

    @property
    def is_open(self) -> bool:
        """Whether nothing is asked for."""
        return not self.token and not self.password


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """The table ``[serve]``."""

    host: str = "127.0.0.1"
    port: int = 9188
    hosts: frozenset[str] = frozenset()
    access: Access = Access()
    tls_certificate: str | None = None
    tls_key: str | None = None
    requests_per_second: float = 200
    postgres_exporter: bool = False
    state: str = ""
    targets: tuple[WatchedTarget, ...] = ()
    rooms: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can connect."""
        return is_loopback(self.host)

    def room(self, name: str) -> Mapping[str, Any]:
        """Return the subtable of a part."""
        return self.rooms.get(name, {})


_KEYS = (
    *("listen", "hosts", "token_file", "user", "password_file", "tls_certificate", "tls_key"),
    *("requests_per_second", "postgres_exporter", "state", "targets"),
)


def is_loopback(host: str) -> bool:
    """Tell whether an address to listen on is reachable from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def parse(table: Mapping[str, Any], source: str, environ: Mapping[str, str]) -> ServeSettings:
    """Read the table; an error names the file and the key."""
    where = f"{source}: serve"
    for key in table:
        if key not in _KEYS and key not in ROOMS:
            raise unknown_key(where, key, (*_KEYS, *ROOMS))
    host, port = address(table.get("listen", DEFAULT_LISTEN), f"{where}.listen")
    settings = ServeSettings(
        host=host,
        port=port,
        hosts=_hosts(table.get("hosts", []), f"{where}.hosts"),
        access=_access(table, where, environ),
        tls_certificate=_file(table, "tls_certificate", where),
        tls_key=_file(table, "tls_key", where),
        requests_per_second=_number(table, "requests_per_second", 200, where, 1, 1_000_000),
        postgres_exporter=_flag(table, "postgres_exporter", where),
        state=_text(table, "state", where),
        targets=_targets(table.get("targets", {}), f"{where}.targets", environ),
        rooms={name: _table(table[name], f"{where}.{name}") for name in ROOMS if name in table},
    )
    if (settings.tls_certificate is None) != (settings.tls_key is None):
        _refuse(f"{where}: tls_certificate and tls_key require each other")
    return settings


def check_certificate(settings: ServeSettings, source: str) -> None:
    """Refuse a certificate or a key that cannot be used."""
    if settings.tls_certificate is None:
        return
    try:
        # a passphrase must not be asked for on a terminal
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(
            settings.tls_certificate, settings.tls_key, password=""
        )
    except (OSError, ValueError):
        _refuse(
            f"{source}: serve.tls_certificate and tls_key must be a certificate and its key, in PEM format "
            "and without a passphrase"
        )


def check_access(settings: ServeSettings, source: str) -> None:
    """Refuse to be reachable from other machines without a token or a password."""
    if not settings.is_loopback and settings.access.is_open:
        _refuse(
            f"{source}: serve.listen: {settings.host} is not a loopback address, which requires a token or "
            "a password",
            "set PGWATCH_WED_TOKEN or serve.token_file, or serve.user with PGWATCH_WED_PASSWORD or "
            "serve.password_file",
        )


def address(value: Any, where: str) -> tuple[str, int]:
    """Read ``127.0.0.1:9188`` or ``[::1]:9188``; port 0 is any free one."""
    match = re.fullmatch(r"(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]+)):(\d{1,5})", str(value))
    if not isinstance(value, str) or match is None or int(match[3]) > 65535:
        _refuse(f"{where} must be an address and a port such as '{DEFAULT_LISTEN}' or '[::1]:9188'")
    return match[1] or match[2], int(match[3])


def _hosts(value: Any, where: str) -> frozenset[str]:
    if not isinstance(value, list) or not all(
        isinstance(v, str) and _HOST.fullmatch(v) for v in value
    ):
        _refuse(
            f"{where} must be a list of host names without port, such as ['monitor.example.com']"
        )
    return frozenset(v.lower().rstrip(".") for v in value)


def _access(table: Mapping[str, Any], where: str, environ: Mapping[str, str]) -> Access:
    token = _secret(table, "token", where, environ)
    password = _secret(table, "password", where, environ)
    user = table.get("user", "")
    if not isinstance(user, str) or ":" in user or not user.isprintable():
        _refuse(f"{where}.user must be a name without colon")
    if bool(user) != bool(password):
        _refuse(
            f"{where}: user and a password (password_file or PGWATCH_WED_PASSWORD) require each other"
        )
    return Access(token, user, password)


def _secret(table: Mapping[str, Any], name: str, where: str, environ: Mapping[str, str]) -> str:
    key, variable = f"{name}_file", f"PGWATCH_WED_{name.upper()}"
    if key in table:
        label, secret = f"{where}.{key}", read_secret(table[key], f"{where}.{key}")
    elif variable in environ:
        label, secret = variable, environ[variable].strip()
    else:
        return ""
    if len(secret) < _LEAST_SECRET or not secret.isascii() or not secret.isprintable():
        _refuse(
            f"{label} must hold at least {_LEAST_SECRET} printable ASCII characters on one line"
        )
    return secret


def read_secret(value: Any, where: str) -> str:
    """Return what a file holds, without the newline at its end."""
    if not isinstance(value, str) or not value:
        _refuse(f"{where} must be the path of a file")
    try:
        return Path(value).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        _refuse(
            f"{where}: could not read {value}: {getattr(error, 'strerror', None) or 'not UTF-8'}"
        )


def _targets(value: Any, where: str, environ: Mapping[str, str]) -> tuple[WatchedTarget, ...]:
    tables = _table(value, where)
    found = []
    for name, table in tables.items():
        if not _NAME.fullmatch(name):
            _refuse(f"{where}.{name}: a name has up to 40 of a-z, 0-9, _ and -, such as 'shop'")
        found.append(
            WatchedTarget(
                name, _conninfo(_table(table, f"{where}.{name}"), f"{where}.{name}", environ)
            )
        )
    return tuple(found) or _default_target(environ)


def _default_target(environ: Mapping[str, str]) -> tuple[WatchedTarget, ...]:
    """Return the target that the environment names, as for the other commands."""
    if environ.get("DATABASE_URL") or environ.get("PGHOST") or environ.get("PGSERVICE"):
        return (WatchedTarget("default", connect.resolve(environ.get("DATABASE_URL"))),)
    return ()


def _conninfo(table: Mapping[str, Any], where: str, environ: Mapping[str, str]) -> str:
    ways = ("conninfo", "conninfo_env", "conninfo_file")
    if len(table) != 1 or next(iter(table)) not in ways:
        _refuse(f"{where} must have one of the keys {', '.join(ways)}")
    [(key, value)] = table.items()
    label = f"{where}.{key}"
    if not isinstance(value, str) or not value:
        _refuse(f"{label} must be a string")
    if key == "conninfo_file":
        value = read_secret(value, label)
    if key == "conninfo_env":
        if not environ.get(value):
            _refuse(f"{label}: the environment variable {value} is not set")
        value = environ[value]
    resolved = _resolved(value, label)
    if key == "conninfo" and any(libpq.conninfo_to_dict(resolved).get(s) for s in _SECRETS):
        _refuse(
            f"{label} holds a password", "use conninfo_env, conninfo_file, ~/.pgpass or passfile=…"
        )
    return resolved


def _resolved(value: str, label: str) -> str:
    try:
        return connect.resolve(value)
    except UsageError as error:
        raise UsageError(f"{label}: {error.message}", error.hint) from None


def _table(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        _refuse(f"{where} must be a table")
    return value


def _file(table: Mapping[str, Any], key: str, where: str) -> str | None:
    value = table.get(key)
    if value is not None and not (isinstance(value, str) and os.access(value, os.R_OK)):
        _refuse(f"{where}.{key} must be a file that can be read")
    return value


def _text(table: Mapping[str, Any], key: str, where: str) -> str:
    value = table.get(key, "")
    if not isinstance(value, str):
        _refuse(f"{where}.{key} must be a string")
    return value


def _flag(table: Mapping[str, Any], key: str, where: str) -> bool:
    value = table.get(key, False)
    if not isinstance(value, bool):
        _refuse(f"{where}.{key} must be true or false")
    return value


def _number(
    table: Mapping[str, Any], key: str, default: float, where: str, least: float, most: float
) -> float:
    value = table.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        _refuse(f"{where}.{key} must be a number from {least:g} to {most:g}")
    return value


def _refuse(message: str, hint: str = "") -> NoReturn:
    raise UsageError(message, hint)
