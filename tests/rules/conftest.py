"""Snapshots that tests of pure judgement share: real ones, taken once a server."""

import pytest

from pgwatch_wed.facts import Snapshot
from pgwatch_wed.target.collect import collect
from tests.servers import Server


@pytest.fixture(scope="session")
def real(pg: Server) -> Snapshot:
    """A snapshot of ``pg``; change it with ``dataclasses.replace``."""
    return collect(pg.dsn())


@pytest.fixture(scope="session")
def every_real(every_pg: Server) -> Snapshot:
    """A snapshot of each chosen server."""
    return collect(every_pg.dsn())
