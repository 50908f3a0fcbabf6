"""Several writers of one history: of different clusters and of the same one, while others clean up."""

import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from pgwatch_wed.errors import HistoryError
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.fleet import visit_log
from pgwatch_wed.fleet.members import Member
from pgwatch_wed.fleet.visits import Visit, VisitEnding
from pgwatch_wed.history import blobs, retention, runs, snapshots, store
from pgwatch_wed.history.runs import NewRun, StoredRun
from pgwatch_wed.history.schema import SCHEMA, clusters, collections
from pgwatch_wed.history.schema import blobs as blobs_table
from pgwatch_wed.history.schema import runs as runs_table
from pgwatch_wed.history.schema import snapshots as snapshots_table
from pgwatch_wed.target.collect import collect
from tests.history.test_retention import NOW, at
from tests.history.test_store import SHOP
from tests.psql import psql


@pytest.fixture
def taken(db: str) -> Snapshot:
    psql(db, SHOP)
    psql(db, "select count(*) from orders where customer = 7")
    return collect(db)


@pytest.fixture
def central(history_db: str) -> Iterator[store.Store]:
    """A history on a server."""
    opened = store.open_store(history_db)
    yield opened
    opened.close()


def of_cluster(taken: Snapshot, number: int, moment: datetime = NOW, calls: int = 1) -> Snapshot:
    """Return a snapshot as if it were of another server with the same schema."""
    found = at(taken, moment, calls)
    server = replace(found.server, system_identifier=str(number))
    settings = tuple(
        replace(s, setting=str(6000 + number)) if s.name == "port" else s for s in found.settings
    )
    return replace(found, server=server, settings=settings)


def impatient(connection: sa.Connection) -> None:
    """Fail instead of waiting for another transaction that the test holds open."""
    connection.exec_driver_sql("set local lock_timeout = '2s'")


def in_thread(work: Callable[[], object]) -> Callable[[], None]:
    """Start work in a thread; return what waits for it and raises what it raised."""
    failed: list[BaseException] = []

    def guarded() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - raised in the test
            failed.append(error)

    thread = threading.Thread(target=guarded)
    thread.start()

    def wait() -> None:
        thread.join(60)
        assert not thread.is_alive()
        if failed:
            raise failed[0]

    return wait


def store_run(opened: store.Store, snapshot: Snapshot) -> StoredRun:
    with opened.writing() as connection:
        return runs.add(connection, NewRun([snapshot]))[0]


def all_can_be_read(opened: store.Store) -> int:
    """Read every run as a whole; return how many there are."""
    with opened.reading() as connection:
        known = runs.listed(connection)
        for run in known:
            assert runs.read(connection, run)
    return len(known)


def what_nothing_needs(opened: store.Store) -> set[str]:
    with opened.reading() as connection:
        used = sa.union(
            sa.select(collections.c.hash),
            sa.select(snapshots_table.c.server),
            sa.select(runs_table.c.report).where(runs_table.c.report.is_not(None)),
            sa.select(runs_table.c.verdicts).where(runs_table.c.verdicts.is_not(None)),
            sa.select(blobs_table.c.base).where(blobs_table.c.base.is_not(None)),
        )
        stored = set(connection.execute(sa.select(blobs_table.c.hash)).scalars())
        return stored - set(connection.execute(used).scalars())


def test_writers_of_different_clusters_do_not_wait(central: store.Store, taken: Snapshot) -> None:
    first, second = of_cluster(taken, 1), of_cluster(taken, 2)
    with central.writing() as one:
        run, _ = runs.add(one, NewRun([first]))
        with central.writing() as other:
            impatient(other)
            runs.add(other, NewRun([second]))
        assert runs.read(one, run) == (first,)
    with central.reading() as connection:
        read = [runs.read(connection, each)[0] for each in runs.listed(connection)]
    assert first in read
    assert second in read


