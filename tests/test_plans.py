"""Generic plans: found without executing, without waiting, and without running anybody's code."""

import time

import psycopg
import pytest

from pgwatch_wed.facts import StatementPlan
from pgwatch_wed.target import plans
from pgwatch_wed.target.collect import collect
from pgwatch_wed.target.door import Door, opened
from tests.rules.judging import run
from tests.servers import Server

TABLES = (
    "create extension pg_stat_statements",
    "create table cars (id int primary key, maker int)",
    "insert into cars select g, g % 50 from generate_series(1, 5000) g",
    "create table days (at date, n int) partition by range (at)",
    "create table days_1 partition of days for values from ('2026-01-01') to ('2026-02-01')",
    "create table days_2 partition of days for values from ('2026-02-01') to ('2026-03-01')",
    "analyze",
)


@pytest.fixture
def work(every_db: str) -> str:
    run(every_db, *TABLES)
    return every_db


def planned(dsn: str) -> dict[str, StatementPlan]:
    """Plan a database's statements and return them by their text."""
    snapshot = collect(dsn)
    found = {p.query_id: p for p in plans.statement_plans(dsn, snapshot, 30)}
    return {
        s.text: found[s.query_id] for s in snapshot.statements if s.text and s.query_id in found
    }


def test_statements_of_every_kind_are_planned_and_not_executed(every_pg: Server, work: str) -> None:
    run(
        work,
        "select * from cars where maker = 5",
        "select maker, count(*) from cars group by maker",
        "select * from cars order by id limit 10",
        "update cars set maker = 50 where maker = 49",
        "delete from cars where id = 5",
        "insert into cars values (9999, 1)",
        "select * from days where n = 3",
        "select * from cars a join cars b using (maker) where a.id = 7",
    )
    time.sleep(2 if every_pg.version < 15 else 0)  # the statistics collector takes its time
    before = collect(work)
    found = planned(work)
    plan = found["select * from cars where maker = $1"]
    assert plan.refused is None
    assert plan.plan_rows == pytest.approx(100, rel=0.2)
    assert "public.cars" in plan.plan
    assert not plan.is_cut
    assert not plan.is_grouped
    assert found["select maker, count(*) from cars group by maker"].is_grouped
    assert found["select * from cars order by id limit $1"].is_cut
    assert found["update cars set maker = $1 where maker = $2"].plan_rows == pytest.approx(
        100, rel=0.3
    )
    assert found["delete from cars where id = $1"].plan_rows == pytest.approx(1, abs=1)
    assert found["insert into cars values ($1, $2)"].refused is None
    assert len(found["select * from days where n = $1"].scanned_partitions) == 2
    after = collect(work)
    assert [a.n_tup_upd for a in after.table_activity] == [
        a.n_tup_upd for a in before.table_activity
    ]


def test_what_could_run_somebodys_code_is_refused(work: str) -> None:
    run(
        work,
        "create table ran (at timestamptz)",
        "create function writes() returns int language sql volatile as "
        "'insert into ran values (now()) returning 1'",
        # what is called in good faith while a statement is planned may call what is not
        "create function trap() returns int language plpgsql immutable as "
        "'begin perform writes(); return 1; end'",
        "create view seen as select * from cars where id = trap()",
        "create function added(int, int) returns int language sql immutable as 'select $1 + $2'",
        "create operator #+# (leftarg = int, rightarg = int, function = added)",
        "create function upto(text, int) returns bool language sql immutable as 'select true'",
        "create operator <= (leftarg = text, rightarg = int, function = upto)",
    )
    with psycopg.connect(work, autocommit=True) as connection:
        connection.execute("select * from cars where id = trap()")
        connection.execute("select * from seen")
        connection.execute("select * from cars where id = 1 #+# 1")
        connection.execute("select * from cars where maker between 1 and 2")
    run(work, "truncate ran")
    found = planned(work)
    assert "function" in str(found["select * from cars where id = trap()"].refused)
    assert "view" in str(found["select * from seen"].refused)
    assert "operator" in str(found["select * from cars where id = $1 #+# $2"].refused)
    assert "operator" in str(found["select * from cars where maker between $1 and $2"].refused)
    with psycopg.connect(work) as connection:
        assert connection.execute("select count(*) from ran").fetchone() == (0,)


