"""TARGET → a libpq conninfo, and how messages and reports name it.

A target is a libpq conninfo, a URI (SQLAlchemy's ``postgresql+psycopg://`` too) or a service name;
without one ``DATABASE_URL``, then libpq's own environment.
"""

import os
import re
from typing import Any

import psycopg
from psycopg import conninfo as libpq

from pgwatch_wed.errors import UsageError, redact

APPLICATION_NAME = "pgwatch_wed"

# `postgresql+psycopg://…`, `postgres+asyncpg://…`: SQLAlchemy names its driver in the scheme.
_DRIVER = re.compile(r"\A(postgres(?:ql)?)\+\w+://")
_SERVICE = re.compile(r"\A[^\s=/:]+\Z")
_URI = re.compile(r"\Apostgres(?:ql)?://")
_QUOTED = re.compile(r'".*"', re.DOTALL)  # greedy: what is quoted may hold a quote


def resolve(target: str | None) -> str:
    """Return the libpq conninfo of a target; raise :class:`UsageError` where it is none."""
    text = (target or os.environ.get("DATABASE_URL") or "").strip()
    if not text:
        return ""
    text = _DRIVER.sub(r"\1://", text)
    if _SERVICE.match(text):
        return libpq.make_conninfo("", service=text)
    _refuse_unescaped(text)
    try:
        return libpq.make_conninfo(text)
    except (psycopg.ProgrammingError, UnicodeError) as error:
        # what libpq could not read it quotes, and that may be half a password
        said = _QUOTED.sub('"…"', redact(str(error)))
        raise UsageError(
            f"the target is not a connection string: {said}",
            "give postgresql://user@host/database, 'host=… dbname=…' or a service name; in a URI "
            "write special characters of a password as %40 (@), %2F (/), %25 (%), %20 (space)",
        ) from None


def _refuse_unescaped(text: str) -> None:
    """Refuse a URI in which libpq would take a part of the password for a host or a database.

    It would then be in every message that names them.
    """
    place = text.partition("?")[0].partition("://")[2]
    authority, _, path = place.partition("/")
    if _URI.match(text) and ("@" in path or authority.count("@") > 1):
        raise UsageError(
            "the target has an @ where a URI cannot have one",
            "write special characters of a user, password or database as %40 (@), %2F (/), %25 (%)",
        )


def label(conninfo: str) -> str:
    """Name a target for reports: host, port, database; never user secrets."""
    parts: dict[str, Any] = dict(libpq.conninfo_to_dict(conninfo)) if conninfo else {}
    host = parts.get("host") or parts.get("hostaddr") or os.environ.get("PGHOST") or "local"
    port = parts.get("port") or os.environ.get("PGPORT") or "5432"
    dbname = parts.get("dbname") or os.environ.get("PGDATABASE") or parts.get("user") or ""
    service = parts.get("service")
    if service and not parts.get("host"):
        return f"service {service}" + (f"/{dbname}" if dbname else "")
    return f"{host}:{port}/{dbname}" if not str(host).startswith("/") else f"{host}/{dbname}"


def with_database(conninfo: str, dbname: str) -> str:
    """Return the conninfo of another database of the same server."""
    return libpq.make_conninfo(conninfo, dbname=dbname)
