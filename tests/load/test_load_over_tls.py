"""Load runs on no weaker a line than our own session."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pgwatch_wed.load.engine.block_runner import runner
from pgwatch_wed.load.load_model import Ground, LoadScript, Order
from tests import tls


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tls.TlsServer]:
    with tls.running(tmp_path) as found:
        yield found


def test_clients_of_a_load_test_are_encrypted_although_the_server_offers_both(
    server: tls.TlsServer,
) -> None:
    ground = Ground(
        conninfo=server.dsn("offers"),
        shown="localhost/offers",
        database="offers",
        server_version=server.server.version * 10_000,
        is_embedded=False,
    )
    server.mark()
    one = LoadScript(name="one", text="select 1;")
    block = runner(ground)(Order(scripts=(one,), clients=3, rate=50, seconds=0.7, warmup_s=0.2))
    assert block.transactions > 0
    assert dict(block.failures) == {}
    assert block.work is not None
    assert block.work.cpu_ms is None  # its processes are not ours to see
    seen = server.authorized(5)
    assert len(seen) >= 5
    assert all("SSL enabled" in line for line in seen), seen
