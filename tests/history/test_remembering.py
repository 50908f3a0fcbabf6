"""What `db-analyze run` leaves in the history, and how it goes on without one."""

import json
import sqlite3
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from pgwatch_wed.cli import cli
from pgwatch_wed.history import runs, store
from tests.history.test_store import SHOP, work
from tests.psql import psql
from tests.test_cli import db_analyze


@pytest.fixture
def shop(db: str) -> str:
    psql(db, SHOP)
    return db


def run(dsn: str, tmp_path: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return db_analyze("run", dsn, "--no-advise", "-o", str(tmp_path / "out"), *more)


def kept(path: Path) -> list[runs.StoredRun]:
    with store.open_store(str(path), must_exist=True).reading() as connection:
        return list(runs.listed(connection))


def test_a_run_is_kept_with_its_report(shop: str, tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite3"
    for _ in range(2):
        assert run(shop, tmp_path, "--history", str(path)).returncode == 0
    newest, _ = kept(path)
    with store.open_store(str(path)).reading() as connection:
        document = runs.document(connection, newest)
    reports = sorted((tmp_path / "out").glob("*.json"))
    assert document == json.loads(reports[-1].read_text())


def test_without_a_history_nothing_is_kept(shop: str, tmp_path: Path, state_home: Path) -> None:
    assert run(shop, tmp_path, "--no-history").returncode == 0
    assert not (state_home / "pgwatch_wed" / "history.sqlite3").exists()


def test_the_default_is_in_the_users_state_directory(
    shop: str, tmp_path: Path, state_home: Path
) -> None:
    assert run(shop, tmp_path).returncode == 0
    assert len(kept(state_home / "pgwatch_wed" / "history.sqlite3")) == 1


def test_the_configuration_names_the_history(shop: str, tmp_path: Path) -> None:
    config = tmp_path / "pgwatch_wed.toml"
    config.write_text(f'history = "{tmp_path / "mine.sqlite3"}"\n')
    assert run(shop, tmp_path, "--config", str(config)).returncode == 0
    assert len(kept(tmp_path / "mine.sqlite3")) == 1


def test_a_history_that_fails_costs_one_line_and_no_report(shop: str, tmp_path: Path) -> None:
    broken = tmp_path / "history.sqlite3"
    broken.write_bytes(b"this was not written by us" * 100)
    done = run(shop, tmp_path, "--history", str(broken))
    assert done.returncode == 0
    assert done.stderr.count("warning: nothing is kept of this run") == 1
    assert len(list((tmp_path / "out").glob("*.json"))) == 1
    assert broken.read_bytes() == b"this was not written by us" * 100


def test_a_history_that_is_busy_costs_one_line_and_no_report(
    shop: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "history.sqlite3"
    store.open_store(str(path)).close()
    monkeypatch.setattr(store, "_WAIT_S", 1)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("begin immediate")
    words = ("run", shop, "--no-advise", "-o", str(tmp_path / "out"), "--history", str(path))
    done = CliRunner().invoke(cli, words)
    other.close()
    assert done.exit_code == 0
    assert "another run is writing" in done.stderr


def test_a_run_since_another_is_evaluated(shop: str, tmp_path: Path) -> None:
    path = str(tmp_path / "history.sqlite3")
    run(shop, tmp_path, "--history", path)
    work(shop, 5)
    done = run(shop, tmp_path, "--history", path, "--since", "1", "--format", "text")
    assert done.returncode == 0, done.stderr
    assert "it covers" in done.stdout
    assert len(kept(Path(path))) == 2


def test_what_is_not_there_cannot_be_compared_with(shop: str, tmp_path: Path) -> None:
    path = str(tmp_path / "history.sqlite3")
    assert run(shop, tmp_path, "--history", path).returncode == 0
    for reference in ("77", "2020-01-01", "nightly", "none.json.zst"):
        done = run(shop, tmp_path, "--history", path, "--since", reference)
        assert done.returncode in (2, 3), reference
        assert "Traceback" not in done.stderr, reference
        assert len(done.stderr.strip().splitlines()) <= 2, reference
        assert len(kept(Path(path))) == 1, reference


def test_runs_with_placeholders_continue_each_other(shop: str, tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite3"
    for _ in range(2):
        assert run(shop, tmp_path, "--history", str(path), "--redact").returncode == 0
    newest, oldest = kept(path)
    assert newest.cluster_id == oldest.cluster_id
    assert b"orders" not in path.read_bytes()
    with store.open_store(str(path)).reading() as connection:
        texts = str([runs.read(connection, newest), runs.document(connection, newest)])
    assert "orders" not in texts
    assert "customer" not in texts


def test_another_server_has_no_run_to_compare_with(shop: str, tmp_path: Path) -> None:
    path = str(tmp_path / "history.sqlite3")
    store.open_store(path).close()
    done = run(shop, tmp_path, "--history", path, "--since", "2026-01-01")
    assert done.returncode == 2
    assert "no earlier run of this server" in done.stderr
