"""A PgBouncer of ours before the ground of a load test: transactions are pooled, nothing of it stays.

It listens on a Unix-domain socket in a directory that no other user can enter. It is ended by its guard
(:mod:`pooler_guard`) with the ``with`` block or with this process, and by the next start if both were killed.
"""

import contextlib
import json
import pwd
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg
from psycopg.conninfo import make_conninfo

from pgwatch_wed.embedded import reaper
from pgwatch_wed.embedded import server as embedded
from pgwatch_wed.errors import CollectError, Error, redact, said
from pgwatch_wed.load.load_model import QueryProtocol
from pgwatch_wed.load.users import pooler_config, pooler_guard
from pgwatch_wed.load.users.pooler_config import ALIAS, PORT, USER, PoolerPlan
from pgwatch_wed.load.users.pooler_console import PoolerConsole
from pgwatch_wed.target import programs

DEFAULT_POOL = 20
_KIND = "pgwedpool-"
_START_S = 10.0
_NO_PREPARED = (
    "this PgBouncer does not support prepared statements in transaction pooling, so statements were sent in the "
    "extended protocol, each parsed and planned anew; install a later version (1.21) to test prepared ones"
)
# pgbench's thread waits for each PREPARE: it would wait for a session that its own open transactions hold.
_MORE_CLIENTS = (
    "statements were sent in the extended protocol, since pgbench cannot prepare them through a pooler that has fewer "
    "sessions than there are clients"
)


@dataclass(frozen=True, slots=True)
class OwnPooler:
    """A running pooler. ``conninfo`` is for :attr:`Order.conninfo`; it contains no secret."""

    conninfo: str
    version: str
    pid: int
    plan: PoolerPlan
    console: PoolerConsole
    has_prepared: bool

    def protocol(self, wanted: QueryProtocol) -> tuple[QueryProtocol, str]:
        """Return the protocol to use, and a note if it is not the one wanted."""
        if wanted is QueryProtocol.PREPARED and not self.has_prepared:
            return QueryProtocol.EXTENDED, _NO_PREPARED
        if wanted is QueryProtocol.PREPARED and self.plan.clients > self.plan.pool:
            return QueryProtocol.EXTENDED, _MORE_CLIENTS
        return wanted, ""

    def clients(self) -> int:
        """Return how many clients are connected; 0 if it does not tell."""
        try:
            return self.console.clients()
        except psycopg.Error:
            return 0


def program() -> Path:
    """Return the PgBouncer of this machine; raises :class:`Error` if there is none."""
    found = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise Error(
            "there is no pgbouncer on this machine, which this scenario needs",
            "install the package pgbouncer, or put it in PATH",
        )
    return Path(found)


@contextmanager
def own_pooler(
    session: psycopg.Connection[Any],
    *,
    clients: int,
    pool: int = DEFAULT_POOL,
    settings: Mapping[str, str] | None = None,
) -> Iterator[OwnPooler]:
    """Run a pooler before the server and database of a session of ours, for the ``with`` block.

    ``pool``: sessions on the server. Raises :class:`Error` if there is no PgBouncer, too few descriptors, or it cannot
    connect to the server.
    """
    file = program()
    sweep()
    plan = PoolerPlan(clients, pool, dict(settings or {}))
    place, password = programs.parameters(session), session.info.password
    folder = embedded.make_folder(embedded.base_folder() / f"{_KIND}{secrets.token_hex(5)}")
    guard = None
    try:
        config = pooler_config.written(place, password, plan, folder)
        embedded.hand_over(folder)
        guard, pid = _guarded(file, config, plan)
        found = _answering(folder, file, pid, plan)
        _check_server(found, place, folder)
        yield found
    finally:
        if guard is not None:
            _dismiss(guard)
        reaper.remove(folder)


