"""Ctrl-C and SIGTERM at any moment: no half report, no query left running, nothing left behind."""

import os
import pty
import re
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pytest

from pgwatch_wed.embedded import reaper
from pgwatch_wed.embedded import server as embedded
from tests.psql import psql
from tests.test_cli import PROGRAM

WORK = """
create extension pg_stat_statements;
do $$ begin for i in 1..400 loop
    execute format('create table t%s (id int primary key, a int, b text)', i);
    execute format('create index t%s_a on t%s (a)', i, i);
end loop; end $$;
insert into t1 select g, g % 100, repeat('x', 50) from generate_series(1, 50000) g;
analyze;
select count(*) from t1 where a = 5;
select count(*) from t1 where b = 'x';
"""
OURS = "select count(*) from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()"


@pytest.fixture(scope="module")
def busy() -> Iterator[embedded.EmbeddedServer]:
    with embedded.start() as server:
        psql(server.dsn(), WORK)
        yield server


def started(server: embedded.EmbeddedServer, out: Path, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*PROGRAM, "run", server.dsn(), "-o", str(out), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(out.parent / "tmp")},
    )


def sessions(server: embedded.EmbeddedServer) -> int:
    with psycopg.connect(server.dsn()) as connection:
        row = connection.execute(OURS).fetchone()
    assert row is not None
    return int(row[0])


def no_session_is_left(server: embedded.EmbeddedServer, seconds: float = 10) -> bool:
    """Wait for it: a session that ends, our own last look too, may take a moment."""
    end = time.monotonic() + seconds
    while sessions(server):
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


def whole(path: Path) -> bool:
    text = path.read_text(encoding="utf-8").rstrip()
    return text.endswith("</html>") if path.suffix == ".html" else text.endswith("}")


