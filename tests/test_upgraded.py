"""The difference of two snapshots over an upgrade: pg_upgrade, or dump and restore."""

from dataclasses import replace
from datetime import datetime, timedelta

import psycopg
import pytest

from pgwatch_wed.errors import DeltaError
from pgwatch_wed.facts import Snapshot
from pgwatch_wed.facts.delta import delta, deltas, spoken_for
from pgwatch_wed.facts.lineage import Bond, lineage
from pgwatch_wed.facts.statement_sum import by_key
from pgwatch_wed.sqltext.statement_link import statement_keys
from pgwatch_wed.target.collect import collect
from tests import servers
from tests.conftest import StartServer
from tests.psql import psql
from tests.test_delta import LOOK_UP, READ, SHOP, assert_sound, calls, scans, table, taken, work
from tests.upgrading import Machine, machine


@pytest.mark.container
@pytest.mark.slow
@pytest.mark.pg("< 18, != 14, != 16")  # the images that we build of these lack pg_controldata
def test_after_pg_upgrade_the_counters_have_begun_anew(every_pg: servers.Server) -> None:
    if every_pg.spec.kind != "container":
        pytest.skip("pg_upgrade needs the old binaries in an image")
    with machine(every_pg.spec.image) as host:
        host.prepare("/tmp/old", host.old_bin)
        host.start("/tmp/old", host.old_bin)
        psql(host.dsn, SHOP)
        skip_if_refused(host)
        work(host.dsn, 40)
        old = taken(host.dsn, lambda s: scans(s, "orders_pkey") == 40)
        host.upgrade("/tmp/old", "/tmp/new")
        work(host.dsn, 3)
        new = taken(host.dsn, lambda s: scans(s, "orders_pkey") == 3)
        psql(host.dsn, "drop table quiet; alter extension pg_stat_statements update")
        work(host.dsn, 2)
        last = taken(host.dsn, lambda s: scans(s, "orders_pkey") == 5)
    over_the_upgrade(old, new)
    over_the_update(new, last)
    found = delta(old, last)
    lost = {c.fact: c.lost for c in found.delta_coverage}
    assert lost == {"table_activity": 0, "index_usage": 0, "statements": 0}, "quiet counted nothing"
    keys = [statement_keys(s, "shop") for s in (old, last)]
    before, after = (by_key(s.statements, k) for s, k in zip((old, last), keys, strict=True))
    linked = {after[key].text for key in before.keys() & after.keys()}
    assert {"select note from orders where id = $1", "insert into events values ($1)"} <= linked


def skip_if_refused(host: Machine) -> None:
    """17.12 as packaged by Debian gives columns an option that 18.6 does not know: pg_upgrade fails."""
    query = "select count(*) > 0 from pg_attribute where attoptions is not null"
    with psycopg.connect(host.dsn) as connection:
        found = connection.execute(query).fetchone()
    if found and found[0]:
        pytest.skip("a new database of this server has column options")


def over_the_upgrade(old: Snapshot, new: Snapshot) -> None:
    assert lineage(old, new).bond is Bond.UPGRADED
    assert {t.oid for t in old.tables} == {t.oid for t in new.tables}
    assert {i.oid for i in old.indexes} == {i.oid for i in new.indexes}
    assert len(new.column_statistics) in (0, len(old.column_statistics))
    found = delta(old, new)
    assert_sound(found)
    assert found.measured_since is not None
    assert old.now < found.measured_since < new.now
    assert found.window.begins == found.measured_since
    assert found.statements_window.begins is not None
    assert old.now < found.statements_window.begins < new.now
    events = table(found, "events")
    assert events is not None
    assert events.n_tup_ins == 3
    assert calls(found, "from events") == calls(found, "insert into events") == 3
    ids = [
        {s.query_id for s in snapshot.statements if s.text and "from events" in s.text}
        for snapshot in (old, new)
    ]
    assert not ids[0] & ids[1], "so that statements cannot be told apart by them"
    assert all(s.stats_since is None for s in new.statements), "the extension is still the old one"
    assert "dropped" not in spoken_for(found)


def over_the_update(new: Snapshot, last: Snapshot) -> None:
    """Nothing begins anew when the extension is updated, but there are more columns."""
    found = delta(new, last)
    assert_sound(found)
    assert lineage(new, last).bond is Bond.SAME
    assert calls(found, "from events") == 2
    assert scans(found, "orders_pkey") == 2
    assert found.window.begins == found.statements_window.begins == new.now
    assert all(s.stats_since is not None for s in last.statements)


# --- which of the servers it is -------------------------------------------------------------------


@pytest.fixture
def old(db: str) -> Snapshot:
    psql(db, SHOP)
    work(db, 2)
    return collect(db)


def upgraded(old: Snapshot, **server: object) -> Snapshot:
    """Return a snapshot of the same tables on the next major, an hour later."""
    later = old.now + timedelta(hours=1)
    changes: dict[str, object] = {
        "version_num": old.server.version_num + 10_000,
        "system_identifier": "1",
        "taken_at": later,
        "database_created_at": later - timedelta(minutes=10),
        **server,
    }
    return replace(old, server=replace(old.server, **changes))  # type: ignore[arg-type]


def test_a_newer_server_that_was_there_before_is_another_one(old: Snapshot) -> None:
    assert lineage(old, upgraded(old)).bond is Bond.UPGRADED
    there = old.now - timedelta(days=1)
    with pytest.raises(DeltaError, match="different servers, but the database"):
        delta(old, upgraded(old, database_created_at=there))
    with pytest.raises(DeltaError, match="different servers"):
        delta(upgraded(old), replace(old, server=replace(old.server, taken_at=later_than(old))))


def later_than(old: Snapshot) -> datetime:
    return old.now + timedelta(hours=2)


def test_a_database_that_pg_upgrade_gave_another_oid_is_the_same(old: Snapshot) -> None:
    new = upgraded(old, database_oid=99_999)
    assert lineage(old, new).bond is Bond.UPGRADED
    (found,) = deltas([old, replace(old, server=replace(old.server, database_oid=5))], [new])
    assert found.measured_since == new.server.database_created_at


def test_what_was_reset_after_the_upgrade_is_not_said_to_be_complete(old: Snapshot) -> None:
    new = upgraded(old)
    late = new.now - timedelta(minutes=1)
    rows = [
        replace(a, stats_reset=late if n == 0 else None) for n, a in enumerate(old.table_activity)
    ]
    info = replace(old.statements_info[0], stats_reset=late)
    found = delta(old, replace(new, table_activity=tuple(rows), statements_info=(info,)))
    share = {c.fact: c for c in found.delta_coverage}["table_activity"]
    assert (share.rows, share.known) == (len(rows), len(rows) - 1)
    assert found.missing["table_activity:left-out"].reason
    assert found.statements_window.begins == late
    assert found.window.begins == new.server.database_created_at


def test_a_database_that_was_dumped_and_restored_is_refused_in_one_line(
    db: str, start_pg: StartServer
) -> None:
    psql(db, SHOP)
    other = start_pg({})
    psql(other.dsn(), "create table so_that_oids_differ (id int)")
    psql(other.dsn(), SHOP)
    psql(other.dsn(), f"{READ}; {LOOK_UP}")
    old = collect(db)
    new = collect(other.dsn())
    named = replace(new, server=replace(new.server, database=old.server.database))
    with pytest.raises(DeltaError, match="same name and tables: if it was dumped") as said:
        delta(old, named)
    assert "\n" not in str(said.value)
    assert "diff" in said.value.hint
