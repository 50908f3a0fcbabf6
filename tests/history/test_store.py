"""Where runs are kept: what is stored, what is read back, and what happens if that goes wrong."""

import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from pgwatch_wed.analyse import analyse
from pgwatch_wed.config import Config
from pgwatch_wed.errors import HistoryError, UsageError
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.gather.run import gather
from pgwatch_wed.gather.wanted import Wanted
from pgwatch_wed.history import blobs as blobs_of
from pgwatch_wed.history import identity, measures, runs, series, snapshots, store
from pgwatch_wed.history.runs import NewRun
from pgwatch_wed.history.schema import SCHEMA, VERSION_TABLE, blobs, collections, metadata
from pgwatch_wed.history.schema import runs as runs_table
from pgwatch_wed.render import json_v1
from pgwatch_wed.target.collect import collect
from tests.psql import psql

SHOP = """
create extension if not exists pg_stat_statements;
create table orders (id int primary key, customer int, note text);
create sequence numbers;
insert into orders select g, g % 50, 'n' from generate_series(1, 2000) g;
select nextval('numbers') from generate_series(1, 10);
vacuum analyze orders;
"""


@pytest.fixture
def shop(db: str) -> str:
    psql(db, SHOP)
    return db


def work(dsn: str, times: int) -> None:
    with psycopg.connect(dsn, autocommit=True, prepare_threshold=None) as connection:
        for i in range(times):
            connection.execute("select count(*) from orders where customer = %s", [i % 50])
    time.sleep(1)  # counters are reported at the end of a session, or somewhat later


def judged(snapshot: Snapshot) -> NewRun:
    report = analyse([snapshot], Config())
    return NewRun([snapshot], report, json_v1.render(report))


def count(connection: sa.Connection, table: sa.Table) -> int:
    found = connection.execute(sa.select(sa.func.count()).select_from(table)).scalar()
    assert found is not None
    return int(found)


def test_what_was_stored_is_read_back(history: store.Store, shop: str) -> None:
    taken = collect(shop)
    with history.writing() as connection:
        run, is_new = runs.add(connection, judged(taken))
    assert is_new
    with history.reading() as connection:
        assert runs.listed(connection) == (run,)
        assert runs.read(connection, run) == (taken,)
        document = runs.document(connection, run)
    assert document is not None
    assert document["schema_version"] == 1


def test_the_same_run_is_stored_once(history: store.Store, shop: str) -> None:
    new = judged(collect(shop))
    with history.writing() as connection:
        first, _ = runs.add(connection, new)
    with history.writing() as connection:
        second, is_new = runs.add(connection, new)
        assert count(connection, runs_table) == 1
    assert (second, is_new) == (first, False)


def test_what_did_not_change_is_not_stored_again(file: store.Store, shop: str) -> None:
    for _ in range(2):
        with file.writing() as connection:
            runs.add(connection, judged(collect(shop)))
    with file.reading() as connection:
        first, second = (
            snapshots.addresses(connection, snapshots.of_run(connection, n)[0]) for n in (1, 2)
        )
        listed = sa.select(sa.func.count()).where(collections.c.snapshot_id == 2)
        assert connection.execute(listed).scalar_one() < len(second) / 2
    same = {name for name in first if first[name] == second.get(name)}
    assert {"tables", "columns", "index_definitions", "column_statistics"} <= same
    assert any(name.startswith("statement_texts") for name in same)


def test_a_series_tells_what_a_query_did_between_runs(history: store.Store, shop: str) -> None:
    for times in (5, 7, 9):
        work(shop, times)
        with history.writing() as connection:
            runs.add(connection, NewRun([collect(shop)]))
    with history.reading() as connection:
        (mine,) = [
            s for s in series.known_statements(connection, 1) if "orders where" in str(s.text)
        ]
        points = series.of_statement(connection, mine.id)
        between = series.intervals_of(connection, 1)
        assert series.of_all_statements(connection, 1)[mine.id] == points
        assert identity.identify(connection, collect(shop)) == identity.Identity(1, 1)
    assert mine.first_seen == points[0].ended_at
    assert [p.calls for p in points] == [7, 9]
    assert [p.rows for p in points] == [7, 9]
    assert all(p.mean_ms * p.calls == pytest.approx(p.exec_ms) for p in points)
    assert all(p.temp_blocks == 0 for p in points)
    assert all(p.exec_ms > 0 and p.blocks > 0 and p.squares_ms2 >= 0 for p in points)
    assert [i.bond for i in between] == ["same", "same"]
    assert all(
        i.known_share == 1 and i.exec_ms >= p.exec_ms for i, p in zip(between, points, strict=True)
    )


