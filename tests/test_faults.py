"""Whatever fails on the way: a full or honestly partial snapshot, or one clear line; never a hang."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from pgwatch_wed.errors import CollectError, ConnectError, Error
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.target.capabilities import UNEXPECTED
from pgwatch_wed.target.collect import DERIVED, ORDER, collect
from pgwatch_wed.target.connect import APPLICATION_NAME
from tests.conftest import StartServer
from tests.proxy import Proxy, proxied
from tests.servers import Server
from tests.test_queries import lacking
from tests.zoo import SCRIPT, zoo

# Far above what a healthy run takes on a slow machine, far below waiting for anything.
PROMPT_S = 20


@pytest.fixture(scope="module")
def animals(pg: Server) -> Iterator[str]:
    with zoo(pg) as dsn:
        yield dsn


@contextmanager
def timed(seconds: float = PROMPT_S) -> Iterator[None]:
    """Fail where the block takes longer."""
    begun = time.monotonic()
    yield
    assert time.monotonic() - begun < seconds


@contextmanager
def holding(dsn: str, statement: str) -> Iterator[None]:
    """Run a statement in a transaction that stays open."""
    with psycopg.connect(dsn) as connection:
        connection.execute(statement)
        yield
        connection.rollback()


@contextmanager
def queued(dsn: str, statement: str) -> Iterator[None]:
    """Run a statement that has to wait for somebody's lock."""
    connection = psycopg.connect(dsn, autocommit=True)

    def wait() -> None:
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute(statement)

    thread = threading.Thread(target=wait)
    thread.start()
    try:
        with psycopg.connect(dsn, autocommit=True) as admin:
            _until(lambda: _is_waiting(admin, connection.info.backend_pid))
        yield
    finally:
        connection.cancel_safe()
        thread.join()
        connection.close()


def _is_waiting(admin: psycopg.Connection[tuple[object, ...]], pid: int) -> bool:
    query = "select exists (select from pg_locks where pid = %s and not granted)"
    return admin.execute(query, [pid]).fetchone() == (True,)


def _until(condition: Callable[[], bool], seconds: float = PROMPT_S) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def ours(dsn: str) -> list[tuple[object, ...]]:
    """Server processes that this tool has."""
    with psycopg.connect(dsn, autocommit=True) as admin:
        return admin.execute(
            "select pid, state, query from pg_stat_activity where application_name = %s",
            [APPLICATION_NAME],
        ).fetchall()


def assert_nothing_of_ours_runs(dsn: str) -> None:
    _until(lambda: not ours(dsn))


# Locks

LOCKED = {
    "table": ("lock table app.orders in access exclusive mode", {"app.orders"}),
    "partition": ("lock table only app.events_2024 in access exclusive mode", {"app.events_2024"}),
    "parent": ("lock table app.events in access exclusive mode", {"app.events"}),
    "index": ("drop index app.orders_lower_idx", {"app.orders"}),
    "rewrite": (
        "alter table app.customers add column drawn float8 default random()",
        {"app.customers"},
    ),
    "matview": ("refresh materialized view app.totals", {"app.totals"}),
    "sequence": ("drop sequence app.loose cascade", {"app.uses_loose"}),
    "vacuum full": ("truncate app.unlogged_one restart identity", {"app.unlogged_one"}),
    "nothing else": ("alter sequence app.loose increment -3", set()),
}


@pytest.mark.parametrize("what", LOCKED)
def test_a_held_lock_costs_the_definitions_of_its_table_alone(animals: str, what: str) -> None:
    statement, tables = LOCKED[what]
    before = collect(animals)
    with holding(animals, statement), timed():
        snapshot = collect(animals)
    assert set(lacking(snapshot)) <= {"index_definitions:left-out", "sequences:left-out"}
    lost = {i.oid for i in before.indexes} - {d.oid for d in snapshot.index_definitions}
    assert {_table(before, oid) for oid in lost} <= tables | {"app.events_2024", "app.events_rest"}
    assert len(snapshot.tables) == len(before.tables)
    assert len(snapshot.columns) == len(before.columns)
    assert len(snapshot.column_statistics) == len(before.column_statistics)
    unread = {s.name for s in snapshot.sequences if not s.is_readable}
    assert len(unread) <= 1


