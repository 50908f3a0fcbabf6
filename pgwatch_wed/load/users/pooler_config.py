"""The configuration of a PgBouncer of ours: how it connects to the server, no less safely than our own session."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pgwatch_wed.errors import CollectError

ALIAS = "load"  # the database, as clients of the pooler call it
USER = "load"  # as they call themselves; it may use the console, too
PORT = 6432  # only part of the socket's name
_PLACE = ("host", "port", "dbname", "user", "password")
# Parameters of libpq that are files, and PgBouncer's names for them.
_MODE = "server_tls_sslmode"
_TLS_FILES = {
    "sslrootcert": "server_tls_ca_file",
    "sslcert": "server_tls_cert_file",
    "sslkey": "server_tls_key_file",
}
# They change nothing about the safety of the line, or PgBouncer has its own.
_IRRELEVANT = frozenset(
    (
        *("application_name", "fallback_application_name", "connect_timeout", "client_encoding"),
        *("keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count"),
        *("tcp_user_timeout", "target_session_attrs", "load_balance_hosts", "replication"),
        *(
            "sslcompression",
            "sslsni",
            "sslnegotiation",
            "hostaddr",
            "passfile",
            "krbsrvname",
            "gsslib",
        ),
        *("min_protocol_version", "max_protocol_version", "ssl_max_protocol_version"),
    )
)
_HARMLESS = {
    "gssencmode": ("disable", "prefer"),
    "channel_binding": ("disable", "prefer"),
    "require_auth": (),
    "sslcertmode": ("allow", "disable"),
    "gssdelegation": ("0",),
    "ssl_min_protocol_version": ("TLSv1", "TLSv1.1", "TLSv1.2"),
}


@dataclass(frozen=True, slots=True)
class PoolerPlan:
    """How large the pooler is: ``settings`` hold for its sessions on the server, since clients cannot set any."""

    clients: int
    pool: int
    settings: Mapping[str, str]

    @property
    def max_clients(self) -> int:
        """Connections that it accepts: a few more, for those who watch."""
        return self.clients + 20

    @property
    def descriptors(self) -> int:
        """How many files it opens at most."""
        return self.max_clients + self.pool + 64


def written(parameters: Mapping[str, str], password: str, plan: PoolerPlan, folder: Path) -> Path:
    """Write the configuration into a directory that nobody else can enter, and return its path.

    ``parameters`` are those of a session of ours (:func:`pgwatch_wed.target.programs.parameters`). Raises
    :class:`CollectError` if one of them cannot be kept.
    """
    lines = [
        "[databases]",
        f"{ALIAS} = {_connection(parameters, password, plan.settings)}",
        "[pgbouncer]",
        *(f"{name} = {value}" for name, value in _own(plan, folder).items()),
        *(f"{name} = {value}" for name, value in _tls(parameters, folder).items()),
    ]
    _write(folder / "users", [f'"{USER}" ""'])
    return _write(folder / "pgbouncer.ini", lines)


def _write(file: Path, lines: Sequence[str]) -> Path:
    file.touch(mode=0o600)
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def _own(plan: PoolerPlan, folder: Path) -> dict[str, str | int]:
    return {
        "listen_addr": "",
        "listen_port": PORT,
        "unix_socket_dir": str(folder),
        # The directory is what keeps others out. Whoever can enter it may connect and use the console. With "any",
        # later versions take nobody for an administrator, whatever the name.
        "auth_type": "trust",
        "auth_file": str(folder / "users"),
        "admin_users": USER,
        "pool_mode": "transaction",
        "max_client_conn": plan.max_clients,
        "default_pool_size": plan.pool,
        "reserve_pool_size": 0,
        "listen_backlog": 4096,
        "log_connections": 0,
        "log_disconnections": 0,
        "logfile": str(folder / "log"),
        "ignore_startup_parameters": "extra_float_digits",
    }


def _connection(parameters: Mapping[str, str], password: str, settings: Mapping[str, str]) -> str:
    known = {**parameters, **({"password": password} if password else {})}
    if "hostaddr" in known and known.get("sslmode") != "verify-full":
        known["host"] = known["hostaddr"]
    parts = {key: known[key] for key in _PLACE if known.get(key)}
    if settings:
        parts["connect_query"] = "; ".join(
            f"select pg_catalog.set_config({_literal(n)}, {_literal(v)}, false)"
            for n, v in settings.items()
        )
    for key, value in parts.items():
        if "\n" in value or "\r" in value:
            raise CollectError(f"PgBouncer cannot be given a {key} with a line break")
    return " ".join(f"{key}={_literal(value)}" for key, value in parts.items())


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _tls(parameters: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Return the settings that keep the line as safe as it is; files are copied to where the pooler can read them."""
    found: dict[str, str] = {}
    for key, value in parameters.items():
        if key == "sslmode":
            found[_MODE] = value
        elif key in _TLS_FILES:
            found[_TLS_FILES[key]] = str(_copied(key, value, folder))
        elif key not in (*_PLACE, *_IRRELEVANT) and value not in _HARMLESS.get(key, ()):
            raise CollectError(
                f"PgBouncer cannot connect to this server as safely as we do: it does not support {key}",
                "run the scenario without a pooler",
            )
    return found | _verified(found.get(_MODE, "disable"), parameters, folder)


def _verified(mode: str, parameters: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Return what libpq does where a root certificate is: it verifies with ``require``, too, and takes the user's own."""
    usual = Path.home() / ".postgresql" / "root.crt"
    if mode not in ("require", "verify-ca", "verify-full"):
        return {}
    found = {} if mode != "require" else {_MODE: "verify-ca"}
    if "sslrootcert" in parameters:
        return found
    if usual.exists():
        return found | {_TLS_FILES["sslrootcert"]: str(_copied("sslrootcert", str(usual), folder))}
    return {}


def _copied(key: str, value: str, folder: Path) -> Path:
    target = folder / key
    try:
        target.touch(mode=0o600)
        shutil.copyfile(value, target)
    except OSError as error:
        raise CollectError(
            f"{key}={value} could not be read for PgBouncer: {error.strerror or error}"
        ) from None
    return target
