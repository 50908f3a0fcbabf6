"""Servers and networks that tests of fleets share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pgwatch_wed.facts import Snapshot
from pgwatch_wed.history import store
from pgwatch_wed.target.collect import collect
from tests import servers
from tests.fleet.ground import Ground
from tests.fleet.networks import Network, network
from tests.fleet.story import SHOP, Story
from tests.psql import psql


@pytest.fixture(scope="session")
def ground() -> Iterator[Ground]:
    """Small servers, each started when first asked for: a primary, its standby, a clone, one with many databases."""
    made = Ground()
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture
def net() -> Iterator[Network]:
    """A network that delays, hangs and resets on demand."""
    with network() as made:
        yield made


@pytest.fixture(scope="session")
def story_shop(server_pool: servers.Pool) -> Iterator[Snapshot]:
    """A snapshot of a small shop, of which each cluster of a story has a variation."""
    with server_pool.get(servers.embedded_spec()).database() as dsn:
        psql(dsn, SHOP)
        yield collect(dsn)


@pytest.fixture
def story(tmp_path: Path, story_shop: Snapshot) -> Iterator[Story]:
    """A fleet without runs in a history of its own."""
    opened = store.open_store(str(tmp_path / "history.sqlite3"))
    yield Story(opened, story_shop)
    opened.close()