def _table(snapshot: Snapshot, index_oid: int) -> str:
    table = snapshot.table_by_oid[snapshot.index_by_oid[index_oid].table_oid]
    return f"{table.schema}.{table.name}"


@pytest.mark.parametrize("relation", ["app.orders", "app.events_2024", "app.customers"])
def test_a_queued_alter_table_is_not_waited_for(animals: str, relation: str) -> None:
    before = collect(animals)
    with (
        holding(animals, f"lock table {relation} in access share mode"),
        queued(animals, f"alter table {relation} add column late int"),
        timed(),
    ):
        snapshot = collect(animals)
    assert set(lacking(snapshot)) == {"index_definitions:left-out"}
    lost = {i.oid for i in before.indexes} - {d.oid for d in snapshot.index_definitions}
    assert {_table(before, oid) for oid in lost} == {relation}


def test_a_lock_that_comes_between_look_and_read_costs_its_table_alone(animals: str) -> None:
    """DDL on one table after another, all the time: the second look, or a half, gets through."""
    stop = threading.Event()

    def churn() -> None:
        with psycopg.connect(animals, autocommit=True) as other:
            while not stop.is_set():
                with other.transaction(force_rollback=True):
                    other.execute("lock table app.orders in access exclusive mode")
                    stop.wait(0.05)

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        for _ in range(10):
            snapshot = collect(
                animals, only=["tables", "indexes", "index_definitions", "sequences"]
            )
            assert set(lacking(snapshot)) <= {"index_definitions:left-out"}
            read = {d.oid for d in snapshot.index_definitions}
            assert {_table(snapshot, i.oid) for i in snapshot.indexes if i.oid not in read} <= {
                "app.orders"
            }
    finally:
        stop.set()
        thread.join()


def test_a_locked_catalog_costs_the_facts_that_are_in_it(animals: str) -> None:
    with holding(animals, "lock table pg_publication in access exclusive mode"), timed():
        snapshot = collect(animals)
    assert set(lacking(snapshot)) == {"publications"}
    assert "lock" in snapshot.missing["publications"].reason


def test_nobody_waits_for_us_and_we_hold_nothing_but_catalogs(animals: str) -> None:
    """Look at our locks from outside, as often as we can, during several runs."""
    seen: set[tuple[object, ...]] = set()
    stop = threading.Event()

    def look() -> None:
        query = """
            select distinct l.locktype, l.mode, coalesce(l.relation >= 16384, false)
            from pg_locks l join pg_stat_activity a using (pid)
            where a.application_name = %s"""
        with psycopg.connect(animals, autocommit=True) as admin:
            while not stop.is_set():
                seen.update(admin.execute(query, [APPLICATION_NAME]).fetchall())

    thread = threading.Thread(target=look)
    thread.start()
    for _ in range(10):
        collect(animals)
    stop.set()
    thread.join()
    assert ("relation", "AccessShareLock", False) in seen
    assert seen <= {
        ("relation", "AccessShareLock", False),
        ("relation", "AccessShareLock", True),  # pg_stat_statements' views, sequences
        ("virtualxid", "ExclusiveLock", False),
        ("object", "RowExclusiveLock", False),  # every process has it on its database as it starts
    }


def test_ddl_passes_while_we_read(animals: str) -> None:
    """Every table altered, every sequence too, with no patience at all, during several runs."""
    stop = threading.Event()
    failed: list[Exception] = []

    def alter() -> None:
        with psycopg.connect(animals, autocommit=True) as other:
            other.execute("set lock_timeout = '2s'")
            while not stop.is_set():
                try:
                    other.execute("alter table app.orders set (fillfactor = 90)")
                    other.execute("alter sequence app.loose increment -2")
                    other.execute("alter index app.orders_lower_idx set (fillfactor = 70)")
                except psycopg.errors.LockNotAvailable as error:
                    failed.append(error)

    thread = threading.Thread(target=alter)
    thread.start()
    for _ in range(10):
        collect(animals)
    stop.set()
    thread.join()
    assert not failed


