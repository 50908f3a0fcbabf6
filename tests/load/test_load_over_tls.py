"""Load runs on no weaker a line than our own session."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from pgwatch_wed.errors import CollectError
from pgwatch_wed.load.engine.block_runner import runner
from pgwatch_wed.load.load_model import Ground, LoadScript, Order
from pgwatch_wed.load.users.own_pooler import OwnPooler, own_pooler
from tests import tls
from tests.load.test_own_pooler import needs_pgbouncer


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tls.TlsServer]:
    with tls.running(tmp_path_factory.mktemp("tls")) as found:
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


@contextmanager
def _pooler_at_that_address(session: psycopg.Connection[Any]) -> Iterator[OwnPooler]:
    try:
        with own_pooler(session, clients=2) as pooler:
            yield pooler
    except CollectError as error:
        if "itself, to ::1," not in error.hint:
            raise
        pytest.skip("for this PgBouncer, localhost is ::1, where the server does not listen")


@needs_pgbouncer
def test_a_name_that_the_pooler_finds_elsewhere_is_one_line(server: tls.TlsServer) -> None:
    authority = str(server.certificates.pem("authority"))
    place = {"host": "db.test", "hostaddr": "127.0.0.1", "sslrootcert": authority}
    with (
        psycopg.connect(
            server.dsn("offers", sslmode="verify-full", **place), autocommit=True
        ) as session,
        pytest.raises(CollectError, match="PgBouncer cannot connect to the server") as caught,
        own_pooler(session, clients=2),
    ):
        pass
    assert "resolves db.test itself, to no address, and we are connected to 127.0.0.1" in (
        caught.value.hint
    )


@needs_pgbouncer
@pytest.mark.parametrize("mode", ["prefer", "verify-full", "certificate"])
def test_a_pooler_of_ours_is_encrypted_if_our_session_is(server: tls.TlsServer, mode: str) -> None:
    own = server.certificates
    more: dict[str, str] = {}
    if mode != "prefer":
        more = {"sslmode": "verify-full", "sslrootcert": str(own.pem("authority"))}
    if mode == "certificate":
        server.execute("create database certified")
        more |= {
            "user": "certified",
            "sslcert": str(own.pem("client")),
            "sslkey": str(own.key("client")),
        }
    dsn = server.dsn("certified" if mode == "certificate" else "offers", **more)
    query = "select ssl from pg_stat_ssl where pid = pg_backend_pid()"
    with (
        psycopg.connect(dsn, autocommit=True) as session,
        _pooler_at_that_address(session) as pooler,
        psycopg.connect(pooler.conninfo, prepare_threshold=None) as client,
    ):
        assert client.execute(query).fetchone() == (True,)
