"""A host and a port that a source names → a conninfo."""

import re
from typing import Any

from psycopg import conninfo as libpq

from pgwatch_wed.fleet.inventory.member_table import NO_TEXT, WrongEntryError, is_storable

DATABASE = "postgres"
"""What is read where a source names servers only: every server has it."""

_HOST = re.compile(r"[^\s,/@'\"\\]+\Z")
_PORT = re.compile(r"\d{1,5}\Z")


def address(host: str, port: Any = None, database: str = "") -> str:
    """Return the conninfo of a server; the port may be a number or a text, or missing."""
    plain = host.removeprefix("[").removesuffix("]")
    if not _HOST.match(plain) or not is_storable(plain):
        raise WrongEntryError("the host is no host name")
    if not is_storable(database):
        raise WrongEntryError(f"the database's name {NO_TEXT}")
    parts = {"host": plain, "dbname": database or DATABASE}
    if port is not None:
        if isinstance(port, bool) or not _PORT.match(str(port)) or not 0 < int(port) < 65536:
            raise WrongEntryError("the port is no number from 1 to 65535")
        parts["port"] = str(port)
    return libpq.make_conninfo("", **parts)


def split_address(text: str) -> tuple[str, str | None]:
    """Return host and port of ``host``, ``host:port``, ``[::1]:port`` or ``::1``."""
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        return host, rest.removeprefix(":") or None
    if text.count(":") > 1:
        return text, None
    host, _, port = text.partition(":")
    return host, port or None