def test_a_locked_table_is_left_alone_even_behind_a_queue(work: str) -> None:
    run(work, "select * from cars where maker = 5")
    snapshot = collect(work)
    with psycopg.connect(work) as holder, psycopg.connect(work, autocommit=True) as waiter:
        holder.execute("select * from cars limit 1")
        waiter.execute("set lock_timeout = '20s'")
        waiter.pgconn.send_query(b"alter table cars add column extra int")
        _wait_for_waiter(holder)
        begun = time.monotonic()
        found = plans.statement_plans(work, snapshot, 30)
        assert time.monotonic() - begun < 3
        wanted = next(s.query_id for s in snapshot.statements if "maker = $1" in (s.text or ""))
        (plan,) = [p for p in found if p.query_id == wanted]
        assert "lock" in str(plan.refused)
        holder.rollback()
        while waiter.pgconn.get_result() is not None:
            pass


def _wait_for_waiter(connection: psycopg.Connection) -> None:
    for _ in range(200):
        row = connection.execute(
            "select exists (select from pg_locks where not granted)"
        ).fetchone()
        if row and row[0]:
            return
        time.sleep(0.02)
    raise AssertionError("nobody waits")


def test_nothing_is_left_behind(work: str) -> None:
    run(work, "select * from cars where maker = 5", "select id, count(*) from cars group by 1")
    snapshot = collect(work)
    with opened(work) as door:
        before = settings_of(door)
        plans.plan(door, snapshot, 30)
        assert settings_of(door) == before
        assert door.info.transaction_status is psycopg.pq.TransactionStatus.IDLE


def settings_of(door: Door) -> list[tuple[object, ...]]:
    """Return what is set in a session outside of our transactions, and what is prepared there."""
    cursor = psycopg.Cursor(door._connection)
    rows = cursor.execute("select name, setting from pg_settings order by 1").fetchall()
    return rows + cursor.execute("select name, '' from pg_prepared_statements").fetchall()


def test_the_owners_search_path_finds_the_tables(every_pg: Server, work: str) -> None:
    with every_pg.role() as role:
        dbname = str(psycopg.conninfo.conninfo_to_dict(work)["dbname"])
        run(
            work,
            "create schema garage",
            "create table garage.bikes as select g as id from generate_series(1, 900) g",
            "analyze garage.bikes",
            f"grant usage on schema garage to {role}",
            f"grant select on garage.bikes to {role}",
            f"alter role {role} set search_path = garage, public",
        )
        run(every_pg.dsn(dbname, role), "select * from bikes")
        assert planned(work)["select * from bikes"].plan_rows == 900


def test_a_budget_that_is_used_up_is_said(work: str) -> None:
    run(work, "select * from cars where maker = 5")
    found = plans.statement_plans(work, collect(work), 0)
    assert found
    assert all("time" in str(p.refused) for p in found)


def test_a_role_without_rights_gets_reasons_and_no_values(every_pg: Server, work: str) -> None:
    run(work, "select * from cars where maker = 5")
    with every_pg.role("pg_monitor") as role:
        dbname = str(psycopg.conninfo.conninfo_to_dict(work)["dbname"])
        found = planned(every_pg.dsn(dbname, role))
        assert "InsufficientPrivilege" in str(found["select * from cars where maker = $1"].refused)


def test_no_literal_comes_with_a_plan(work: str) -> None:
    run(work, "create view pg_temp.x as select 1", "select * from cars where maker = 424242")
    with psycopg.connect(work, autocommit=True) as connection:
        connection.execute("create index only_some on cars (maker) where maker <> 737373")
    for plan in planned(work).values():
        assert "424242" not in plan.plan
        assert "737373" not in plan.plan
