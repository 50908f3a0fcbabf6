"""What decides plans beside definitions and statistics: it is in the lab, or named as a doubt."""

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql

from pgwatch_wed.whatif.lab import source, surroundings
from pgwatch_wed.whatif.lab.lab import Lab
from pgwatch_wed.whatif.lab.lab_connections import DATABASE
from pgwatch_wed.whatif.model import Candidate, Key, PlanError
from tests.planning import query, real_plan, shape
from tests.psql import psql
from tests.servers import Server

TABLE = """
create table things (id int primary key, a int, b int, body text);
insert into things select g, g % 500, g % 7, repeat('x', 90) from generate_series(1, 40000) g;
create index things_b_a on things (b, a);
vacuum analyze things;
"""
QUERIES = (
    "select * from things where a = 5",
    "select * from things where id < 3000",
    "select * from things where b = 5 and a < 100",
    "select b, count(*) from things group by b",
)
FAST = """
set allow_in_place_tablespaces = on;
create tablespace {name} location '' with (random_page_cost = 1.1, seq_page_cost = 0.3);
alter table things set tablespace {name};
alter index things_b_a set tablespace {name};
"""


def doubts(lab: Lab, text: str, user: str | None = None) -> tuple[str, ...]:
    one = query(text, user=user)
    return lab.doubts(one, lab.plan(one).tree)


@pytest.fixture
def tablespace(pg: Server, db: str) -> Iterator[str]:
    name = "fast_and_cheap"
    psql(db, TABLE + FAST.format(name=name))
    yield db
    psql(db, "drop table things;")
    psql(db, f"drop tablespace {name};")


@pytest.mark.pg("== 18")
def test_a_tablespace_costs_what_it_does_on_the_target(tablespace: str) -> None:
    with source.open_lab(tablespace) as lab, psycopg.connect(tablespace) as connection:
        assert (lab.notes, lab.unproven) == ([], [])
        for text in QUERIES:
            plan, real = lab.plan(query(text)), real_plan(connection, text)
            assert shape(plan.tree) == shape(real), text
            assert plan.cost == pytest.approx(real["Total Cost"], rel=1e-3), text


@pytest.mark.pg("== 18")
def test_each_role_plans_with_its_own_settings(db: str, pg: Server) -> None:
    psql(db, TABLE + "create schema elsewhere; create view elsewhere.things as select 1 as a;")
    with pg.role("pg_read_all_data") as slow, pg.role("pg_read_all_data") as other:
        psql(
            db,
            f'alter role "{slow}" set random_page_cost = 90; alter role "{slow}" set enable_seqscan = off;'
            f'alter role "{other}" set search_path = elsewhere;',
        )
        with source.open_lab(db, users=[slow, other]) as lab:
            for text in QUERIES:
                with psycopg.connect(db, user=slow) as connection:
                    real = real_plan(connection, text)
                plan = lab.plan(query(text, user=slow))
                assert shape(plan.tree) == shape(real), text
                assert plan.cost == pytest.approx(real["Total Cost"], rel=1e-3), text
                assert doubts(lab, text, slow) == ()
            assert "Result" in str(lab.plan(query(QUERIES[0], user=other)).tree)
            usual = lab.plan(query(QUERIES[0])).cost
        assert usual == pytest.approx(real_cost(db, QUERIES[0]), rel=1e-3)


def real_cost(dsn: str, text: str) -> float:
    with psycopg.connect(dsn) as connection:
        return float(real_plan(connection, text)["Total Cost"])


@pytest.mark.pg("== 18")
def test_settings_of_the_role_that_asks_are_not_those_of_others(db: str, pg: Server) -> None:
    psql(db, TABLE)
    with pg.role("pg_read_all_data") as asker, pg.role("pg_read_all_data") as other:
        psql(db, f'alter role "{asker}" set random_page_cost = 1;')
        with source.open_lab(f"{db} user={asker}", users=[other]) as lab:
            assert any("random_page_cost" in d for d in doubts(lab, QUERIES[0], other))
            assert doubts(lab, QUERIES[0], asker) == ()
            assert doubts(lab, QUERIES[0]) == ()


