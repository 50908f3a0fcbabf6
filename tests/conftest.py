from collections.abc import Iterator

import pytest

from tests import servers


@pytest.fixture(scope="session")
def pg() -> Iterator[servers.Server]:
    """A server with pg_stat_statements preloaded: ``.dsn(dbname)``, ``.version``."""
    with servers.running() as server:
        yield server


@pytest.fixture
def db(pg: servers.Server) -> Iterator[str]:
    """The conninfo of a fresh, empty database; dropped afterwards."""
    with pg.database() as dsn:
        yield dsn
