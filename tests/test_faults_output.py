"""Our own side fails: a folder that is none, a full disk or output; and a password that nothing repeats."""

import os
import resource
import shlex
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from pgwatch_wed.embedded import server as embedded
from pgwatch_wed.target import programs
from pgwatch_wed.whatif.lab.dump import dumped
from tests.psql import psql
from tests.servers import Server
from tests.test_cli import FAULTS, PROGRAM

SECRET = "s3cret-of-the-title"


def one_line(process: subprocess.CompletedProcess[str]) -> None:
    assert process.returncode == 3, process
    assert "Traceback" not in process.stderr
    assert "could not write" in process.stderr, process.stderr


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


EXAMPLE = Path(__file__).parent.parent / "reports" / "example" / "shop.json.zst"


@pytest.mark.parametrize(
    ("redirection", "status"),
    [
        ("| head -c 100 > /dev/null", 0),
        (">&-", 0),
        ("2>&-", 0),
        ("<&- >&- 2>&-", 0),
        ("2> /dev/full", 3),
        ("> /dev/full 2> /dev/full", 3),
    ],
)
@pytest.mark.parametrize("options", ["-v", "--format html --format text", "--format json"])
def test_the_report_is_written_wherever_standard_output_goes(
    tmp_path: Path, redirection: str, status: int, options: str
) -> None:
    command = f"{shlex.join(PROGRAM)} report {EXAMPLE} -o {tmp_path} {options}"
    process = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command} {redirection}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert process.returncode == status, process.stderr
    assert "Traceback" not in process.stderr
    assert "Exception" not in process.stderr
    assert left_in(tmp_path)


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
    assert "could not write" in done.stderr
    assert "Traceback" not in done.stderr
    if command == "run":
        assert "orders_customer_" in done.stdout, "the text is printed all the same"
    assert [p for p in out.rglob("*") if p.is_file() and p.stat().st_size >= 4_000] == []
    assert [p.name for p in out.rglob(".*")] == []


@pytest.mark.parametrize("way", ["DATABASE_URL", "PGPASSWORD"])
def test_a_password_stays_out_of_every_command_line_and_of_our_output(
    tmp_path: Path, way: str
) -> None:
    with embedded.start(tcp=True) as server:
        psql(server.dsn(), f"create role watcher superuser login password '{SECRET}';" + FAULTS)
        psql(server.dsn(), "select count(*) from orders where customer = 7;")
        target = f"host=127.0.0.1 port={server.port} dbname=postgres user=watcher"
        given = {"PGPASSWORD": SECRET, "DATABASE_URL": target}
        if way == "DATABASE_URL":
            given = {"DATABASE_URL": make_conninfo(target, password=SECRET)}
        with seen_command_lines() as seen:
            process = subprocess.run(
                [*PROGRAM, "run", "-v", "-o", str(tmp_path)],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                env={**os.environ, **given},
                timeout=120,
            )
    assert process.returncode == 0, process.stdout
    written = [p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()]
    assert written
    assert any("pg_dump" in line for line in seen), "the lab's dump was not seen"
    assert not [line for line in [*seen, process.stdout] if SECRET in line]
    assert not [b for b in written if SECRET.encode() in b]


def test_the_labs_dump_gets_no_secret_on_its_command_line(db: str) -> None:
    psql(db, "create table t (id int)")
    secrets = {"sslpassword": SECRET, "password": SECRET}
    with seen_command_lines() as seen, dumped(make_conninfo(db, **secrets)) as file:
        assert "CREATE TABLE public.t" in file.read_text()
    dumps = [line for line in seen if "pg_dump" in line]
    assert dumps
    assert not [line for line in dumps if SECRET in line]


def test_secrets_reach_a_program_by_what_only_we_can_read(db: str) -> None:
    with (
        psycopg.connect(db, sslpassword=SECRET, password=SECRET) as connection,
        programs.client(
            embedded.wheel_bindir() / "pg_dump", connection, application_name="pgwatch_wed"
        ) as program,
    ):
        service = Path(program.environment["PGSERVICEFILE"])
        assert SECRET not in program.conninfo
        assert f"sslpassword={SECRET}" in service.read_text()
        assert not service.stat().st_mode & 0o077
    assert not service.exists()


def test_the_labs_dump_needs_no_right_on_the_table_of_our_migrations(pg: Server, db: str) -> None:
    psql(db, "create table pgwatch_wed_alembic_version (v text); create table t (id int)")
    with pg.role() as role:
        psql(db, f'grant select on t to "{role}"')
        with dumped(make_conninfo(db, user=role)) as file:
            assert "alembic_version" not in file.read_text()
        psql(db, f'revoke select on t from "{role}"')


@contextmanager
def seen_command_lines() -> Iterator[set[str]]:
    """Collect the command line of every process that runs meanwhile."""
    seen: set[str] = set()
    done = threading.Event()

    def look() -> None:
        while not done.wait(0.01):
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                with suppress(OSError):
                    seen.add(path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace"))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()
