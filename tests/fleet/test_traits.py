"""What clusters are compared by, from a real server."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pgwatch_wed.facts import Forecast, Missing, Snapshot
from pgwatch_wed.fleet import traits
from pgwatch_wed.history import store
from pgwatch_wed.target.collect import collect
from tests import servers
from tests.psql import psql

SHOP = """
create table orders (id int primary key, customer int, "Note" text);
create index by_any_name on orders (customer desc) include ("Note") where customer > 0;
create table plain (a int);
create table logs (at date) partition by range (at);
create table logs_1 partition of logs for values from ('2026-01-01') to ('2026-02-01');
create index on logs (at);
"""


@pytest.fixture(scope="module")
def shop(server_pool: servers.Pool) -> Iterator[Snapshot]:
    with server_pool.get(servers.embedded_spec()).database() as dsn:
        psql(dsn, SHOP)
        yield collect(dsn)


def test_indexes_are_told_by_what_they_are_and_partitions_are_left_out(shop: Snapshot) -> None:
    found = traits.of([shop]).indexes(shop.server.database)
    assert found == {
        "public.logs": ["btree (at)"],
        "public.orders": [
            "UNIQUE btree (id)",
            'btree (customer DESC) INCLUDE ("Note") WHERE (customer > 0)',
        ],
        "public.plain": [],
    }


def test_an_index_that_was_locked_is_told_by_its_columns(shop: Snapshot) -> None:
    found = traits.of([replace(shop, index_definitions=())]).indexes(shop.server.database)
    assert found is not None
    assert found["public.orders"] == ["UNIQUE btree (id)", "btree (customer)"]


def test_settings_that_say_where_something_is_are_no_traits(shop: Snapshot) -> None:
    found = traits.of([shop]).settings
    assert found["fsync"] == "off"
    assert not {"port", "data_directory", "unix_socket_directories"} & found.keys()
    assert all(shop.setting_by_name[name].setting for name in found)


def test_what_could_not_be_read_is_not_the_same_as_nothing(shop: Snapshot) -> None:
    lacking = {"indexes": Missing("the time was used up"), "extensions": Missing("no")}
    found = traits.of([replace(shop, indexes=(), missing={**shop.missing, **lacking})])
    assert found.indexes(shop.server.database) is None
    assert found.extensions == {}
    assert found.unread["indexes"] == "the time was used up"


def test_traits_are_read_back_with_their_forecasts(shop: Snapshot, tmp_path: Path) -> None:
    when = datetime(2027, 3, 1, tzinfo=UTC)
    heading = Forecast(
        *("connections", 0, "connections", 80.0, 97.0, 40, 1.0, 2.0, 3.0, when, when, when)
    )
    given = traits.of([replace(shop, forecasts=(heading,))])
    opened = store.open_store(str(tmp_path / "history.sqlite3"))
    with opened.writing() as connection:
        address = traits.put(connection, given)
        read = traits.get(connection, address)
    opened.close()
    assert read == given
    (limit,) = traits.limits_of(read)
    assert (limit.kind, limit.limit, limit.reached[0]) == ("connections", 97.0, when)