def test_writers_of_one_new_cluster_find_one_cluster(central: store.Store, taken: Snapshot) -> None:
    with central.writing() as one:
        runs.add(one, NewRun([of_cluster(taken, 1)]))
        later = of_cluster(taken, 1, NOW + timedelta(hours=1), 2)
        wait = in_thread(lambda: store_run(central, later))
    wait()
    with central.reading() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(clusters)).scalar() == 1
        assert len(runs.listed(connection)) == 2


def test_one_run_that_two_store_is_one_run(central: store.Store, taken: Snapshot) -> None:
    store_run(central, of_cluster(taken, 1))
    mine = of_cluster(taken, 1, NOW + timedelta(hours=1), 2)
    with central.writing() as one:
        assert runs.add(one, NewRun([mine]))[1]
        wait = in_thread(lambda: store_run(central, mine))
    wait()
    assert all_can_be_read(central) == 2


def test_what_another_removes_meanwhile_is_stored_again(
    central: store.Store, taken: Snapshot
) -> None:
    old = NOW - timedelta(days=10)
    store_run(central, replace(of_cluster(taken, 1, old), columns=taken.columns[:-1]))
    store_run(central, replace(of_cluster(taken, 1, old + timedelta(hours=1)), columns=()))
    store_run(central, replace(of_cluster(taken, 1, NOW), columns=()))
    mine = replace(of_cluster(taken, 2), columns=taken.columns[:-1])
    with central.writing() as connection:
        run, _ = runs.add(connection, NewRun([mine]))  # refers to what only the first run has
        near = _address(connection, 1, "columns")
        other = blobs.put(connection, blobs.get(connection, near) + b" ", near)
        with central.writing() as cleaner:
            impatient(cleaner)
            assert retention.prune(cleaner, NOW, retention.Retention()).runs == 1
            with pytest.raises(HistoryError):
                blobs.get(cleaner, near)
        assert runs.read(connection, run) == (mine,)
    with central.reading() as connection:
        assert runs.read(connection, run) == (mine,)
        assert blobs.get(connection, other).endswith(b" ")


def _address(connection: sa.Connection, run_id: int, name: str) -> str:
    (stored,) = snapshots.of_run(connection, run_id)
    return snapshots.addresses(connection, stored)[name]


def test_nobody_cleans_up_what_is_being_written(central: store.Store, taken: Snapshot) -> None:
    for number in (1, 2):
        for hours in (240, 239, 0):
            store_run(central, of_cluster(taken, number, NOW - timedelta(hours=hours), 300 - hours))
    with central.writing() as one:
        runs.add(one, NewRun([of_cluster(taken, 1, NOW + timedelta(hours=1), 301)]))
        with central.writing() as cleaner:
            impatient(cleaner)
            done = retention.prune(cleaner, NOW, retention.Retention())
            with central.writing() as another:
                assert retention.prune(another, NOW, retention.Retention()).runs == 0
    assert (done.runs, done.left) == (1, 1)
    assert all_can_be_read(central) == 6


def test_a_run_that_is_removed_while_it_is_looked_at_does_not_count(
    central: store.Store, taken: Snapshot
) -> None:
    for hours in (240, 239, 0):
        store_run(central, of_cluster(taken, 1, NOW - timedelta(hours=hours), 300 - hours))
    pruned: list[retention.Pruned] = []
    other = store.open_store(central.place.value)

    def remove(*words: Any) -> None:
        if "blobs" in words[2] and not pruned:
            with other.writing() as cleaner:
                pruned.append(retention.prune(cleaner, NOW, retention.Retention()))

    sa.event.listen(central.engine, "before_cursor_execute", remove)
    between = store_run(central, of_cluster(taken, 1, NOW - timedelta(hours=239.5), 60))
    assert pruned[0].runs == 1
    assert between.cluster_id == 1
    assert all_can_be_read(central) == 3


