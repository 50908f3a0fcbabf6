"""Snapshot files of clusters that may not be reached."""

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner, Result

from pgwatch_wed.cli import cli
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.facts import file as snapshot_file
from pgwatch_wed.fleet import bundles, fleet_begin, fleet_engine, fleet_workers, visit_log
from pgwatch_wed.fleet.fleet_engine import EngineOptions
from pgwatch_wed.fleet.members import Member
from pgwatch_wed.fleet.shards import Shard
from pgwatch_wed.fleet.visits import Visit, VisitEnding
from pgwatch_wed.history import archive, runs, store
from pgwatch_wed.target.collect import collect
from tests.fleet.ground import SHOP, Ground
from tests.psql import psql


@pytest.fixture
def taken(db: str) -> Snapshot:
    psql(db, SHOP)
    return collect(db)


def moved(taken: Snapshot, number: int, hours: float) -> Snapshot:
    """Return a snapshot of another cluster, so many hours ago."""
    moment = taken.now - timedelta(hours=hours)
    began = taken.now - timedelta(days=2)
    server = replace(taken.server, system_identifier=str(number), taken_at=moment, started_at=began)
    settings = tuple(
        replace(s, setting=str(6000 + number)) if s.name == "port" else s for s in taken.settings
    )
    return replace(taken, server=server, settings=settings)


def imported(*words: str) -> tuple[Result, dict[str, object]]:
    line = ["fleet", "import", *words, "--format", "json"]
    done = CliRunner().invoke(cli, line, standalone_mode=False)
    return done, json.loads(done.stdout)


def stands(url: str) -> dict[str, Visit]:
    with store.open_store(url).reading() as connection:
        run = visit_log.runs_of_fleet(connection)[0]
        return {visit.member: visit for visit in visit_log.visits(connection, run.id)}


def test_files_count_in_the_newest_run_in_any_order_and_once(
    taken: Snapshot, tmp_path: Path
) -> None:
    inventory = tmp_path / "fleet.toml"
    inventory.write_text(
        '[[clusters]]\nname = "north"\ntarget = "host=192.0.2.1"\ngroup = "shops"\n'
        '[[clusters]]\nname = "south"\ntarget = "host=192.0.2.2"\n'
    )
    url = str(tmp_path / "history.sqlite3")
    words = ("--inventory", str(inventory), "--history", url)
    with store.open_store(url).writing() as connection:
        members = [Member("north", (), group="shops"), Member("south", ()), Member("west", ())]
        run = visit_log.begin(connection, members, taken.now, {})
        for each in members:
            lost = Visit(run.id, each.name, ending=VisitEnding.UNREACHABLE, ended_at=taken.now)
            visit_log.end(connection, lost)
    inbox = tmp_path / "inbox"
    (inbox / "north").mkdir(parents=True)
    snapshot_file.save(moved(taken, 1, 2), inbox / "north" / "b.json.zst")
    snapshot_file.save(moved(taken, 2, 5), inbox / "south-20261126.json.zst")
    (inbox / "broken.json.zst").write_bytes(b"nothing")
    done, told = imported(str(inbox), *words)
    assert done.return_value == 3  # one is broken; the others are there
    assert (told["added"], told["clusters"]) == (2, ["north", "south"])
    first = stands(url)
    assert first["west"].ending is VisitEnding.UNREACHABLE
    assert [first[name].ending for name in ("north", "south")] == [VisitEnding.DONE] * 2
    assert first["north"].group == "shops"
    assert first["north"].reason.startswith("from a snapshot file of")
    (inbox / "broken.json.zst").unlink()
    done, told = imported(str(inbox), *words)
    assert (done.return_value, told["added"], told["known"], told["clusters"]) == (0, 0, 2, [])
    assert stands(url) == first
    late = tmp_path / "late"  # an older one, and a newer one whose name tells nothing
    late.mkdir()
    snapshot_file.save(moved(taken, 1, 9), late / "x.json.zst")
    snapshot_file.save(moved(taken, 2, 1), late / "y.json.zst")
    done, told = imported(str(late), *words)
    assert (done.return_value, told["clusters"]) == (0, ["south"])
    now = stands(url)
    assert now["north"] == first["north"]
    with store.open_store(url).reading() as connection:
        newest = runs.listed(connection, now["south"].cluster_id)[0]
        assert len(runs.listed(connection)) == 4
    assert now["south"].run_id == newest.id
    report = CliRunner().invoke(cli, ["fleet", "report", "--history", url, "--format", "json"])
    assert report.exit_code == 0, report.output
    assert "duplicate" in report.stdout


def test_a_file_that_comes_before_the_visit_counts_once_that_was_in_vain(
    taken: Snapshot, tmp_path: Path
) -> None:
    url = str(tmp_path / "history.sqlite3")
    inventory, file = tmp_path / "fleet.toml", tmp_path / "south-1.json.zst"
    inventory.write_text('[[clusters]]\nname = "south"\ntarget = "host=192.0.2.2"\n')
    snapshot_file.save(moved(taken, 2, 5), file)
    words = (str(file), "--inventory", str(inventory), "--history", url)
    south = Member("south", ())
    with store.open_store(url).writing() as connection:
        run = visit_log.begin(connection, [south], taken.now, {})
    done, told = imported(*words)
    assert (done.return_value, told["clusters"], told["awaited"]) == (0, [], ["south"])
    assert "south: its visit has yet to end" in done.stderr
    with store.open_store(url).writing() as connection:
        lost = Visit(run.id, "south", ending=VisitEnding.UNREACHABLE, ended_at=taken.now)
        visit_log.end(connection, lost)
    done, told = imported(*words)
    assert (told["clusters"], told["awaited"], done.stderr) == (["south"], [], "")
    assert stands(url)["south"].ending is VisitEnding.DONE