UNLOADABLE = """
create function hidden(int) returns int language internal immutable strict as 'int4abs';
create index things_hidden on things (hidden(a));
create table checked (id int, check (hidden(id) > 0));
create table plain (id int primary key, a int);
insert into plain select g, g % 50 from generate_series(1, 20000) g;
vacuum analyze;
"""


@pytest.mark.pg("== 18")
def test_what_did_not_get_into_the_lab_is_a_doubt_about_its_table(db: str) -> None:
    psql(db, TABLE + UNLOADABLE)
    with source.open_lab(db) as lab:
        (doubt,) = doubts(lab, QUERIES[0])
        assert "index things_hidden of public.things is not in the lab" in doubt
        assert doubts(lab, "select * from plain where a = 5") == ()
        assert any("public.checked" in note for note in lab.notes)


REMOTE = """
create extension postgres_fdw;
create server far foreign data wrapper postgres_fdw options (host '127.0.0.1', port '1', use_remote_estimate 'true');
create user mapping for public server far options (user 'x', password 'secret');
create foreign table there (id int, a int) server far;
"""


@pytest.mark.pg("== 18")
def test_no_foreign_server_is_asked_from_the_lab(db: str) -> None:
    psql(db, REMOTE)
    with source.open_lab(db) as lab:
        with pytest.raises(PlanError, match="user mapping not found"):
            lab.plan(query("select * from there where a = 5"))
        with psycopg.connect(lab._server.dsn(DATABASE)) as connection:
            assert connection.execute("select from pg_user_mapping").fetchall() == []


SKIPPED = (
    *("select * from things where a = 5", "select count(*) from things where a = 5"),
    "select b, count(*) from things where a = 5 group by b",
    "select * from things where a = 5 and b > 1 order by b",
    "select * from things where a = 5 or a = 7",
    # the number of values of b is needed for its condition, so that the index is hidden
    "select * from things t join things u on u.b = t.id where u.a = 5",
    "select * from things where id = 7",
    "select * from things where (b, a) > (5, 490)",
)


@pytest.mark.pg("< 19")
def test_an_index_is_not_used_in_a_way_that_the_version_does_not_know(
    every_pg: Server, every_db: str
) -> None:
    psql(every_db, TABLE)
    candidate = Candidate("public", "things", (Key.of("b"), Key.of("id"), Key.of("a")))
    with source.open_lab(every_db) as lab, psycopg.connect(every_db) as connection:
        for text in SKIPPED:
            plan, real = lab.plan(query(text)), real_plan(connection, text)
            assert plan.cost == pytest.approx(real["Total Cost"], rel=0.02), text
            assert doubts(lab, text) == ()
        lab.add([candidate])
        (replaced,) = (o for o, i in lab.catalog.indexes.items() if i.name == "things_b_a")
        connection.execute("drop index things_b_a")
        connection.execute(candidate.ddl("real").encode())
        for text in SKIPPED[:4]:
            plan = lab.plan(query(text), [candidate], [replaced])
            real = real_plan(connection, text)
            assert plan.cost == pytest.approx(real["Total Cost"], rel=0.02), text
        connection.rollback()


@pytest.mark.pg("< 19")
def test_a_path_that_a_setting_of_the_targets_version_cannot_forbid_is_forbidden(
    every_pg: Server, every_db: str
) -> None:
    psql(every_db, TABLE + "alter table things alter a set not null;")
    joined = "select t.b from things t join things u using (id)"
    tested = "select b from things where b = 5 and a is not null"
    with source.open_lab(every_db) as lab:
        joins = [n for n in shape(lab.plan(query(joined)).tree) if n.endswith(" things")]
        conditions = str(lab.plan(query(tested)).tree)
    assert len(joins) == (1 if every_pg.version >= 18 else 2)  # since 18, self-joins are removed
    assert ("IS NOT NULL" in conditions) is (every_pg.version < 17)


