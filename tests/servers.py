"""The one place that finds PostgreSQL servers for tests: external, embedded, containers.

``docs/testing.md`` tells how to choose majors; ``tests/conftest.py`` has the fixtures.
"""

import atexit
import contextlib
import functools
import os
import re
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import psutil
import psycopg
from packaging.specifiers import SpecifierSet
from psycopg import conninfo, sql

from pgwatch_wed.embedded import server as embedded

EXTERNAL = "PGWATCH_WED_TEST_DSN"
CHOSEN = "PGWATCH_WED_PG_VERSIONS"
PROMISED = "PGWATCH_WED_REQUIRE_PG"

MAJORS = range(13, 20)
BUILD = Path(__file__).parent / "images" / "build"
OWN_IMAGE = "pgwatch-wed/postgres"
OFFICIAL_IMAGE = "postgres"
OWNER_LABEL = "pgwatch-wed.owner"
EXTENSIONS_LABEL = "pgwatch-wed.extensions"

SETTINGS: Mapping[str, str] = {
    "shared_preload_libraries": "pg_stat_statements",
    # All tests of a process share it: with the default, statements of one test evict those of the next.
    "pg_stat_statements.max": "20000",
    "track_io_timing": "on",
    # A test that needs autovacuum says so: in any other, what it changes in between is noise.
    "autovacuum_naptime": "1d",
    "fsync": "off",
    # What needs a restart and some tests need: prepared transactions, logical slots.
    "max_prepared_transactions": "10",
    "wal_level": "logical",
}

Kind = Literal["external", "embedded", "container", "system"]


class UnavailableError(Exception):
    """A server that was asked for by name cannot be had."""


@dataclass(frozen=True, slots=True)
class ServerSpec:
    """A server that could be started: its major and where it comes from."""

    major: int
    kind: Kind
    image: str = ""  # a container's; the folder of the system's programs
    extensions: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        """The name in test ids and in the header, such as ``17-container``."""
        return f"{self.major}-{self.kind}"

    def fits(self, versions: str, extension: str | None = None) -> bool:
        """Tell whether a test that states this need can run here."""
        return SpecifierSet(versions).contains(str(self.major)) and (
            extension is None or extension in self.extensions
        )


@dataclass(slots=True)
class Server:
    """A running server that tests use as superuser."""

    spec: ServerSpec
    conninfo: str
    stop: Callable[[], None]
    local: embedded.EmbeddedServer | None = None  # the embedded one: restart, log, client programs
    container: Any = None  # testcontainers' object: exec, logs
    password: str = field(default="", repr=False)

    @property
    def version(self) -> int:
        """The major version."""
        return self.spec.major

    def dsn(self, dbname: str = "postgres", user: str | None = None) -> str:
        """Return a conninfo for a database; ``user`` may be a name that :meth:`role` gave."""
        other = {"user": user} if user else {}
        return conninfo.make_conninfo(self.conninfo, dbname=dbname, **other)

    @contextmanager
    def database(self) -> Iterator[str]:
        """Yield the conninfo of a new, empty database and drop it afterwards."""
        name = _unique("t")
        self.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
        try:
            yield self.dsn(name)
        finally:
            drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
            self.execute(drop.format(sql.Identifier(name)))

    @contextmanager
    def role(self, *member_of: str) -> Iterator[str]:
        """Yield the name of a new role that may log in, a member of ``member_of``; drop it."""
        name = _unique("r")
        role = sql.Identifier(name)
        create = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}")
        self.execute(create.format(role, sql.Literal(self.password)))
        for group in member_of:
            self.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(group), role))
        try:
            yield name
        finally:
            for dbname in self._databases_of(name):
                self.execute(sql.SQL("DROP OWNED BY {}").format(role), dbname)
            self.execute(sql.SQL("DROP ROLE {}").format(role))

    def execute(self, statement: sql.Composed | sql.SQL, dbname: str = "postgres") -> None:
        """Execute one statement outside any transaction."""
        with psycopg.connect(self.dsn(dbname), autocommit=True) as connection:
            connection.execute(statement)

    def _databases_of(self, role: str) -> list[str]:
        query = """
            SELECT DISTINCT coalesce(d.datname, current_database())
            FROM pg_shdepend s LEFT JOIN pg_database d ON d.oid = s.dbid
            WHERE s.refclassid = 'pg_authid'::regclass AND s.refobjid = to_regrole(%s)"""
        with psycopg.connect(self.dsn()) as connection:
            return [row[0] for row in connection.execute(query, [sql.Identifier(role).as_string()])]


def _unique(prefix: str) -> str:
    return f"{prefix}_{os.getpid()}_{secrets.token_hex(4)}"


# Which servers there are


def available() -> list[ServerSpec]:
    """Return every server that can be had without downloading or building anything."""
    found = [external()] if os.environ.get(EXTERNAL) else []
    images = [spec for major in MAJORS if (spec := _from_image(major))]
    return [*found, embedded_spec(), *images]


def default() -> ServerSpec:
    """Return the server of tests that ask for no version: the external one or the embedded."""
    return external() if os.environ.get(EXTERNAL) else embedded_spec()