def test_a_run_that_comes_late_divides_the_interval(history: store.Store, shop: str) -> None:
    taken = []
    for times in (5, 7, 9):
        work(shop, times)
        taken.append(collect(shop))
    for snapshot in (taken[0], taken[2], taken[1]):
        with history.writing() as connection:
            runs.add(connection, NewRun([snapshot]))
    with history.reading() as connection:
        (mine,) = [
            s for s in series.known_statements(connection, 1) if "orders where" in str(s.text)
        ]
        points = series.of_statement(connection, mine.id)
        writes = measures.read(connection, 1, 1, "table_seq_rows")
    assert [p.calls for p in points] == [7, 9]
    (rows,) = [s for s in writes if s.subject.name == "public.orders"]
    assert [p.value for p in rows.points] == [7 * 2000, 9 * 2000]


def test_numbers_are_repeated_while_they_do_not_change(history: store.Store, shop: str) -> None:
    for step in (0, 0, 25):
        psql(shop, f"select nextval('numbers') from generate_series(1, {step})")
        with history.writing() as connection:
            runs.add(connection, NewRun([collect(shop)]))
    with history.reading() as connection:
        (numbers,) = measures.read(connection, 1, 1, "sequence_value")
        (size,) = measures.read(connection, 1, 1, "relations_bytes")
    assert numbers.subject.name == "public.numbers"
    assert [p.value for p in numbers.points] == [10, 10, 35]
    assert len(size.points) == 3
    assert size.points[0].value


def test_a_dropped_table_ends_its_series(history: store.Store, shop: str) -> None:
    for change in ("", "drop table orders", "create table orders (id int)"):
        psql(shop, change)
        with history.writing() as connection:
            runs.add(connection, NewRun([collect(shop)]))
    with history.reading() as connection:
        found = measures.read(connection, 1, 1, "table_bytes")
    values = sorted([p.value for p in s.points] for s in found if s.subject.name == "public.orders")
    assert [v[1:] for v in values if len(v) == 3] == [[None, None]]


def test_another_server_with_the_same_data_is_another_cluster(
    history: store.Store, shop: str
) -> None:
    first = collect(shop)
    clone = replace(
        first,
        server=replace(
            first.server,
            taken_at=first.now + timedelta(hours=1),
            started_at=first.now + timedelta(minutes=5),
        ),
        settings=tuple(
            replace(s, setting="5999") if s.name == "port" else s for s in first.settings
        ),
    )
    with history.writing() as connection:
        one, _ = runs.add(connection, NewRun([first]))
        other, _ = runs.add(connection, NewRun([clone]))
        again, _ = runs.add(connection, NewRun([collect(shop)]))
    assert one.cluster_id == again.cluster_id != other.cluster_id


def test_who_took_over_under_the_same_name_goes_on_and_a_clone_does_not(
    history: store.Store, shop: str
) -> None:
    first = collect(shop)
    timeline = first.server.timeline
    assert timeline is not None

    def elsewhere(hours: int, port: str = "5999", **server: Any) -> Snapshot:
        taken_at, started_at = first.now + timedelta(hours=hours), first.now + timedelta(minutes=5)
        given = {"taken_at": taken_at, "started_at": started_at, **server}
        settings = (replace(s, setting=port) if s.name == "port" else s for s in first.settings)
        return replace(first, server=replace(first.server, **given), settings=tuple(settings))

    def stored(snapshot: Snapshot, *earlier: int) -> int:
        with history.writing() as connection:
            return runs.add(connection, NewRun([snapshot], earlier=earlier))[0].cluster_id

    own = stored(first)
    lsn = first.wal[0].lsn_bytes
    assert lsn is not None
    restored = elsewhere(1, "5001", timeline=timeline + 1)
    set_back = replace(restored, wal=(replace(first.wal[0], lsn_bytes=lsn - 1),))
    assert stored(set_back, own) != own
    assert stored(elsewhere(2, "5002"), own) != own  # a clone that was never promoted
    assert stored(elsewhere(2, "5003", timeline=timeline + 1)) != own  # it has another name
    alone = stored(elsewhere(3, is_in_recovery=True), own)
    assert alone != own
    promoted = elsewhere(4, timeline=timeline + 1)
    assert stored(promoted, alone, own) == own
    assert stored(elsewhere(5, timeline=timeline + 1), own, alone) == own
    restarted = first.now + timedelta(hours=5)
    moved = elsewhere(6, timeline=timeline + 1, started_at=restarted, address="192.0.2.9")
    assert stored(moved, own) == own
    with history.reading() as connection:
        owner = identity.identify(connection, moved)
    assert owner is not None
    assert owner.cluster_id == own


