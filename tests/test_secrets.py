"""Credentials that a server's own catalogs hold never get into a snapshot."""

import psycopg
import pytest

from pgwatch_wed.analyse import analyse, analyse_redacted
from pgwatch_wed.config import parse
from pgwatch_wed.embedded import server as embedded
from pgwatch_wed.facts.file import dumps
from pgwatch_wed.render import rendering as render
from pgwatch_wed.target.collect import collect
from tests.formats import TEXTUAL
from tests.psql import psql
from tests.snapshot_documents import unpacked

PLANTED = {
    "archive_mode": "on",
    "archive_command": "aws-planted-secret %p",
    "primary_conninfo": "host=10.0.0.1 password=planted-secret",
    "restore_command": "fetch --key=planted-secret %f %p",
}


def test_settings_that_hold_passwords_are_only_said_to_be_set() -> None:
    with embedded.start(PLANTED) as server:
        psql(server.dsn(), "alter database postgres set app.jwt_key = 'planted-secret';")
        psql(server.dsn(), "alter system set shared_buffers = '1TB';")
        psql(server.dsn(), "alter system set ssl_passphrase_command = 'echo planted-secret';")
        snapshot = collect(server.dsn())
        stored = unpacked(dumps(snapshot))
        assert b"planted-secret" not in stored
        assert b"archive_command" in stored
        assert snapshot.setting("primary_conninfo") == "(set)"
        assert snapshot.setting("archive_command") == "(set)"
        assert [s.value for s in snapshot.role_settings] == ["(hidden)"]
        report = analyse([snapshot], parse({"window": 0}, "test"))
        for name in TEXTUAL:
            assert b"planted-secret" not in render.document(name, report, (snapshot,))


def test_what_is_not_set_is_not_said_to_be(db: str) -> None:
    snapshot = collect(db)
    assert snapshot.setting("primary_conninfo") == ""


@pytest.mark.parametrize("name", TEXTUAL)
def test_a_redacted_report_names_no_session_no_lock_and_no_path(db: str, name: str) -> None:
    psql(
        db,
        "create table planted_table_a (id int primary key); insert into planted_table_a values (1);",
    )
    psql(
        db,
        "create role planted_role_b login; alter role planted_role_b set search_path = planted_path_c;",
    )
    try:
        with psycopg.connect(db, application_name="planted_app_d") as holder:
            holder.execute("lock table planted_table_a in access exclusive mode")
            snapshot = collect(db)
        clean, snapshots = analyse_redacted([snapshot], parse({"window": 0}, "test"))
        assert b"planted" not in render.document(name, clean, snapshots)
        assert "planted" not in render.text(clean, verbose=True)
    finally:
        psql(db, "drop role planted_role_b;")