def chosen(*, may_fetch: bool = False) -> list[ServerSpec]:
    """Return one server for each chosen major, oldest first.

    Without a choice these are all that :func:`available` has, or the external one alone.
    ``may_fetch`` allows to pull or build the images of chosen majors; raises
    :class:`UnavailableError` for a chosen one that cannot be had.
    """
    words = os.environ.get(CHOSEN, "").replace(",", " ").split()
    if words:
        return sorted({_named(word, may_fetch=may_fetch) for word in words}, key=_by_major)
    if os.environ.get(EXTERNAL):
        return [external()]
    best = {spec.major: spec for spec in available()}  # a container comes last and wins
    return sorted(best.values(), key=_by_major)


def promised() -> list[int]:
    """Return the majors that must have run tests, else the whole run fails."""
    return [int(word) for word in os.environ.get(PROMISED, "").replace(",", " ").split()]


def _by_major(spec: ServerSpec) -> tuple[int, str]:
    return spec.major, spec.kind


def _named(word: str, *, may_fetch: bool) -> ServerSpec:
    if word == "embedded":
        return embedded_spec()
    if not word.isdigit():
        raise UnavailableError(f"{CHOSEN} takes majors and 'embedded', not {word!r}")
    major = int(word)
    if os.environ.get(EXTERNAL) and external().major == major:
        return external()
    spec = _from_image(major)
    if spec is None and may_fetch:
        spec = _fetch(major)
    if spec is None and embedded_spec().major == major:
        spec = embedded_spec()
    if spec is None:
        raise UnavailableError(f"PostgreSQL {major} was chosen, but {_why_not(major)}")
    return spec


@functools.cache
def embedded_spec() -> ServerSpec:
    """Return the wheel's server; its extensions are the files beside it."""
    folder = embedded.wheel_bindir().parent / "share" / "extension"
    names = frozenset(path.stem for path in folder.glob("*.control"))
    version = subprocess.run(
        [embedded.wheel_bindir() / "postgres", "--version"],
        capture_output=True,
        text=True,
        check=True,
    )
    major = int(version.stdout.split()[-1].split(".")[0])
    return ServerSpec(major, "embedded", extensions=names)


@functools.cache
def external() -> ServerSpec:
    """Return the server that the environment names."""
    with psycopg.connect(os.environ[EXTERNAL], connect_timeout=10) as connection:
        rows = connection.execute("SELECT name FROM pg_available_extensions").fetchall()
        major = connection.info.server_version // 10000
    return ServerSpec(major, "external", extensions=frozenset(row[0] for row in rows))


def with_tls(newest: int) -> ServerSpec | None:
    """Return a server that is built with TLS, up to a major: the embedded one is not.

    A chosen container, else PostgreSQL as this machine has it installed.
    """
    found = [s for s in chosen() if s.kind == "container"] or system()
    return max((s for s in found if s.major <= newest), key=_by_major, default=None)


@functools.cache
def system() -> list[ServerSpec]:
    """Return the servers that packages of Debian, Fedora or Homebrew have installed here."""
    folders = [
        *Path("/usr/lib/postgresql").glob("*/bin"),
        *Path("/usr").glob("pgsql-*/bin"),
        *Path("/opt/homebrew/opt").glob("postgresql@*/bin"),
    ]
    found = [(f, re.search(r"\d+\Z", f.parent.name)) for f in folders if (f / "initdb").exists()]
    return [ServerSpec(int(m[0]), "system", str(f)) for f, m in found if m]


# Containers


