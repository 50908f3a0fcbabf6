"""A folder that is none, a standard output that is full, a password that nothing repeats."""

import os
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import psutil
from psycopg.conninfo import make_conninfo

from tests.servers import Server
from tests.test_cli import PROGRAM

SECRET = "s3cret-of-the-title"


def one_line(process: subprocess.CompletedProcess[str]) -> None:
    assert process.returncode == 3, process
    assert "Traceback" not in process.stderr
    assert "cannot write" in process.stderr, process.stderr


def left_in(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.rglob("*") if p.is_file())


def test_a_folder_that_is_a_file_is_one_line(pg: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    for arguments in (
        ["run", pg.dsn("postgres"), "-o", str(tmp_path / "file")],
        ["collect", pg.dsn("postgres"), "-o", str(tmp_path / "file" / "x.json")],
    ):
        process = subprocess.run([*PROGRAM, *arguments], capture_output=True, text=True, timeout=60)
        assert process.returncode in (2, 3), process
        assert "Traceback" not in process.stderr
        assert str(tmp_path / "file") in process.stderr
    assert (tmp_path / "file").read_text(encoding="utf-8") == "mine"


def test_a_full_standard_output_is_no_traceback(pg: Server, tmp_path: Path) -> None:
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        process = subprocess.run(
            [*PROGRAM, "run", pg.dsn("postgres"), "-o", str(tmp_path)],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
    one_line(process)
    assert [n for n in left_in(tmp_path) if n.endswith(".html")]


def test_a_password_stays_out_of_the_server_and_of_our_output(pg: Server, tmp_path: Path) -> None:
    dsn = make_conninfo(pg.dsn("postgres"), password=SECRET)
    process = subprocess.Popen(
        [*PROGRAM, "run", "-v", "-o", str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "DATABASE_URL": dsn},
    )
    titles: list[str] = []
    while process.poll() is None and len(titles) < 200:
        with suppress(psutil.Error):
            family = [ours := psutil.Process(process.pid), *ours.children(recursive=True)]
            titles += [" ".join(p.cmdline()) for p in family]
        time.sleep(0.2)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    written = [p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()]
    assert written
    assert not [t for t in [*titles, output] if SECRET in t]
    assert not [b for b in written if SECRET.encode() in b]