def _guarded(file: Path, config: Path, plan: PoolerPlan) -> tuple[subprocess.Popen[str], int]:
    user = embedded.service_user()
    entry = pwd.getpwnam(user) if user else None
    guard = subprocess.Popen(  # noqa: S603 - our own file
        [sys.executable, "-P", pooler_guard.__file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd="/",
        text=True,
    )
    try:
        return guard, _pid(guard, file, config, plan, entry)
    except BaseException:
        _dismiss(guard)
        raise


def _pid(
    guard: subprocess.Popen[str],
    file: Path,
    config: Path,
    plan: PoolerPlan,
    entry: pwd.struct_passwd | None,
) -> int:
    assert guard.stdin is not None
    assert guard.stdout is not None
    order = {
        "command": [str(file), "-q", str(config)],
        "folder": str(config.parent),
        "descriptors": plan.descriptors,
        "user": [entry.pw_uid, entry.pw_gid] if entry else None,
    }
    with contextlib.suppress(OSError):  # a guard that is gone does not answer, either
        guard.stdin.write(json.dumps(order) + "\n")
        guard.stdin.flush()
    answer = json.loads(guard.stdout.readline() or '{"error": "its guard ended"}')
    if "hard_limit" in answer:
        raise Error(
            f"PgBouncer needs {plan.descriptors:,} file descriptors for {plan.clients:,} connections, "
            f"and the hard limit here is {answer['hard_limit']:,}",
            f"raise it, such as with ulimit -Hn {plan.descriptors} or LimitNOFILE of the service, or use fewer users",
        )
    if "error" in answer:
        raise Error(f"PgBouncer could not be started: {answer['error']}")
    return int(answer["pid"])


def _answering(folder: Path, file: Path, pid: int, plan: PoolerPlan) -> OwnPooler:
    """Wait until the pooler answers."""
    place = make_conninfo(host=str(folder), port=PORT, user=USER, dbname=ALIAS)
    console = PoolerConsole(make_conninfo(place, dbname="pgbouncer"))
    deadline = time.monotonic() + _START_S
    while True:
        try:
            has_prepared = console.set_up()
            break
        except psycopg.Error as error:
            if not _runs(pid) or time.monotonic() > deadline:
                raise Error(f"PgBouncer did not start: {_last_words(folder, error)}") from None
        time.sleep(0.02)
    return OwnPooler(place, _version(file), pid, plan, console, has_prepared)


def _check_server(pooler: OwnPooler, place: Mapping[str, str], folder: Path) -> None:
    """Let it connect to the server once."""
    try:
        with PoolerConsole(pooler.conninfo).session() as session:
            session.execute("select 1")
    except psycopg.Error as error:
        raise CollectError(
            f"PgBouncer cannot connect to the server: {_last_words(folder, error)}",
            _elsewhere(pooler, place),
        ) from None


def _elsewhere(pooler: OwnPooler, place: Mapping[str, str]) -> str:
    """Return a hint if it looks for the server at another address than ours: it resolves a name that is verified itself."""
    host, ours = place.get("host", ""), place.get("hostaddr", "")
    if place.get("sslmode") != "verify-full" or not ours or host == ours:
        return ""
    with contextlib.suppress(psycopg.Error, ValueError):
        found = pooler.console.addresses()
        if ours not in found:
            theirs = ", ".join(found) or "no address"
            return f"it resolves {host} itself, to {theirs}, and we are connected to {ours}: let the name have that one only"
    return ""


def _runs(pid: int) -> bool:
    with contextlib.suppress(psutil.Error):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def _last_words(folder: Path, error: psycopg.Error) -> str:
    """Return what the log says last of an error, else what the client was told."""
    lines: list[str] = []
    for name in ("log", "output"):
        with contextlib.suppress(OSError):
            lines += (folder / name).read_text(encoding="utf-8", errors="replace").splitlines()
    bad = [
        line for line in lines if any(sign in line for sign in (" ERROR ", " FATAL ", " WARNING "))
    ]
    return redact(bad[-1]) if bad else said(error)


def _version(file: Path) -> str:
    done = subprocess.run(  # noqa: S603 - the pooler
        [str(file), "--version"], capture_output=True, text=True, check=False, timeout=10
    )
    return next(iter(done.stdout.splitlines()), "").strip()


def _dismiss(guard: subprocess.Popen[str]) -> None:
    assert guard.stdin is not None
    assert guard.stdout is not None
    with contextlib.suppress(OSError):
        guard.stdin.close()
    guard.wait()
    guard.stdout.close()


def sweep() -> None:
    """End and remove the poolers of processes that were killed together with their guard."""
    for folder in embedded.base_folder().glob(f"{_KIND}*"):
        with contextlib.suppress(OSError, ValueError, KeyError):
            if embedded.is_orphan(folder):
                _end_orphan(folder)
                reaper.remove(folder)


def _end_orphan(folder: Path) -> None:
    with contextlib.suppress(OSError, ValueError, psutil.Error):
        process = psutil.Process(int((folder / "pooler.pid").read_text(encoding="ascii")))
        if any(str(folder) in part for part in process.cmdline()):  # a process ID may be used again
            process.kill()