def test_files_of_nobody_are_kept_and_told(taken: Snapshot, tmp_path: Path) -> None:
    inventory = tmp_path / "fleet.toml"
    inventory.write_text('[[clusters]]\nname = "north"\ntarget = "host=192.0.2.1"\n')
    snapshot_file.save(taken, tmp_path / "x.json.zst")
    url = str(tmp_path / "history.sqlite3")
    words = (str(tmp_path / "x.json.zst"), "--inventory", str(inventory), "--history", url)
    done, told = imported(*words)
    assert (done.return_value, told["added"], told["clusters"]) == (0, 1, [])
    assert "no cluster of the inventory" in done.stderr


def test_a_pipe_in_the_folder_does_not_hold_up_the_rest(taken: Snapshot, tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    (inbox / "folder.json").mkdir(parents=True)
    os.mkfifo(inbox / "a.json")
    snapshot_file.save(taken, inbox / "b.json.zst")
    done, told = imported(str(inbox), "--history", str(tmp_path / "h.db"))
    assert (done.return_value, told["added"]) == (3, 1)
    assert told["refused"] == [f"{inbox / 'a.json'} is not a regular file"]


def test_the_first_files_begin_a_fleet(taken: Snapshot, tmp_path: Path) -> None:
    inventory = tmp_path / "fleet.toml"
    inventory.write_text(
        "".join(f'[[clusters]]\nname = "{name}"\ntarget = "host={name}"\n' for name in "ab")
    )
    for number, name in enumerate("ab", 1):
        snapshot_file.save(moved(taken, number, 1), tmp_path / f"{name}.json.zst")
    url = str(tmp_path / "history.sqlite3")
    done, _ = imported(str(tmp_path), "--inventory", str(inventory), "--history", url)
    assert done.return_value == 0, done.stderr
    assert {v.ending for v in stands(url).values()} == {VisitEnding.DONE}
    with store.open_store(url).reading() as connection:
        (run,) = visit_log.runs_of_fleet(connection)
    assert (run.members, run.ended_at is None) == (2, False)


def test_a_file_that_came_before_a_run_counts_in_it(taken: Snapshot, tmp_path: Path) -> None:
    members = [Member(name, (f"host={name}.invalid",), is_enabled=False) for name in ("a", "b")]
    worker = fleet_workers.worker_name()

    def visited() -> dict[str, Visit]:
        begun = fleet_begin.begin(opened, members, worker, {}, shard=Shard(), resume=False)
        told: list[Visit] = []
        fleet_engine.run(opened, begun, worker, EngineOptions(), told.append)
        with opened.reading() as connection:
            logged = visit_log.visits(connection, begun.run.id)
        assert {v.member: v for v in told} == {v.member: v for v in logged}
        return {visit.member: visit for visit in logged}

    with closing(store.open_store(str(tmp_path / "history.sqlite3"))) as opened:
        assert {v.ending for v in visited().values()} == {VisitEnding.SKIPPED}
        for number, hours in enumerate((1, 30)):  # of the second one, more than a day has passed
            read = (moved(taken, number, hours),)
            with opened.writing() as connection:
                stored, _ = runs.add(connection, runs.NewRun(read))
                assert bundles.attach(connection, members[number], stored, read)
        for _ in range(2):
            found = visited()
            assert [found[name].ending for name in "ab"] == [VisitEnding.DONE, VisitEnding.SKIPPED]
        assert found["a"].reason.count("the cluster itself: skipped, ") == 1
        assert found["a"].run_id == 1
        assert found["b"].cluster_id is not None


def test_files_are_read_when_it_is_their_turn(taken: Snapshot, tmp_path: Path) -> None:
    for number in (1, 2, 3):
        snapshot_file.save(moved(taken, number, 9 - number), tmp_path / f"{number}.json.zst")
    done = archive.Imported()
    groups = archive.located_groups((tmp_path,), done)
    path, (first,) = next(groups)
    assert (path.name, first) == ("1.json.zst", moved(taken, 1, 8))
    second = tmp_path / "2.json.zst"
    second.write_bytes(second.read_bytes()[:-100])
    assert [path.name for path, _ in groups] == ["3.json.zst"]
    assert len(done.refused) == 1
    assert "2.json.zst" in done.refused[0]


def test_imports_at_the_same_time_bring_their_clusters_into_one_fleet_run(
    taken: Snapshot, ground: Ground
) -> None:
    server = ground.primary()
    psql(server.dsn(), "create database of_imports")
    with closing(store.open_store(server.dsn("of_imports"))) as opened:
        reads = [(moved(taken, number, 1),) for number in (1, 2)]
        stored = []
        for read in reads:
            with opened.writing() as connection:
                stored.append(runs.add(connection, runs.NewRun(read))[0])

        def attach(number: int) -> bool:
            with opened.writing() as connection:
                member = Member(f"c{number}", ())
                return bundles.attach(connection, member, stored[number], reads[number])

        with ThreadPoolExecutor(1) as thread:
            with opened.writing() as connection:
                assert bundles.attach(connection, Member("c0", ()), stored[0], reads[0])
                other = thread.submit(attach, 1)
                while not other.done() and not _somebody_waits(server.dsn()):
                    time.sleep(0.01)
            assert other.result(60)
        with opened.reading() as connection:
            (run,) = visit_log.runs_of_fleet(connection)
            assert {v.member for v in visit_log.visits(connection, run.id)} == {"c0", "c1"}
    psql(server.dsn(), "drop database of_imports")


def _somebody_waits(dsn: str) -> bool:
    with psycopg.connect(dsn) as session:
        query = "select count(*) from pg_locks where locktype = 'advisory' and not granted"
        row = session.execute(query).fetchone()
    return bool(row and row[0])
