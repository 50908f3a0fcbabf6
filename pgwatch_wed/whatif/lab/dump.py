"""The target's schema and statistics → statements that load them into the lab.

pg_dump reads them in a separate session: with one snapshot and ACCESS SHARE on every table, from its
first statement to its last. Nothing on the server limits that, since pg_dump sets all timeouts to
zero; so a session of ours ends it there, and this process ends it here.
"""

import secrets
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from pgwatch_wed.embedded import server as embedded
from pgwatch_wed.errors import CollectError, said
from pgwatch_wed.scratch import scratch_folder
from pgwatch_wed.target import connect, door, pooler, programs
from pgwatch_wed.target.deadline import GRACE_S, Deadline

_OPTIONS = (
    *("--no-data", "--statistics", "--no-owner", "--no-privileges", "--no-comments"),
    *("--no-publications", "--no-subscriptions", "--no-security-labels"),
    *("--no-tablespaces", "--no-table-access-method", "--no-toast-compression"),
    *("--no-password", "--encoding=UTF8"),
)
# no plan depends on it, and a role that reads statistics may lack privileges for it
OUR_OWN = ".pgwatch_wed_alembic_version"
_LOCKED = "a table is locked; try again later"


class DumpError(CollectError):
    """pg_dump could not read the target; the message is its own."""


def major() -> int:
    """Return the major version of our pg_dump, the latest that it can dump."""
    found = programs.major_of(_ours())
    assert found is not None
    return found


def _ours() -> Path:
    return embedded.wheel_bindir() / "pg_dump"


@contextmanager
def dumped(
    conninfo: str, *, exclude: tuple[str, ...] = (), lock_ms: int = 2000, seconds: float = 120
) -> Iterator[Path]:
    """Yield a file with the target's schema and statistics, for psql; removed afterwards.

    ``exclude`` are patterns in pg_dump's syntax. Raises :class:`CollectError` and
    :class:`ConnectError`.
    """
    with scratch_folder("dump") as folder:
        file = folder / "target.sql"
        options = [
            *_OPTIONS,
            f"--lock-wait-timeout={lock_ms}",
            f"--file={file}",
            *(f"--exclude-table={pattern}" for pattern in (f"*{OUR_OWN}", *exclude)),
        ]
        try:
            _dump(conninfo, options, seconds)
        except psycopg.Error as error:
            raise DumpError(f"the definitions could not be read: {said(error)}") from None
        yield file


def _dump(conninfo: str, options: list[str], seconds: float) -> None:
    end = time.monotonic() + seconds
    name = f"{connect.APPLICATION_NAME} pg_dump {secrets.token_hex(8)}"
    with (
        _session(conninfo, seconds) as connection,
        programs.client(_ours(), connection, application_name=name, major=major()) as program,
    ):
        left = max(0.1, end - time.monotonic())
        with Deadline(connection, name, left) as deadline:
            _run(program, options, left, deadline)


@contextmanager
def _session(conninfo: str, seconds: float) -> Iterator[psycopg.Connection[Any]]:
    """Connect to a server, or to a pool that does not share sessions."""
    # the session that ends the dump must outlive this process
    guards = door.Guards(statement_ms=int((seconds + 3 * GRACE_S) * 1000), client_check_s=0)
    with door.asking(conninfo, "pg_dump", guards) as connection:
        if not pooler.is_between(connection):
            yield connection
            return
    if pooler.shares_sessions(conninfo):
        raise DumpError(
            "the connection pooler shares sessions between its clients, and pg_dump would leave its "
            "settings in them",
            "connect to the server directly, or to a pool in session mode",
        )
    with door.asking(conninfo, "pg_dump", guards) as connection:
        yield connection


def _run(program: programs.Client, options: list[str], seconds: float, deadline: Deadline) -> None:
    with subprocess.Popen(  # noqa: S603 - a PostgreSQL program, arguments are a list
        [str(program.path), *options, f"--dbname={program.conninfo}"],
        env=program.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    ) as process:
        try:
            _, words = process.communicate(timeout=seconds)
        except BaseException as error:
            process.kill()
            deadline.end_now()
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            raise DumpError(
                f"pg_dump took longer than {seconds:.0f} s", "increase --seconds"
            ) from None
    if process.returncode:
        raise _failed(words)


_READING = (
    "GRANT USAGE on the schemas and SELECT on the tables TO the role, or pg_read_all_data, "
    "which allows it to read every row of every table"
)


def _failed(said: str) -> DumpError:
    text = " ".join(said.partition("pg_dump: detail:")[0].split())
    hints = (
        ("permission denied", _READING),
        ("lock timeout", _LOCKED),
        ("statement timeout", _LOCKED),  # how pg_dump waits for a lock
    )
    hint = next((hint for part, hint in hints if part in text), "")
    return DumpError(f"the definitions could not be read: {text[-400:]}", hint)
