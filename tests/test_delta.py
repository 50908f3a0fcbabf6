"""The difference of two snapshots, over everything that happens to a server's counters in between."""

import os
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest

from pgwatch_wed.embedded import server as embedded
from pgwatch_wed.errors import DeltaError
from pgwatch_wed.facts import Snapshot, Statement, TableActivity
from pgwatch_wed.facts import file as snapshot_file
from pgwatch_wed.facts.counting import COUNTERS
from pgwatch_wed.facts.delta import delta
from pgwatch_wed.facts.lineage import lineage
from pgwatch_wed.target.collect import collect
from tests.conftest import StartServer
from tests.psql import psql
from tests.rules.waiting import eventually
from tests.servers import Server
from tests.standby import catch_up, standby_of

SHOP = """
create extension pg_stat_statements;
create table orders (id int primary key, customer int, note text) with (autovacuum_enabled = off);
create index orders_customer on orders (customer);
create table events (id int) with (autovacuum_enabled = off);
create table quiet (id int) with (autovacuum_enabled = off);
insert into orders select g, g % 50, 'n' from generate_series(1, 2000) g;
insert into events select generate_series(1, 100);
vacuum analyze orders;
"""
READ = "select count(*) from events where id > 0"
LOOK_UP = "set enable_seqscan = off; select note from orders where id = 7"
WRITE = "insert into events values (1)"


@pytest.fixture
def shop(every_db: str) -> str:
    psql(every_db, SHOP)
    return every_db


def work(dsn: str, times: int) -> None:
    """Read, look up and write so often; all of it is reported at once, when the transaction has ended."""
    with psycopg.connect(dsn, prepare_threshold=None) as connection:
        for _ in range(times):
            for statement in (READ, LOOK_UP, WRITE):
                connection.execute(statement.encode())


def table(snapshot: Snapshot, name: str) -> TableActivity | None:
    (oid,) = [t.oid for t in snapshot.tables if t.name == name]
    return snapshot.activity_by_oid.get(oid)


def scans(snapshot: Snapshot, index: str) -> int | None:
    (oid,) = [i.oid for i in snapshot.indexes if i.name == index]
    usage = snapshot.usage_by_oid.get(oid)
    return usage.idx_scan if usage else None


def calls(snapshot: Snapshot, text: str) -> int:
    return sum(s.calls for s in snapshot.statements if s.text and text in s.text)


def taken(dsn: str, holds: Callable[[Snapshot], bool] = lambda _: True) -> Snapshot:
    """Take a snapshot once what is expected has been reported."""

    def look() -> Snapshot | None:
        found = collect(dsn)
        return found if holds(found) else None

    snapshot: Snapshot = eventually(look)
    assert_sound(snapshot)
    return snapshot


def seen(name: str, scans: int) -> Callable[[Snapshot], bool]:
    def holds(snapshot: Snapshot) -> bool:
        found = table(snapshot, name)
        return found is not None and found.seq_scan >= scans

    return holds


def is_analyzed(snapshot: Snapshot, name: str) -> bool:
    found = table(snapshot, name)
    return found is not None and found.last_analyze is not None


def database_reset(snapshot: Snapshot) -> datetime | None:
    return snapshot.database.stats_reset if snapshot.database else None


def between(old: Snapshot, new: Snapshot) -> Snapshot:
    found = delta(old, new)
    assert_sound(found)
    assert found.measured_since == old.now
    return found


def assert_sound(snapshot: Snapshot) -> None:
    """No counter is negative, and no mean is impossible."""
    for fact, counters in COUNTERS.items():
        for row in getattr(snapshot, fact):
            values = {name: getattr(row, name) for name in counters.fields}
            assert all(v is None or v >= 0 for v in values.values()), (fact, values)
    for s in snapshot.statements:
        assert s.min_exec_ms is None or s.max_exec_ms is None or s.min_exec_ms <= s.max_exec_ms
        assert s.stddev_exec_ms >= 0
        if s.calls:
            assert s.mean_exec_ms == pytest.approx(s.total_exec_ms / s.calls)


# --- nothing special ------------------------------------------------------------------------------