# Roles' own limits


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("statement_timeout", "40ms"),
        ("lock_timeout", "1ms"),
        ("idle_in_transaction_session_timeout", "30ms"),
        ("work_mem", "64kB"),
        ("search_path", "evil"),
        ("default_transaction_isolation", "serializable"),
        ("DateStyle", "German"),
        ("extra_float_digits", "-15"),
        ("bytea_output", "escape"),
        ("standard_conforming_strings", "off"),
        ("client_encoding", "LATIN1"),
        ("enable_nestloop", "off"),
    ],
)
def test_a_roles_own_settings_do_not_matter(
    pg: Server, animals: str, name: str, value: str
) -> None:
    with pg.role("pg_monitor", "pg_read_all_data") as role:
        alter = sql.SQL("alter role {} set {} = {}")
        pg.execute(alter.format(sql.Identifier(role), sql.Identifier(name), sql.Literal(value)))
        snapshot = collect(make_conninfo(animals, user=role))
    assert set(lacking(snapshot)) == {"file_settings"}
    assert snapshot.now.tzinfo is not None


# Connections that end


def facts_read(snapshot: Snapshot) -> set[str]:
    return {name for name in ORDER if name not in snapshot.missing}


def attempt(dsn: str, **more: object) -> Snapshot | Error:
    """Collect; only the errors that a user may see are let through."""
    try:
        return collect(dsn, **more)  # type: ignore[arg-type]
    except (ConnectError, CollectError) as error:
        return error


@pytest.mark.slow
def test_a_connection_that_breaks_at_any_message_costs_what_was_not_yet_read(animals: str) -> None:
    """Break it at the n-th message, for every n."""
    counts: list[int] = []
    for n in range(1000):
        with proxied(animals, at=n) as (proxy, dsn):
            result = attempt(dsn)
        if proxy.messages <= n:
            break
        if isinstance(result, Snapshot):
            counts.append(len(facts_read(result)))
            broken = set(lacking(result)) & set(ORDER)
            assert len(broken) == len(ORDER) - counts[-1]
            assert all("connection was lost" in result.missing[name].reason for name in broken)
    assert isinstance(result, Snapshot)
    assert lacking(result) == {}
    assert n > 2 * len(ORDER)
    assert counts == sorted(counts), "breaking later must not lose more"
    assert counts[0] == 0
    assert counts[-1] >= len(ORDER) - 1
    assert_nothing_of_ours_runs(animals)


@pytest.mark.parametrize("fact", ORDER)
def test_a_terminated_backend_costs_the_facts_from_there_on(animals: str, fact: str) -> None:
    def kill(what: str, _share: float) -> None:
        if what == fact.replace("_", " "):
            with psycopg.connect(animals, autocommit=True) as admin:
                admin.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity"
                    " where application_name = %s",
                    [APPLICATION_NAME],
                )

    snapshot = collect(animals, progress=kill)
    assert facts_read(snapshot) == set(ORDER[: ORDER.index(fact)])
    assert "terminating connection due to administrator command" in snapshot.missing[fact].reason


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_server_that_restarts_in_the_middle_costs_the_rest(
    start_pg: StartServer, mode: str
) -> None:
    server = start_pg()
    assert server.local is not None
    local = server.local

    def restart(what: str, _share: float) -> None:
        if what == "columns":
            local.halt(mode)
            local.boot()

    snapshot = collect(server.dsn(), progress=restart)
    assert facts_read(snapshot) == set(ORDER[: ORDER.index("columns")])
    assert collect(server.dsn()).missing.keys() <= {"statements", "statements_info", *DERIVED}


# Networks that stall


@pytest.mark.parametrize("message", [0, 1, 2, 3, 10, 60])
def test_a_network_that_stalls_for_good_ends_the_run_by_its_budget(
    animals: str, message: int
) -> None:
    with proxied(animals, at=message, act=Proxy.stall) as (_, dsn), timed():
        result = attempt(dsn, budget_s=2)
        if isinstance(result, Snapshot):
            silent = [m.reason for m in result.missing.values() if "did not respond" in m.reason]
            assert silent
            assert len(facts_read(result)) < len(ORDER)


def test_a_network_that_stalls_for_a_while_costs_nothing(animals: str) -> None:
    def pause(proxy: Proxy) -> None:
        proxy.stall()
        threading.Timer(2, proxy.resume).start()

    with proxied(animals, at=40, act=pause) as (_, dsn), timed():
        assert lacking(collect(dsn, budget_s=60)) == {}