def test_a_database_that_an_upgrade_gave_another_oid_goes_on(
    history: store.Store, shop: str
) -> None:
    first = collect(shop)
    later = first.now + timedelta(hours=1)
    server = replace(
        first.server,
        taken_at=later,
        database_created_at=later - timedelta(minutes=5),
        version_num=first.server.version_num + 10_000,
        system_identifier="1",
        database_oid=99_999,
    )
    databases = tuple(
        replace(d, oid=99_999) if d.oid == first.server.database_oid else d for d in first.databases
    )
    upgraded = replace(first, server=server, databases=databases)
    with history.writing() as connection:
        runs.add(connection, NewRun([first]))
        run, _ = runs.add(connection, NewRun([upgraded]))
        owner = identity.identify(connection, upgraded)
        assert owner is not None
        (interval,) = series.intervals_of(connection, owner.database_id)
    assert (interval.run_id, interval.bond, interval.reason) == (run.id, "upgraded", "")


def test_a_run_is_found_by_number_date_and_baseline(history: store.Store, shop: str) -> None:
    taken = collect(shop)
    times = [datetime(2026, 1, day, 12, tzinfo=UTC) for day in (1, 2, 31)]
    with history.writing() as connection:
        stored = [
            runs.add(
                connection, NewRun([replace(taken, server=replace(taken.server, taken_at=t))])
            )[0]
            for t in times
        ]
    with history.reading() as connection:
        assert runs.find(connection, "2") == stored[1]
        assert runs.find(connection, "2026-01-02") == stored[1]
        assert runs.find(connection, "2026-01-15") == stored[1]
        assert runs.find(connection, "2026-01-01T13:00") == stored[0]
        for wrong in ("2025-12-31", "77", "99999999999999999999", "nightly", "2026-13-01"):
            with pytest.raises(UsageError):
                runs.find(connection, wrong)


# --- what can go wrong --------------------------------------------------------------------------


def test_the_tables_are_those_of_the_migrations(history: store.Store) -> None:
    is_postgres = history.place.kind == "server"
    with history.engine.connect() as connection:
        options = {"include_schemas": is_postgres, "compare_type": True}
        expected = metadata
        if is_postgres:
            expected = sa.MetaData()
            for table in metadata.sorted_tables:
                table.to_metadata(expected, schema=SCHEMA)
        context = MigrationContext.configure(connection, opts=options)
        found = [
            change
            for change in compare_metadata(context, expected)
            if VERSION_TABLE not in str(change)
        ]
    assert found == []


def test_nobody_else_can_read_the_file(file: store.Store) -> None:
    path = Path(file.place.value)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_reading_creates_nothing(tmp_path: Path) -> None:
    with pytest.raises(HistoryError, match="there is no history"):
        store.open_store(str(tmp_path / "none.sqlite3"), must_exist=True)
    assert list(tmp_path.iterdir()) == []