def test_what_was_done_in_between_is_counted_once(shop: str) -> None:
    work(shop, 5)
    old = taken(shop, seen("events", 5))
    work(shop, 7)
    new = taken(shop, seen("events", 12))
    found = between(old, new)
    events = table(found, "events")
    assert events is not None
    assert (events.seq_scan, events.n_tup_ins) == (7, 7)
    assert events.n_live_tup == 112, "what is there now is not a counter"
    assert scans(found, "orders_pkey") == 7
    assert scans(found, "orders_customer") == 0
    assert calls(found, "from events") == 7
    (read,) = [s for s in found.statements if s.text and "from events" in s.text]
    assert read.rows == 7
    assert [s for s in found.statements if s.text and s.text.startswith("create")] == []
    assert found.window.begins == found.statements_window.begins == old.now
    assert all(c.known == c.rows for c in found.delta_coverage)
    assert not [n for n in found.missing.keys() - new.missing.keys() if n.endswith("left-out")]


def test_the_spread_of_the_calls_in_between_is_reckoned_from_both(shop: str) -> None:
    def sleep(*seconds: float) -> None:
        with psycopg.connect(shop, autocommit=True, prepare_threshold=None) as connection:
            for each in seconds:
                connection.execute(f"select pg_sleep({each})".encode())

    sleep(0.3, 0.001)
    old = taken(shop)
    sleep(0.05, 0.15)
    found = between(old, taken(shop))
    (slept,) = [s for s in found.statements if s.text and "pg_sleep" in s.text]
    assert slept.calls == 2
    assert slept.mean_exec_ms == pytest.approx(100, rel=0.2)
    assert slept.stddev_exec_ms == pytest.approx(50, rel=0.3)
    assert (slept.min_exec_ms, slept.max_exec_ms) == (None, None), "they are of the calls before"


def test_the_extremes_are_known_where_they_moved_or_were_reset(shop: str) -> None:
    def snapshot_after(seconds: float) -> Statement:
        with psycopg.connect(shop, autocommit=True) as connection:
            for _ in range(2):
                connection.execute(f"select pg_sleep({seconds})".encode())
        found = between(old, taken(shop))
        (slept,) = [s for s in found.statements if s.text and "pg_sleep" in s.text]
        return slept

    psql(shop, "select pg_sleep(0.02)")
    old = taken(shop)
    longer = snapshot_after(0.06)
    assert longer.max_exec_ms is not None
    assert longer.max_exec_ms >= 60
    assert longer.min_exec_ms is None
    old = taken(shop)
    shorter = snapshot_after(0.005)
    assert shorter.min_exec_ms is not None
    assert 5 <= shorter.min_exec_ms < 20
    assert shorter.max_exec_ms is None


def test_a_delta_can_be_judged_saved_and_loaded(shop: str) -> None:
    old = taken(shop)
    work(shop, 3)
    found = between(old, taken(shop, seen("events", 3)))
    again = snapshot_file.loads(snapshot_file.dumps(found))
    assert again.delta_coverage == found.delta_coverage
    assert again.window == found.window


# --- DDL ------------------------------------------------------------------------------------------


def test_objects_that_come_and_go_and_are_renamed(shop: str) -> None:
    work(shop, 5)
    old = taken(shop, seen("events", 5))
    psql(
        shop,
        "drop table quiet; create table fresh (id int); insert into fresh values (1), (2);"
        " select count(*) from fresh; alter table orders rename to bookings;"
        " set enable_seqscan = off; select note from bookings where customer = 3;"
        " drop index orders_customer;",
    )
    work_on_bookings = "set enable_seqscan = off; select note from bookings where id = 3"
    psql(shop, work_on_bookings)
    found = between(
        old, taken(shop, lambda s: seen("fresh", 1)(s) and scans(s, "orders_pkey") == 6)
    )
    fresh, bookings = table(found, "fresh"), table(found, "bookings")
    assert fresh is not None
    assert bookings is not None
    assert fresh.n_tup_ins == 2
    assert bookings.idx_scan == 1, "the scans of the dropped index are no longer in the sum"
    assert scans(found, "orders_pkey") == 1


def test_a_dropped_index_takes_its_scans_along(shop: str) -> None:
    look = "set enable_seqscan = off; select note from orders where customer = 3"
    before = taken(shop, lambda s: table(s, "orders") is not None)
    for _ in range(4):
        psql(shop, look)
    old = taken(shop, lambda s: scans(s, "orders_customer") == 4)
    psql(shop, "drop index orders_customer")
    psql(shop, LOOK_UP)
    new = taken(shop, lambda s: (t := table(s, "orders")) is not None and t.idx_scan == 1)
    found = between(old, new)
    # tables are read before their indexes, and these may be scanned in between
    between_them = between(replace(old, table_activity=before.table_activity), new)
    for each in (found, between_them):
        orders = table(each, "orders")
        assert orders is not None
        assert orders.idx_scan == 1
        assert {c.fact: c.lost for c in each.delta_coverage}["index_usage"] == 1


