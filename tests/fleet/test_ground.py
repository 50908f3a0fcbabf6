"""The servers and networks that other tests of fleets rely on are what they say."""

import subprocess
import sys
import time

import psycopg
import pytest

from tests.fleet.ground import Ground
from tests.fleet.networks import Network, Way, silent_resolver, unanswered


def identity(dsn: str) -> tuple[int, bool]:
    with psycopg.connect(dsn) as session:
        row = session.execute(
            "select system_identifier, pg_is_in_recovery() from pg_control_system()"
        ).fetchone()
    assert row
    return row[0], row[1]


@pytest.mark.slow
def test_a_standby_and_a_clone_have_the_identifier_of_their_primary(ground: Ground) -> None:
    primary = identity(ground.primary().dsn(tcp=True))
    assert identity(ground.standby().dsn(tcp=True)) == (primary[0], True)
    assert identity(ground.clone().dsn(tcp=True)) == (primary[0], False)
    assert ground.clone() is ground.clone()


def test_every_way_is_what_it_says(ground: Ground, net: Network) -> None:
    dsn = net.through(ground.primary().dsn("shop", tcp=True), Way(delay_s=0.2))
    with psycopg.connect(dsn, autocommit=True) as session:
        began = time.monotonic()
        session.execute("select 1")
        assert time.monotonic() - began >= 0.2
        rows = session.execute("select repeat('x', 100000) from generate_series(1, 20)").fetchall()
    assert [len(row[0]) for row in rows] == [100000] * 20
    (traffic,) = net.tally().values()
    assert (traffic.connections, traffic.most_open) == (1, 1)
    assert traffic.received > 2_000_000 > traffic.sent

    net.change(dsn, delay_s=0, resets=True)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(dsn)
    net.change(dsn, resets=False, hangs=True)
    with pytest.raises(psycopg.errors.ConnectionTimeout):
        psycopg.connect(dsn, connect_timeout=2)
    net.change(dsn, hangs=False, cuts_after=50_000)
    with psycopg.connect(dsn) as session, pytest.raises(psycopg.OperationalError):
        session.execute("select repeat('x', 100000)")


def test_packets_are_lost_on_a_port_with_a_full_queue() -> None:
    with unanswered() as port, pytest.raises(psycopg.errors.ConnectionTimeout):
        psycopg.connect(f"host=127.0.0.1 port={port} connect_timeout=2 dbname=x")


def test_a_name_hangs_where_no_resolver_answers() -> None:
    code = "import socket; socket.getaddrinfo('db.example.com', 5432)"
    try:
        with silent_resolver() as words, pytest.raises(subprocess.TimeoutExpired):
            subprocess.run([*words, sys.executable, "-c", code], timeout=1.5, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"it takes root on Linux: {error}")


def test_databases_of_one_server_are_copies_of_one(ground: Ground) -> None:
    with psycopg.connect(ground.tenants().dsn("tenant_005")) as session:
        assert session.execute("select count(*) from orders").fetchone() == (20000,)
        names = session.execute("select datname from pg_database where datallowconn").fetchall()
    assert sum(name.startswith("tenant_") for (name,) in names) == 6
