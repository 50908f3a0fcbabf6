"""Many small servers, of two majors where a package has the second."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pgwatch_wed.embedded import server as embedded
from tests.fleet.ground import SHOP, older_binaries, small
from tests.psql import psql

DBNAME = "shop"


@contextmanager
def many_servers(
    number: int, script: str = SHOP, every: int = 3
) -> Iterator[list[embedded.EmbeddedServer]]:
    """Run so many servers with a small database each; every third, or ``every`` so many, is of the other major."""
    older = older_binaries()
    embedded.bindir()  # once, before threads ask for it
    with ExitStack() as stack, ThreadPoolExecutor(2) as threads:
        majors = [older if i % every == every - 1 else None for i in range(number)]
        found = threads.map(lambda binaries: _make(binaries, script), majors)
        yield [stack.enter_context(server) for server in found]


def _make(binaries: Path | None, script: str) -> embedded.EmbeddedServer:
    server = small(binaries=binaries)
    psql(server.dsn(), f"create database {DBNAME}")
    psql(server.dsn(DBNAME), script)
    return server
