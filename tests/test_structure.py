"""Whether advice was applied is told by what is there, on real servers: another name does not matter, other columns do."""

import pytest

from pgwatch_wed.facts import Snapshot
from pgwatch_wed.facts.advice_words import AppliedState
from pgwatch_wed.findings import Remedy
from pgwatch_wed.history import index_forms
from pgwatch_wed.history.advised_sql import advised
from pgwatch_wed.history.applied import state_in
from pgwatch_wed.history.structure import Advised, Status, Structure, following
from pgwatch_wed.target.collect import collect
from tests.conftest import StartServer
from tests.psql import psql
from tests.servers import Server

TABLES = """
create table orders (id int primary key, customer int, note varchar(40), state text, sum numeric, data jsonb);
create index orders_sum on orders (sum);
create index orders_sum_2 on orders (sum);
create table log (at date, who int) partition by range (at);
create table log_1 partition of log for values from ('2026-01-01') to ('2027-01-01');
create table log_2 partition of log for values from ('2027-01-01') to ('2028-01-01');
insert into orders select g, g % 100, 'n' || g, 'open', g, '{}' from generate_series(1, 5000) g;
"""


def of(sql: str, db: str) -> tuple[Advised, Snapshot]:
    snapshot = collect(db)
    return advised((Remedy(sql),), snapshot), snapshot


def state(what: Advised, db: str) -> Status:
    # as the history keeps it
    structures = [Structure.of_json(s.to_json()) for s in what.structures]
    return state_in(collect(db), structures)


INDEX = "CREATE INDEX CONCURRENTLY orders_customer_idx ON public.orders USING btree (customer);"
PARTIAL = "CREATE INDEX x ON orders (customer, lower(note)) INCLUDE (sum) WHERE state IN ('open', 'new') AND note <> 'x';"


