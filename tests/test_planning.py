"""What is planned on a server runs nobody's code; what would is refused, and would indeed."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
import pytest

from pgwatch_wed.target import door, planning
from tests.psql import psql
from tests.servers import Server

SETUP = """
create extension pg_trgm;
create table cars (id int primary key, maker int, name text);
insert into cars select g, g % 50, 'n' || g from generate_series(1, 2000) g;
create table days (at date, n int) partition by range (at);
create table days_1 partition of days for values from ('2026-01-01') to ('2026-02-01');
create materialized view counted as select maker, count(*) from cars group by maker;
create sequence numbers;
create type kind as enum ('a', 'b');
create domain positive as int check (value > 0);
create table typed (k kind, p positive, c cars);
analyze;

create function harm() returns void language plpgsql as $$ begin end $$;
create function evil(int) returns int language plpgsql immutable as
  $$ begin perform public.harm(); return $1; end $$;
create function evil(int, int) returns boolean language plpgsql immutable as
  $$ begin perform public.harm(); return true; end $$;
create operator #+# (leftarg = int, rightarg = int, function = evil);
create function shout(cars) returns int language sql immutable as 'select public.evil(1)';
create view seen as select * from cars where id = evil(1);
create schema hidden;
create view hidden.cars as select * from public.cars where id = public.evil(1);
create view hidden.days as select 1 as n where public.evil(1) = 1;
create table indexed (id int, n int);
create index on indexed ((id + evil(1)));
create table derived () inherits (indexed);
create table inherited (id int, n int);
create table heir (check (n > evil(1))) inherits (inherited);
create domain watched as int check (value > evil(1));
create table holding (w watched);
create type inner_kind as (w watched);
create table holding_more (i inner_kind[]);
"""
PUBLIC = "public"

REFUSED = {
    "a function": "select * from cars where id = evil(1)",
    "an operator": "select * from cars where 1 #+# 1",
    "a column that is a function": "select c.shout from cars c",
    "a field that is a function": "select (c).shout from cars c",
    "a view": "select * from seen",
    "a view with the name of a table": "select * from cars",
    "a view with the name of a query": "select * from cars, (with cars as (select 1) select * from cars) c",
    "an index": "select * from indexed where id = 1",
    "an index of a parent's": "select * from derived, indexed where indexed.id = 1",
    "a check of a child's": "select * from inherited where n = 1",
    "a domain": "insert into holding values (1)",
    "a type": "select 1::watched",
}
# These do not call it while they are planned today; what is named may, and is not tried.
REFUSED_TOO = {
    "an operator over a subquery": "select 1 where 1 #+# any (select maker from cars)",
    "an operator to sort by": "select * from cars order by id using #+#",
    "a domain inside of types": "select * from holding_more",
    "what is not there": "select * from nowhere",
}
PLANNED = (
    "select * from cars where id = 1 and name like 'x%' and maker between 1 and 3",
    "select maker, count(*) from cars a join cars b using (id, maker) group by maker order by 2 desc",
    "with few as (select * from cars) select * from few where lower(name) = 'x'",
    "select * from cars where similarity(name, 'n1') > 0.5",
    "select * from days where at = '2026-01-05'",
    "select * from counted where maker = 1",
    "select case maker when 1 then 'x' end from cars where id in (select id from cars)",
    "insert into cars values (0, 1, 'x')",
    "update cars set maker = 1 where id = 1",
    "select last_value from numbers",
    "select * from typed where k = 'a' and p = 1",
    "select relname from pg_class where oid = 'cars'::regclass",
)


@dataclass
class Place:
    """A database of ours, and how often its hostile function was called."""

    server: Server
    dsn: str

    def harm(self) -> int:
        """Count the calls so far."""
        time.sleep(1.2 if self.server.version < 15 else 0.1)
        with psycopg.connect(self.dsn) as connection:
            row = connection.execute(
                "select calls from pg_stat_user_functions where funcname = 'harm'"
            ).fetchone()
        return row[0] if row else 0


@pytest.fixture(scope="module")
def place(every_pg: Server) -> Iterator[Place]:
    with every_pg.database() as dsn:
        name = psycopg.conninfo.conninfo_to_dict(dsn)["dbname"]
        psql(dsn, f"alter database {name} set track_functions = 'all'")
        psql(dsn, SETUP)
        yield Place(every_pg, dsn)


def path_of(case: str) -> str:
    return "hidden, public" if "with the name" in case else PUBLIC


@pytest.mark.parametrize("case", [*REFUSED, *REFUSED_TOO])
def test_what_could_call_somebodys_code_is_refused(place: Place, case: str) -> None:
    before = place.harm()
    text = {**REFUSED, **REFUSED_TOO}[case]
    with door.asking(place.dsn, "test") as connection, pytest.raises(planning.RefusedError):
        planning.refuse_foreign_code(connection, text, path_of(case))
    assert place.harm() == before


@pytest.mark.parametrize("case", REFUSED)
def test_and_it_would_have_been_called(place: Place, case: str) -> None:
    before = place.harm()
    with psycopg.connect(place.dsn, autocommit=True) as connection:
        connection.execute(f"set search_path = {path_of(case)}".encode())
        connection.execute(f"explain {REFUSED[case]}".encode())
    assert place.harm() > before


@pytest.mark.parametrize("text", PLANNED)
def test_what_calls_but_postgresqls_own_is_planned(place: Place, text: str) -> None:
    with door.asking(place.dsn, "test") as connection:
        planning.refuse_foreign_code(connection, text, PUBLIC)
        assert planning.explained(connection, text, PUBLIC)["Total Cost"] >= 0
        assert connection.execute("show search_path").fetchone() == (door.PINNED,)


def test_an_error_leaves_nothing_prepared(place: Place) -> None:
    bad = "select 1 / $1 from cars where id = $2 and 1 / 0 = 1"
    with door.opened(place.dsn) as target:
        for _ in range(2):  # on the second try its name would be taken
            with pytest.raises(psycopg.errors.DivisionByZero), target.asking("test") as connection:
                planning.explained(connection, bad, PUBLIC)
        with target.asking("test") as connection:
            rows = connection.execute("select name from pg_prepared_statements").fetchall()
        assert rows == []


def test_members_of_an_extension_count_only_where_a_superuser_made_them(place: Place) -> None:
    """Who owns an extension may add to it whatever functions he owns."""
    name = psycopg.conninfo.conninfo_to_dict(place.dsn)["dbname"]
    with place.server.role() as role:
        psql(
            place.dsn,
            f"grant create on database {name} to {role}; set role {role}; create schema mine;"
            "create extension hstore schema mine;"
            "create function mine.added(int) returns int language plpgsql immutable as"
            " $$ begin perform public.harm(); return $1; end $$;"
            "alter extension hstore add function mine.added(int);",
        )
        with door.asking(place.dsn, "test") as connection:
            hstore = "select * from cars where mine.defined('a=>1'::mine.hstore, name)"
            planning.refuse_foreign_code(connection, hstore, PUBLIC)
            with pytest.raises(planning.RefusedError, match="user-defined"):
                planning.refuse_foreign_code(connection, "select mine.added(1)", PUBLIC)
        psql(place.dsn, "drop extension hstore cascade;")
