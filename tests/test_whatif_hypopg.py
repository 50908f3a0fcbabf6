"""The engine on the target itself: HypoPG, with its errors put right and nothing left behind."""

from collections.abc import Iterator

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from pgwatch_wed.whatif import engines
from pgwatch_wed.whatif.choose import advise
from pgwatch_wed.whatif.choose.advise import AdviceOptions
from pgwatch_wed.whatif.hypopg import HypoPG
from pgwatch_wed.whatif.lab import dump
from pgwatch_wed.whatif.model import Candidate, Key, PlanError, Query
from pgwatch_wed.whatif.workload import Workload, query_of
from tests import servers
from tests.psql import psql

pytestmark = pytest.mark.pg(">= 14", extension="hypopg")

SHOP = """
create schema tools;
create extension hypopg schema tools;
create table orders (id int primary key, customer_id int, total numeric, pad text);
insert into orders select g, g % 4000, g % 97, repeat('x', 60) from generate_series(1, 60000) g;
create schema "Mixed Case";
create table "Mixed Case"."Weird Table" ("Customer Id" int, filler text);
insert into "Mixed Case"."Weird Table" select g % 4000, repeat('x', 40) from generate_series(1, 30000) g;
vacuum analyze;
"""
CUSTOMER = Candidate("public", "orders", (Key.of("customer_id"),))
BY_CUSTOMER = "select total from orders where customer_id = 7"


@pytest.fixture
def shop(db: str) -> str:
    psql(db, SHOP)
    return db


@pytest.fixture
def oracle(shop: str) -> Iterator[HypoPG]:
    with HypoPG(shop) as oracle:
        yield oracle


def test_costs_and_sizes_are_those_of_the_real_index(shop: str, oracle: HypoPG) -> None:
    oracle.add([CUSTOMER])
    plan = oracle.plan(Query("q", BY_CUSTOMER), [CUSTOMER])
    assert plan.used == {CUSTOMER}
    with psycopg.connect(shop) as connection:
        connection.execute(CUSTOMER.ddl("really").encode())
        row = connection.execute(f"explain (format json) {BY_CUSTOMER}".encode()).fetchone()
        size = connection.execute("select pg_relation_size('really')").fetchone()
        connection.rollback()
    assert row is not None
    assert size is not None
    assert plan.cost == pytest.approx(row[0][0]["Plan"]["Total Cost"], rel=0.02)
    assert oracle.size(CUSTOMER) == pytest.approx(size[0], rel=0.1)


def test_a_copy_of_the_primary_key_looks_no_better_than_it(oracle: HypoPG) -> None:
    copy = Candidate("public", "orders", (Key.of("id"),))
    oracle.add([copy])
    query = Query("q", "select total from orders where id = 7")
    assert oracle.plan(query, [copy]).cost == pytest.approx(oracle.plan(query).cost, rel=0.02)


def test_nothing_is_left_even_after_an_error(oracle: HypoPG) -> None:
    oracle.add([CUSTOMER])
    with pytest.raises(PlanError, match="does not exist"):
        oracle.plan(Query("bad", "select nothing from orders"), [CUSTOMER])
    assert oracle.plan(Query("q", BY_CUSTOMER)).used == frozenset()


def test_what_it_does_not_know_is_refused(oracle: HypoPG) -> None:
    gin = Candidate("public", "orders", (Key.of("pad"),), method="gin")
    oracle.add([gin])
    assert "gin" in str(oracle.refusal(gin))


def test_it_advises_with_parameters_on_every_version(every_db: str) -> None:
    psql(every_db, SHOP)
    texts = (
        "select total from orders where customer_id = $1",
        'select filler from "Mixed Case"."Weird Table" where "Customer Id" = $1',
        "select pad from orders where id = $1",
    )
    queries = tuple(q for q in map(query_of, texts, texts) if isinstance(q, Query))
    with HypoPG(every_db) as oracle:
        advice = advise.advise(oracle, Workload(queries), AdviceOptions(50_000_000, seconds=20))
    found = {(i.index.table, i.index.columns[0]) for i in advice.indexes}
    assert found == {("orders", "customer_id"), ("Weird Table", "Customer Id")}
    assert [r.query for r in advice.rejected] == [texts[2]]


def test_auto_takes_it_where_no_lab_can_be_built(pg: servers.Server, shop: str) -> None:
    with engines.oracle(shop) as oracle:
        assert oracle.engine == ("lab" if pg.version <= dump.major() else "hypopg")
    with pg.role() as name:  # may read no table, so the lab cannot be like them
        psql(shop, f"grant usage on schema tools to {name};")
        with engines.oracle(make_conninfo(shop, user=name)) as oracle:
            assert oracle.engine == "hypopg"
            assert any("the lab could not be built" in note for note in oracle.notes)
