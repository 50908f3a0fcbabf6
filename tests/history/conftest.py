"""A history in a file, and one on a server."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pgwatch_wed.history import store


@pytest.fixture(params=["sqlite", "postgresql"])
def history(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[store.Store]:
    """Every test that uses it runs on both kinds."""
    if request.param == "sqlite":
        opened = store.open_store(str(tmp_path / "state" / "history.sqlite3"))
    else:
        opened = store.open_store(request.getfixturevalue("history_db"))
    yield opened
    opened.close()


@pytest.fixture
def history_db(server_pool: object) -> Iterator[str]:
    """A database for a history, apart from the one that is looked at."""
    from tests import servers

    assert isinstance(server_pool, servers.Pool)
    with server_pool.get(servers.embedded_spec()).database() as dsn:
        yield dsn


@pytest.fixture
def file(tmp_path: Path) -> Iterator[store.Store]:
    """A history in a file."""
    opened = store.open_store(str(tmp_path / "history.sqlite3"))
    yield opened
    opened.close()