def test_an_index_that_was_rebuilt_is_not_counted_twice(shop: str) -> None:
    work(shop, 5)
    old = taken(shop, lambda s: scans(s, "orders_pkey") == 5)
    psql(shop, "reindex index concurrently orders_pkey")
    work(shop, 2)
    new = taken(shop, lambda s: (scans(s, "orders_pkey") or 0) in (2, 7))
    found = between(old, new)
    assert scans(found, "orders_pkey") == 2


def test_a_partition_that_is_attached_goes_on(shop: str) -> None:
    psql(shop, "create table log (id int) partition by range (id)")
    work(shop, 2)
    old = taken(shop, seen("events", 2))
    psql(
        shop,
        "create table log_1 (id int not null); insert into log_1 values (1); select * from log_1;",
    )
    psql(
        shop,
        "alter table log attach partition log_1 for values from (0) to (10); select * from log",
    )
    found = between(old, taken(shop, seen("log_1", 2)))
    partition = table(found, "log_1")
    assert partition is not None
    assert partition.n_tup_ins == 1


# --- resets ---------------------------------------------------------------------------------------


def test_after_a_reset_of_all_the_window_begins_there(shop: str) -> None:
    work(shop, 5)
    old = taken(shop, seen("events", 5))
    psql(shop, "select pg_stat_reset()")
    work(shop, 2)
    new = taken(shop, lambda s: database_reset(s) != database_reset(old) and seen("events", 2)(s))
    found = between(old, new)
    events = table(found, "events")
    assert events is not None
    assert events.seq_scan == 2
    assert new.database is not None
    assert found.window.begins == new.database.stats_reset
    assert "reset" in found.window.reason
    assert calls(found, "from events") == 2, "statements go on"
    assert found.statements_window.begins == old.now


def test_after_the_reset_of_one_table_the_others_go_on(shop: str) -> None:
    psql(shop, "select count(*) from quiet")
    work(shop, 9)
    old = taken(shop, seen("events", 9))
    psql(shop, "select pg_stat_reset_single_table_counters('quiet'::regclass)")
    work(shop, 2)
    new = taken(shop, lambda s: (t := table(s, "events")) is not None and t.seq_scan in (2, 11))
    found = between(old, new)
    assert table(found, "quiet") is None, "its time is shorter"
    events = table(found, "events")
    # nothing is old enough to prove that only one table was reset: what cannot be told is left out
    assert events is None or events.seq_scan == 2
    assert found.missing["table_activity:left-out"].reason


@pytest.mark.pg(">= 19")
def test_where_rows_have_dates_they_tell_that_the_reset_was_of_one_table(every_pg: Server) -> None:
    with every_pg.database() as dsn:
        psql(dsn, SHOP)
        psql(dsn, "select count(*) from quiet")
        work(dsn, 9)
        old = taken(dsn, seen("events", 9))
        psql(dsn, "select pg_stat_reset_single_table_counters('quiet'::regclass)")
        work(dsn, 2)
        found = between(old, taken(dsn, seen("events", 11)))
        events = table(found, "events")
        assert events is not None
        assert (events.seq_scan, table(found, "quiet")) == (2, None)
        assert scans(found, "orders_pkey") == 2
        old = taken(dsn, seen("events", 11))
        psql(dsn, "select pg_stat_reset()")
        work(dsn, 30)
        new = taken(dsn, lambda s: (t := table(s, "events")) is not None and t.seq_scan == 30)
        events = table(between(old, new), "events")
        assert events is not None
        assert events.seq_scan == 30


def test_a_date_that_is_older_proves_that_the_reset_was_of_one_table(shop: str) -> None:
    """The dates are moved apart here, since they are hours in real life."""
    psql(shop, "select count(*) from quiet; analyze orders")
    work(shop, 9)
    old = taken(shop, seen("events", 9))
    psql(shop, "select pg_stat_reset_single_table_counters('quiet'::regclass)")
    work(shop, 2)
    new = aged(taken(shop, seen("events", 11)), "orders", timedelta(hours=3))
    found = between(old, new)
    assert table(found, "quiet") is None
    events = table(found, "events")
    assert events is not None
    assert events.seq_scan == 2
    assert found.window.begins == old.now


