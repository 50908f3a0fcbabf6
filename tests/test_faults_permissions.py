"""Folders and files that are not ours to write or read: one line, and what was found is printed."""

import ctypes
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from pgwatch_wed.embedded import server as embedded
from tests.psql import psql
from tests.test_cli import FAULTS, PROGRAM
from tests.test_embedded import PROJECT, python_for_everybody

ROOT = Path("/")
# linux/prctl.h and linux/capability.h
DROP_FROM_BOUNDING_SET = 24
OVERRIDES_OF_PERMISSIONS = (1, 2)  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH


def packages() -> Path:
    """Return the folder that this interpreter's packages are in."""
    spec = find_spec("psycopg")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent.parent


def as_nobody() -> dict[str, Any] | None:
    """Say how a child becomes another user, where that user can run this project at all."""
    python = python_for_everybody()
    paths = (PROJECT / "pgwatch_wed", packages())
    if python is None or not all(embedded._everybody_can_enter(p) for p in paths):
        return None
    return {
        "args": [python, *PROGRAM[1:]],
        "env": {"PYTHONPATH": os.pathsep.join(map(str, (PROJECT, packages())))},
        "user": "nobody",
        "group": pwd.getpwnam("nobody").pw_gid,
        "extra_groups": [],
    }


def bound_by_permissions() -> None:
    """Make a root whom permission bits bind, as they bind the owner of a file."""
    for capability in OVERRIDES_OF_PERMISSIONS:
        assert ctypes.CDLL(None).prctl(DROP_FROM_BOUNDING_SET, capability, 0, 0, 0) == 0


def ordinary() -> dict[str, Any]:
    """Say how to run the program as somebody for whom permission bits count."""
    if os.geteuid() != 0:
        return {"args": PROGRAM}
    return as_nobody() or {"args": PROGRAM, "preexec_fn": bound_by_permissions}


