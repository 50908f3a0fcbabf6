"""A cluster that Patroni runs: its members are found by asking any of them, and their roles move."""

import psycopg
import pytest

from tests.fleet.patroni import is_installed, patroni_cluster

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not is_installed(), reason="no Patroni and etcd on this machine"),
]


def test_roles_move_with_a_switchover() -> None:
    with patroni_cluster() as cluster:
        assert cluster.leader() == "node0"
        assert cluster.switchover() == ("node0", "node1")
        with psycopg.connect(cluster.dsn("node0")) as session:
            assert session.execute("select pg_is_in_recovery()").fetchone() == (True,)