def test_a_newer_history_is_refused_and_kept(history: store.Store) -> None:
    prefix = f"{SCHEMA}." if history.place.kind == "server" else ""
    with history.writing() as connection:
        connection.exec_driver_sql(f"update {prefix}{VERSION_TABLE} set version_num = 'h9999'")
    with pytest.raises(HistoryError, match="newer version"):
        store.open_store(history.place.value)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda p: p.write_bytes(b"not a database, but long enough to look at" * 20), "not a"),
        (lambda p: p.mkdir(), "directory"),
        (lambda p: (p.parent / "x").touch(), ""),
    ],
)
def test_what_is_no_history_is_refused_in_one_line(tmp_path: Path, make: object, said: str) -> None:
    path = tmp_path / "history.sqlite3"
    assert callable(make)
    make(path)
    if said:
        with pytest.raises(HistoryError, match=said) as caught:
            store.open_store(str(path))
        assert "\n" not in str(caught.value)
    else:
        with pytest.raises(HistoryError, match="cannot be opened"):
            store.open_store(str(path.parent / "x" / "history.sqlite3"))


def test_no_secret_is_in_an_error() -> None:
    with pytest.raises(HistoryError) as caught:
        store.open_store("postgresql://nobody:hunter2@127.0.0.1:1/none")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("url", ["mysql://x/y", "sqlite://", "sqlite:///:memory:"])
def test_what_cannot_be_a_history_is_refused(url: str) -> None:
    with pytest.raises(HistoryError):
        store.open_store(url)