# Statements with the version that first plans them so, as the lab does.
NEWER = {
    "select distinct on (b, a) * from things order by b, a, body limit 5": 16,
    "select a from things where 5 = b or 6 = b order by b, a limit 5": 18,
    "select * from generate_series(now(), now() + '1 day', '1 hour')": 18,
    "select b, a from things union select b, a from things order by 1, 2 limit 5": 17,
    "select * from things where a in (7, 9)": 13,
    "select * from things where id in (values (5), (66))": 13,
}


@pytest.mark.pg("< 19")
def test_a_plan_that_the_version_cannot_make_is_doubted(every_pg: Server, every_db: str) -> None:
    psql(every_db, TABLE)
    with source.open_lab(every_db) as lab:
        for text, since in NEWER.items():
            said = doubts(lab, text)
            assert bool(said) is (every_pg.version < since), (text, said)
            assert all(f"PostgreSQL {since} or later" in d for d in said)


IN_ORDER = (
    "select * from things where b = 5 and a in (7, 9) order by b, a limit 5",
    "select * from things where b = 5 and a in (7, 9, 11, 13, 15) order by id desc limit 3",
    "select * from things where b < 3 and a = any ('{7,9}') order by b limit 5 for update",
    "select id from things where b in (5, 6) and a = 7 order by id limit 5",
)


@pytest.mark.pg("< 19")
def test_the_order_of_an_index_is_not_used_beside_a_list_where_the_version_cannot(
    every_pg: Server, every_db: str
) -> None:
    psql(every_db, TABLE)
    candidate = Candidate("public", "things", (Key.of("b"), Key.of("id"), Key.of("a")))
    with source.open_lab(every_db) as lab, psycopg.connect(every_db) as connection:
        lab.add([candidate])
        connection.execute(candidate.ddl("real").encode())
        for text in IN_ORDER:
            plan, real = lab.plan(query(text), [candidate]), real_plan(connection, text)
            assert plan.cost == pytest.approx(real["Total Cost"], rel=0.05), text
            assert "IS TRUE" not in str(plan.tree), text
        connection.rollback()


FOR_EACH_ROW = (
    "select * from things t where t.b < 3 and id in (select max(i.id) from things i where i.b = t.b)",
    "update things set a = 5 where id in (select i.a from things i where i.b > things.a + 3)",
)


@pytest.mark.pg("< 19")
def test_a_subquery_that_names_the_outer_query_is_run_for_each_row_where_the_version_joins_none(
    every_pg: Server, every_db: str
) -> None:
    psql(every_db, TABLE)
    with source.open_lab(every_db) as lab, psycopg.connect(every_db) as connection:
        for text in FOR_EACH_ROW:
            plan, real = lab.plan(query(text)), real_plan(connection, text)
            assert plan.cost == pytest.approx(real["Total Cost"], rel=0.05), text
            assert ("SubPlan" in str(plan.tree)) is (every_pg.version < 17), text
            assert "IS TRUE" not in str(plan.tree), text


OF_VALUES = (
    "select * from things where id in (values (5), (66))",
    "select * from things where b = 5 and a = any (values (7), (9), (11))",
)


@pytest.mark.pg("< 19")
def test_values_are_joined_where_the_version_makes_no_array_of_them(
    every_pg: Server, every_db: str
) -> None:
    psql(every_db, TABLE)
    with source.open_lab(every_db) as lab, psycopg.connect(every_db) as connection:
        for text in OF_VALUES:
            plan, real = lab.plan(query(text)), real_plan(connection, text)
            assert plan.cost == pytest.approx(real["Total Cost"], rel=0.02), text
            assert ("Values Scan" in str(plan.tree)) is (every_pg.version < 18), text


