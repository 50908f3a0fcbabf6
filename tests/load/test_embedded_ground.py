"""The embedded server on which load runs."""

import os

import psycopg
import pytest

from pgwatch_wed.load.ground.embedded_ground import EmbeddedGround, embedded_ground
from pgwatch_wed.load.ground.ground_connection import STRESS_NAME, connected
from pgwatch_wed.load.ground.stress_mark import mark_of
from pgwatch_wed.load.load_model import Ground
from tests.load.grounds import own_ground

__all__ = ["own_ground"]


def test_it_survives_crashes_counts_statements_and_bears_our_mark(
    own_ground: EmbeddedGround,
) -> None:
    ground = own_ground.ground
    with connected(ground) as connection:
        row = connection.execute(
            "select current_setting('fsync'), current_setting('application_name'), d.datname,"
            " d.oid::int8, shobj_description(d.oid, 'pg_database'),"
            " (select count(*) from pg_stat_statements) >= 0"
            " from pg_database d where d.datname = current_database()"
        ).fetchone()
    assert row is not None
    assert row[:3] == ("on", STRESS_NAME, ground.database)
    assert mark_of(*row[2:5]) is not None
    assert ground.data_directory is not None
    assert (ground.data_directory / "PG_VERSION").exists()


def test_it_is_configured_and_restarted_without_moving(own_ground: EmbeddedGround) -> None:
    own_ground.reload({"work_mem": "7MB"})
    own_ground.restart({"max_connections": "37"})
    with connected(own_ground.ground) as connection:
        row = connection.execute(
            "select current_setting('work_mem'), current_setting('max_connections')"
        ).fetchone()
    assert row == ("7MB", "37")


def create_and_fail(ground: Ground) -> None:
    with connected(ground, autocommit=False) as connection:
        connection.execute("create table lost as select 1 as a")
        connection.execute("select 1 / 0")


def test_a_block_without_autocommit_is_one_transaction(own_ground: EmbeddedGround) -> None:
    with connected(own_ground.ground, autocommit=False) as connection:
        connection.execute("create table kept as select 1 as a")
    with pytest.raises(psycopg.errors.DivisionByZero):
        create_and_fail(own_ground.ground)
    with connected(own_ground.ground) as connection:
        row = connection.execute("select to_regclass('kept')::text, to_regclass('lost')").fetchone()
    assert row == ("kept", None)


def test_what_the_environment_says_about_servers_is_ignored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chosen = {
        "PGHOSTADDR": "192.0.2.1",  # goes before a host of the conninfo
        "PGSERVICE": "production",
        "PGOPTIONS": "-c default_transaction_read_only=on",
        "PGTARGETSESSIONATTRS": "standby",
        "PGSSLMODE": "verify-full",
        "PGGSSENCMODE": "require",
        "DATABASE_URL": "postgresql://production/app",
    }
    for name, value in chosen.items():
        monkeypatch.setenv(name, value)
    with embedded_ground() as found, connected(found.ground) as connection:
        connection.execute("create table t (a int)")
        assert not chosen.keys() & os.environ.keys()
    assert chosen.items() <= os.environ.items()
