"""A session of ours → how a PostgreSQL client program connects to the same server, no less safely.

pg_dump, psql and pgbench in the wheel are built without TLS. If the connection must be encrypted, they
run with the libpq that psycopg has loaded, or those in PATH are used; each is tested first. Their
parameters make them refuse a weaker connection, so a wrong choice makes only the program fail.
"""

import ctypes
import importlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
from psycopg import pq

from pgwatch_wed.errors import CollectError
from pgwatch_wed.scratch import scratch_folder

# Secrets other than the password, which has its own variable.
_SECRETS = frozenset({"sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key"})
# Set anew, or already resolved: the session's parameters include those of a service.
_OURS = frozenset({"password", "service", "servicefile", "application_name"})
_OURS_TOO = frozenset({"fallback_application_name", "host", "hostaddr", "port"})
_SERVICE = "pgwatch_wed"
# libpq reports it although nobody has set it, and older programs do not know it.
_DEFAULTS = {"sslcertmode": "allow"}
_WEAK = frozenset({"disable", "allow", "prefer"})
# Nothing listens there. A libpq that lacks a required feature reports that before it tries.
_NOWHERE = {"host": "/nonexistent", "port": "1", "connect_timeout": "2"}
_VERSION = re.compile(r"\(PostgreSQL\) (\d+)")
_ABLE = ("connection to server on socket", "is not supported over a local socket")


@dataclass(frozen=True, slots=True)
class Client:
    """How to start a program: its path, and a conninfo and environment for the session's server."""

    path: Path
    major: int
    conninfo: str  # for the command line, which is public: it contains no secrets
    environment: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Choice:
    """A program, and the libpq to replace its own."""

    path: Path
    library: Path | None = None


@contextmanager
def client(
    own: Path,
    connection: psycopg.Connection[Any],
    *,
    application_name: str,
    major: int | None = None,
) -> Iterator[Client]:
    """Yield how to start a program on the server that a session of ours is connected to.

    ``own`` is the one shipped with us, ``major`` the version that it must have, if any. Raises
    :class:`CollectError` if there is none whose connection is as safe as the session's.
    """
    place = {**parameters(connection), "application_name": application_name}
    secrets = {key: place.pop(key) for key in _SECRETS & place.keys()}
    with (
        scratch_folder("client") as folder,
        _service_file(secrets, folder) if secrets else nullcontext() as service,
    ):
        path, version, libraries = _chosen(own, place, major, folder)
        environment = _environment(connection, libraries)
        if service is not None:
            environment["PGSERVICEFILE"] = str(service)
            place["service"] = _SERVICE
        yield Client(path, version, conninfo_of(place), environment)


def parameters(connection: psycopg.Connection[Any]) -> dict[str, str]:
    """Return the parameters for another client to connect to a session's server, equally safely.

    They are all that were in effect when the session was opened, from the conninfo, the environment or
    a service file, except for the password.
    """
    found = {
        option.keyword.decode(): os.fsdecode(option.val)
        for option in connection.pgconn.info
        if option.val and option.val != option.compiled
    }
    found = {
        key: value
        for key, value in found.items()
        if key not in _OURS | _OURS_TOO and _DEFAULTS.get(key) != value
    }
    info = connection.info
    # Of several hosts, the one that answered; with an address, the host name is still what is verified.
    place = {"host": info.host, "hostaddr": info.hostaddr, "port": str(info.port)}
    found |= {key: value for key, value in place.items() if value}
    return found | _no_weaker(found, tls=connection.pgconn.ssl_in_use, gss=_by_gss(connection))


def _no_weaker(found: Mapping[str, str], *, tls: bool, gss: bool) -> dict[str, str]:
    """Return the parameters that require an encryption which was only preferred."""
    if gss:
        return {"gssencmode": "require"}
    if not tls:
        return {}
    mode = found.get("sslmode", "prefer")
    return {"sslmode": "require" if mode in _WEAK else mode, "gssencmode": "disable"}


def _by_gss(connection: psycopg.Connection[Any]) -> bool:
    """Tell whether GSSAPI encrypts the session; psycopg has no name for that."""
    try:
        encrypts = _libpq().PQgssEncInUse
    except (
        AttributeError,
        OSError,
    ):  # no libpq of its own to call: with GSSAPI authentication, it may be
        return connection.pgconn.used_gssapi
    encrypts.argtypes = [ctypes.c_void_p]
    pgconn: Any = connection.pgconn  # its type does not declare the pointer
    return bool(encrypts(pgconn.pgconn_ptr))


def conninfo_of(parts: Mapping[str, str]) -> str:
    """Write a conninfo. Unlike psycopg's own function, it accepts names that are not valid text."""
    quoted = ((k, v.replace("\\", "\\\\").replace("'", "\\'")) for k, v in parts.items())
    return " ".join(f"{key}='{value}'" for key, value in quoted)


def _environment(
    connection: psycopg.Connection[Any], libraries: Mapping[str, str]
) -> dict[str, str]:
    """Return an environment in which libpq finds only these parameters."""
    known = {os.fsdecode(o.envvar) for o in connection.pgconn.info if o.envvar}
    known |= {"PGSERVICE", "PGSERVICEFILE", "PGREQUIRESSL"}
    kept = {key: value for key, value in os.environ.items() if key not in known}
    password = connection.info.password
    return kept | dict(libraries) | ({"PGPASSWORD": password} if password else {})


