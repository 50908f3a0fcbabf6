"""Both sides of --against on real servers: alike but for what is compared."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from pgwatch_wed.embedded import server as embedded
from pgwatch_wed.errors import CollectError, UsageError
from pgwatch_wed.load.compare import against_grounds as module
from pgwatch_wed.load.compare.against import AgainstServer, AgainstSettings
from pgwatch_wed.load.compare.against_grounds import _asked, against_grounds, check_against
from pgwatch_wed.load.compare.even_ground import clean_up
from pgwatch_wed.load.ground.embedded_ground import EmbeddedGround
from pgwatch_wed.load.ground.ground_connection import connected
from pgwatch_wed.load.load_model import Ground
from tests.load.grounds import own_ground
from tests.psql import psql

__all__ = ["own_ground"]

BUSY = frozenset({"busy"})


@pytest.fixture(scope="module")
def somebody() -> Iterator[embedded.EmbeddedServer]:
    with embedded.start(tcp=True) as server:
        for name in ("app", "copy"):
            psql(server.dsn(), f"create database {name}")
        yield server


def settings(**given: str) -> AgainstSettings:
    return AgainstSettings(given, "with settings")


def shown(ground: Ground, name: str) -> str:
    with connected(ground) as session:
        row = session.execute("select current_setting(%s)", [name]).fetchone()
    assert row is not None
    return str(row[0])


def owned(server: embedded.EmbeddedServer, database: str) -> str:
    with (
        pytest.raises(UsageError) as refused,
        against_grounds(settings(jit="off"), server.dsn(database, tcp=True), watched_s=0),
    ):
        pass
    return refused.value.hint.rpartition("--i-own-this-server ")[2]


def test_embedded_servers_differ_by_the_settings() -> None:
    with against_grounds(settings(work_mem="8MB", max_connections="50"), None) as found:
        assert shown(found.base, "work_mem") == "8MB"
        assert shown(found.base, "max_connections") == "50"
        assert shown(found.base, "fsync") == shown(found.current, "fsync") == "on"
        assert shown(found.current, "work_mem") == "4MB"
        assert (found.label, found.no_times) == ("with settings", "")


@pytest.mark.parametrize(
    ("name", "said"),
    [("wrok_mem", "no setting"), ("fsync", "fsync"), ("server_version", "cannot be changed")],
)
def test_settings_that_cannot_be_compared_are_one_line(name: str, said: str) -> None:
    with (
        pytest.raises(UsageError, match=said),
        against_grounds(AgainstSettings({name: "1"}, ""), None),
    ):
        pass


def test_of_somebodys_server_only_settings_of_sessions_are_compared(
    somebody: embedded.EmbeddedServer,
) -> None:
    app = somebody.dsn("app", tcp=True)
    who = [owned(somebody, "app")]

    def refused(**given: str) -> str:
        with pytest.raises(UsageError) as error:
            check_against(settings(**given), app, owned=who, even_if=BUSY)
        return error.value.message

    assert "is one of the server" in refused(shared_buffers="1GB")
    assert "not known" in refused(wrok_mem="1GB")
    assert "cannot be 'lots'" in refused(work_mem="lots")
    check_against(settings(work_mem="8MB"), app, owned=who, even_if=BUSY)
    with against_grounds(
        settings(work_mem="8MB"), app, owned=who, even_if=BUSY, watched_s=0
    ) as found:
        assert found.base is found.current
        assert found.settings == {"work_mem": "8MB"}


def test_a_server_that_fails_meanwhile_is_one_line(own_ground: EmbeddedGround) -> None:
    with (
        pytest.raises(CollectError, match="the server of the load test failed: "),
        _asked(partial(connected, own_ground.ground)) as session,
    ):
        session.execute("select pg_terminate_backend(pg_backend_pid())")


def test_a_server_that_has_gone_is_no_error_of_cleaning_up(own_ground: EmbeddedGround) -> None:
    clean_up(replace(own_ground.ground, conninfo="host=/nowhere dbname=gone"))


def test_two_servers_get_a_database_each(somebody: embedded.EmbeddedServer) -> None:
    app, copy = somebody.dsn("app", tcp=True), somebody.dsn("copy", tcp=True)
    who = [owned(somebody, "copy"), owned(somebody, "app")]
    against = AgainstServer(copy)
    with against_grounds(against, app, owned=who, even_if=BUSY, watched_s=0) as found:
        assert found.base.database != found.current.database
        assert found.no_times == ""  # both are visible from here
        with psycopg.connect(somebody.dsn()) as session:
            version = session.info.parameter_status("server_version")
        assert found.label == f"{found.base.shown}, PostgreSQL {version}"
    with psycopg.connect(somebody.dsn()) as session:
        left = session.execute("select datname from pg_database where datname like '%stress%'")
        assert left.fetchall() == []
    with pytest.raises(UsageError, match="embedded server cannot"), against_grounds(against, None):
        pass


def test_scenarios_need_a_database_on_both_sides_and_the_check_creates_nothing(
    somebody: embedded.EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    psql(
        somebody.dsn("copy"),
        "create role modest login password 'x'; grant create on database copy to modest;"
        " grant pg_read_all_stats to modest",
    )
    app = somebody.dsn("app", tcp=True)
    copy = make_conninfo(somebody.dsn("copy", tcp=True), user="modest", password="x")
    who = [owned(somebody, "copy"), owned(somebody, "app")]
    with (
        pytest.raises(UsageError, match="may not create databases"),
        against_grounds(
            AgainstServer(copy), app, owned=who, even_if=BUSY, watched_s=0, needs_database=True
        ),
    ):
        pass
    monkeypatch.setattr(module, "target_ground", None)
    with pytest.raises(UsageError, match="may not create databases"):
        check_against(AgainstServer(copy), app, owned=who, even_if=BUSY, needs_database=True)
    check_against(AgainstServer(copy), app, owned=who, even_if=BUSY)
    psql(somebody.dsn("copy"), "revoke create on database copy from modest")
    with pytest.raises(UsageError, match="neither databases nor schemas"):
        check_against(AgainstServer(copy), app, owned=who, even_if=BUSY)
