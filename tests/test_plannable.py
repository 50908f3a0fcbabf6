"""Texts of pg_stat_statements: what a server needs to plan them as they were run."""

import psycopg
import pytest

from pgwatch_wed.sqltext.arbiters import conflicts, with_predicates
from pgwatch_wed.sqltext.forms import changes_by_call
from pgwatch_wed.sqltext.held_queries import query_within
from pgwatch_wed.sqltext.plannable import plannable, with_lists
from pgwatch_wed.sqltext.text import numbered
from pgwatch_wed.target.collect import CollectLimits, collect
from pgwatch_wed.whatif import workload
from pgwatch_wed.whatif.lab import source
from tests import statements_that_ran
from tests.planning import shape
from tests.psql import psql


@pytest.mark.pg(">= 15, != 16, != 17, < 19")
def test_every_statement_that_ran_is_planned_as_it_was(every_db: str) -> None:
    psql(every_db, statements_that_ran.SCHEMA)
    statements_that_ran.run(every_db)
    wanted = CollectLimits(max_texts=1000, max_text_chars=100_000)
    snapshot = collect(every_db, limits=wanted, only=("tables", "statements", "statements_info"))
    found = workload.from_snapshot(snapshot)
    assert found.rejected == ()
    assert len(found.queries) > 100
    by_id = {q.query_id: q for q in found.queries}
    with source.open_lab(every_db) as lab, psycopg.connect(every_db) as connection:
        plans = {q.query_id: lab.plan(q) for q in found.queries}
        assert {q.query_id for q, _ in lab.bare(found.queries)} == plans.keys()
        real = dict(statements_that_ran.real_plans(connection, by_id))
    assert len(real) > 80
    others = [by_id[i].sql for i, tree in real.items() if shape(tree) != shape(plans[i].tree)]
    assert len(others) <= 0.1 * len(real), others


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (
            "select f(a, $1) from t group by f(a, 'x') order by f(a, $2)",
            "select f(a, 'x') from t group by f(a, 'x') order by f(a, 'x')",
        ),
        (
            "select f(a, $1), f(a, $2) from t group by f(a, 1), f(a, 2)",
            "select f(a, 1), f(a, 2) from t group by f(a, 1), f(a, 2)",
        ),
        (
            "select g(f(t.a, $2) + $3) from t group by f(a, $1)",
            "select g(f(t.a, $1) + $3) from t group by f(a, $1)",
        ),
        (
            "select distinct on (f(a, 'x')) b from t order by f(a, $1), b",
            "select distinct on (f(a, 'x')) b from t order by f(a, 'x'), b",
        ),
        (
            "select distinct f(a, $1) from t order by f(a, 'x')",
            "select distinct f(a, 'x') from t order by f(a, 'x')",
        ),
        (
            "select f(a, $1) from t group by rollup (f(a, 'x'), b)",
            "select f(a, 'x') from t group by rollup (f(a, 'x'), b)",
        ),
        # a place in the list of results is no value
        (
            "select f($1, a + $2), a in ($3, $4) from t group by 1, 2",
            "select f($1, a + $2), a in ($3, $4) from t group by 1, 2",
        ),
        ("select f(a, $1) from t group by f(b, 'x')", "select f(a, $1) from t group by f(b, 'x')"),
        ("select f(a, $1) from t where f(a, $2)", "select f(a, $1) from t where f(a, $2)"),
        (
            "select from t join u on $1 where $2 = $3 and a = $4",
            "select from t join u on true where 1 = 1 and a = $4",
        ),
        ("select from t where a = $1 or $2", "select from t where a = $1 or $2"),
        (
            "select a in ($1 /*, ... */) from t group by a in (1, 2)",
            "select a in (1, 2 /*, ... */) from t group by a in (1, 2)",
        ),
        (
            "select a in ($1, $2), $3 from t group by a in (1, 2)",
            "select a in (1, 2), $3 from t group by a in (1, 2)",
        ),
        ("select $1 from", "select $1 from"),
    ],
)
def test_what_was_equal_is_equal_again(text: str, wanted: str) -> None:
    assert plannable(text) == wanted


def test_a_squashed_list_has_as_many_elements_as_the_planner_assumes() -> None:
    ten = ", ".join(["$1"] * 10)
    text = "select from t where a in ($1 /*, ... */) and b = $2"
    assert with_lists(text) == f"select from t where a in ({ten}) and b = $2"
    assert with_lists("select a in (1, 2 /*, ... */)") == "select a in (1, 2 /*, ... */)"


@pytest.mark.parametrize(
    ("command", "query"),
    [
        ("declare c no scroll cursor with hold for select * from a for update", "for update"),
        ("prepare p (int, text) as select $1, $2;", "select $1::integer, $2::text"),
        ("create table x (a) with (fillfactor = 70) as select 1 as b", "select 1 as b"),
        ("create materialized view v as select a from t with no data", "select a from t"),
        ("copy (select (a) from t where b = ')') to stdout", "select (a) from t where b = ')'"),
        ("select a, (b) into temp table s.x from t", "select a, (b) from t"),
    ],
)
def test_the_query_in_a_command_is_found(command: str, query: str) -> None:
    found = query_within(command)
    assert found is not None
    assert found.endswith(query)


@pytest.mark.parametrize(
    "command",
    ["create table x as execute p(1)", "copy t to stdout", "vacuum", "select 1", "fetch 5 from c"],
)
def test_another_command_has_none(command: str) -> None:
    assert query_within(command) is None


def test_literals_of_a_command_become_parameters() -> None:
    assert numbered("copy (select $1, 'x' /* y */, 2) to stdout") == (
        "copy (select $1, $2 , $3) to stdout"
    )
    assert numbered("copy (select 'x") == "copy (select ?"


def test_a_column_that_is_named_like_a_function_does_not_change_from_call_to_call() -> None:
    assert not changes_by_call("lower((current_city)::text)")
    assert not changes_by_call("(now + random)")
    for text in ("(at > CURRENT_DATE)", "date_part('day'::text, (now() - at))", "random()"):
        assert changes_by_call(text)


def test_what_is_fetched_from_a_cursor_counts_for_the_query_that_declared_it(db: str) -> None:
    psql(db, "create extension pg_stat_statements; create table t as select 1 as a")
    with psycopg.connect(db) as connection:
        for name, text in (("Mine", "select a from t where a < %s"), ("two", "select a from t")):
            with connection.cursor(name) as cursor:
                cursor.execute(text.encode(), [7] if "%s" in text else None)
                cursor.fetchall()
        with connection.cursor("two") as cursor:
            cursor.execute("select a + 1 from t")
            cursor.fetchall()
    snapshot = collect(db, only=("statements", "statements_info"))
    found = workload.from_snapshot(snapshot)
    (mine,) = (q for q in found.queries if "a < " in q.sql)
    assert mine.rows == 1
    fetch = next(s for s in snapshot.statements if "mine" in (s.text or "").lower() and s.rows)
    assert (mine.total_ms or 0.0) > fetch.total_exec_ms
    (left,) = found.rejected
    assert left.is_utility
    assert left.total_ms


def test_the_predicate_of_on_conflict_is_that_of_the_index() -> None:
    text = (
        "insert into s.t values ($1) on conflict (a, b) where c = $2 do update set c = $3 where t.c"
    )
    (found,) = conflicts(text)
    assert (found.table.schema, found.table.name) == ("s", "t")
    assert found.columns == {"a", "b"}
    assert with_predicates(text, lambda _: "c = 5") == text.replace("where c = $2", "where (c = 5)")
    assert with_predicates(text, lambda _: None) == text
    assert conflicts("insert into t values (1)") == []