@pytest.mark.parametrize(
    ("advice", "done", "expected", "detail"),
    [
        (INDEX, "create index other on orders (customer)", AppliedState.APPLIED, "as public.other"),
        (INDEX, "create index other on orders (customer desc)", AppliedState.APPLIED, ""),
        (INDEX, "create unique index other on orders (customer, id)", AppliedState.PARTLY, "other columns"),
        (INDEX, "create index other on orders (customer) include (sum)", AppliedState.PARTLY, "INCLUDE"),
        (INDEX, "create index other on orders (customer) where sum > 5", AppliedState.PARTLY, "predicate"),
        (INDEX, "create index other on orders using hash (customer)", AppliedState.PARTLY, "hash"),
        (INDEX, "create index other on orders (state)", AppliedState.ABSENT, ""),
        (
            INDEX,
            "create index other on orders (customer);update pg_index set indisvalid = false where indexrelid = 'other'::regclass",
            AppliedState.PARTLY,
            "INVALID",
        ),
        (
            INDEX,
            "create index other on orders (customer); reindex index concurrently other;alter table orders rename to bookings; alter table bookings rename customer to who",
            AppliedState.APPLIED,
            "bookings, which was public.orders",
        ),
        (
            INDEX,
            "drop table orders; create table orders (x int, customer int);create index on orders (customer)",
            AppliedState.APPLIED,
            "",
        ),
        (INDEX, "drop table orders", AppliedState.GONE, "no longer there"),
        (INDEX, "alter table orders drop column customer", AppliedState.GONE, "column"),
        (
            PARTIAL,
            "create index other on orders (customer, lower(note)) include (sum) where note <> 'x' and state in ('new', 'open')",
            AppliedState.APPLIED,
            "",
        ),
        (
            PARTIAL,
            "create index other on orders (customer, lower(note)) include (sum) where state in ('new')",
            AppliedState.PARTLY,
            "another predicate",
        ),
        (
            "CREATE INDEX x ON orders (customer, sum DESC)",
            "create index other on orders (customer, sum)",
            AppliedState.PARTLY,
            "sort order",
        ),
        (
            "CREATE INDEX x ON orders (customer, sum DESC)",
            "create index other on orders (customer desc, sum)",
            AppliedState.APPLIED,
            "",
        ),
        (
            "CREATE INDEX x ON orders USING gin (data jsonb_ops)",
            "create index other on orders using gin (data)",
            AppliedState.APPLIED,
            "",
        ),
        (
            "CREATE INDEX x ON orders USING gin (data)",
            "create index other on orders using gin (data jsonb_path_ops)",
            AppliedState.PARTLY,
            "operator class",
        ),
        (
            "CREATE INDEX x ON ONLY log (who); CREATE INDEX CONCURRENTLY y ON log_1 (who);ALTER INDEX x ATTACH PARTITION y;",
            "create index on log_1 (who)",
            AppliedState.PARTLY,
            "on 1 of 2 partitions",
        ),
        (
            "CREATE INDEX x ON ONLY log (who);",
            "create index on log_1 (who); create index on log_2 (who)",
            AppliedState.PARTLY,
            "not on the partitioned table",
        ),
        (
            "CREATE INDEX x ON ONLY log (who); CREATE INDEX CONCURRENTLY y ON log_1 (who);",
            "create index on log (who)",
            AppliedState.APPLIED,
            "",
        ),
        (
            "DROP INDEX CONCURRENTLY orders_sum;",
            "reindex index concurrently orders_sum; alter index orders_sum rename to z",
            AppliedState.ABSENT,
            "",
        ),
        ("DROP INDEX orders_sum;", "drop index orders_sum", AppliedState.APPLIED, ""),
        ("DROP INDEX orders_sum;", "drop index orders_sum_2", AppliedState.APPLIED, "copy was dropped"),
        (
            "DROP INDEX orders_sum;",
            "drop index orders_sum; create index w on orders (sum)",
            AppliedState.ABSENT,
            "created again",
        ),
        ("ALTER TABLE orders SET (fillfactor = 80)", "alter table orders set (fillfactor = 80)", AppliedState.APPLIED, ""),
        ("ALTER TABLE orders SET (fillfactor = 80)", "alter table orders set (fillfactor = 90)", AppliedState.PARTLY, "90"),
        ("ANALYZE orders", "analyze orders", AppliedState.APPLIED, ""),
        ("VACUUM (ANALYZE) orders", "analyze orders", AppliedState.ABSENT, ""),
        (
            "ALTER TABLE orders ALTER COLUMN id TYPE bigint",
            "alter table orders alter column id type bigint",
            AppliedState.APPLIED,
            "",
        ),
        (
            "ALTER TABLE orders ALTER COLUMN state SET STATISTICS 500; ANALYZE orders;",
            "alter table orders alter column state set statistics 400",
            AppliedState.PARTLY,
            "400 instead of 500",
        ),
        (
            "CREATE STATISTICS a (ndistinct) ON customer, state FROM orders; ANALYZE orders;",
            "create statistics b on state, customer from orders; analyze orders",
            AppliedState.APPLIED,
            "",
        ),
        ("CREATE EXTENSION citext", "create extension citext", AppliedState.APPLIED, ""),
    ],
)  # fmt: skip
def test_structures_are_found_whatever_they_are_called(
    db: str, advice: str, done: str, expected: AppliedState, detail: str
) -> None:
    psql(db, TABLES)
    what, now = of(advice, db)
    assert what.structures
    assert not what.not_followed
    assert state_in(now, what.structures).state is AppliedState.ABSENT
    for statement in done.split(";"):
        psql(db, statement)
    found = state(what, db)
    assert found.state is expected, found
    assert detail in found.detail


def test_an_index_that_was_there_is_not_half_of_the_one_advised(db: str) -> None:
    psql(db, TABLES + "create index old on orders (customer) where sum > 5")
    what, now = of(INDEX, db)
    assert state_in(now, what.structures).state is AppliedState.ABSENT
    psql(db, "reindex index concurrently old")
    assert state(what, db).state is AppliedState.ABSENT


