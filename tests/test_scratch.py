"""Temporary directories: removed at once, or by the next one if their process was killed, but never while in use."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import psycopg
import pytest

from pgwatch_wed.embedded import server as embedded
from pgwatch_wed.errors import ConnectError
from pgwatch_wed.load.course.stress_job import Owned, opened
from pgwatch_wed.scratch import scratch_folder, sweep_scratch
from pgwatch_wed.target import programs

OWNER = """
import sys, tempfile, time
from pgwatch_wed.errors import ConnectError
from pgwatch_wed.load.course.stress_job import Owned, opened
from pgwatch_wed.scratch import scratch_folder
tempfile.tempdir = sys.argv[1]
with scratch_folder("test") as folder:
    (folder / "secret").write_text("x")
    print(folder, flush=True)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_after_kill_9_the_next_one_removes_it_and_none_that_is_in_use(place: Path) -> None:
    command = [sys.executable, "-c", OWNER, str(place)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout
        left = Path(owner.stdout.readline().strip())
        with scratch_folder("test") as ours:
            sweep_scratch()
            assert ours.stat().st_mode & 0o077 == 0
            assert set(place.iterdir()) == {left, ours}
            assert (left / "secret").exists()
        owner.send_signal(signal.SIGKILL)
    assert left.exists()
    with scratch_folder("test") as ours:
        assert set(place.iterdir()) == {ours}
    assert list(place.iterdir()) == []


def test_what_only_has_such_a_name_is_not_followed(place: Path) -> None:
    kept = place / "kept"
    kept.mkdir()
    (kept / "file").touch()
    (place / "pgwedtmp-test-link").symlink_to(kept)
    (place / "pgwedtmp-test-file").touch()
    (place / "pgwedtest").mkdir()
    sweep_scratch()
    assert {each.name for each in place.iterdir()} == {
        *("kept", "pgwedtmp-test-link", "pgwedtmp-test-file", "pgwedtest")
    }
    assert (kept / "file").exists()


def test_another_users_is_left_alone(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = Path(tempfile.mkdtemp(prefix="pgwedtmp-test-"))
    with monkeypatch.context() as patch:
        patch.setattr(os, "geteuid", lambda: os.getuid() + 1)
        sweep_scratch()
    assert theirs.exists()
    sweep_scratch()
    assert not theirs.exists()


def test_a_load_test_removes_what_was_left_even_if_it_does_not_get_far(place: Path) -> None:
    left = Path(tempfile.mkdtemp(prefix="pgwedtmp-client-"))
    nobody = f"host=127.0.0.1 port={embedded.free_port()} dbname=app user=x"
    with pytest.raises(ConnectError):
        opened(nobody, Owned("x", frozenset(), is_writing=True)).__enter__()
    assert not left.exists()


@pytest.mark.parametrize("in_memory", [True, False])
def test_secrets_of_a_program_are_in_no_file_where_the_system_can(
    place: Path, monkeypatch: pytest.MonkeyPatch, in_memory: bool
) -> None:
    if in_memory and not hasattr(os, "memfd_create"):
        pytest.skip("this system has no files in memory")
    if not in_memory:
        monkeypatch.delattr(os, "memfd_create", raising=False)
    psql = embedded.wheel_bindir() / "psql"
    with (
        embedded.start() as server,
        psycopg.connect(server.dsn(), sslpassword="s3cret") as session,
        programs.client(psql, session, application_name="test") as client,
    ):
        folders = list(place.glob("pgwedtmp-client-*"))
        files = [file for folder in folders for file in folder.rglob("*")]
        assert [f for f in files if "s3cret" in f.read_text()] == ([] if in_memory else files)
        assert "s3cret" not in client.conninfo
        service = Path(client.environment["PGSERVICEFILE"])
        assert "sslpassword=s3cret" in service.read_text()
        done = subprocess.run(
            [str(client.path), client.conninfo, "-Atc", "select 1"],
            env=dict(client.environment),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stdout == "1\n", done.stderr
    assert list(place.glob("pgwedtmp-client-*")) == []
