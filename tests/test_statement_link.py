"""The same statement has the same key, whatever the server made of its text."""

import math
import time
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgwatch_wed.facts import Statement
from pgwatch_wed.facts.counting import COUNTERS
from pgwatch_wed.facts.statement_sum import by_key, summed
from pgwatch_wed.sqltext.statement_link import (
    TEXT_LIMIT,
    id_keys,
    linkable,
    statement_key,
    statement_keys,
)
from pgwatch_wed.target.collect import collect
from tests.psql import psql
from tests.servers import Server

SETUP = """
create extension pg_stat_statements;
create schema s1; create table s1.t (id int primary key, a int, b text);
create table t (id int primary key, a int, b text, j jsonb, ts timestamptz default now());
create table u (id int primary key, t_id int);
insert into t select g, g, 'x' || g from generate_series(1, 100) g;
create procedure p(x int, y text) language sql as 'select 1';
"""

# What is executed, and what all majors must make of it.
ONE_LIST = "select * from t where id in ( ?* )"
CORPUS = {
    "select * from t where id = 1": "select * from t where id = ?",
    "SELECT  *\n  FROM t\nWHERE id=-2": "select * from t where id = ?",
    'select * from "t" where "id" = 1 ;': "select * from t where id = ?",
    "select * from t where id in (1)": "select * from t where id = ?",
    "select * from t where id not in (1)": "select * from t where id <> ?",
    "select * from t where id in (1,2,3)": ONE_LIST,
    "select * from t where id in (-1, - 2)": ONE_LIST,
    "select * from t where id in (1::bigint, 2::bigint)": ONE_LIST,
    "select * from t where id in (int '1', int '2')": ONE_LIST,
    "select * from t where id in (cast('1' as int), cast('2' as int))": ONE_LIST,
    "select * from t where id in (1::numeric(5,2), 2::numeric(5,2))": ONE_LIST,
    "select * from t where id in ((1), (2))": ONE_LIST,
    "select * from t where id in (null, 1)": ONE_LIST,
    "select * from t where id in (1, 2, a)": "select * from t where id in ( ? , ? , a )",
    "select * from t where id in (1+1, 2)": "select * from t where id in ( ? + ? , ? )",
    "select * from t where b in (lower('a'), lower('b'))": (
        "select * from t where b in ( lower ( ? ) , lower ( ? ) )"
    ),
    "select * from t where (id,a) in ((1,2),(3,4))": (
        "select * from t where ( id , a ) in ( ( ? , ? ) , ( ? , ? ) )"
    ),
    "select * from t where id = any(array[1,2,3])": ONE_LIST,
    "select * from t where id = any(array[1])": "select * from t where id = any ( array [ ? ] )",
    "select * from t where id not in (1,2)": "select * from t where id not in ( ?* )",
    "select * from t where id <> all (array[1,2])": "select * from t where id not in ( ?* )",
    "select array[[1,2],[3,4]]": "select array [ [ ?* ] , [ ?* ] ]",
    "select a[1:2], a[1] from (select array[1,2,3] a) q": (
        "select a [ ? : ? ] , a [ ? ] from ( select array [ ?* ] a ) q"
    ),
    "select * from t where ts > now() - interval '1 day'": (
        "select * from t where ts > now ( ) - interval ?"
    ),
    "select extract(year from ts) from t": "select extract ( ? from ts ) from t",
    "select count(*) from t where a is not null and true": (
        "select count ( * ) from t where a is not null and ?"
    ),
    "select a - 1, -a, 5 - -1 from t": "select a - ? , - a , ? - ? from t",
    "select j @> '{}', j ? 'x', j ?| array['a','b'] from t": (
        "select j @> ? , j ? ? , j ? | array [ ?* ] from t"
    ),
    "/* request=17 */ select count(*) from u": "select count ( * ) from u",
    "-- lead\nselect count(*) /* here */ from s1.t where a!=3": (
        "select count ( * ) from s1 . t where a <> ?"
    ),
    "select 1; select 2, 3": "select ? , ?",
    "insert into u values (1000, 2), (1001, 3)": "insert into u values ( ? , ? ) , ( ? , ? )",
    "call p(-1, null)": "call p ( ? , ? )",
    "set work_mem = '8MB'": "set work_mem ?",
    "set search_path to public, s1": "set search_path ?",
    "set search_path to default": "set search_path to default",
    "set role none": "set role ?",
    "alter database postgres set work_mem to '5MB'": "alter database postgres set work_mem ?",
    "begin": "begin",
    "savepoint s1": "savepoint ?",
    "rollback to savepoint s1": "rollback to savepoint ?",
    "release savepoint s1": "release savepoint ?",
    "declare c cursor for select * from t where a > -5 and id in (1,2) and b='x' and extract(year from ts)=2024 and true": (
        "declare c cursor for select * from t where a > ? and id in ( ?* ) and b = ?"
        " and extract ( ? from ts ) = ? and ?"
    ),
    "fetch forward 5 from c": "fetch forward ? from c",
    "commit": "commit",
    "explain select * from t where id in (1,2,3)": "explain select * from t where id in ( ?* )",
    "create table c as select 1 as a, 'x' as b, null::int as c": (
        "create table c as select ? as a , ? as b , ? :: int as c"
    ),
}


