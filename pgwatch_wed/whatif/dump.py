"""The target's schema and statistics → statements that load them into the lab."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from psycopg import conninfo as libpq

from pgwatch_wed import embedded
from pgwatch_wed.errors import CollectError

_OPTIONS = (
    *("--no-data", "--statistics", "--no-owner", "--no-privileges", "--no-comments"),
    *("--no-publications", "--no-subscriptions", "--no-security-labels", "--no-policies"),
    *("--no-tablespaces", "--no-table-access-method", "--no-toast-compression"),
    *("--no-password", "--encoding=UTF8"),
)


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
    parts = libpq.conninfo_to_dict(conninfo) if conninfo else {}
    secret = parts.pop("password", None)
    command = [
        str(embedded.wheel_bindir() / "pg_dump"),
        *_OPTIONS,
        f"--lock-wait-timeout={lock_ms}",
        f"--file={file}",
        *(f"--exclude-table={pattern}" for pattern in exclude),
        f"--dbname={libpq.make_conninfo('', **parts)}",
    ]
    # on the command line every user of this machine could read the password
    env = dict(os.environ) | ({"PGPASSWORD": str(secret)} if secret else {})
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


def _failed(said: str) -> DumpError:
    text = " ".join(said.partition("pg_dump: detail:")[0].split())
    hints = (
        ("permission denied", "GRANT pg_read_all_data TO the role, or SELECT on these tables"),
        ("lock timeout", "a table is locked; try again when that has passed"),
    )
    hint = next((hint for part, hint in hints if part in text), "")
    return DumpError(f"the definitions cannot be read: {text[-400:]}", hint)
