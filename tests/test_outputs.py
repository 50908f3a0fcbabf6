"""Our own side fails: a full disk, and a process list that everybody can read."""

import os
import resource
import subprocess
import threading
import time
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from pgwatch_wed import embedded
from tests.psql import psql
from tests.test_cli import FAULTS, PROGRAM

SECRET = "planted-pass-word"


def full_disk() -> None:
    """Let no file of the child grow beyond what a full disk would take."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (4_000, 4_000))


@pytest.mark.parametrize("command", ["run", "collect"])
def test_a_full_disk_is_one_line_and_leaves_no_half_file(
    db: str, tmp_path: Path, command: str
) -> None:
    psql(db, FAULTS + "".join(f"create table filler_{n} (a int, b int);" for n in range(400)))
    out = tmp_path / "out"
    out.mkdir()
    target = str(out) if command == "run" else str(out / "s.json.zst")
    more = ["--no-advise"] if command == "run" else []
    done = subprocess.run(
        [*PROGRAM, command, db, "-o", target, *more],
        capture_output=True,
        text=True,
        preexec_fn=full_disk,
        timeout=120,
        check=False,
    )
    assert done.returncode == 3, done.stderr
    assert "cannot write" in done.stderr
    assert "Traceback" not in done.stderr
    if command == "run":
        assert "orders_customer_" in done.stdout, "the text is printed all the same"
    assert [p for p in out.rglob("*") if p.is_file() and p.stat().st_size >= 4_000] == []
    assert [p.name for p in out.rglob(".*")] == []


def test_no_process_of_ours_shows_the_password() -> None:
    with embedded.start(tcp=True) as server:
        psql(server.dsn(), f"create role watcher superuser login password '{SECRET}';" + FAULTS)
        psql(server.dsn(), "select count(*) from orders where customer = 7;")
        parts = conninfo_to_dict(server.dsn(tcp=True)) | {"user": "watcher"}
        target = f"host=127.0.0.1 port={parts['port']} dbname=postgres user=watcher"
        seen: set[str] = set()
        done = threading.Event()

        def look() -> None:
            while not done.wait(0.01):
                seen.update(command_lines())

        thread = threading.Thread(target=look)
        thread.start()
        env = {**os.environ, "PGPASSWORD": SECRET}
        subprocess.run(
            [*PROGRAM, "run", target, "--format", "text"],
            env=env,
            capture_output=True,
            timeout=120,
            check=True,
        )
        done.set()
        thread.join()
    assert any("pg_dump" in line for line in seen), "the lab's dump was not seen"
    assert not [line for line in seen if SECRET in line]


def command_lines() -> set[str]:
    found: set[str] = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.add(path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace"))
        except OSError:
            time.sleep(0)
    return found
