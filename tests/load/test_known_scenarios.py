"""The scenarios' data: the same for a seed, another for another, varied, and skewed where that is the point."""

import re
from collections.abc import Iterator

import psycopg
import pytest

from pgwatch_wed.embedded import server as embedded
from pgwatch_wed.errors import UsageError
from pgwatch_wed.load.scenarios.known_scenarios import names, scenario

TABLES = (
    *("tpcb.accounts", "tpcb.tellers", "tpcb.branches", "shop.customers", "shop.products"),
    *("shop.orders", "shop.items", "feed.devices", "feed.events", "tickets.shows"),
    *("tickets.bookings", "sensors.readings", "storm.tokens"),
)
# of a thousand rows chosen by value, how many has the commonest: with equal shares, far fewer
COMMONEST = {
    "shop.items": ("product_id", 10),
    "shop.orders": ("customer_id", 4),
    "shop.customers": ("city", 50),
    "feed.events": ("device_id", 20),
    "tickets.bookings": ("show_id", 50),
    "sensors.readings": ("sensor_id", 20),
}
DISTINCT = {
    "tpcb.accounts": ("balance", 15_000),
    "shop.customers": ("email", 10_000),
    "shop.orders": ("total", 10_000),
    "feed.events": ("payload", 49_000),
    "sensors.readings": ("value", 199_000),
    "storm.tokens": ("token", 10_000),
}

Connection = psycopg.Connection[tuple[object, ...]]


@pytest.fixture(scope="module")
def prepared() -> Iterator[dict[str, Connection]]:
    with embedded.start() as server:
        found: dict[str, Connection] = {}
        for name, seed in (("one", 1), ("again", 1), ("other", 2)):
            server.run("createdb", name)
            found[name] = psycopg.connect(server.dsn(name), autocommit=True)
            for each in names():
                if each != "connection-storm-pooled":  # has the same tables as the other storm
                    for statement in scenario(each, seed=seed).prepare:
                        found[name].execute(statement.encode())
        yield found
        for connection in found.values():
            connection.close()


def one(connection: Connection, query: str) -> object:
    row = connection.execute(query.encode()).fetchone()
    assert row
    return row[0]


@pytest.mark.parametrize("table", TABLES)
def test_a_seed_decides_all_data(prepared: dict[str, Connection], table: str) -> None:
    content = f"select md5(string_agg(t::text, '' order by t::text)) from {table} t"
    first, again, other = (one(prepared[n], content) for n in ("one", "again", "other"))
    assert first == again
    assert first != other


@pytest.mark.parametrize("table", COMMONEST)
def test_few_values_make_much_of_the_data(prepared: dict[str, Connection], table: str) -> None:
    column, thousandths = COMMONEST[table]
    most = one(
        prepared["one"],
        f"select 1000 * max(n) / sum(n) from (select count(*) n from {table} group by {column}) g",
    )
    assert float(str(most)) >= thousandths, most


@pytest.mark.parametrize("table", DISTINCT)
def test_values_differ(prepared: dict[str, Connection], table: str) -> None:
    column, least = DISTINCT[table]
    assert int(str(one(prepared["one"], f"select count(distinct {column}) from {table}"))) >= least


def test_transfers_wait_for_no_single_branch(prepared: dict[str, Connection]) -> None:
    transfers = scenario("tpcb-like")
    assert int(str(one(prepared["one"], "select count(*) from tpcb.branches"))) >= (
        2 * transfers.clients
    )
    # what the script draws is there, and all of it
    for table, variable in (("branches", "branch"), ("tellers", "teller"), ("accounts", "account")):
        last = one(prepared["one"], f"select max(id) from tpcb.{table}")
        drawn = re.search(rf"set {variable} random\(1, (\d+) \* 1\)", transfers.scripts[0].text)
        assert drawn
        assert int(drawn[1]) == last


def test_references_hold(prepared: dict[str, Connection]) -> None:
    for query in (
        "select count(*) from shop.items i left join shop.products p on p.id = product_id where p.id is null",
        "select count(*) from shop.orders o left join shop.customers c on c.id = customer_id where c.id is null",
        "select count(*) from tpcb.accounts a left join tpcb.branches b on b.id = branch_id where b.id is null",
        "select count(*) from tpcb.tellers t left join tpcb.branches b on b.id = branch_id where b.id is null",
        "select count(*) from feed.events e left join feed.devices d on d.id = device_id where d.id is null",
    ):
        assert one(prepared["one"], query) == 0


def test_every_scenario_can_be_filled_in_and_says_what_it_is() -> None:
    for name in names():
        found = scenario(name, scale=3, seed=5)
        texts = [*found.prepare, *(s.text for s in (*found.scripts, *found.background))]
        assert not any("@scale@" in t or "@seed@" in t for t in texts)
        assert found.title
        assert found.is_writing == any(
            word in s.text for s in found.scripts for word in ("insert", "update", "delete")
        )
    assert scenario("hot-row", clients=3).clients == 3


def test_an_unknown_scenario_and_a_senseless_scale_are_one_line_each() -> None:
    with pytest.raises(UsageError, match="there is no scenario 'tpcc'"):
        scenario("tpcc")
    for scale in (0, -1, 100_000):
        with pytest.raises(UsageError, match="the scale must be between"):
            scenario("hot-row", scale=scale)
