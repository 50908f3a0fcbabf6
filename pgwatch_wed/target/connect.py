"""TARGET → a libpq conninfo, and how messages and reports name it.

A target is a libpq conninfo, a URI (including SQLAlchemy's ``postgresql+psycopg://``) or a service name;
the default is ``DATABASE_URL``, then libpq's environment variables.
"""

import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote

import psycopg
from psycopg import conninfo as libpq

from pgwatch_wed import paths
from pgwatch_wed.errors import UsageError, redact

APPLICATION_NAME = "pgwatch_wed"

# `postgresql+psycopg://…`, `postgres+asyncpg://…`: SQLAlchemy names its driver in the scheme.
_DRIVER = re.compile(r"\A(postgres(?:ql)?)\+\w+://")
_SERVICE = re.compile(r"\A[^\s=/:]+\Z")
_URI = re.compile(r"\Apostgres(?:ql)?://")
_HOST = re.compile(r"\A[\w.-]+:\d{1,5}(/[\w-]*)?\Z|\A[\w-]+(\.[\w-]+)*/[\w-]+\Z")
_FORMS = (
    "use postgresql://user@host/database, 'host=… dbname=…' or a service name; in a URI, "
    "write special characters of a password as %40 (@), %2F (/), %25 (%), %20 (space)"
)
_JDBC = re.compile(r"jdbc:(?:[\w-]+:)*(?:postgresql|pgsql):", re.IGNORECASE)
_JDBC_HOSTS = re.compile(
    r"(?:[\w.-]*|\[[\da-f:.]+\])(?::\d+)?(?:,(?:[\w.-]*|\[[\da-f:.]+\])(?::\d+)?)*", re.IGNORECASE
)
_JDBC_NAME = re.compile(r"(?:[\w.~-]|%[\da-f]{2})*", re.IGNORECASE)
_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_FILES = (".zst", ".json", ".html", ".sql", ".toml")
_QUOTED = re.compile(r'".*"', re.DOTALL)  # greedy: what is quoted may contain a quote


def resolve(target: str | None) -> str:
    """Return the libpq conninfo of a target; raise :class:`UsageError` if it is invalid."""
    text = (target or os.environ.get("DATABASE_URL") or "").strip()
    if not text:
        return ""
    if _JDBC.match(text):
        raise UsageError("a JDBC URL is not a connection URI of PostgreSQL", _without_jdbc(text))
    text = _DRIVER.sub(r"\1://", text)
    _refuse_file(text)
    if _SERVICE.match(text):
        return libpq.make_conninfo("", service=text)
    _refuse_unescaped(text)
    try:
        return libpq.make_conninfo(text)
    except (psycopg.ProgrammingError, UnicodeError) as error:
        # libpq quotes what it could not parse, and that may be part of a password
        said = _QUOTED.sub('"…"', redact(str(error)))
        raise UsageError(
            f"invalid connection string: {said}",
            f"did you mean postgresql://{text}?" if _HOST.match(text) else _FORMS,
        ) from None


def _without_jdbc(text: str) -> str:
    """Say how a JDBC URL is written here, without its password."""
    hint = "write {}, with the password in ~/.pgpass or PGPASSWORD"
    place, _, query = _JDBC.sub("", text, count=1).partition("?")
    authority, _, path = place.removeprefix("//").partition("/")
    if not place.startswith("//"):  # jdbc:postgresql:shop
        authority, path = "", place
    userinfo, _, hosts = authority.rpartition("@")
    # what looks otherwise may be a part of a password
    given = dict(parse_qsl(query))
    user = userinfo.partition(":")[0] or quote(given.get("user", ""), safe="")
    named = _JDBC_NAME.fullmatch(user) and _JDBC_NAME.fullmatch(path)
    if "@" in query or not named or not _JDBC_HOSTS.fullmatch(hosts):
        return hint.format("'postgresql://USER@HOST:PORT/DATABASE'")
    mode = "verify-full" if given.get("ssl") == "true" else ""
    mode = given["sslmode"] if given.get("sslmode") in _SSL_MODES else mode
    uri = f"postgresql://{user and f'{user}@'}{hosts}/{path}{mode and f'?sslmode={mode}'}"
    return hint.format(f"'{uri}'")


def _refuse_file(text: str) -> None:
    """Refuse what is a file rather than a server: a snapshot is for another command."""
    is_path = "/" in text and paths.exists(Path(text)) and not paths.is_directory(Path(text))
    if "=" not in text and "://" not in text and (is_path or text.endswith(_FILES)):
        raise UsageError(
            f"{redact(text)} is a file, not a server",
            "`db-analyze report FILE` evaluates a snapshot; a service needs another name",
        )


def _refuse_unescaped(text: str) -> None:
    """Refuse a URI in which libpq would take part of the password for a host or database name.

    It would then appear in every message that contains these.
    """
    place = text.partition("?")[0].partition("://")[2]
    authority, _, path = place.partition("/")
    if _URI.match(text) and ("@" in path or authority.count("@") > 1):
        raise UsageError(
            "the connection URI has an @ where none is allowed",
            "write special characters of user, password and database as %40 (@), %2F (/), %25 (%)",
        )


_USUAL_PORT = "5432"


def label(conninfo: str) -> str:
    """Name a target for reports: host, port, database; never secrets.

    Two servers may have their sockets in one directory: the port tells them apart, and is left out if it is the usual one.
    """
    parts: dict[str, Any] = dict(libpq.conninfo_to_dict(conninfo)) if conninfo else {}
    host = parts.get("host") or parts.get("hostaddr") or os.environ.get("PGHOST") or "local"
    port = parts.get("port") or os.environ.get("PGPORT") or _USUAL_PORT
    dbname = parts.get("dbname") or os.environ.get("PGDATABASE") or parts.get("user") or ""
    service = parts.get("service")
    if service and not parts.get("host"):
        return f"service {service}" + (f"/{dbname}" if dbname else "")
    if str(host).startswith("/") and str(port) == _USUAL_PORT:
        return f"{host}/{dbname}"
    return f"{host}:{port}/{dbname}"


def is_ours(application_name: str | None) -> bool:
    """Tell whether a session is of this tool."""
    name = application_name or ""
    return name == APPLICATION_NAME or name.startswith(f"{APPLICATION_NAME} ")


def with_database(conninfo: str, dbname: str) -> str:
    """Return the conninfo of another database of the same server."""
    return libpq.make_conninfo(conninfo, dbname=dbname)