@contextmanager
def _service_file(secrets: Mapping[str, str], folder: Path) -> Iterator[Path]:
    """Yield a file of libpq's for services, in memory where the system can: then no disk ever has the secrets."""
    lines = [f"[{_SERVICE}]", *(f"{name}={value}" for name, value in sorted(secrets.items())), ""]
    with _unnamed_file() as unnamed:
        file = unnamed or folder / "pg_service.conf"
        if unnamed is None:
            file.touch(mode=0o600)
        file.write_text("\n".join(lines), encoding="utf-8")
        yield file


@contextmanager
def _unnamed_file() -> Iterator[Path | None]:
    """Yield a file that exists in memory, as long as this process; None if others could not open it."""
    if not hasattr(os, "memfd_create"):
        yield None
        return
    descriptor = os.memfd_create("pgwatch_wed")
    try:
        os.fchmod(descriptor, 0o600)  # /proc keeps others out, too
        path = Path(f"/proc/{os.getpid()}/fd/{descriptor}")
        yield path if os.access(path, os.R_OK) else None
    finally:
        os.close(descriptor)


# --- which program --------------------------------------------------------------------------------


def _chosen(
    own: Path, place: Mapping[str, str], major: int | None, folder: Path
) -> tuple[Path, int, dict[str, str]]:
    """Return a program that meets the parameters' requirements, its major, and its libraries."""
    demands = {key: place[key] for key in ("sslmode", "gssencmode") if key in place}
    asks_nothing = (
        demands.get("sslmode", "prefer") in _WEAK and demands.get("gssencmode") != "require"
    )
    for choice in _choices(own):
        version = major_of(choice.path)
        if version is None or (major is not None and version != major):
            continue
        libraries = _libraries(choice, version, folder)
        if libraries is not None and (asks_nothing or _is_able(choice.path, libraries, demands)):
            return choice.path, version, libraries
    raise _none(own.name, demands, major)


def _choices(own: Path) -> Iterator[_Choice]:
    yield _Choice(own)
    library = loaded_libpq()
    if library is not None:
        yield _Choice(own, library)
    found = shutil.which(own.name)
    if found is not None:
        yield _Choice(Path(found))


def _none(name: str, demands: Mapping[str, str], major: int | None) -> CollectError:
    kind = "GSSAPI" if demands.get("gssencmode") == "require" else "TLS"
    version = f" of PostgreSQL {major}" if major else ""
    return CollectError(
        f"the connection must be encrypted with {kind}, and no {name} on this machine supports that",
        f"pip install 'psycopg[binary]', or put a {name}{version} that supports {kind} in PATH",
    )


@cache
def major_of(path: Path) -> int | None:
    """Return a program's major version, or None if it does not start."""
    try:
        done = _asked([str(path), "--version"], {})
    except (OSError, subprocess.TimeoutExpired):
        return None
    said = _VERSION.search(done.stdout)
    return int(said[1]) if said else None


def _is_able(path: Path, libraries: Mapping[str, str], demands: Mapping[str, str]) -> bool:
    """Test whether a program's libpq meets the requirements, by connecting where nothing listens."""
    try:
        done = _asked([str(path), conninfo_of({**_NOWHERE, **demands})], libraries)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return any(sign in done.stderr for sign in _ABLE)


def _asked(command: list[str], libraries: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    bare = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "LC_", "LANG"))}
    return subprocess.run(  # noqa: S603 - a PostgreSQL program, arguments are a list
        command,
        env={**bare, **libraries, "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        timeout=10,
    )


# --- the libpq of this process --------------------------------------------------------------------


class _Place(ctypes.Structure):
    """Where the dynamic linker found an address: Dl_info in dlfcn.h."""

    _fields_ = (
        ("file", ctypes.c_char_p),
        ("base", ctypes.c_void_p),
        ("symbol", ctypes.c_char_p),
        ("address", ctypes.c_void_p),
    )


def _libpq() -> Any:
    """Return a handle that finds the functions of the libpq that psycopg calls."""
    if pq.__impl__ == "python":
        return importlib.import_module("psycopg.pq._pq_ctypes").pq
    return ctypes.CDLL(sys.modules[pq.PGconn.__module__].__file__)


@cache
def loaded_libpq() -> Path | None:
    """Return the file of the libpq that psycopg calls, from the dynamic linker; None if unknown."""
    place = _Place()
    try:
        address = ctypes.cast(_libpq().PQlibVersion, ctypes.c_void_p)
        find = ctypes.CDLL(None).dladdr
        find.argtypes = [ctypes.c_void_p, ctypes.POINTER(_Place)]
        found = find(address, ctypes.byref(place))
    except (AttributeError, OSError):
        return None
    if not found or not place.file:
        return None
    # the directory's real name; the file name is what programs for macOS look for
    file = Path(os.fsdecode(place.file))
    return file.parent.resolve() / file.name


def _libraries(choice: _Choice, major: int, folder: Path) -> dict[str, str] | None:
    """Return the variables that load a choice's libpq, or None if it is older than the program."""
    if choice.library is None:
        return {}
    if pq.version() // 10_000 < major:
        return None
    if sys.platform == "darwin":
        return {"DYLD_LIBRARY_PATH": str(choice.library.parent)}
    library = _without_separators(choice.library, folder)
    others = os.environ.get("LD_PRELOAD")
    return {"LD_PRELOAD": f"{library}:{others}" if others else str(library)}


def _without_separators(library: Path, folder: Path) -> Path:
    """Return a path to a library without separators, since LD_PRELOAD has no quoting."""
    if not set(str(library)) & set(" :$"):
        return library
    link = folder / "lib"
    link.symlink_to(library.parent)
    return link / library.name
