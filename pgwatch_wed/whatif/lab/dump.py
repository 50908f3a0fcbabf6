"""The target's schema and statistics → statements that load them into the lab."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from psycopg import conninfo as libpq

from pgwatch_wed.embedded import server as embedded
from pgwatch_wed.errors import CollectError

_OPTIONS = (
    *("--no-data", "--statistics", "--no-owner", "--no-privileges", "--no-comments"),
    *("--no-publications", "--no-subscriptions", "--no-security-labels", "--no-policies"),
    *("--no-tablespaces", "--no-table-access-method", "--no-toast-compression"),
    *("--no-password", "--encoding=UTF8"),
)
_SECRETS = frozenset({"sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key"})
# no plan depends on it, and a role that reads statistics need not be able to read it
_OUR_OWN = "*.pgwatch_wed_alembic_version"
_LOCKED = "a table is locked; try again when that has passed"


@cache
def major() -> int:
    """Return the major version of our pg_dump, the newest that it reads."""
    command = [str(embedded.wheel_bindir() / "pg_dump"), "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - our own binary
    return int(done.stdout.split()[-1].partition(".")[0])


class DumpError(CollectError):
    """pg_dump could not read the target; the message is its own."""


@contextmanager
def dumped(
    conninfo: str, *, exclude: tuple[str, ...] = (), lock_ms: int = 2000, seconds: float = 120
) -> Iterator[Path]:
    """Yield a file with the target's schema and statistics, for psql; removed afterwards.

    ``exclude`` are patterns as pg_dump takes them. Raises :class:`DumpError`.
    """
    with tempfile.TemporaryDirectory(prefix="pgwed-dump-") as folder:
        file = Path(folder) / "target.sql"
        _pg_dump(conninfo, file, exclude, lock_ms, seconds)
        yield file


def _pg_dump(
    conninfo: str, file: Path, exclude: tuple[str, ...], lock_ms: int, seconds: float
) -> None:
    place, env = _without_secrets(conninfo, file.parent)
    command = [
        str(embedded.wheel_bindir() / "pg_dump"),
        *_OPTIONS,
        f"--lock-wait-timeout={lock_ms}",
        f"--file={file}",
        *(f"--exclude-table={pattern}" for pattern in (_OUR_OWN, *exclude)),
        f"--dbname={place}",
    ]
    try:
        done = subprocess.run(  # noqa: S603 - our own binary, arguments are a list
            command,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=seconds,
        )
    except subprocess.TimeoutExpired:
        raise DumpError(
            f"pg_dump took longer than {seconds:.0f} seconds", "give it more with --seconds"
        ) from None
    if done.returncode:
        raise _failed(done.stderr)


def _without_secrets(conninfo: str, folder: Path) -> tuple[str, dict[str, str]]:
    """Return a conninfo for the command line, which every user of this machine can read.

    The password goes by the environment, other secrets by a service file of our own.
    """
    parts = libpq.conninfo_to_dict(conninfo) if conninfo else {}
    env = dict(os.environ)
    password = parts.pop("password", None)
    if password is not None:
        env["PGPASSWORD"] = str(password)
    secrets = {name: parts.pop(name) for name in _SECRETS & parts.keys()}
    # a service file cannot name a service; then they are dropped, and the server asks in vain
    if secrets and "service" not in parts:
        service = folder / "pg_service.conf"
        service.touch(mode=0o600)
        lines = [f"{name}={value}" for name, value in sorted(secrets.items())]
        service.write_text("\n".join(["[pgwatch_wed]", *lines, ""]), encoding="utf-8")
        parts["service"] = "pgwatch_wed"
        env["PGSERVICEFILE"] = str(service)
    return libpq.make_conninfo("", **parts), env


def _failed(said: str) -> DumpError:
    text = " ".join(said.partition("pg_dump: detail:")[0].split())
    hints = (
        ("permission denied", "GRANT pg_read_all_data TO the role, or SELECT on these tables"),
        ("lock timeout", _LOCKED),
        ("statement timeout", _LOCKED),  # how pg_dump waits for a lock
    )
    hint = next((hint for part, hint in hints if part in text), "")
    return DumpError(f"the definitions cannot be read: {text[-400:]}", hint)