def test_a_second_writer_waits(file: store.Store, shop: str) -> None:
    script = (
        "import sys, time\n"
        "from pgwatch_wed.history import store\n"
        "with store.open_store(sys.argv[1]).writing() as c:\n"
        "    c.exec_driver_sql(\"insert into blobs (hash, data) values ('first', x'00')\")\n"
        "    print('begun', flush=True); time.sleep(2)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, file.place.value], stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"begun\n"
        with file.writing() as connection:
            runs.add(connection, NewRun([collect(shop)]))
            assert connection.execute(
                sa.select(blobs.c.hash).where(blobs.c.hash == "first")
            ).scalar()


def test_a_killed_writer_leaves_what_was_there(file: store.Store, shop: str) -> None:
    with file.writing() as connection:
        kept, _ = runs.add(connection, NewRun([collect(shop)]))
    script = (
        "import os, pickle, signal, sys\n"
        "from sqlalchemy import event\n"
        "from pgwatch_wed.history import store, runs\n"
        "from pgwatch_wed.target.collect import collect\n"
        "opened = store.open_store(sys.argv[1])\n"
        "left = int(sys.argv[3])\n"
        "@event.listens_for(opened.engine, 'before_cursor_execute')\n"
        "def stop(*_):\n"
        "    global left\n"
        "    left -= 1\n"
        "    if left < 0: os.kill(os.getpid(), signal.SIGKILL)\n"
        "with opened.writing() as c:\n"
        "    runs.add(c, runs.NewRun([collect(sys.argv[2])]))\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    for statements in (1, 12, 40, 1000):
        done = subprocess.run(
            [sys.executable, "-c", script, file.place.value, shop, str(statements)], check=False
        )
        assert done.returncode == -signal.SIGKILL
        with file.reading() as connection:
            assert runs.listed(connection) == (kept,)
            assert len(runs.read(connection, kept)) == 1
    with file.writing() as connection:
        assert runs.add(connection, NewRun([collect(shop)]))[1]


def test_a_full_disk_leaves_what_was_there(file: store.Store, shop: str) -> None:
    with file.writing() as connection:
        kept, _ = runs.add(connection, NewRun([collect(shop)]))
    path = Path(file.place.value)
    raw = sqlite3.connect(path)
    pages = raw.execute("pragma page_count").fetchone()[0]
    raw.close()

    def limit(connection: sqlite3.Connection, _: object) -> None:
        connection.execute(f"pragma max_page_count = {pages + 1}")

    sa.event.listen(file.engine, "connect", limit)
    psql(shop, ";".join(f"create table t{n} (a int, b text)" for n in range(200)))
    larger = NewRun([collect(shop)])
    with pytest.raises(HistoryError, match="full") as caught, file.writing() as connection:
        runs.add(connection, larger)
    assert "free disk space" in caught.value.hint
    again = store.open_store(str(path))
    with again.reading() as connection:
        assert runs.listed(connection) == (kept,)


@pytest.mark.skipif(
    os.geteuid() == 0 and shutil.which("setpriv") is None, reason="root may write everything"
)
def test_a_read_only_file_can_be_read_and_says_why_it_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite3"
    store.open_store(str(path)).close()
    path.chmod(0o444)
    tmp_path.chmod(0o555)
    script = (
        "import sys\n"
        "from pgwatch_wed.errors import HistoryError\n"
        "from pgwatch_wed.history import store, runs\n"
        "opened = store.open_store(sys.argv[1], must_exist=True)\n"
        "with opened.reading() as c: print(runs.listed(c))\n"
        "try:\n"
        "    with opened.writing() as c: c.exec_driver_sql(\"insert into blobs (hash, data) values ('a', x'00')\")\n"
        "except HistoryError as error: print(error)\n"
    )
    as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    prefix = as_nobody if os.geteuid() == 0 else []
    for folder in tmp_path.parents:
        if os.geteuid() == 0 and folder.name.startswith(("pytest", "popen")):
            folder.chmod(0o755)
    done = subprocess.run(
        [*prefix, sys.executable, "-c", script, str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    tmp_path.chmod(0o755)
    if "PermissionError" in done.stderr or "No module" in done.stderr:
        pytest.skip("another user cannot run this Python")
    assert done.stdout.splitlines()[0] == "()", done.stderr
    assert "make the file and its directory writable" in done.stdout


def test_a_damaged_part_is_said_and_the_rest_is_read(file: store.Store, shop: str) -> None:
    with file.writing() as connection:
        run, _ = runs.add(connection, judged(collect(shop)))
    with file.writing() as connection:
        address = connection.execute(
            sa.text("select hash from collections where name = 'columns'")
        ).scalar()
        connection.execute(blobs.update().where(blobs.c.hash == address).values(data=b"nonsense"))
    with file.reading() as connection:
        assert runs.document(connection, run) is not None
        (stored,) = snapshots.of_run(connection, run.id)
        assert snapshots.read(connection, stored, ["tables"]).tables
        with pytest.raises(HistoryError, match="damaged"):
            runs.read(connection, run)


def test_what_is_damaged_costs_one_interval_and_is_stored_anew(
    history: store.Store, shop: str
) -> None:
    for number in range(4):
        work(shop, 5)
        with history.writing() as connection:
            run, _ = runs.add(connection, NewRun([collect(shop)]))
            (stored,) = snapshots.of_run(connection, run.id)
            parts = snapshots.addresses(connection, stored)
        if number == 1:
            damaged = (stored.server, parts[blobs_of.BY_KEY], parts["columns"])
            with history.writing() as connection:
                mine = blobs.c.hash.in_(damaged)
                connection.execute(blobs.update().where(mine).values(data=b"nonsense"))
    with history.reading() as connection:
        reasons = [each.reason for each in series.intervals_of(connection, 1)]
        assert len(runs.listed(connection, 1)) == 4, "it is still the same server"
        newest = runs.listed(connection)[0]
        (read,) = runs.read(connection, newest)
        assert blobs_of.get(connection, parts["columns"]), "it was read again, and is whole"
    assert ["damaged" in reason for reason in reasons] == [False, True, False]
    assert read.columns


def test_a_series_tells_when_the_generic_plan_changed(file: store.Store, shop: str) -> None:
    psql(shop, "insert into orders select g, g % 5000, 'n' from generate_series(2001, 60000) g")
    for change in ("create index by_customer on orders (customer)", "", "drop index by_customer"):
        psql(shop, f"{change}; analyze orders")
        work(shop, 60)
        with file.writing() as connection:
            runs.add(connection, NewRun(gather(shop, Wanted(), lambda _what, _share: None)))
    work(shop, 60)
    with file.writing() as connection:
        runs.add(connection, NewRun(gather(shop, Wanted(), lambda _what, _share: None)))
    with file.reading() as connection:
        (mine,) = [
            s for s in series.known_statements(connection, 1) if "where customer" in str(s.text)
        ]
        points = series.of_statement(connection, mine.id)
    indexed, *dropped = [p.plan_hash for p in points]
    assert indexed is not None
    assert len(set(dropped)) == 1
    assert dropped[0] not in (None, indexed)