@functools.cache
def engine() -> Any:
    """Return a client of the container engine, or None where none answers."""
    if not _listens(os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"):
        return None
    import docker

    try:
        client = docker.from_env(timeout=60)
        client.ping()
    except (docker.errors.DockerException, OSError):
        return None
    atexit.register(client.close)
    return client


def _listens(address: str) -> bool:
    # The client library would leave its socket open when nobody listens, which is a warning.
    if not address.startswith("unix://"):
        return True
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(address.removeprefix("unix://")) == 0


def _from_image(major: int) -> ServerSpec | None:
    for name in (OWN_IMAGE, OFFICIAL_IMAGE):
        labels = _labels(f"{name}:{major}")
        if labels is not None:
            extensions = frozenset(labels.get(EXTENSIONS_LABEL, "").split())
            return ServerSpec(major, "container", f"{name}:{major}", extensions)
    return None


def in_container(major: int) -> ServerSpec:
    """Return the server of an image that is here; raises :class:`UnavailableError` if there is none."""
    if (spec := _from_image(major)) is None:
        raise UnavailableError(f"there is no image {OWN_IMAGE}:{major}")
    return spec


def _labels(image: str) -> dict[str, str] | None:
    client = engine()
    if client is None:
        return None
    import docker

    try:
        return dict(client.images.get(image).labels)
    except docker.errors.ImageNotFound:
        return None


def _fetch(major: int) -> ServerSpec | None:
    if engine() is None:
        return None
    pulled = _quietly(["docker", "pull", "--quiet", f"{OFFICIAL_IMAGE}:{major}"], seconds=600)
    if not pulled and os.geteuid() == 0 and shutil.which("debootstrap"):
        _quietly([str(BUILD), str(major)], seconds=1800)
    return _from_image(major)


def _quietly(command: Sequence[str], *, seconds: float) -> bool:
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _why_not(major: int) -> str:
    if engine() is None:
        return "no container engine answers"
    return f"{OFFICIAL_IMAGE}:{major} cannot be pulled; as root, try tests/images/build {major}"


def _testcontainers() -> Any:
    # Read when testcontainers is imported. Ports are published on loopback only, wherever the
    # engine is; Ryuk is one more image to pull, and what it does is done by sweep_containers().
    os.environ.setdefault("TESTCONTAINERS_HOST_OVERRIDE", "127.0.0.1")
    os.environ.setdefault("TESTCONTAINERS_CONNECTION_MODE", "docker_host")
    os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", str(not _has_ryuk()).lower())
    from testcontainers.core import container

    return container


def _has_ryuk() -> bool:
    image = os.environ.get("RYUK_CONTAINER_IMAGE", "testcontainers/ryuk:0.8.1")
    return _labels(image) is not None


def owner() -> str:
    """Return the value of the owner's label for what this process makes."""
    me = psutil.Process()
    return f"{_world()} {me.pid} {int(me.create_time())}"


def _world() -> str:
    return f"{socket.gethostname()}/{embedded.pid_namespace()}"  # where a pid means one process


def sweep_containers() -> None:
    """Remove containers of earlier runs on this machine that had no chance to do it."""
    for container in engine().containers.list(all=True, filters={"label": OWNER_LABEL}):
        if is_left_behind(container.labels[OWNER_LABEL]):
            import docker

            with contextlib.suppress(docker.errors.APIError):
                container.remove(force=True, v=True)


def is_left_behind(owner: str) -> bool:
    """Tell whether a value of the owner's label is that of a process of this machine that has ended."""
    world, pid, started = owner.split()
    return world == _world() and not _is_alive(int(pid), int(started))


def _is_alive(pid: int, started: int) -> bool:
    try:
        return abs(psutil.Process(pid).create_time() - started) < 2
    except psutil.NoSuchProcess:
        return False


# Starting


def start(spec: ServerSpec, settings: Mapping[str, str] | None = None) -> Server:
    """Start a server of our own, or attach to the external one; the caller stops it."""
    both = {**SETTINGS, **(settings or {})}
    if spec.kind == "embedded":
        return _start_embedded(spec, both)
    if spec.kind == "container":
        return _start_container(spec, both)
    if spec.kind == "system":
        return _start_embedded(spec, both, tcp=True, binaries=Path(spec.image))
    if settings:
        raise UnavailableError("the external server's settings are not ours to change")
    password = conninfo.conninfo_to_dict(os.environ[EXTERNAL]).get("password") or "secret"
    return Server(spec, os.environ[EXTERNAL], lambda: None, password=str(password))


def _start_embedded(spec: ServerSpec, settings: Mapping[str, str], **more: Any) -> Server:
    local = embedded.start(settings, **more)
    return Server(spec, local.dsn(), local.stop, local=local, password=local.password)


def _start_container(spec: ServerSpec, settings: Mapping[str, str]) -> Server:
    password = secrets.token_hex(16)
    sweep_containers()
    container = _testcontainers().DockerContainer(spec.image)
    container.with_env("POSTGRES_PASSWORD", password)
    container.with_command([word for item in settings.items() for word in ("-c", "=".join(item))])
    # Named, since testcontainers would else guess a network when this itself is a container.
    container.with_kwargs(labels={OWNER_LABEL: owner()}, shm_size="256m", network="bridge")
    container.ports["5432/tcp"] = ("127.0.0.1", None)
    try:
        container.start()
        address = {"host": "127.0.0.1", "port": container.get_exposed_port(5432)}
        dsn = conninfo.make_conninfo(user="postgres", password=password, **address)
        _wait(dsn, container)
    except BaseException:
        container.stop()
        raise
    return Server(spec, dsn, container.stop, container=container, password=password)


def _wait(dsn: str, container: Any, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            psycopg.connect(dsn, dbname="postgres", connect_timeout=5).close()
        except psycopg.OperationalError as error:
            container.reload()
            if container.status != "running" or time.monotonic() > deadline:
                said = b"".join(container.get_logs()).decode(errors="replace")[-2000:]
                raise UnavailableError(
                    f"{container.image} does not answer: {error}\n{said}"
                ) from error
            time.sleep(0.1)
        else:
            return


@dataclass(slots=True)
class Pool:
    """Servers of one test process: each is started when first needed and kept to the end."""

    running: dict[ServerSpec, Server] = field(default_factory=dict)

    def get(self, spec: ServerSpec) -> Server:
        """Return the running server of this spec."""
        if spec not in self.running:
            self.running[spec] = start(spec)
        return self.running[spec]

    def close(self) -> None:
        """Stop them all."""
        while self.running:
            self.running.popitem()[1].stop()
