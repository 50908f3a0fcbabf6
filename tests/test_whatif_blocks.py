"""The blocks that a call is promised to touch, beside those that it touches once the index is built."""

from collections.abc import Iterator

import psycopg
import pytest

from pgwatch_wed.whatif.choose.touched import Touched
from pgwatch_wed.whatif.lab import source
from pgwatch_wed.whatif.lab.lab import Lab
from pgwatch_wed.whatif.model import Candidate, Key
from tests import servers
from tests.planning import query
from tests.psql import psql

pytestmark = pytest.mark.pg("== 18")  # the lab's own major

# Orders come in the order of time; those of a customer are scattered, and few are open.
SHOP = """
create table orders (id int primary key, customer int not null, at timestamptz not null, is_open bool not null, note text not null);
insert into orders select g, g * 7919::bigint % 500, timestamptz '2024-01-01' + g * interval '1 minute', g % 200 = 7, repeat('x', 150)
    from generate_series(1, 40000) g;
create table customers (id int primary key, city int not null);
insert into customers select g, g % 40 from generate_series(0, 499) g;
vacuum analyze orders;
vacuum analyze customers;
"""
CUSTOMER = Candidate("public", "orders", (Key.of("customer"),))
TIME = Candidate("public", "orders", (Key.of("at"),))
OPEN = Candidate("public", "orders", (Key.of("at"),), predicate="is_open")
COVERING = Candidate("public", "orders", (Key.of("customer"),), ("at",))
DAY = "at >= '2024-01-10' and at < '2024-01-11'"
CASES = {
    "whole table": ("select count(*) from orders where note like '%y'", None),
    "scattered rows": ("select * from orders where customer = 11", CUSTOMER),
    "neighbors": (f"select * from orders where {DAY}", TIME),
    "a state among neighbors": (
        "select * from orders where is_open and at > '2024-01-14' and at < '2024-01-27'",
        OPEN,
    ),
    "nothing but the index": ("select at from orders where customer = 11", COVERING),
    "newest": ("select * from orders order by at desc limit 20", TIME),
    "as often as the outer side has rows": (
        "select o.* from customers c join orders o on o.customer = c.id where c.id < 4",
        CUSTOMER,
    ),
}


@pytest.fixture(scope="module")
def shop(pg: servers.Server) -> Iterator[str]:
    with pg.database() as dsn:
        psql(dsn, SHOP)
        yield dsn


@pytest.fixture(scope="module")
def lab(shop: str) -> Iterator[Lab]:
    with source.open_lab(shop) as lab:
        lab.add([CUSTOMER, TIME, OPEN, COVERING])
        yield lab


def measured(dsn: str, text: str, index: Candidate | None) -> float:
    """Return the blocks that a call touches with an index that is really built."""
    with psycopg.connect(dsn) as connection:
        if index is not None:
            connection.execute(index.ddl().encode())
        explain = f"explain (analyze, buffers, format json) {text}".encode()
        for _ in range(2):  # the first call reads catalogs
            row = connection.execute(explain).fetchone()
        assert row is not None
        connection.rollback()
        plan = row[0][0]["Plan"]
        return float(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


@pytest.mark.parametrize("name", CASES)
def test_promised_blocks_are_those_that_a_call_touches(lab: Lab, shop: str, name: str) -> None:
    text, index = CASES[name]
    plan = lab.plan(query(text), [] if index is None else [index])
    assert plan.used == (frozenset() if index is None else {index})
    touched = Touched(lab.catalog, lab.rows_in_order, lab.index_shape)
    promised, real = touched.blocks(plan.tree), measured(shop, text, index)
    assert real / 1.5 - 3 <= promised <= 1.5 * real + 3


def test_rows_that_were_counted_replace_those_that_the_planner_guesses(lab: Lab) -> None:
    # a third of the table, as far as the planner knows
    plan = lab.plan(query("select * from orders where at > $1"), [TIME])
    touched = Touched(lab.catalog, lab.rows_in_order, lab.index_shape)
    assert touched.blocks(plan.tree, counted=20) < 10 < 200 < touched.blocks(plan.tree)


def test_entries_in_new_indexes_are_written(lab: Lab) -> None:
    plan = lab.plan(query("insert into orders values (0, 1, now(), true, 'x')"))
    touched = Touched(lab.catalog, lab.rows_in_order, lab.index_shape)
    more = touched.blocks(plan.tree, added={("public", "orders"): 2.0})
    assert more == touched.blocks(plan.tree) + 6