def run(
    env: Mapping[str, str], *arguments: str, cwd: Path = ROOT, closing: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run the program as an ordinary user, perhaps in a folder that it then cannot enter again."""
    how = ordinary()
    if closing and os.geteuid() == 0:
        cwd.chmod(0o000)  # the child goes there while it is still root
    elif closing:
        cwd.chmod(0o755)
        how["preexec_fn"] = partial(cwd.chmod, 0o000)
    known = {k: v for k, v in os.environ.items() if not k.startswith("PG") and k != "DATABASE_URL"}
    return subprocess.run(
        [*how.pop("args"), *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**known, **how.pop("env", {}), **env},
        timeout=120,
        check=False,
        **how,
    )


def one_line(done: subprocess.CompletedProcess[str], said: str, status: int = 3) -> None:
    assert done.returncode == status, done.stderr
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 2, done.stderr


@pytest.fixture(scope="module")
def target() -> Iterator[dict[str, str]]:
    """The environment that leads to a server with a fault to find, over TCP: its socket is closed."""
    with embedded.start(tcp=True) as server:
        psql(server.dsn(), FAULTS)
        psql(server.dsn(), "select count(*) from orders where customer = 7;")
        where = {"PGHOST": "127.0.0.1", "PGPORT": str(server.port), "PGDATABASE": "postgres"}
        yield where | {"PGUSER": "postgres", "PGPASSWORD": server.password}


@pytest.fixture(autouse=True)
def everybodys_state(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A place for the history where whoever runs the program may write."""
    path = Path(tempfile.mkdtemp(prefix="pgs-", dir="/tmp"))
    path.chmod(0o777)
    monkeypatch.setenv("XDG_STATE_HOME", str(path))
    yield path
    path.chmod(0o700)
    shutil.rmtree(path)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that everybody can enter, and nobody can write; pytest's own are closed to others."""
    path = Path(tempfile.mkdtemp(prefix="pgt-", dir="/tmp"))
    (path / "file").write_text("mine", encoding="utf-8")
    path.chmod(0o555)
    yield path
    path.chmod(0o755)
    shutil.rmtree(path)


def untouched(folder: Path) -> bool:
    file = folder / "file"
    return list(folder.iterdir()) == [file] and file.read_text(encoding="utf-8") == "mine"


def test_permission_bits_count_for_whom_we_run_as(folder: Path) -> None:
    """Without this, everything below would pass as root for the wrong reason."""
    how = ordinary()
    python, *_ = how.pop("args")
    how.pop("env", None)
    script = f"open({str(folder / 'new')!r}, 'w')"
    done = subprocess.run(
        [python, "-I", "-c", script], capture_output=True, text=True, check=False, cwd="/", **how
    )
    assert "PermissionError" in done.stderr


@pytest.mark.parametrize("below", ["", "new", "new/deeper"])
def test_a_report_that_cannot_be_written_is_told_before_the_server_is_asked(
    target: dict[str, str], folder: Path, below: str
) -> None:
    done = run(target, "run", "--no-advise", "-o", str(folder / below))
    one_line(done, f"could not write to {folder / below}: Permission denied")
    assert done.stdout == ""
    assert untouched(folder)


def test_the_folder_that_is_taken_without_an_option_may_be_closed_too(
    target: dict[str, str], folder: Path
) -> None:
    done = run(target, "run", "--no-advise", cwd=folder)
    one_line(done, "could not write to db-analysis-results: Permission denied")
    assert done.stdout == ""
    assert untouched(folder)
    done = run(target, "run", "--no-advise", "--format", "text", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "orders_customer_" in done.stdout, "text needs no folder"
    assert untouched(folder)


@pytest.mark.parametrize("name", ["new.json.zst", "file"])
def test_a_snapshot_that_cannot_be_written_is_one_line(
    target: dict[str, str], folder: Path, name: str
) -> None:
    done = run(target, "collect", "--no-advise", "-o", str(folder / name))
    one_line(done, f"could not write {folder / name}: Permission denied")
    assert untouched(folder)


def test_a_folder_that_cannot_be_entered_is_one_line(target: dict[str, str], folder: Path) -> None:
    folder.chmod(0o000)
    done = run(target, "run", "--no-advise", "-o", str(folder / "out"))
    one_line(done, "Permission denied")
    assert done.stdout == ""
    done = run(target, "collect", "--no-advise", "-o", str(folder / "s.json.zst"))
    assert done.returncode in (2, 3)
    assert "Traceback" not in done.stderr
    assert str(folder) in done.stderr


def test_files_that_cannot_be_read_are_one_line(target: dict[str, str], folder: Path) -> None:
    file = folder / "file"
    file.chmod(0o000)
    one_line(
        run({}, "report", str(file), "--format", "text"),
        f"could not read {file}: Permission denied",
    )
    done = run(target, "run", "--no-advise", "--config", str(file))
    one_line(done, f"could not read {file}", status=2)
    folder.chmod(0o000)
    one_line(
        run({}, "report", str(file), "--format", "text"),
        f"could not read {file}: Permission denied",
    )
    done = run(target, "indexes", "--workload", str(folder))
    one_line(done, str(folder), status=2)


def test_a_configuration_that_cannot_be_read_is_not_passed_over(
    target: dict[str, str], folder: Path
) -> None:
    folder.chmod(0o755)
    (folder / "pgwatch_wed.toml").touch(mode=0o000)
    folder.chmod(0o555)
    done = run(target, "run", "--no-advise", cwd=folder)
    one_line(done, "could not read pgwatch_wed.toml", status=2)


def test_a_working_folder_that_cannot_be_entered_is_no_trouble(
    target: dict[str, str], folder: Path
) -> None:
    """As after `sudo -u somebody` in root's home: who cannot look has no configuration there."""
    done = run(target, "check", cwd=folder, closing=True)
    assert done.returncode == 0, done.stderr
    out = Path(tempfile.mkdtemp(prefix="pgt-out-", dir="/tmp"))
    out.chmod(0o777)
    try:
        done = run(target, "run", "-o", str(out), cwd=folder, closing=True)
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr
        assert list(out.glob("*.html"))
    finally:
        shutil.rmtree(out)


def test_without_a_temporary_folder_there_is_no_lab_and_yet_a_report(
    target: dict[str, str], folder: Path
) -> None:
    out = Path(tempfile.mkdtemp(prefix="pgt-out-", dir="/tmp"))
    out.chmod(0o777)
    try:
        done = run({**target, "TMPDIR": str(folder)}, "run", "-v", "-o", str(out), cwd=folder)
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr
        assert "orders_customer_" in done.stdout
        assert list(out.glob("*.html"))
    finally:
        shutil.rmtree(out)
    assert untouched(folder)


def test_a_history_that_cannot_be_entered_costs_only_itself(
    target: dict[str, str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = folder / "closed"
    closed.mkdir(mode=0o000)
    monkeypatch.setenv("XDG_STATE_HOME", str(closed))
    folder.chmod(0o777)
    done = run(target, "run", "--no-advise", "-o", str(folder / "out"))
    assert done.returncode == 0
    assert "nothing is kept of this run" in done.stderr
    assert "Permission denied (name another place with --history" in done.stderr
    assert "Traceback" not in done.stderr
    assert "orders_customer_" in done.stdout


def test_what_is_written_is_for_its_owner(target: dict[str, str]) -> None:
    """Whatever the umask says: snapshots for the owner alone, reports for the group at most."""
    out = Path(tempfile.mkdtemp(prefix="pgt-out-", dir="/tmp"))
    out.chmod(0o777)
    try:
        assert run(target, "run", "--no-advise", "-o", str(out)).returncode == 0
        done = run(target, "collect", "--no-advise", "-o", str(out / "s.json.zst"))
        assert done.returncode == 0, done.stderr
        modes = {p.name.partition(".")[2]: p.stat().st_mode & 0o777 for p in out.iterdir()}
        assert modes.pop("json.zst") == 0o600
        assert set(modes.values()) == {0o640}
    finally:
        shutil.rmtree(out)
