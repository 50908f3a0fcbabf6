"""A cluster that Patroni runs: its members are found by asking any of them, and a run follows a switchover."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from pgwatch_wed.cli import cli
from pgwatch_wed.fleet import visit_log
from pgwatch_wed.fleet.visits import Visit, VisitEnding
from pgwatch_wed.history import store
from tests.fleet.patroni import PatroniCluster, is_installed, patroni_cluster

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not is_installed(), reason="no Patroni and etcd on this machine"),
]


@pytest.fixture
def cluster() -> Iterator[PatroniCluster]:
    with patroni_cluster() as made:
        yield made


@pytest.fixture
def inventory(cluster: PatroniCluster, tmp_path: Path) -> Path:
    """What names the cluster by the REST API of its members; the password is where libpq looks for it."""
    secrets = tmp_path / "pgpass"
    secrets.touch(mode=0o600)
    secrets.write_text(f"127.0.0.1:*:*:*:{cluster.password}\n")
    urls = ",".join(node.url for node in cluster.nodes)
    target = f"user=postgres dbname=postgres sslmode=disable passfile={secrets}"
    file = tmp_path / "fleet.toml"
    file.write_text(f'include = [{{source = "patroni:{urls}", target = "{target}"}}]\n')
    return file


def reviewed(inventory: Path, history: Path) -> Visit:
    words = ["fleet", "run", "--inventory", str(inventory), "--history", str(history)]
    done = CliRunner().invoke(cli, [*words, "--format", "text", "--no-progress"])
    assert done.exit_code == 0, done.output
    opened = store.open_store(str(history))
    with opened.reading() as connection:
        (newest, *_) = visit_log.runs_of_fleet(connection)
        (visit,) = visit_log.visits(connection, newest.id)
    opened.close()
    return visit


def test_a_switchover_between_two_runs_moves_the_roles_of_one_cluster(
    cluster: PatroniCluster, inventory: Path, tmp_path: Path
) -> None:
    ports = {node.name: node.port for node in cluster.nodes}
    before = reviewed(inventory, tmp_path / "history.sqlite3")
    old, new = cluster.switchover()
    after = reviewed(inventory, tmp_path / "history.sqlite3")
    assert (before.ending, after.ending) == (VisitEnding.DONE, VisitEnding.DONE)
    assert (before.member, before.lacking) == (after.member, after.lacking)
    assert f":{ports[old]}/" in before.label
    assert f":{ports[new]}/" in after.label
    listed = CliRunner().invoke(
        cli, ["fleet", "list", "--inventory", str(inventory), "--format", "json"]
    )
    assert cluster.password not in listed.output
    assert len(json.loads(listed.stdout)["clusters"]) == 1
