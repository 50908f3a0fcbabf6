"""Who may write a history on a server, and who may only read it."""

from collections.abc import Iterator
from datetime import timedelta

import psycopg
import pytest
from psycopg import conninfo

from pgwatch_wed.errors import HistoryError
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.history import retention, runs, store
from pgwatch_wed.history.schema import SCHEMA
from pgwatch_wed.target.collect import collect
from tests import servers
from tests.history.test_retention import NOW
from tests.history.test_store import SHOP
from tests.history.test_writers import of_cluster
from tests.psql import psql
from tests.test_cli import db_analyze


@pytest.fixture
def taken(db: str) -> Snapshot:
    psql(db, SHOP)
    return collect(db)


@pytest.fixture
def people(server_pool: servers.Pool, history_db: str) -> Iterator[tuple[str, ...]]:
    """Roles that may log in and nothing else; the roles that are made for them are dropped."""
    server = server_pool.get(servers.embedded_spec())
    with server.role() as one, server.role() as two, server.role() as reader:
        yield one, two, reader
        psql(history_db, f"drop schema {SCHEMA} cascade; drop schema pgwatch_wed_queue cascade")
        for name in ("pgwatch_wed_fleet", "pgwatch_wed_reader"):
            psql(history_db, f"drop owned by {name}; drop role {name}")


def login(dsn: str, role: str) -> str:
    return conninfo.make_conninfo(dsn, user=role)


def allow(dsn: str, role: str, *members: str) -> None:
    done = db_analyze("history", "grant", role, *members, "--history", dsn)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("is_begun", [False, True])
def test_members_of_fleet_write_and_readers_read(
    history_db: str, people: tuple[str, ...], taken: Snapshot, is_begun: bool
) -> None:
    one, two, reader = people
    if is_begun:  # by somebody else, whose tables are handed over
        with store.open_store(history_db).writing() as connection:
            runs.add(connection, runs.NewRun([of_cluster(taken, 9, NOW - timedelta(days=400))]))
    allow(history_db, "fleet", one)
    allow(history_db, "fleet", two)
    allow(history_db, "reader", reader)
    for number, who in enumerate((one, two)):
        opened = store.open_store(login(history_db, who))
        for months in range(2):  # each creates partitions
            moment = NOW + timedelta(days=31 * (2 * months + number))
            with opened.writing() as connection:
                runs.add(connection, runs.NewRun([of_cluster(taken, 1, moment, 2 + months)]))
    with opened.writing() as connection:
        retention.prune(connection, NOW, retention.Retention())
    reading = store.open_store(login(history_db, reader), must_exist=True)
    with reading.reading() as connection:
        assert len(runs.listed(connection)) == 4 + is_begun
    listed = db_analyze("history", "list", "--history", login(history_db, reader))
    assert listed.returncode == 0, listed.stderr
    with psycopg.connect(login(history_db, reader)) as session:  # also those made later
        assert session.execute(f"select count(*) from {SCHEMA}.numbers_2026_08").fetchone()
    with pytest.raises(HistoryError, match="permission denied") as refused:  # noqa: SIM117
        with reading.writing() as connection:
            runs.add(connection, runs.NewRun([of_cluster(taken, 2)]))
    assert "history grant fleet" in refused.value.hint


def test_the_printed_statements_do_the_same(history_db: str, people: tuple[str, ...]) -> None:
    one, _, reader = people
    for role, member in (("fleet", one), ("reader", reader)):
        done = db_analyze("history", "grant", role, member, "--print")
        psql(history_db, done.stdout)
    store.open_store(login(history_db, one)).close()
    store.open_store(login(history_db, reader), must_exist=True).close()


def test_what_cannot_be_granted_is_one_line(
    history_db: str, people: tuple[str, ...], tmp_path: object
) -> None:
    allow(history_db, "reader")
    done = db_analyze("history", "grant", "fleet", "no such role", "--history", history_db)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 2)
    powerless = db_analyze("history", "grant", "fleet", "--history", login(history_db, people[0]))
    assert powerless.returncode == 3
    assert "as a superuser" in powerless.stderr
    file = db_analyze("history", "grant", "fleet", "--history", f"{tmp_path}/h.sqlite3")
    assert file.returncode == 2
    assert "a file has no roles" in file.stderr