def test_a_month_begins_without_anybody_waiting(central: store.Store, taken: Snapshot) -> None:
    for number in (1, 2, 3):
        store_run(central, of_cluster(taken, number))
    october = datetime(2026, 10, 1, tzinfo=NOW.tzinfo)
    with central.writing() as one:
        runs.add(one, NewRun([of_cluster(taken, 1, october, 2)]))
        with central.writing() as other:  # in a month that is there
            impatient(other)
            runs.add(other, NewRun([of_cluster(taken, 2, NOW + timedelta(hours=1), 2)]))
        wait = in_thread(lambda: store_run(central, of_cluster(taken, 3, october, 2)))
    wait()
    assert all_can_be_read(central) == 6
    with central.reading() as connection:
        parts = connection.exec_driver_sql(
            "select count(*) from pg_inherits join pg_class c on c.oid = inhrelid"
            f" where relnamespace = '{SCHEMA}'::regnamespace and relname ~ '^(numbers|statement_work)_2026_10$'"
        ).scalar()
    assert parts == 2


_WRITER = """
import pickle, sys
from datetime import timedelta
from pgwatch_wed.history import retention, runs, store
from tests.history.test_writers import NOW, of_cluster
opened = store.open_store(sys.argv[1])
taken = pickle.load(open(sys.argv[2], "rb"))
for day in range(4):
    for number in range(int(sys.argv[3]), int(sys.argv[4])):
        moment = NOW - timedelta(days=60 - day // 2, hours=6 * (day % 2), minutes=number)
        with opened.writing() as connection:
            runs.add(connection, runs.NewRun([of_cluster(taken, number, moment, day + 1)]))
    with opened.writing() as connection:
        retention.prune(connection, NOW, retention.Retention(), batch=4)
"""


def test_processes_write_and_clean_up_at_the_same_time(
    central: store.Store, taken: Snapshot, tmp_path: Path
) -> None:
    (tmp_path / "taken").write_bytes(pickle.dumps(taken))
    store_run(central, of_cluster(taken, 99))  # the newest: ages are counted from it
    spans = ((1, 3), (2, 4))  # both write about the second
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _WRITER, central.place.value, tmp_path / "taken", *map(str, s)],
            stderr=subprocess.PIPE,
            text=True,
        )
        for s in spans
    ]
    assert [(p.communicate(timeout=120)[1], p.returncode) for p in processes] == [("", 0)] * 2
    while True:
        with central.writing() as connection:
            if not retention.prune(connection, NOW, retention.Retention()).runs:
                break
    # of two runs a day of three clusters, the last one stays; and the newest of all does in any case
    assert all_can_be_read(central) == 3 * 3 + 1
    assert what_nothing_needs(central) == set()
    with central.reading() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(clusters)).scalar() == 4


def test_a_fleet_run_ends_when_its_last_two_visits_end_at_once(central: store.Store) -> None:
    with central.writing() as connection:
        members = [Member(name, ("host=x",)) for name in ("a", "b")]
        run = visit_log.begin(connection, members, NOW, {})
    ended: dict[str, Any] = {"ending": VisitEnding.UNREACHABLE, "ended_at": NOW}

    def end(name: str) -> None:
        with central.writing() as connection:
            visit_log.end(connection, Visit(run.id, name, **ended))

    with central.writing() as connection:
        visit_log.end(connection, Visit(run.id, "a", **ended))
        wait = in_thread(lambda: end("b"))
    wait()
    with central.reading() as connection:
        assert visit_log.runs_of_fleet(connection)[0].ended_at == NOW


def test_threads_that_write_into_a_file_queue(
    file: store.Store, taken: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "_WAIT_S", 0.01)
    opened = store.open_store(file.place.value)

    def write(number: int) -> None:
        for hours in range(2):
            store_run(opened, of_cluster(taken, number, NOW + timedelta(hours=hours), hours + 1))

    waits = [in_thread(lambda n=n: write(n)) for n in range(8)]  # type: ignore[misc]
    for wait in waits:
        wait()
    assert all_can_be_read(file) == 16