@pytest.mark.parametrize("which", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
@pytest.mark.parametrize("after", [0.4, 0.9, 1.4, 2.0, 3.0])
def test_a_run_that_is_ended_leaves_nothing(
    busy: embedded.EmbeddedServer, tmp_path: Path, which: signal.Signals, after: float
) -> None:
    (tmp_path / "tmp").mkdir()
    (tmp_path / "tmp").chmod(0o777)
    out = tmp_path / "out"
    with started(busy, out) as run:
        time.sleep(after)
        run.send_signal(which)
        _, said = run.communicate(timeout=30)
    # a shell calls it 130, too, if the signal itself ended a program that did not listen yet
    assert run.returncode in (0, 130, 143, -which), said
    assert "Traceback" not in said
    assert no_session_is_left(busy), "a session of ours is still there"
    written = list(out.iterdir()) if out.exists() else []
    assert all(whole(p) for p in written), [p.name for p in written]
    assert not [p.name for p in written if p.name.startswith(".")]


def test_a_killed_lab_is_swept_up_by_the_next_start(
    busy: embedded.EmbeddedServer, tmp_path: Path
) -> None:
    (tmp_path / "tmp").mkdir()
    (tmp_path / "tmp").chmod(0o777)
    with started(busy, tmp_path / "out") as run:
        time.sleep(2)
        run.kill()
        run.communicate(timeout=30)
    time.sleep(1)
    left = [p for p in (tmp_path / "tmp").iterdir() if (p / "data" / "postmaster.pid").exists()]
    assert left == [], "its server outlived it"


# The same at named moments: the progress on a terminal tells them.


@pytest.fixture
def folder() -> Iterator[Path]:
    """A temporary folder that servers of a service user can use."""
    path = Path(tempfile.mkdtemp(prefix="pgt-", dir="/tmp"))
    path.chmod(0o1777)
    yield path
    reaper.remove(path)


class Terminal:
    """The program on a terminal, in a process group of its own as a shell would start it."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.said = b""
        self._screen, keyboard = pty.openpty()
        self.run = subprocess.Popen(
            [*PROGRAM, *arguments],
            stdout=subprocess.DEVNULL,
            stderr=keyboard,
            start_new_session=True,
            env={**os.environ, "TMPDIR": str(folder), "COLUMNS": "200"},
        )
        os.close(keyboard)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        with suppress(OSError):  # the end of a terminal is an error
            while data := os.read(self._screen, 4096):
                self.said += data

    def wait_for(self, stage: str, seconds: float = 60) -> None:
        """Wait until the progress names a stage."""
        end = time.monotonic() + seconds
        while not re.search(rf"\s{stage}".encode(), self.said):
            assert time.monotonic() < end, f"{stage} never came"
            assert self.run.poll() is None, self.said[-500:]
            time.sleep(0.001)

    def signal(self, which: signal.Signals) -> None:
        """Send to the group, as a terminal does."""
        with suppress(ProcessLookupError):
            os.killpg(self.run.pid, which)

    def finish(self) -> int:
        """Wait for the end, and return the status."""
        status = self.run.wait(timeout=30)
        self._reader.join()
        os.close(self._screen)
        return status


@contextmanager
def at_stage(folder: Path, stage: str, *arguments: str) -> Iterator[Terminal]:
    """Yield the program when it is at a stage; in the end it has left nothing behind."""
    terminal = Terminal(folder, *arguments)
    try:
        terminal.wait_for(stage)
        yield terminal
    finally:
        terminal.signal(signal.SIGKILL)
        terminal.finish()
    end = time.monotonic() + 15
    while (left := list(folder.iterdir())) and time.monotonic() < end:
        time.sleep(0.05)
    assert left == [], "temporary files or servers are left"


STATUS = {signal.SIGINT: 130, signal.SIGTERM: 143}
STAGES = ("sessions", "columns", "index definitions", "measuring bloat", "building the lab")


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("which", STATUS, ids=["ctrl-c", "sigterm"])
@pytest.mark.parametrize("stage", STAGES)
def test_a_run_that_is_ended_at_a_stage_leaves_nothing(
    busy: embedded.EmbeddedServer,
    folder: Path,
    tmp_path: Path,
    which: signal.Signals,
    stage: str,
    times: int,
) -> None:
    out = tmp_path / "out"
    arguments = ("run", busy.dsn(), "-o", str(out), "--exact-bloat", "50")
    with at_stage(folder, stage, *arguments) as terminal:
        for _ in range(times):  # who is impatient presses it twice
            terminal.signal(which)
            time.sleep(0.03)
        assert terminal.run.wait(timeout=60) == STATUS[which]
    assert b"Traceback" not in terminal.said, terminal.said[-2000:].decode()
    assert not out.exists()
    assert no_session_is_left(busy), "a session of ours is still there"


@pytest.mark.parametrize("pause", [0, 0.02, 0.1, 0.2, 0.4])
@pytest.mark.parametrize("which", STATUS, ids=["ctrl-c", "sigterm"])
def test_a_run_that_has_written_its_report_ends_as_it_would_have(
    busy: embedded.EmbeddedServer,
    folder: Path,
    tmp_path: Path,
    which: signal.Signals,
    pause: float,
) -> None:
    out = tmp_path / "out"
    with at_stage(folder, "written: .*json", "run", busy.dsn(), "-o", str(out)) as terminal:
        time.sleep(pause)  # servers of ours are stopped, and the interpreter ends
        terminal.signal(which)
        assert terminal.run.wait(timeout=60) in (0, STATUS[which])
    assert b"Traceback" not in terminal.said, terminal.said[-2000:].decode()
    assert all(whole(p) for p in out.iterdir())


@pytest.mark.parametrize("which", STATUS, ids=["ctrl-c", "sigterm"])
@pytest.mark.parametrize(
    "stage", ["starting PostgreSQL", "loading the shop", "running the workload"]
)
def test_a_demo_that_is_ended_takes_its_server_along(
    folder: Path, tmp_path: Path, which: signal.Signals, stage: str
) -> None:
    arguments = ("demo", "--seconds", "5", "-o", str(tmp_path / "out"))
    with at_stage(folder, stage, *arguments) as terminal:
        time.sleep(
            0.2
        )  # Python's own look for a temporary folder leaves a file when it is cut short
        terminal.signal(which)
        assert terminal.run.wait(timeout=60) == STATUS[which]
    assert b"Traceback" not in terminal.said, terminal.said[-2000:].decode()
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("which", STATUS, ids=["ctrl-c", "sigterm"])
def test_a_collection_that_is_ended_leaves_no_half_snapshot(
    busy: embedded.EmbeddedServer, folder: Path, tmp_path: Path, which: signal.Signals
) -> None:
    file = tmp_path / "s.json.zst"
    with at_stage(folder, "columns", "collect", busy.dsn(), "-o", str(file)) as terminal:
        terminal.signal(which)
        assert terminal.run.wait(timeout=60) == STATUS[which]
    assert b"Traceback" not in terminal.said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("which", STATUS, ids=["ctrl-c", "sigterm"])
@pytest.mark.parametrize("stage", ["building the lab", "planning the workload"])
def test_an_advisor_that_is_ended_takes_its_lab_along(
    busy: embedded.EmbeddedServer, folder: Path, which: signal.Signals, stage: str
) -> None:
    with at_stage(folder, stage, "indexes", busy.dsn()) as terminal:
        time.sleep(0.2 if stage == "building the lab" else 0)  # see above
        terminal.signal(which)
        assert terminal.run.wait(timeout=60) == STATUS[which]
    assert b"Traceback" not in terminal.said, terminal.said[-2000:].decode()
    assert no_session_is_left(busy), "a session of ours is still there"
