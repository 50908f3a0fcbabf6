"""Which password libpq would send for a conninfo: its own, PGPASSWORD's, or one of the password file."""

import getpass
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from pgwatch_wed.fleet.inventory.service_file import in_full

_FIELD = re.compile(r"((?:\\.|[^:\\])*)(?::|$)")
_SOCKETS = "/tmp"  # noqa: S108 - where libpq looks if nothing else is said


@dataclass(frozen=True, slots=True)
class UserPassword:
    """A user with a password, and where that comes from."""

    user: str
    password: str = field(repr=False)
    source: str


def password_of(conninfo: str) -> UserPassword | None:
    """Return what a server would be sent that asks for a password; None if there is nothing."""
    given = in_full(conninfo)
    user = given.get("user") or os.environ.get("PGUSER") or _own_name()
    if given.get("password"):
        return UserPassword(user, given["password"], "its connection string")
    if os.environ.get("PGPASSWORD"):
        return UserPassword(user, os.environ["PGPASSWORD"], "PGPASSWORD")
    found = _in_file(given, user)
    return None if found is None else UserPassword(user, found, "the password file")


def _own_name() -> str:
    with suppress(OSError, KeyError):
        return getpass.getuser()
    return ""


def _in_file(given: dict[str, str], user: str) -> str | None:
    named = given.get("passfile") or os.environ.get("PGPASSFILE")
    host = given.get("host") or given.get("hostaddr") or os.environ.get("PGHOST") or _SOCKETS
    host = host.split(",")[0]
    port = (given.get("port") or os.environ.get("PGPORT") or "5432").split(",")[0]
    wanted = (
        "localhost" if host == _SOCKETS else host,
        port,
        given.get("dbname") or os.environ.get("PGDATABASE") or user,
        user,
    )
    for line in _lines(Path(named) if named else Path.home() / ".pgpass"):
        *pattern, password = line
        if all(p in ("*", own) for p, own in zip(pattern, wanted, strict=True)):
            return password
    return None


def _lines(file: Path) -> Iterator[list[str]]:
    """Yield the lines of a password file, which libpq reads only if nobody else can."""
    try:
        if file.stat().st_mode & 0o077 or not file.is_file():
            return
        text = file.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return
    for line in text.split("\n"):
        if line.startswith("#"):
            continue
        parts = [re.sub(r"\\(.)", r"\1", each) for each in _FIELD.findall(line)[:5]]
        if len(parts) == 5:
            yield parts