def aged(snapshot: Snapshot, name: str, by: timedelta) -> Snapshot:
    """Make the last analysis of a table older."""
    (oid,) = [t.oid for t in snapshot.tables if t.name == name]
    rows = (
        replace(a, last_analyze=a.last_analyze - by) if a.oid == oid and a.last_analyze else a
        for a in snapshot.table_activity
    )
    return replace(snapshot, table_activity=tuple(rows))


def test_a_window_is_unknown_if_a_counter_is_older_than_the_reset(shop: str) -> None:
    psql(shop, "select pg_stat_reset_single_table_counters('quiet'::regclass)")
    snapshot = taken(shop, lambda s: database_reset(s) is not None and is_analyzed(s, "orders"))
    assert snapshot.database is not None
    assert snapshot.window.begins == snapshot.database.stats_reset
    old = aged(snapshot, "orders", timedelta(days=300))
    assert old.window.begins is None
    assert "single objects" in old.window.reason
    assert old.proven_window.begins == snapshot.database.stats_reset, "at least since then"


def test_statements_that_were_all_forgotten_begin_anew(shop: str) -> None:
    work(shop, 5)
    old = taken(shop, seen("events", 5))
    psql(shop, "select pg_stat_statements_reset()")
    work(shop, 2)
    found = between(old, taken(shop, seen("events", 7)))
    assert calls(found, "from events") == 2
    assert found.window.begins == old.now
    if found.statements_info[0].stats_reset is not None:
        assert found.statements_window.begins == found.statements_info[0].stats_reset
    events = table(found, "events")
    assert events is not None
    assert events.seq_scan == 2, "tables go on"


def test_one_statement_that_was_forgotten_and_called_more_often(shop: str) -> None:
    """100 calls, a reset, 130 calls: not 30."""
    with psycopg.connect(shop, autocommit=True, prepare_threshold=None) as connection:

        def sleep(seconds: float, times: int) -> None:
            for _ in range(times):
                connection.execute(f"select pg_sleep({seconds})".encode())

        sleep(0.0001, 99)
        sleep(0.3, 1)
        old = taken(shop)
        (entry,) = [s for s in old.statements if s.text and "pg_sleep" in s.text]
        connection.execute(f"select pg_stat_statements_reset(0, 0, {entry.query_id})".encode())
        sleep(0.0001, 130)
    found = between(old, taken(shop))
    (slept,) = [s for s in found.statements if s.query_id == entry.query_id]
    assert slept.calls == 130, "its maximum fell, or stats_since tells"


# --- the server -----------------------------------------------------------------------------------


@pytest.fixture
def server(start_pg: StartServer) -> embedded.EmbeddedServer:
    local = start_pg({}).local
    assert local is not None
    return local


def test_a_clean_restart_changes_nothing(server: embedded.EmbeddedServer) -> None:
    dsn = server.dsn()
    psql(dsn, SHOP)
    work(dsn, 5)
    old = taken(dsn, seen("events", 5))
    server.restart()
    work(dsn, 2)
    new = taken(dsn, seen("events", 7))
    found = between(old, new)
    events = table(found, "events")
    assert old.server.started_at != new.server.started_at
    assert events is not None
    assert events.seq_scan == 2
    assert calls(found, "from events") == 2
    assert found.window.begins == old.now


def test_after_a_crash_of_a_backend_the_counters_have_begun_there(
    every_pg: Server, start_pg: StartServer
) -> None:
    own = start_pg({}, every_pg.spec)
    psql(own.dsn(), SHOP)
    crashed(own.dsn(), lambda: kill_one_backend(own))


def test_after_an_immediate_stop_too(server: embedded.EmbeddedServer) -> None:
    def stop_at_once() -> None:
        server.halt("immediate")
        server.boot()

    psql(server.dsn(), SHOP)
    crashed(server.dsn(), stop_at_once)


def crashed(dsn: str, crash: Callable[[], None]) -> None:
    """More is done after the crash than before: that no counter fell does not mean that none was lost."""
    work(dsn, 5)
    old = taken(dsn, seen("events", 5))
    crash()
    eventually(lambda: is_up(dsn))
    work(dsn, 30)
    new = taken(dsn, lambda s: (t := table(s, "events")) is not None and t.seq_scan == 30)
    assert lineage(old, new).crashed is not None
    found = between(old, new)
    events = table(found, "events")
    assert events is not None
    assert events.seq_scan == 30
    assert found.window.begins is not None
    assert found.window.begins > old.now
    assert calls(found, "from events") == 30
    (database,) = [d for d in found.databases if d.oid == found.server.database_oid]
    assert database == new.database


