"""Ctrl-C and SIGTERM at any moment: no half report, no query left running, nothing left behind."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from pgwatch_wed import embedded
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
def busy() -> Iterator[embedded.Server]:
    with embedded.start() as server:
        psql(server.dsn(), WORK)
        yield server


def started(server: embedded.Server, out: Path, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*PROGRAM, "run", server.dsn(), "-o", str(out), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(out.parent / "tmp")},
    )


def sessions(server: embedded.Server) -> int:
    with psycopg.connect(server.dsn()) as connection:
        row = connection.execute(OURS).fetchone()
    assert row is not None
    return int(row[0])


def whole(path: Path) -> bool:
    text = path.read_text(encoding="utf-8").rstrip()
    return text.endswith("</html>") if path.suffix == ".html" else text.endswith("}")


@pytest.mark.parametrize("which", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
@pytest.mark.parametrize("after", [0.4, 0.9, 1.4, 2.0, 3.0])
def test_a_run_that_is_ended_leaves_nothing(
    busy: embedded.Server, tmp_path: Path, which: signal.Signals, after: float
) -> None:
    (tmp_path / "tmp").mkdir()
    (tmp_path / "tmp").chmod(0o777)
    out = tmp_path / "out"
    with started(busy, out) as run:
        time.sleep(after)
        run.send_signal(which)
        _, said = run.communicate(timeout=30)
    assert run.returncode in (0, 130, 143), said
    assert "Traceback" not in said
    end = time.monotonic() + 5
    while sessions(busy) and time.monotonic() < end:
        time.sleep(0.1)
    assert sessions(busy) == 0, "a session of ours is still there"
    written = list(out.iterdir()) if out.exists() else []
    assert all(whole(p) for p in written), [p.name for p in written]
    assert not [p.name for p in written if p.name.startswith(".")]


def test_a_killed_lab_is_swept_up_by_the_next_start(busy: embedded.Server, tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    (tmp_path / "tmp").chmod(0o777)
    with started(busy, tmp_path / "out") as run:
        time.sleep(2)
        run.kill()
        run.communicate(timeout=30)
    time.sleep(1)
    left = [p for p in (tmp_path / "tmp").iterdir() if (p / "data" / "postmaster.pid").exists()]
    assert left == [], "its server outlived it"
