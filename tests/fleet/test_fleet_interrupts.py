"""db-analyze fleet run as a program: its status, and what an interruption leaves."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

from pgwatch_wed.fleet import visit_log
from pgwatch_wed.fleet.visits import VisitEnding
from pgwatch_wed.history import runs, store
from tests.fleet.ground import Ground
from tests.fleet.networks import Network, Way

pytestmark = pytest.mark.slow


def inventory(folder: Path, **targets: str) -> Path:
    path = folder / "fleet.toml"
    path.write_text(
        "".join(f'[[clusters]]\nname = "{n}"\ntarget = "{t}"\n' for n, t in targets.items())
    )
    return path


def command(folder: Path, *more: str) -> list[str]:
    history = folder / "history.sqlite3"
    given = ["--inventory", str(folder / "fleet.toml"), "--history", str(history)]
    given += ["--output", str(folder / "reports")]
    return [sys.executable, "-m", "pgwatch_wed", "fleet", "run", *given, *more]


def test_the_status_is_3_if_nobody_was_reached(tmp_path: Path) -> None:
    inventory(tmp_path, shop="host=127.0.0.1 port=1 dbname=x user=x password=s3cret")
    done = subprocess.run(command(tmp_path, "--attempts", "1"), capture_output=True, text=True)
    assert done.returncode == 3
    assert "shop: unreachable" in done.stderr
    assert "s3cret" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_ends_soon_and_is_resumed(
    number: signal.Signals, ground: Ground, net: Network, tmp_path: Path
) -> None:
    primary = ground.primary().dsn("shop", tcp=True)
    stalls = net.through(primary, Way(stalls_after=20_000))
    inventory(tmp_path, tenants=ground.tenants().dsn("tenant_000", tcp=True), shop=stalls)
    process = subprocess.Popen(command(tmp_path), stderr=subprocess.PIPE, text=True)
    opened = store.open_store(str(tmp_path / "history.sqlite3"))
    waited = time.monotonic() + 30
    while not _is_under_way(opened):
        assert time.monotonic() < waited
        time.sleep(0.05)
    os.kill(process.pid, number)
    begun = time.monotonic()
    said = process.communicate(timeout=20)[1]
    assert time.monotonic() - begun < 10
    assert process.returncode == (130 if number is signal.SIGINT else 143)
    assert "--resume goes on" in said
    assert "Traceback" not in said
    assert _ours(primary) == 0  # nothing of ours runs on the server
    net.change(stalls, stalls_after=None)
    again = subprocess.run(command(tmp_path, "--resume"), capture_output=True, text=True)
    assert (again.returncode, "going on with fleet run 1" in again.stderr) == (0, True)
    with opened.reading() as connection:
        (whole,) = visit_log.runs_of_fleet(connection)
        logged = visit_log.visits(connection, whole.id)
        assert len(runs.listed(connection)) == 2
    assert {visit.ending for visit in logged} == {VisitEnding.DONE}
    opened.close()


def _is_under_way(opened: store.Store) -> bool:
    with opened.reading() as connection:
        found = visit_log.runs_of_fleet(connection)
        logged = visit_log.visits(connection, found[0].id) if found else ()
    by_name = {visit.member: visit for visit in logged}
    return bool(by_name) and bool(by_name["tenants"].ending and by_name["shop"].began_at)


def _ours(dsn: str) -> int:
    query = "select count(*) from pg_stat_activity where application_name = 'pgwatch_wed'"
    with psycopg.connect(dsn) as connection:
        row = connection.execute(query).fetchone()
    assert row
    return int(row[0])


def test_a_killed_run_is_resumed_at_once_on_the_same_machine(
    ground: Ground, net: Network, tmp_path: Path
) -> None:
    stalls = net.through(ground.primary().dsn("shop", tcp=True), Way(stalls_after=20_000))
    inventory(tmp_path, tenants=ground.tenants().dsn("tenant_000", tcp=True), shop=stalls)
    process = subprocess.Popen(command(tmp_path, "-q"))
    opened = store.open_store(str(tmp_path / "history.sqlite3"))
    while not _is_under_way(opened):
        time.sleep(0.05)
    process.kill()
    process.wait()
    net.change(stalls, stalls_after=None)
    again = subprocess.run(command(tmp_path, "--resume"), capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    with opened.reading() as connection:
        logged = visit_log.visits(connection, 1)
    assert {visit.ending for visit in logged} == {VisitEnding.DONE}
    opened.close()
