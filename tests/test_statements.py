"""The users' own statements, which rules, advice and reports all look at."""

import psycopg

from pgwatch_wed.postgres import statements
from pgwatch_wed.postgres.updates import reads_in_order_or_null, updates
from pgwatch_wed.target.collect import collect


def test_a_users_table_that_is_named_like_a_catalog_is_the_users(db: str) -> None:
    with psycopg.connect(db, autocommit=True) as connection:
        connection.execute("create extension pg_stat_statements")
        connection.execute("create table pg_orders (id int, placed int)")
        connection.execute("insert into pg_orders values (1, 2)")
        connection.execute("select id from pg_orders order by placed")
        connection.execute("update pg_orders set placed = 3")
        connection.execute("select relname from pg_class order by relname limit 1")
    snapshot = collect(db)
    (table,) = snapshot.tables
    assert reads_in_order_or_null(snapshot, table, "placed")
    assert not reads_in_order_or_null(snapshot, table, "id")
    assert [u.columns for u in updates(snapshot)[table.oid]] == [{"placed"}]
    texts = [s.text or "" for s in statements.of_users(snapshot)]
    assert any("from pg_orders" in text for text in texts)
    assert not any("from pg_class" in text for text in texts)


def test_users_statements_are_found_once_the_costliest_first(db: str) -> None:
    with psycopg.connect(db, autocommit=True) as connection:
        connection.execute("create extension pg_stat_statements")
        connection.execute("select pg_sleep(0.7)")  # longer than CREATE EXTENSION may take
        connection.execute("set work_mem = '8MB'")
        connection.execute("select 1")
    snapshot = collect(db)
    found = statements.of_users(snapshot)
    assert found is statements.of_users(snapshot)
    assert found[0].text == "select pg_sleep($1)"
    assert [s.total_exec_ms for s in found] == sorted(
        (s.total_exec_ms for s in found), reverse=True
    )
    assert any((s.text or "").startswith("set") for s in found)
    assert not any((s.text or "").startswith("set") for s in statements.queries(snapshot))