def test_what_is_built_and_dropped_again_is_undone(db: str) -> None:
    psql(db, TABLES)
    what, now = of(INDEX, db)
    assert (
        following(AppliedState.ABSENT, state_in(now, what.structures)).state is AppliedState.ABSENT
    )
    psql(db, "create index other on orders (customer)")
    there = following(AppliedState.ABSENT, state(what, db))
    psql(db, "drop index other")
    gone = following(there.state, state(what, db))
    assert gone.state is AppliedState.UNDONE
    assert following(gone.state, state(what, db)).state is AppliedState.UNDONE
    psql(db, "create index third on orders (customer)")
    assert following(gone.state, state(what, db)).state is AppliedState.APPLIED


def test_settings_for_some_are_not_those_of_the_server(start_pg: StartServer) -> None:
    server: Server = start_pg({})
    db = server.dsn("postgres")
    what, _ = of("ALTER SYSTEM SET random_page_cost = 1.1;\nSELECT pg_reload_conf();", db)
    shared, _ = of("ALTER SYSTEM SET max_connections = 123;", db)
    role, _ = of("ALTER ROLE postgres SET work_mem = '64MB';", db)
    assert state(what, db).state is AppliedState.ABSENT
    psql(db, "alter database postgres set random_page_cost = 1.1")
    some = state(what, db)
    assert some.state is AppliedState.PARTLY
    assert some.detail == "only for database postgres, not for the server"
    psql(db, "alter database postgres reset random_page_cost")
    psql(db, "alter system set random_page_cost = 2")
    psql(db, "alter system set max_connections = 123")
    psql(db, "alter system set work_mem = '32MB'")
    psql(db, "select pg_reload_conf(), pg_sleep(0.3)")
    assert "random_page_cost = 2 instead of 1.1" in state(what, db).detail
    waits = state(shared, db)
    assert (waits.state, waits.detail) == (
        AppliedState.PARTLY,
        "a change of it waits for a restart",
    )
    assert state(role, db).state is AppliedState.ABSENT
    psql(db, "alter system set work_mem = '65536kB'")
    psql(db, "select pg_reload_conf(), pg_sleep(0.3)")
    assert state(role, db) == Status(AppliedState.APPLIED, "set for the whole server")


def test_what_cannot_be_followed_is_said() -> None:
    snapshot = Snapshot("0", None)  # type: ignore[arg-type]
    for sql, why in (
        ("DO $$ begin end $$;", "DO is not followed"),
        ("GRANT pg_monitor TO me;", "GRANT ROLE is not followed"),
        ("SELECT pg_terminate_backend(5);", "pg_terminate_backend() leaves nothing behind"),
        ("DROP INDEX nothing;", "nothing was not among the facts"),
    ):
        what = advised((Remedy(sql),), snapshot)
        assert not what.can_be_followed
        assert why in what.not_followed[0]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("(a) where b between 1 and 5", "(a) WHERE ((b >= 1) AND (b <= 5))"),
        ("(lower(a))", "USING btree (lower((a)::text))"),
        ("(a) where b like 'x%'", "(a) WHERE (b ~~ 'x%'::text)"),
        ("(a) where b > -1", "(a) WHERE (b > '-1'::integer)"),
        ("(date_trunc('day', a))", "(date_trunc('day'::text, a))"),
        ("((a->>'x'))", "((a ->> 'x'::text))"),
        ("(a) where not c and d is null", "(a) WHERE ((d IS NULL) AND (NOT c))"),
    ],
)
def test_spellings_of_one_index_are_equal(one: str, other: str) -> None:
    left, right = (index_forms.read(f"create index on t {text}") for text in (one, other))
    assert left == right


def test_a_cast_of_a_key_is_another_key() -> None:
    left, right = (index_forms.read(f"create index on t {t}") for t in ("(a)", "((a::date))"))
    assert left != right