def kill_one_backend(server: Server) -> None:
    with psycopg.connect(server.dsn()) as victim, psycopg.connect(server.dsn()) as witness:
        pid = victim.info.backend_pid
        if server.container is not None:
            server.container.exec(["bash", "-c", f"kill -9 {pid}"])
        else:
            os.kill(pid, signal.SIGKILL)
        eventually(lambda: is_cut_off(witness))


def is_cut_off(connection: psycopg.Connection[Any]) -> bool:
    """Tell whether the server has ended a session."""
    try:
        connection.execute("select 1")
    except psycopg.OperationalError:
        return True
    return False


def is_up(dsn: str) -> bool:
    try:
        with psycopg.connect(dsn):
            return True
    except psycopg.OperationalError:
        return False


def test_a_shared_reset_of_everything_is_not_a_crash(server: embedded.EmbeddedServer) -> None:
    dsn = server.dsn()
    psql(dsn, SHOP)
    work(dsn, 5)
    old = taken(dsn, seen("events", 5))
    for what in ("bgwriter", "checkpointer", "archiver", "wal", "slru", "io"):
        psql(dsn, f"select pg_stat_reset_shared('{what}')")
    work(dsn, 2)
    found = between(old, taken(dsn, seen("events", 7)))
    assert lineage(old, found).fixed_reset is not None
    events = table(found, "events")
    assert events is not None
    assert events.seq_scan == 2
    assert found.window.begins == old.now
    assert found.wal[0].stats_reset is not None
    assert found.wal[0].stats_reset > old.now, "its own time is shorter"


def test_a_server_that_was_set_back_to_an_older_copy_is_refused(
    server: embedded.EmbeddedServer,
) -> None:
    """Its counters have not begun anew: they are those of the time of the copy."""
    dsn = server.dsn()
    psql(dsn, SHOP)
    work(dsn, 9)
    taken(dsn, seen("events", 9))
    server.halt()
    copy = server.root / "copy"
    shutil.copytree(server.data, copy)
    server.boot()
    work(dsn, 90)
    old = taken(dsn, seen("events", 99))
    server.halt()
    shutil.rmtree(server.data)
    copy.rename(server.data)
    server.adopt()
    work(dsn, 2)
    new = taken(dsn, seen("events", 11))
    with pytest.raises(DeltaError, match="older copy: its position in the WAL"):
        delta(old, new)
    (wal,) = old.wal
    with pytest.raises(DeltaError, match="older copy"):
        delta(replace(old, wal=(replace(wal, lsn_bytes=None),)), new)


def test_a_standby_and_its_primary_are_not_merged(server: embedded.EmbeddedServer) -> None:
    psql(server.dsn(), SHOP)
    old = taken(server.dsn())
    with standby_of(server) as follower:
        catch_up(server, follower)
        other = collect(follower.dsn())
        with pytest.raises(DeltaError, match="another server with the same data"):
            delta(old, other)
        first = collect(follower.dsn())
        psql(follower.dsn(), READ)
        psql(follower.dsn(), "select pg_promote()")
        psql(follower.dsn(), f"{WRITE}; {READ}")
        promoted = taken(follower.dsn(), seen("events", 2))
        assert (first.server.is_in_recovery, promoted.server.is_in_recovery) == (True, False)
        events = table(between(first, promoted), "events")
        assert events is not None
        assert (events.seq_scan, events.n_tup_ins) == (2, 1)


def test_what_cannot_be_compared_is_refused_in_one_line(shop: str, every_pg: Server) -> None:
    old = taken(shop)
    with pytest.raises(DeltaError, match="same time"):
        delta(old, old)
    later = taken(shop)
    with pytest.raises(DeltaError, match="later than"):
        delta(later, old)
    with every_pg.database() as other, pytest.raises(DeltaError, match="different databases"):
        delta(old, collect(other))
    stranger = replace(later, server=replace(later.server, system_identifier="1"))
    with pytest.raises(DeltaError, match="different servers"):
        delta(old, stranger)


def test_a_renamed_database_is_the_same(every_pg: Server) -> None:
    with every_pg.database() as dsn:
        psql(dsn, SHOP)
        work(dsn, 3)
        old = taken(dsn, seen("events", 3))
        renamed = replace(collect(dsn), server=replace(collect(dsn).server, database="other"))
        assert between(old, renamed).server.database == "other"
