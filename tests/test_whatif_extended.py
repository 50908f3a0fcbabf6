"""Extended statistics in the lab: estimates are those of the server that has them."""

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from pgwatch_wed.gather.run import gather
from pgwatch_wed.gather.wanted import Wanted
from pgwatch_wed.whatif.lab import multivariate, source
from tests.planning import query
from tests.psql import psql
from tests.rules.judging import run
from tests.servers import Server

THINGS = """
create extension pg_stat_statements;
create type mood as enum ('sad', 'ok');
create domain code as int check (value >= 0);
create table dep (gone int, id int primary key, a int, gone_too int, b int, c int, d int, pad text, mood mood,
    at date, num numeric, code code, tags text[]);
insert into dep select 1, g, g % 1000, 2, g % 1000 * 2, g % 10, g % 10 * 7, 'X' || g % 7,
    case g % 3 when 1 then 'sad'::mood when 2 then 'ok' end, date '2024-01-01' + g % 3 * 2,
    case g % 3 when 1 then 1.5 else 'NaN'::numeric end, g % 3, array['t' || g % 3, 'x']
from generate_series(1, 30000) g;
alter table dep drop gone;
alter table dep drop gone_too;
create statistics by_degree (ndistinct, dependencies) on a, b from dep;
create statistics "by List" (mcv) on d, c, a from dep;
create statistics many_types (mcv) on mood, at, num, code, tags from dep;
create table part (a int, b int) partition by hash (a);
create table part_1 partition of part for values with (modulus 2, remainder 0);
create table part_2 partition of part for values with (modulus 2, remainder 1);
insert into part select g % 1000, g % 1000 * 2 from generate_series(1, 30000) g;
create statistics of_parent on a, b from part;
"""
EXPRESSIONS = """
create statistics of_one on (lower(pad)) from dep;
create statistics of_more on (upper(pad)), (a + b), d from dep;
"""
QUERIES = (
    "select * from dep where a = 5 and b = 10",
    "select * from dep where a = $1 and b = $2",
    "select * from dep where c = 3 and d = 21",
    "select * from dep where c = 3 and d = 22",
    "select a, b from dep group by 1, 2",
    "select * from dep where mood = 'sad' and at = '2024-01-03' and num = 1.5",
    "select * from dep where mood is null and at = '2024-01-01' and code = 0",
    "select a, b from part group by 1, 2",
    "select * from part where a = 5 and b = 10",
)
OF_EXPRESSIONS = (
    "select * from dep where lower(pad) = 'x3'",
    "select * from dep where a + b = 30 and d = 0",
    "select upper(pad), d from dep group by 1, 2",
)


@pytest.fixture
def things(every_pg: Server, every_db: str) -> str:
    psql(every_db, THINGS)
    if every_pg.version >= 14:
        psql(every_db, EXPRESSIONS)
    psql(every_db, "set datestyle = 'German'; vacuum analyze;")
    return every_db


@pytest.mark.pg("< 19")
def test_estimates_are_those_of_the_server(every_pg: Server, things: str) -> None:
    texts = (*QUERIES, *(OF_EXPRESSIONS if every_pg.version >= 14 else ()))
    texts = tuple(t for t in texts if "$" not in t or every_pg.version >= 16)
    with source.open_lab(things) as lab, psycopg.connect(things) as connection:
        assert (lab.notes, lab.unproven) == ([], [])
        for text in texts:
            plan = lab.plan(query(text))
            generic = "generic_plan, " if "$" in text else ""
            asked = f"explain ({generic}format json) {text}"
            ((found,),) = connection.execute(asked.encode()).fetchall()
            real = found[0]["Plan"]["Plan Rows"]
            assert plan.tree["Plan Rows"] == pytest.approx(real, rel=0.01, abs=1), text
            assert lab.doubts(query(text), plan.tree) == ()


def test_what_is_written_is_what_the_server_stores(db: str) -> None:
    psql(db, THINGS + EXPRESSIONS + "analyze;")
    with psycopg.connect(db) as connection:
        rows = connection.execute(
            "select n_distinct::bytea, dependencies::bytea from pg_stats_ext"
        ).fetchall()
    distinct = [row[0] for row in rows if row[0]]
    degrees = [row[1] for row in rows if row[1]]
    assert len(distinct) > 1
    assert len(degrees) > 1
    for data in distinct:
        assert multivariate.write_distinct(multivariate.read_distinct(data)) == data
        with pytest.raises(multivariate.StatisticsError):
            multivariate.read_distinct(data[:-1])
        with pytest.raises(multivariate.StatisticsError):
            multivariate.read_dependencies(data)
    for data in degrees:
        assert multivariate.write_dependencies(multivariate.read_dependencies(data)) == data


@pytest.mark.pg("< 19")
def test_what_only_the_owner_may_read_is_planned_on_the_server(
    every_pg: Server, things: str
) -> None:
    """Newer servers show extended statistics only to the table's owner."""
    with every_pg.role("pg_monitor") as role:
        psql(
            things,
            f'grant select on all tables in schema public to "{role}"; grant usage on schema public to "{role}";',
        )
        mine = make_conninfo(things, user=role)
        with psycopg.connect(mine) as connection:
            row = connection.execute("select count(*) from pg_stats_ext").fetchone()
        run(things, "select * from dep where a = %s and b = %s", times=30, args=(5, 10))
        (snapshot,) = gather(mine, Wanted(), lambda _what, _share: None)
        assert "statement_plans" not in snapshot.missing
        (plan,) = [p for p in snapshot.statement_plans if "dep" in p.plan]
        assert (plan.refused, plan.doubts) == (None, ())
        assert plan.plan_rows == pytest.approx(30, rel=0.1), row
        with source.open_lab(mine) as lab:
            asked = [(q, lab.plan(q).tree) for q in map(query, QUERIES) if not q.has_parameters]
            doubted = {q.sql: bool(lab.doubts(q, tree)) for q, tree in asked}
            one = query("select * from dep where num = 1.5")
            alone = lab.doubts(one, lab.plan(one).tree)
        assert set(doubted.values()) == {row == (0,)}, doubted
        assert alone == (), "one column is not estimated by statistics of two"
