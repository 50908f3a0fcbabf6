"""`fleet enqueue`, `worker` and `status`, with real clusters."""

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

from pgwatch_wed.fleet import visit_log
from pgwatch_wed.fleet.visits import VisitEnding
from pgwatch_wed.history import store
from tests.fleet.ground import Ground
from tests.fleet.networks import Network, Way
from tests.test_cli import PROGRAM, db_analyze

INVENTORY = """
[[clusters]]
name = "shop"
target = "{shop}"
tags = {{env = "prod"}}

[[clusters]]
name = "shop by another name"
target = "{shop} application_name=other"

[[clusters]]
name = "gone"
target = "host=127.0.0.1 port=1 dbname=x user=x password=verysecret"

[[clusters]]
name = "disabled"
target = "host=127.0.0.1 port=1"
enabled = false
"""


@pytest.fixture
def central(ground: Ground) -> Iterator[str]:
    """A database for the history and the queue."""
    server = ground.primary()
    with psycopg.connect(server.dsn(), autocommit=True) as session:
        session.execute("CREATE DATABASE central")
        yield server.dsn("central")
        session.execute("DROP DATABASE central WITH (FORCE)")


@pytest.fixture
def inventory(ground: Ground, tmp_path: Path) -> str:
    path = tmp_path / "fleet.toml"
    path.write_text(INVENTORY.format(shop=ground.primary().dsn("shop")))
    return str(path)


def test_status_of_a_history_that_has_yet_to_begin(central: str) -> None:
    done = db_analyze("fleet", "status", "--history", central)
    assert (done.returncode, done.stderr) == (0, "")
    assert "There are no fleet runs." in done.stdout


def test_what_is_enqueued_is_visited_by_a_worker_and_status_shows_it(
    central: str, inventory: str
) -> None:
    given = ("--inventory", inventory, "--history", central)
    enqueued = db_analyze("fleet", "enqueue", *given, "--connect-timeout", "2")
    assert (enqueued.returncode, enqueued.stdout) == (
        0,
        "Fleet run 1: 4 clusters wait for workers.\n",
    )
    again = db_analyze("fleet", "enqueue", *given)
    assert "Fleet run 1 has not ended" in again.stdout
    before = db_analyze("fleet", "status", "--history", central, "--format", "json")
    state = json.loads(before.stdout)
    assert (state["runs"][0]["waiting"], state["workers"], state["stalled"]) == (4, [], [])
    worked = db_analyze(
        "fleet",
        "worker",
        *given,
        "--until-done",
        "--attempts",
        "1",
        "--connect-timeout",
        "2",
        "--lost-after",
        "5",
    )
    assert worked.returncode == 0, worked.stderr
    assert "verysecret" not in worked.stderr
    opened = store.open_store(central)
    with opened.reading() as connection:
        found = {visit.member: visit for visit in visit_log.visits(connection, 1)}
    opened.close()
    assert {name: visit.ending for name, visit in found.items()} == {
        "shop": VisitEnding.DONE,
        "shop by another name": VisitEnding.SKIPPED,
        "gone": VisitEnding.UNREACHABLE,
        "disabled": VisitEnding.SKIPPED,
    }
    assert found["shop by another name"].same_as == "shop"
    after = db_analyze("fleet", "status", "--history", central)
    assert "No worker is running" in after.stdout
    row = after.stdout.splitlines()[1].split()
    assert row[-6:] == ["4", "0", "0", "1", "1", "2"]
    with psycopg.connect(central) as session:
        dumped = session.execute(
            "SELECT string_agg(j::text, '') FROM pgwatch_wed_queue.procrastinate_jobs j"
        )
        assert dumped.fetchone() == (None,)


def wait_for_worker(central: str) -> None:
    query = "SELECT FROM pgwatch_wed_queue.fleet_workers"
    with psycopg.connect(central, autocommit=True) as session:
        for _ in range(600):
            with suppress(psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
                if session.execute(query.encode()).rowcount:
                    return
            time.sleep(0.1)
    raise AssertionError("the worker does not begin")


def test_an_idle_worker_is_seen_and_ends_by_a_signal(central: str, inventory: str) -> None:
    given = ("--inventory", inventory, "--history", central)
    command = [*PROGRAM, "fleet", "worker", *given, "--lost-after", "2"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        wait_for_worker(central)
        done = db_analyze("fleet", "status", "--history", central)
        assert "0 of 8" in done.stdout
        assert "4 clusters" in done.stdout
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=30)[1] == ""
    assert process.returncode == 0


def test_a_worker_waits_for_the_queues_server_as_long_as_it_is_told(inventory: str) -> None:
    gone = "postgresql://127.0.0.1:1/history"
    given = [*PROGRAM, "fleet", "worker", "--inventory", inventory, "--history", gone]
    short = subprocess.run([*given, "--wait", "0.3"], capture_output=True, text=True, timeout=60)
    assert short.returncode == 3
    again, last = short.stderr.splitlines()
    assert "Connection refused" in again
    assert again.endswith("trying again in 0 s")
    assert last.startswith("db-analyze: the history postgresql://127.0.0.1:1/history cannot")
    with subprocess.Popen(given, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        pauses = [process.stderr.readline().rsplit(" in ", 1)[1] for _ in range(2)]
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=30)[1]
    assert pauses == ["1 s\n", "2 s\n"]
    assert (process.returncode, said) == (0, "")


@pytest.mark.parametrize("command", ["enqueue", "worker", "status"])
def test_without_the_extra_it_is_one_clear_line(command: str, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util\n"
        "found = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *a: None if name == 'procrastinate' else found(name, *a)\n"
    )
    done = db_analyze("fleet", command, PYTHONPATH=str(tmp_path))
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "the queue needs procrastinate" in line
    assert "pgwatch-wed[fleet]" in line


def test_a_history_in_a_file_has_no_queue(inventory: str, tmp_path: Path) -> None:
    path = str(tmp_path / "history.sqlite3")
    done = db_analyze("fleet", "enqueue", "--inventory", inventory, "--history", path)
    assert done.returncode == 2
    assert "PostgreSQL" in done.stderr
    assert not Path(path).exists()


@pytest.mark.slow
def test_a_second_signal_ends_the_visits_of_a_worker_which_wait_again(
    central: str, ground: Ground, net: Network, tmp_path: Path
) -> None:
    stalls = net.through(ground.primary().dsn("shop", tcp=True), Way(stalls_after=20_000))
    path = tmp_path / "fleet.toml"
    path.write_text(f'[[clusters]]\nname = "shop"\ntarget = "{stalls}"\n')
    given = ("--inventory", str(path), "--history", central)
    assert db_analyze("fleet", "enqueue", *given).returncode == 0
    opened = store.open_store(central)
    with subprocess.Popen(
        [*PROGRAM, "fleet", "worker", *given], stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        _wait_for_visit(opened)
        process.send_signal(signal.SIGTERM)
        assert "1 visit to finish first" in process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=20)[1]
    assert (process.returncode, "Traceback" in said) == (0, False)
    with opened.reading() as connection:
        (left,) = visit_log.visits(connection, 1)
    opened.close()
    assert (left.ending, left.began_at) == (None, None)


def _wait_for_visit(opened: store.Store) -> None:
    for _ in range(600):
        with opened.reading() as connection:
            (found,) = visit_log.visits(connection, 1)
        if found.began_at is not None:
            time.sleep(1)  # it is reading, or waits for the server that says nothing
            return
        time.sleep(0.1)
    raise AssertionError("the visit does not begin")