OF_OR = (
    "select a from things where b = 5 or b = 6 order by b, a limit 5",
    "select count(*) from things where b = 5 and (a = 7 or a = 9 or a = 11)",
    "select count(*) from things t where (t.b = $1 or t.b = $2) and t.a = $3",
    "select u.a from things t join things u on u.b = t.b or u.b = t.a where t.id = 7",
)


@pytest.mark.pg("< 19")
def test_either_of_two_values_is_looked_up_for_a_bitmap_where_the_version_makes_no_array_of_them(
    every_pg: Server, every_db: str
) -> None:
    psql(every_db, TABLE)
    with source.open_lab(every_db) as lab, psycopg.connect(every_db) as connection:
        for text in OF_OR:
            has_array = "ANY" in str(lab.plan(query(text)).tree)
            assert has_array is (every_pg.version >= 18), text
            assert doubts(lab, text) == (), text
            if "$" not in text:
                real = real_plan(connection, text)
                assert lab.plan(query(text)).cost == pytest.approx(real["Total Cost"], rel=0.1)


OF_ICU = """
create collation german (provider = icu, locale = 'de-DE');
create table names (id int primary key, name text collate german, other text collate "en-x-icu", plain text);
insert into names select g, 'n' || g % 900, 'o' || g, 'p' || g from generate_series(1, 20000) g;
create index names_name on names (name);
vacuum analyze names;
"""


@pytest.mark.pg("< 19")
def test_a_collation_of_icu_is_stood_for_and_doubted_where_it_counts(every_db: str) -> None:
    with psycopg.connect(every_db) as connection:
        has_icu = connection.execute(
            "select from pg_collation where collname = 'en-x-icu'"
        ).fetchone()
    if has_icu is None:
        pytest.skip("this server is built without ICU")
    psql(every_db, OF_ICU)
    with source.open_lab(every_db) as lab:
        assert lab.notes == []
        assert lab.plan(query("select * from names where name = 'n7'")).used_existing
        assert any("german" in d for d in doubts(lab, "select * from names where name = 'n7'"))
        assert any("en-x-icu" in d for d in doubts(lab, "select * from names order by other"))
        assert doubts(lab, "select * from names where plain = 'p7'") == ()


def test_a_database_without_an_encoding_has_a_lab_too(pg: Server) -> None:
    create = "create database no_encoding template template0 encoding 'SQL_ASCII' locale 'C'"
    pg.execute(sql.SQL(create))
    try:
        dsn = pg.dsn("no_encoding")
        psql(dsn, TABLE + OF_EVERYTHING)
        with source.open_lab(dsn) as lab:
            assert lab.unproven == []
            assert lab.plan(query("select * from things where a = 5 and b = 5")).cost > 0
    finally:
        pg.execute(sql.SQL("drop database no_encoding with (force)"))


OF_EVERYTHING = """
create statistics things_ab on a, b from things;
alter table things enable row level security;
create policy all_of_them on things using (a = current_setting('app.a')::int);
alter database no_encoding set random_page_cost = 3;
analyze things;
"""


@pytest.mark.pg("== 18")
def test_an_extension_that_plans_statements_makes_every_plan_doubtful(db: str) -> None:
    psql(db, TABLE)
    with source.open_lab(db) as lab:
        assert doubts(lab, QUERIES[0]) == ()
        assert any("hints" in d for d in doubts(lab, f"/*+ SeqScan(things) */ {QUERIES[0]}"))
        lab.add_extensions([("pg_trgm", "public"), ("timescaledb", "public")])
        (doubt,) = doubts(lab, QUERIES[0])
        assert "timescaledb" in doubt


def test_other_block_sizes_are_doubted() -> None:
    assert list(surroundings.general((), {"block_size": "8192"})) == []
    (doubt,) = surroundings.general((), {"block_size": "32768"})
    assert "32768" in doubt