def executed(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        for text in CORPUS:
            connection.pgconn.exec_(text.encode())
        ids = "select * from t where id in ($1,$2::int,7) and a = any($3::int[])"
        connection.pgconn.exec_params(ids.encode(), [b"1", b"2", b"{1,2}"])
        # other tests use this server
        connection.execute("alter database postgres reset work_mem")


def test_all_majors_give_a_statement_the_same_key(every_pg: Server) -> None:
    with every_pg.database() as dsn:
        psql(dsn, SETUP)
        executed(dsn)
        found = {linkable(s.text) for s in collect(dsn).statements if s.text}
    expected = {*CORPUS.values(), f"{ONE_LIST} and a = any ( ? :: int [ ] )"}
    assert expected - found == set()


def test_a_statement_of_a_recreated_table_is_one_in_the_series(every_db: str) -> None:
    psql(every_db, "create extension pg_stat_statements; create table t (id int)")
    for _ in range(2):
        psql(every_db, "drop table t; create table t (id int)")
        psql(every_db, "select count(*) from t where id = 3")
    snapshot = collect(every_db)
    keys = statement_keys(snapshot, "shop")
    rows = [s for s in snapshot.statements if s.text == "select count(*) from t where id = $1"]
    (key,) = {keys[COUNTERS["statements"].key_of(s)] for s in rows}
    assert key == statement_key("shop", "SELECT count(*) FROM t WHERE id=$7")
    assert by_key(snapshot.statements, keys)[key].calls == 2


# --- texts ----------------------------------------------------------------------------------------


def test_what_differs_has_another_key() -> None:
    texts = [
        "select * from t where id = $1",
        "select * from t where id in ($1, $2)",
        "select * from t where id not in ($1)",
        "select * from t where id in ($1, a)",
        "select * from s1.t where id = $1",
        'select * from "T" where id = $1',
        "select * from t where id is null",
        "select * from t where id is true",
        "select * from t where id = $1 limit $2",
        "select f($1) from t",
        "select ($1) from t",
        "select a, b from t",
        "select b, a from t",
    ]
    assert len({statement_key("shop", text) for text in texts}) == len(texts)
    text = texts[0]
    assert statement_key("shop", text) != statement_key("archive", text)
    assert statement_key("shop", text) != statement_key("shop", text, is_toplevel=False)


@pytest.mark.parametrize(
    "text",
    ["select 'never closed", "select ((((((", "))) ]] (", "", " ;; ", "/* only", '"', "$", "\0"],
)
def test_any_text_has_a_key(text: str) -> None:
    assert statement_key("shop", text)


@given(st.text())
def test_whatever_the_text_is_there_is_a_key(text: str) -> None:
    assert statement_key("shop", text) == statement_key("shop", text)


def test_deep_nesting_and_long_lists_take_no_time() -> None:
    begun = time.monotonic()
    for text in (
        "select " + "(" * 4500 + "1" + ")" * 4500,
        "select * from t where id in (" + ",".join("1" * 4000) + ")",
        "select * from t where id in (" + ",".join(["a b c"] * 1500) + ")",
    ):
        assert linkable(text)
    assert time.monotonic() - begun < 5


# --- statements without a whole text --------------------------------------------------------------


def test_without_a_whole_text_the_query_id_is_the_key_until_the_text_is_known(db: str) -> None:
    psql(db, "create extension pg_stat_statements; create table t (id int); select * from t")
    snapshot = collect(db)
    (row,) = [s for s in snapshot.statements if s.text == "select * from t"]
    row_key = COUNTERS["statements"].key_of(row)

    def key(text: str | None, known: dict[str, str] | None = None, **server: Any) -> str:
        changed = replace(snapshot.server, **server)
        found = replace(snapshot, server=changed, statements=(replace(row, text=text),))
        return statement_keys(found, "shop", known)[row_key]

    by_id = id_keys(snapshot, "shop")[row_key]
    assert key(None) == by_id
    assert key("x" * TEXT_LIMIT) == by_id, "it may go on differently"
    assert key(row.text) == statement_key("shop", "select * from t") != by_id
    assert key(None, {by_id: key(row.text)}) == key(row.text)
    assert key(None, version_num=snapshot.server.version_num + 10_000) != by_id
    assert key(None, system_identifier="1") != by_id


# --- sums -----------------------------------------------------------------------------------------


def test_entries_of_one_statement_add_up(db: str) -> None:
    psql(db, "create extension pg_stat_statements; select pg_sleep(0.01)")
    first = next(s for s in collect(db).statements if s.text and "pg_sleep" in s.text)
    times = ([4.0, 6.0], [10.0, 20.0, 30.0])

    def entry(user: int, ms: list[float]) -> Statement:
        mean = sum(ms) / len(ms)
        spread = math.sqrt(sum((x - mean) ** 2 for x in ms) / len(ms))
        return replace(
            first,
            user_oid=user,
            calls=len(ms),
            total_exec_ms=sum(ms),
            mean_exec_ms=mean,
            stddev_exec_ms=spread,
            min_exec_ms=min(ms),
            max_exec_ms=max(ms),
            jit_ms=None,
        )

    one, other = (entry(n, ms) for n, ms in enumerate(times))
    found = summed([one, other])
    every = [x for ms in times for x in ms]
    mean = sum(every) / 5
    assert (found.calls, found.total_exec_ms, found.user_oid) == (5, 70, 1)
    assert found.mean_exec_ms == pytest.approx(mean)
    assert found.stddev_exec_ms == pytest.approx(math.sqrt(sum((x - mean) ** 2 for x in every) / 5))
    assert (found.min_exec_ms, found.max_exec_ms) == (4, 30)
    assert found.jit_ms is None
    never = replace(other, calls=0, total_exec_ms=0, mean_exec_ms=0, stddev_exec_ms=0)
    assert summed([one, never]).min_exec_ms == 4
    unknown = replace(other, min_exec_ms=None)
    assert summed([one, unknown]).min_exec_ms is None
    assert summed([one]) == one