def test_a_server_that_is_frozen_ends_the_run_by_its_budget(start_pg: StartServer) -> None:
    import psutil

    server = start_pg()
    frozen: list[psutil.Process] = []

    def freeze(what: str, _share: float) -> None:
        if what == "tables":
            (pid, *_), *_ = ours(server.dsn())
            frozen.append(psutil.Process(int(str(pid))))
            frozen[0].suspend()

    with timed():
        snapshot = collect(server.dsn(), budget_s=2, progress=freeze)
    frozen[0].resume()
    assert "did not respond" in snapshot.missing["tables"].reason
    assert_nothing_of_ours_runs(server.dsn())


# Things that vanish


@pytest.mark.slow
def test_objects_that_come_and_go_are_never_an_error(pg: Server, animals: str) -> None:
    stop = threading.Event()
    scripts = (
        (
            "create table app.gone (id serial primary key, x text);"
            "insert into app.gone (x) values ('a');"
            "create index gone_idx on app.gone (lower(x)) where x is not null;"
            "analyze app.gone; drop table app.gone"
        ),
        "create role gone_role login; drop role gone_role",
        "create sequence app.gone_seq; select nextval('app.gone_seq'); drop sequence app.gone_seq",
        "create materialized view app.gone_view as select 1 as one; drop materialized view app.gone_view",
        "alter table app.base alter id set default 1; alter table app.base alter id drop default",
    )

    def churn(script: str) -> None:
        with psycopg.connect(animals, autocommit=True) as other:
            while not stop.is_set():
                for statement in script.split(";"):
                    other.execute(statement)

    def databases() -> None:
        while not stop.is_set():
            with pg.database():
                pass

    threads = [threading.Thread(target=churn, args=(s,)) for s in scripts]
    threads.append(threading.Thread(target=databases))
    for thread in threads:
        thread.start()
    try:
        for _ in range(30):
            snapshot = collect(animals)
            assert set(lacking(snapshot)) <= {"index_definitions:left-out", "sequences:left-out"}
            assert len(snapshot.index_definitions) >= 10
    finally:
        stop.set()
        for thread in threads:
            thread.join()


# Company


def test_two_runs_at_once_do_not_see_each_other(animals: str) -> None:
    snapshots: list[Snapshot] = []
    threads = [
        threading.Thread(target=lambda: snapshots.append(collect(animals))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(snapshots) == 4
    for snapshot in snapshots:
        assert lacking(snapshot) == {}
        assert not [s for s in snapshot.sessions if s.application_name == APPLICATION_NAME]
        assert snapshot.lock_waits == ()


def test_a_server_without_a_free_connection_is_one_clear_line(start_pg: StartServer) -> None:
    server = start_pg({"max_connections": "5", "superuser_reserved_connections": "0"})
    with ExitStack() as stack:
        for _ in range(5):
            stack.enter_context(psycopg.connect(server.dsn()))
        with pytest.raises(ConnectError, match="too many clients") as caught:
            collect(server.dsn())
    assert "no connection slot" in caught.value.hint


# pg_stat_statements in every state


def test_without_the_extension_the_reason_says_how_to_get_it(db: str) -> None:
    missing = collect(db).missing
    assert "CREATE EXTENSION pg_stat_statements" in missing["statements"].mend


def test_an_extension_that_is_not_preloaded_is_told_from_one_that_is_empty(
    start_pg: StartServer,
) -> None:
    server = start_pg({"shared_preload_libraries": ""})
    with psycopg.connect(server.dsn(), autocommit=True) as admin:
        admin.execute("create extension pg_stat_statements")
    missing = collect(server.dsn()).missing
    for name in ("statements", "statements_info"):
        assert "the library is not loaded" in missing[name].reason
        assert "shared_preload_libraries" in missing[name].mend


def test_no_reason_is_an_unexpected_error_in_any_of_these(start_pg: StartServer) -> None:
    server = start_pg({"track_activities": "off", "track_counts": "off", "track_io_timing": "off"})
    with psycopg.connect(server.dsn(), autocommit=True) as admin:
        admin.execute(SCRIPT)
    snapshot = collect(server.dsn())
    assert not [m for m in snapshot.missing.values() if UNEXPECTED in m.reason]
    assert lacking(snapshot) == {}
